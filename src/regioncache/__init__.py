"""regioncache: region-annotated images from public archives to memory-mapped caches, and the loader that reads them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from regioncache.data.collate import RegionCollator
    from regioncache.data.dataset import ParquetRegionDataset
    from regioncache.data.device import DeviceBatches, PixelFormat, to_device
    from regioncache.data.loader import JointLoader, RegionLoader
    from regioncache.data.mix_orders import InterleavedMix, RatioBatches, RepeatMix, SourceBatches, WeightedMix
    from regioncache.data.mixing import MixedDataset
    from regioncache.data.orders import (
        GroupedBatches,
        RandomOrder,
        RepeatFactorOrder,
        ReplacementOrder,
        SequentialOrder,
        SubsetOrder,
        WeightedOrder,
    )
    from regioncache.data.region_sample import RegionSample
    from regioncache.data.regions import RegionChoice, RegionFacts, ShuffledRegions
    from regioncache.data.samplers import OrderBatchSampler, OrderSampler
    from regioncache.data.selected_regions import SelectedRegions, region_policy
    from regioncache.data.transforms.compose import Compose, Transform
    from regioncache.data.transforms.config import transforms_from_config
    from regioncache.data.transforms.crop import MinIoURandomCrop, RandomCrop
    from regioncache.data.transforms.filter import FilterAnnotations, LimitRegions
    from regioncache.data.transforms.flip import RandomFlip
    from regioncache.data.transforms.jitter import LargeScaleJitter
    from regioncache.data.transforms.normalize import Normalize
    from regioncache.data.transforms.pad import Pad
    from regioncache.data.transforms.photometric import PhotoMetricDistortion
    from regioncache.data.transforms.resize import RandomChoiceResize, RandomResize, Resize
    from regioncache.data.transforms.sam import LowResMasks, SamInput

__all__ = [
    "Compose",
    "DeviceBatches",
    "FilterAnnotations",
    "GroupedBatches",
    "InterleavedMix",
    "JointLoader",
    "LargeScaleJitter",
    "LimitRegions",
    "LowResMasks",
    "MinIoURandomCrop",
    "MixedDataset",
    "Normalize",
    "OrderBatchSampler",
    "OrderSampler",
    "Pad",
    "ParquetRegionDataset",
    "PhotoMetricDistortion",
    "PixelFormat",
    "RandomChoiceResize",
    "RandomCrop",
    "RandomFlip",
    "RandomOrder",
    "RandomResize",
    "RatioBatches",
    "RegionChoice",
    "RegionCollator",
    "RegionFacts",
    "RegionLoader",
    "RegionSample",
    "RepeatFactorOrder",
    "RepeatMix",
    "ReplacementOrder",
    "Resize",
    "SamInput",
    "SelectedRegions",
    "SequentialOrder",
    "ShuffledRegions",
    "SourceBatches",
    "SubsetOrder",
    "Transform",
    "WeightedMix",
    "WeightedOrder",
    "region_policy",
    "to_device",
    "transforms_from_config",
]

_HOME = {
    "Compose": "regioncache.data.transforms.compose",
    "DeviceBatches": "regioncache.data.device",
    "FilterAnnotations": "regioncache.data.transforms.filter",
    "GroupedBatches": "regioncache.data.orders",
    "InterleavedMix": "regioncache.data.mix_orders",
    "JointLoader": "regioncache.data.loader",
    "LargeScaleJitter": "regioncache.data.transforms.jitter",
    "LimitRegions": "regioncache.data.transforms.filter",
    "LowResMasks": "regioncache.data.transforms.sam",
    "MinIoURandomCrop": "regioncache.data.transforms.crop",
    "MixedDataset": "regioncache.data.mixing",
    "Normalize": "regioncache.data.transforms.normalize",
    "OrderBatchSampler": "regioncache.data.samplers",
    "OrderSampler": "regioncache.data.samplers",
    "Pad": "regioncache.data.transforms.pad",
    "ParquetRegionDataset": "regioncache.data.dataset",
    "PhotoMetricDistortion": "regioncache.data.transforms.photometric",
    "PixelFormat": "regioncache.data.device",
    "RandomChoiceResize": "regioncache.data.transforms.resize",
    "RandomCrop": "regioncache.data.transforms.crop",
    "RandomFlip": "regioncache.data.transforms.flip",
    "RandomOrder": "regioncache.data.orders",
    "RandomResize": "regioncache.data.transforms.resize",
    "RatioBatches": "regioncache.data.mix_orders",
    "RegionChoice": "regioncache.data.regions",
    "RegionCollator": "regioncache.data.collate",
    "RegionFacts": "regioncache.data.regions",
    "RegionLoader": "regioncache.data.loader",
    "RegionSample": "regioncache.data.region_sample",
    "RepeatFactorOrder": "regioncache.data.orders",
    "RepeatMix": "regioncache.data.mix_orders",
    "ReplacementOrder": "regioncache.data.orders",
    "Resize": "regioncache.data.transforms.resize",
    "SamInput": "regioncache.data.transforms.sam",
    "SelectedRegions": "regioncache.data.selected_regions",
    "SequentialOrder": "regioncache.data.orders",
    "ShuffledRegions": "regioncache.data.regions",
    "SourceBatches": "regioncache.data.mix_orders",
    "SubsetOrder": "regioncache.data.orders",
    "Transform": "regioncache.data.transforms.compose",
    "WeightedMix": "regioncache.data.mix_orders",
    "WeightedOrder": "regioncache.data.orders",
    "region_policy": "regioncache.data.selected_regions",
    "to_device": "regioncache.data.device",
    "transforms_from_config": "regioncache.data.transforms.config",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: a build step need not load the reader."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
