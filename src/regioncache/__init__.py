"""regioncache: region-annotated images from public archives to memory-mapped caches, and the loader that reads them."""

from regioncache.data.collate import RegionCollator
from regioncache.data.dataset import ParquetRegionDataset
from regioncache.data.regions import ShuffledRegions

__all__ = ["ParquetRegionDataset", "RegionCollator", "ShuffledRegions"]
