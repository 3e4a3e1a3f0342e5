"""Each transform beside the JPEG decode of the same images, with and without masks."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from benchmarks import ours
from benchmarks.measure import Scale, Table, cpu_rates
from regioncache import ParquetRegionDataset
from regioncache.data.rng import sample_generator
from regioncache.data.transforms.config import transforms_from_config

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.stores import Stores
    from regioncache.data.transforms.compose import Compose

_IMAGES = 24
_SWAP = {"side_words": "ignore"}
_STEPS: dict[str, tuple[str, list[Any]]] = {
    "nothing": ("no step: to a RegionSample and back", []),
    "resize": ("Resize to 1333 x 800 at most, exact (Pillow)", [{"Resize": {"scale": [1333, 800], "keep_ratio": True}}]),
    "resize_fast": (
        "Resize to 1333 x 800 at most, fast (torch)",
        [{"Resize": {"scale": [1333, 800], "keep_ratio": True, "quality": "fast"}}],
    ),
    "flip": ("RandomFlip, always", [{"RandomFlip": {"prob": 1, **_SWAP}}]),
    "pad": ("Pad to a multiple of 32", [{"Pad": {"size_divisor": 32, "pad_val": 114}}]),
    "normalize": ("Normalize", ["Normalize"]),
    "crop": ("RandomCrop, 0.6 of each side", [{"RandomCrop": {"crop_size": [0.6, 0.6], "crop_type": "relative"}}]),
    "min_iou_crop": ("MinIoURandomCrop", ["MinIoURandomCrop"]),
    "photometric": ("PhotoMetricDistortion", ["PhotoMetricDistortion"]),
    "jitter": ("LargeScaleJitter to 1024, the original's", [{"LargeScaleJitter": _SWAP}]),
    "jitter_exact": ("LargeScaleJitter to 1024, exact", [{"LargeScaleJitter": {"rounding": "exact", **_SWAP}}]),
    "sam": ("SamInput, exact", ["SamInput"]),
    "sam_fast": ("SamInput, fast", [{"SamInput": {"quality": "fast"}}]),
}
_PIXELS_ONLY = frozenset({"resize_fast", "normalize", "photometric", "sam_fast"})


def tables(stores: Stores, scale: Scale) -> list[Table]:
    """Milliseconds of CPU time per image; decoding is not in it."""
    found = []
    for key, title in (
        ("transforms", "one transform of an image of COCO's size, 35 regions"),
        ("transforms_masks", "the same with masks"),
    ):
        with_masks = key == "transforms_masks"
        dataset = ParquetRegionDataset(
            stores.folder("ours", "jpeg"), tokens=ours.TOKENS_NAME, image="bytes", masks="dense" if with_masks else None
        )
        encoded = [dataset[index] for index in range(min(stores.images, _IMAGES))]
        samples = [{**sample, "image": sample["image"].decode()} for sample in encoded]
        names = {"decode": "limit: decode of the JPEG (libjpeg-turbo)"}
        work: dict[str, Callable[[], int]] = {"decode": _decoding(encoded)}
        for step, (name, steps) in _STEPS.items():
            if not (with_masks and step in _PIXELS_ONLY):
                names[step], work[step] = name, _applying(transforms_from_config(steps), samples)
        table = Table(key, title, beside="decode")
        for step, rate in cpu_rates(work, scale.pace).items():
            table.add(step, names[step], 1000 / rate, "ms/image")
        found.append(table)
    return found


def _decoding(encoded: list[dict[str, Any]]) -> Callable[[], int]:
    def do() -> int:
        for sample in encoded:
            sample["image"].decode()
        return len(encoded)

    return do


def _applying(steps: Compose, samples: list[dict[str, Any]]) -> Callable[[], int]:
    epochs = count()

    def do() -> int:
        epoch = next(epochs)
        for index, sample in enumerate(samples):
            steps(sample, sample_generator(0, epoch, index))
        return len(samples)

    return do
