"""All segments of a panoptic id map in one pass: boxes, areas and COCO masks without one mask image per segment.

The map is cut into column-major runs of equal label once. Everything else works on the runs, of which there are a few
thousand where there are hundreds of thousands of pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from regioncache.errors import BadRecordError
from regioncache.rle import MaskRuns, encode_runs, runs_between

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

VOID_LABEL = 0  # of the COCO panoptic format: pixels of no segment


@dataclass(frozen=True)
class Segments:
    """The segments of an id map, by ascending label; void is not among them.

    Attributes:
        label: uint32 (n,), the ids of the map.
        area: int64 (n,), pixels.
        box_xyxy: int32 (n, 4), source pixels; x2 and y2 are one past the last pixel, as pycocotools' ``toBbox`` counts.
        counts: compressed COCO RLE of each segment, byte-equal to ``pycocotools.mask.encode``.
    """

    label: NDArray[np.uint32]
    area: NDArray[np.int64]
    box_xyxy: NDArray[np.int32]
    counts: list[bytes]


@dataclass(frozen=True)
class LabelRuns:
    """Maximal runs of equal label in column-major order; together they cover the map.

    Attributes:
        height: of the map, in pixels.
        width: of the map, in pixels.
        start: int64 (m,), column-major pixel index of each run's first pixel.
        label: uint32 (m,).
    """

    height: int
    width: int
    start: NDArray[np.int64]
    label: NDArray[np.uint32]

    @property
    def length(self) -> NDArray[np.int64]:
        """Pixels of each run, int64 (m,)."""
        return np.diff(self.start, append=self.height * self.width)

    def segments(self) -> Segments:
        """Box, area and mask of every label but void."""
        # One integer sort groups the runs by label and keeps their order within it: faster than a stable argsort.
        keys = self.label.astype(np.uint64) << np.uint64(32)
        keys |= np.arange(len(keys), dtype=np.uint64)
        keys.sort()
        keys = keys[np.searchsorted(keys, np.uint64(VOID_LABEL + 1) << np.uint64(32)) :]
        if not len(keys):
            return Segments(np.zeros(0, np.uint32), np.zeros(0, np.int64), np.zeros((0, 4), np.int32), [])
        order = (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)
        label = (keys >> np.uint64(32)).astype(np.uint32)
        first = np.concatenate(([0], np.flatnonzero(label[1:] != label[:-1]) + 1))
        start = self.start[order]
        end = start + self.length[order]
        return Segments(
            label=label[first],
            area=np.add.reduceat(end - start, first),
            box_xyxy=self._boxes_xyxy(start, end, first),
            counts=encode_runs(self._mask_runs(start, end, first)),
        )

    def _boxes_xyxy(self, start: NDArray[np.int64], end: NDArray[np.int64], first: NDArray[np.int64]) -> NDArray[np.int32]:
        """Boxes of segments whose runs are ``start`` to ``end`` and begin at the indices ``first``."""
        left, top = np.divmod(start, self.height)
        right, bottom = np.divmod(end - 1, self.height)
        wraps = left != right  # a run through the foot of a column and the head of the next has all rows in its box
        top[wraps] = 0
        bottom[wraps] = self.height - 1
        last = np.append(first[1:], len(start)) - 1
        box_xyxy = np.empty((len(first), 4), np.int32)
        box_xyxy[:, 0] = left[first]
        box_xyxy[:, 1] = np.minimum.reduceat(top, first)
        box_xyxy[:, 2] = right[last] + 1
        box_xyxy[:, 3] = np.maximum.reduceat(bottom, first) + 1
        return box_xyxy

    def _mask_runs(self, start: NDArray[np.int64], end: NDArray[np.int64], first: NDArray[np.int64]) -> MaskRuns:
        """Runs of each segment's mask: gap, run, gap, run, ... and the rest of the image where there is one."""
        pixels = self.height * self.width
        offsets = 2 * np.append(first, len(start))
        ends_early = end[np.append(first[1:], len(end)) - 1] < pixels
        offsets[1:] += np.cumsum(ends_early)
        edges = np.empty(offsets[-1], np.int64)
        is_rest = np.zeros(len(edges), bool)
        is_rest[offsets[1:][ends_early] - 1] = True
        edges[is_rest] = pixels
        edges[~is_rest] = np.column_stack((start, end)).ravel()
        return MaskRuns(runs_between(edges, offsets), offsets)

    def ordinal_map(self, labels: ArrayLike) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """The map with each label replaced by its place in ``labels``, counted from 1, and everything else by 0.

        Args:
            labels: distinct ids (n,), in the order of the image's regions.

        Returns:
            (height, width), C order, uint8 when n <= 255 and uint16 beyond.

        Raises:
            BadRecordError: ``segmentation_invalid``, more than 65535 labels.
        """
        wanted = np.asarray(labels, np.uint32)
        if len(wanted) > np.iinfo(np.uint16).max:
            raise BadRecordError("segmentation_invalid", f"at most 65535 segments in an image, found {len(wanted)}")
        dtype = np.uint8 if len(wanted) <= np.iinfo(np.uint8).max else np.uint16
        ordinals = np.zeros(len(self.label), dtype)
        if len(wanted):
            order = np.argsort(wanted)
            ranked = wanted[order]
            rank = np.searchsorted(ranked, self.label)
            rank[rank == len(ranked)] = 0
            ordinals = np.where(ranked[rank] == self.label, order[rank] + 1, 0).astype(dtype)
        column_major = np.repeat(ordinals, self.length).reshape(self.width, self.height)
        return np.ascontiguousarray(column_major.T)


def label_runs(ids: NDArray[np.uint32]) -> LabelRuns:
    """Cut an id map, uint32 (height, width) in C order, into column-major runs of equal label.

    The comparison runs over rows as they lie in memory; only the few places where a label changes are put into
    column-major order, which spares a transposed copy of the map.

    Raises:
        BadRecordError: ``panoptic_undecodable``, the map has no pixel.
    """
    height, width = ids.shape
    if not ids.size:
        raise BadRecordError("panoptic_undecodable", f"an id map of {height} x {width} pixels has no segments")
    at = np.flatnonzero(ids[1:] != ids[:-1])
    row = at // width
    within_column = (at - row * width) * height + row + 1
    at_column_head = (np.flatnonzero(ids[0, 1:] != ids[-1, :-1]) + 1) * height
    start = np.concatenate((np.zeros(1, np.int64), at_column_head, within_column))
    start.sort()
    column, row = np.divmod(start, height)
    return LabelRuns(height, width, start, ids.ravel()[row * width + column])
