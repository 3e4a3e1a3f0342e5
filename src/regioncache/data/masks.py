"""Masks of the regions that were asked for: RLE as stored, or decoded to a frame or to the image's size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict, overload

import numpy as np

from regioncache.cache.label_map import decode_label_map, split_label_map
from regioncache.masks import decode_rles, low_res_masks, with_background

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from regioncache.cache.ragged import ByteStrings
    from regioncache.cache.rows import Rows
    from regioncache.geometry import Frame


class RLE(TypedDict):
    """A COCO compressed RLE, as ``pycocotools.mask`` takes it."""

    size: list[int]
    counts: bytes


class RegionRLEs(Sequence[RLE]):
    """The RLEs of an image's chosen regions, split and made into dicts when asked for; no pixel where there is no mask.

    Args:
        counts: the image's RLE counts.
        size_hw: the image's height and width.
        regions: the chosen regions, int64 (m,), or None for all in stored order.
    """

    __slots__ = ("_counts", "_regions", "_size_hw")

    def __init__(self, counts: ByteStrings, size_hw: tuple[int, int], regions: NDArray[np.int64] | None) -> None:
        self._counts = counts
        self._size_hw = size_hw
        self._regions = regions

    def __len__(self) -> int:
        return len(self._counts) if self._regions is None else len(self._regions)

    @overload
    def __getitem__(self, index: int) -> RLE: ...
    @overload
    def __getitem__(self, index: slice) -> list[RLE]: ...
    def __getitem__(self, index: int | slice) -> RLE | list[RLE]:
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"region {index} of {len(self)}")
        region = index if self._regions is None else int(self._regions[index])
        (counts,) = with_background([self._counts[region]], *self._size_hw)
        return {"size": list(self._size_hw), "counts": counts}


def _chosen(regions: NDArray[np.int64] | None, count: int) -> NDArray[np.int64]:
    return np.arange(count) if regions is None else regions


def dense_masks(
    rows: Rows, record: tuple[int, ...], size_hw: tuple[int, int], regions: NDArray[np.int64] | None
) -> NDArray[np.bool_]:
    """Masks at the image's size, bool (m, height, width), from the label map where there is one, else from the RLEs.

    A region without a mask has one without a pixel.
    """
    chosen = _chosen(regions, rows.count(record, "region_id"))
    compressed = rows.binary(record, "label_map")
    if len(compressed):
        return split_label_map(decode_label_map(compressed, *size_hw, rows.count(record, "region_id")), chosen)
    counts = rows.byte_strings(record, "segmentation").items
    return decode_rles(with_background([counts[region] for region in chosen], *size_hw), *size_hw)


def low_res_masks_of(
    rows: Rows,
    record: tuple[int, ...],
    size_hw: tuple[int, int],
    regions: NDArray[np.int64] | None,
    frame: Frame,
    prompts: tuple[Rows, tuple[int, ...]] | None,
) -> NDArray[np.bool_]:
    """Masks in the frame's low resolution, bool (m, 256, 256), zero-padded right and below.

    Args:
        rows: the samples.
        record: the row's handle there.
        size_hw: the image's height and width.
        regions: the chosen regions, or None for all.
        frame: the SAM frame.
        prompts: the frame's side-car and the row's handle in it, if it was opened; else masks are made from the samples.
    """
    count = rows.count(record, "region_id")
    chosen = _chosen(regions, count)
    side = frame.low_res_px
    if prompts is not None:
        side_rows, side_record = prompts
        compressed = side_rows.binary(side_record, "low_res_map")
        if len(compressed):
            return split_label_map(decode_label_map(compressed, side, side, count), chosen)
        counts = side_rows.byte_strings(side_record, "low_res_segmentation").items
        return decode_rles([counts[region] for region in chosen], side, side)
    counts = rows.byte_strings(record, "segmentation").items
    return low_res_masks(with_background([counts[region] for region in chosen], *size_hw), *size_hw, frame)
