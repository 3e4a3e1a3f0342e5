"""regioncache: region-annotated images from public archives to memory-mapped caches, and the loader that reads them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from regioncache.data.collate import RegionCollator
    from regioncache.data.dataset import ParquetRegionDataset
    from regioncache.data.regions import ShuffledRegions

__all__ = ["ParquetRegionDataset", "RegionCollator", "ShuffledRegions"]

_HOME = {
    "ParquetRegionDataset": "regioncache.data.dataset",
    "RegionCollator": "regioncache.data.collate",
    "ShuffledRegions": "regioncache.data.regions",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: a build step need not load the reader."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
