"""A panoptic id map to RLE, box and area of every segment, beside the decode of its PNG and the loops that people write."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from benchmarks.measure import Scale, Table, cpu_rates
from regioncache.panoptic_runs import label_runs

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from benchmarks.stores import Stores

Segment = tuple[bytes, int, list[float]]
"""RLE counts, area in pixels, box x, y, width, height."""


def tables(stores: Stores, scale: Scale) -> list[Table]:
    """Milliseconds of CPU time per map of 640 x 480."""
    pngs = stores.maps()
    maps = [ids_of(decode_png(png)) for png in pngs]
    check_equal(maps)
    segments = np.mean([len(np.unique(one)) - 1 for one in maps])
    work: dict[str, Callable[[], int]] = {
        "kernel": _each(lambda ids: label_runs(ids).segments(), maps),
        "png": _each(decode_png, pngs),
        "naive": _each(naive_segments, maps),
        "panopticapi": _each(panopticapi_segments, maps),
    }
    titles = {
        "kernel": "regioncache: label_runs(ids).segments()",
        "png": "decode of the PNG itself (Pillow)",
        "naive": "loop: encode, area and toBbox of each mask == id",
        "panopticapi": "loop: encode of each mask == id, area and box by numpy",
    }
    table = Table("panoptic", f"panoptic map 640 x 480, {segments:.0f} segments, to RLE, box and area", beside="kernel")
    for key, rate in cpu_rates(work, scale.pace).items():
        table.add(key, titles[key], 1000 / rate, "ms/map")
    return [table]


def check_equal(maps: list[NDArray[np.uint32]]) -> None:
    """The kernel's bytes are pycocotools' own.

    Raises:
        RuntimeError: they are not.
    """
    for ids in maps:
        ours, theirs = label_runs(ids).segments(), naive_segments(ids)
        counts, areas, boxes = zip(*theirs, strict=True)
        corners = np.array(boxes)
        corners[:, 2:] += corners[:, :2]
        if not (list(counts) == ours.counts and np.array_equal(areas, ours.area) and np.array_equal(corners, ours.box_xyxy)):
            raise RuntimeError("label_runs and pycocotools differ on a map of the benchmark")


def naive_segments(ids: NDArray[np.uint32]) -> list[Segment]:
    """One mask after the other through pycocotools."""
    found = []
    for label in np.unique(ids):
        if label:
            rle = coco_mask.encode(np.asfortranarray(ids == label, np.uint8))
            found.append((rle["counts"], int(coco_mask.area(rle)), coco_mask.toBbox(rle).tolist()))
    return found


def panopticapi_segments(ids: NDArray[np.uint32]) -> list[Segment]:
    """One mask after the other as panopticapi's converters do: box and area from the mask's rows and columns."""
    found = []
    for label in np.unique(ids):
        if label:
            mask = ids == label
            rows, columns = np.nonzero(np.sum(mask, axis=1))[0], np.nonzero(np.sum(mask, axis=0))[0]
            x, y = columns[0], rows[0]
            box = [float(x), float(y), float(columns[-1] - x + 1), float(rows[-1] - y + 1)]
            rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
            found.append((rle["counts"], int(np.sum(mask)), box))
    return found


def decode_png(png: bytes) -> NDArray[np.uint8]:
    """Pixels of a PNG file, uint8 (H, W, 3)."""
    return np.asarray(Image.open(io.BytesIO(png)))


def ids_of(rgb: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Segment ids, uint32 (H, W), of a panoptic PNG's pixels."""
    wide = rgb.astype(np.uint32)
    ids: NDArray[np.uint32] = wide[..., 0] | wide[..., 1] << np.uint32(8) | wide[..., 2] << np.uint32(16)
    return ids


def _each(do: Callable[[Any], object], items: list[Any]) -> Callable[[], int]:
    def run() -> int:
        for item in items:
            do(item)
        return len(items)

    return run
