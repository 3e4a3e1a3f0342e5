"""COCO run lengths and their compressed strings, many masks at a time.

A mask is walked column by column; its runs alternate between background and mask, starting with background (a run of 0
when the first pixel is in the mask). The compressed string holds each run, from the fourth on as the difference to the
run two before, in groups of 5 bits, lowest first, with a continuation bit, 48 added: ``rleToString`` of pycocotools'
maskApi.c.

Several masks travel as one flat array of runs and offsets: mask i has ``lengths[offsets[i] : offsets[i + 1]]``.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from regioncache.errors import BadRecordError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

GROUP_BITS = 5
CONTINUES = 1 << GROUP_BITS
SIGN_BIT = 1 << (GROUP_BITS - 1)
FIRST_CHARACTER = 48
LONGEST_GROUPS = 12  # 60 bits; a run of any image that fits in memory needs 7 groups


class MaskRuns(NamedTuple):
    """Run lengths of n masks: ``lengths`` int64 (total,), ``offsets`` int64 (n + 1,)."""

    lengths: NDArray[np.int64]
    offsets: NDArray[np.int64]


def encode_runs(runs: MaskRuns) -> list[bytes]:
    """The compressed string of each mask, byte-equal to pycocotools'."""
    if not len(runs.lengths):
        return [b""] * (len(runs.offsets) - 1)
    values = runs.lengths.copy()
    values[2:] -= runs.lengths[:-2]
    plain = _first_of_each(runs.offsets, 3)
    values[plain] = runs.lengths[plain]

    magnitudes = values ^ (values >> 63)  # a negative value needs the groups of its complement
    group_counts = np.ones(len(values), np.int64)
    for group in range(1, int(magnitudes.max()).bit_length() // GROUP_BITS + 1):
        group_counts += magnitudes >= 1 << (GROUP_BITS * group - 1)
    ends = np.cumsum(group_counts)
    at = ends - group_counts

    text = np.empty(int(ends[-1]), np.uint8)
    string_starts = np.append(at, len(text))[runs.offsets].tolist()
    while len(at):  # once per group; few values have a second one
        more = group_counts > 1
        text[at] = (values & (CONTINUES - 1)) + more * CONTINUES + FIRST_CHARACTER
        at, values, group_counts = at[more] + 1, values[more] >> GROUP_BITS, group_counts[more] - 1
    whole = text.tobytes()
    return [whole[start:end] for start, end in pairwise(string_starts)]


def decode_runs(counts: Sequence[bytes]) -> MaskRuns:
    """Run lengths of compressed strings.

    Raises:
        BadRecordError: ``segmentation_invalid``, a string holds a character outside of the alphabet or ends within a
            number.
    """
    offsets = np.zeros(len(counts) + 1, np.int64)
    text = np.frombuffer(b"".join(counts), np.uint8)
    if not len(text):
        return MaskRuns(np.zeros(0, np.int64), offsets)
    groups = text.astype(np.int64) - FIRST_CHARACTER
    if groups.min() < 0 or groups.max() >= 2 * CONTINUES:
        raise BadRecordError("segmentation_invalid", "a compressed RLE holds a character outside of '0' to 'o'")
    is_last = groups < CONTINUES
    byte_ends = np.cumsum([len(one) for one in counts])
    if not is_last[byte_ends[byte_ends > 0] - 1].all():
        raise BadRecordError("segmentation_invalid", "a compressed RLE ends in the middle of a number")

    last = np.flatnonzero(is_last)
    first = np.concatenate(([0], last[:-1] + 1))
    group_counts = last - first + 1
    if group_counts.max() > LONGEST_GROUPS:
        raise BadRecordError("segmentation_invalid", "a compressed RLE holds a number of more than 60 bits")
    lengths = groups[first] & (CONTINUES - 1)
    for group in range(1, int(group_counts.max())):
        longer = np.flatnonzero(group_counts > group)
        lengths[longer] |= (groups[first[longer] + group] & (CONTINUES - 1)) << (GROUP_BITS * group)
    negative = (groups[last] & SIGN_BIT) != 0
    lengths[negative] -= np.int64(1) << (GROUP_BITS * group_counts[negative])

    offsets[1:] = np.cumsum(is_last)[byte_ends - 1] * (byte_ends > 0)
    _sum_every_other(lengths, offsets)
    return MaskRuns(lengths, offsets)


def _sum_every_other(values: NDArray[np.int64], offsets: NDArray[np.int64]) -> None:
    """Undo the differences in place: from a mask's fourth value on, value i becomes the sum of i, i - 2, ... >= 1."""
    place = run_places(offsets)
    for chain in (np.flatnonzero(place % 2 == 1), np.flatnonzero((place % 2 == 0) & (place > 0))):
        if len(chain):
            sums = np.cumsum(values[chain])
            is_start = place[chain] <= 2  # noqa: PLR2004  (the chains of a mask begin at its runs 1 and 2)
            base = (sums - values[chain])[is_start]
            values[chain] = sums - base[np.cumsum(is_start) - 1]


def run_places(offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Place of each run within its mask, int64 (total,): even places are background, odd ones mask."""
    return np.arange(offsets[-1]) - np.repeat(offsets[:-1], np.diff(offsets))


def _first_of_each(offsets: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Indices of the first ``count`` runs of each mask, fewer where a mask has fewer."""
    index = offsets[:-1, None] + np.arange(count)
    return index[index < offsets[1:, None]]


def rle_runs(counts: bytes) -> NDArray[np.int64]:
    """Run lengths of one compressed string, int64 (m,)."""
    return decode_runs([counts]).lengths


def encode_rle(lengths: NDArray[np.int64]) -> bytes:
    """The compressed string of one mask's run lengths."""
    return encode_runs(MaskRuns(np.asarray(lengths, np.int64), np.array([0, len(lengths)])))[0]


def mask_edges(runs: MaskRuns) -> NDArray[np.int64]:
    """Column-major pixel index at which each run ends, counted within its mask, int64 (total,)."""
    ends = np.concatenate(([0], np.cumsum(runs.lengths)))
    edges: NDArray[np.int64] = ends[1:] - np.repeat(ends[runs.offsets[:-1]], np.diff(runs.offsets))
    return edges


def runs_between(edges: NDArray[np.int64], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Run lengths of masks from the ends of their runs, the reverse of ``mask_edges``."""
    lengths = np.diff(edges, prepend=0)
    starts = offsets[:-1][offsets[:-1] < offsets[1:]]
    lengths[starts] = edges[starts]
    return lengths


class ColumnPieces(NamedTuple):
    """The pixels of n masks as vertical strips, in the masks' order and column by column; int64 (pieces,) each.

    Attributes:
        owner: which mask.
        column: x of the strip.
        top: y of its first pixel.
        bottom: y past its last pixel.
    """

    owner: NDArray[np.int64]
    column: NDArray[np.int64]
    top: NDArray[np.int64]
    bottom: NDArray[np.int64]


def column_pieces(edges: NDArray[np.int64], offsets: NDArray[np.int64], height: int) -> ColumnPieces:
    """Cut the masks' runs, given by where each run ends, at the feet of the columns; empty runs are left out."""
    places = run_places(offsets)
    is_mask = places % 2 == 1
    start, end = edges[np.flatnonzero(is_mask) - 1], edges[is_mask]
    owner = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))[is_mask]
    filled = start < end
    start, end, owner = start[filled], end[filled], owner[filled]
    if not len(start):
        return ColumnPieces(owner, start, start, end)
    first_column = start // height
    pieces = (end - 1) // height - first_column + 1
    source = np.repeat(np.arange(len(pieces)), pieces)
    column = first_column[source] + np.arange(len(source)) - (np.cumsum(pieces) - pieces)[source]
    head = column * height
    top = np.maximum(start[source] - head, 0)
    bottom = np.minimum(end[source] - head, height)
    return ColumnPieces(owner[source], column, top, bottom)
