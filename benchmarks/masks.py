"""All masks of an image, at its size and in the 256 frame, beside pycocotools one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from benchmarks import ours
from benchmarks.measure import Scale, Table, cpu_rates
from regioncache import ParquetRegionDataset
from regioncache.geometry import FRAMES

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.stores import Stores

_IMAGES = 40
_LOW_PX = 256


def tables(stores: Stores, scale: Scale) -> list[Table]:
    """Milliseconds of CPU time per image, its sample included."""
    images = range(min(stores.images, _IMAGES))
    rles = _dataset(stores, "rle")

    def one_by_one() -> int:
        for index in images:
            for rle in rles[index]["segmentation"]:
                coco_mask.decode(rle)
        return len(images)

    def one_by_one_low() -> int:
        for index in images:
            sample = rles[index]
            height, width = FRAMES["sam"].low_res_hw(*sample["original_sizes"].tolist())
            masks = np.zeros((len(sample["segmentation"]), _LOW_PX, _LOW_PX), np.bool_)
            for mask, rle in zip(masks, sample["segmentation"], strict=True):
                image = Image.fromarray(coco_mask.decode(rle))
                mask[:height, :width] = image.resize((width, height), Image.Resampling.NEAREST)
        return len(images)

    work: dict[str, tuple[str, Callable[[], int]]] = {
        "dense": ('regioncache: masks="dense", from the label map', _read(_dataset(stores, "dense"), images)),
        "dense_coco": ("pycocotools: decode of each RLE", one_by_one),
        "lowres": ('regioncache: masks="lowres", from the RLEs', _read(_dataset(stores, "lowres"), images)),
        "lowres_coco": ("pycocotools: decode of each RLE, Pillow NEAREST to 256", one_by_one_low),
    }
    table = Table("masks", "all masks of an image of COCO's size, 35 regions, bool", beside="dense")
    for key, rate in cpu_rates({key: do for key, (_, do) in work.items()}, scale.pace).items():
        table.add(key, work[key][0], 1000 / rate, "ms/image")
    return [table]


def _dataset(stores: Stores, masks: Literal["rle", "dense", "lowres"]) -> ParquetRegionDataset:
    return ParquetRegionDataset(stores.folder("ours", "none"), tokens=ours.TOKENS_NAME, image=None, masks=masks)


def _read(dataset: ParquetRegionDataset, images: range) -> Callable[[], int]:
    def do() -> int:
        for index in images:
            dataset[index]["masks"]
        return len(images)

    return do
