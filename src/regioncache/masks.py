"""COCO masks as published, decoded, and in another frame. Masks stay run lengths wherever they can."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pycocotools import mask as pycoco

from regioncache.errors import BadRecordError
from regioncache.rle import (
    MaskRuns,
    column_pieces,
    decode_runs,
    encode_rle,
    encode_runs,
    mask_edges,
    run_places,
    runs_between,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from regioncache.geometry import Frame

POLYGON_MIN_COORDINATES = 6  # three corners; pycocotools would take four numbers for a box
POLYGON_MAX_OVERSHOOT = 10  # in image sides; pycocotools' memory grows with the length of an edge
POLYGONS_MAX_BOUNDARY = 1 << 22  # pixels, all edges of a region together; pycocotools takes 40 bytes for each, unchecked


def to_rle(segmentation: Any, height: int, width: int) -> bytes:  # noqa: ANN401  (parsed JSON, judged here)
    """The compressed RLE of a COCO ``segmentation``, with at least one pixel.

    Args:
        segmentation: a list of polygons ``[[x1, y1, x2, y2, ...], ...]`` (their union; parts of fewer than three
            corners enclose nothing and are left out), ``{"size": [h, w], "counts": [ints]}``, or the same with
            compressed counts as str or bytes.
        height: of the image, in pixels.
        width: of the image, in pixels.

    Raises:
        BadRecordError: ``mask_empty`` (nothing given, or no pixel covered), ``polygon_too_short`` (no part has three
            corners), ``segmentation_invalid`` (none of COCO's forms, or of another size than the image).
    """
    if not segmentation:
        raise BadRecordError("mask_empty", "expected a segmentation, found none")
    if isinstance(segmentation, list):
        counts = _rasterized(segmentation, height, width)
    elif isinstance(segmentation, dict):
        counts = _checked_rle(segmentation, height, width)
    else:
        raise BadRecordError("segmentation_invalid", f"expected polygons or an RLE, found {type(segmentation).__name__}")
    if not pycoco.area({"size": [height, width], "counts": counts}):
        raise BadRecordError("mask_empty", f"the mask covers no pixel of the {width} x {height} image")
    return counts


def compressed_rles(rles: Sequence[tuple[Sequence[int], str]], height: int, width: int) -> list[bytes | BadRecordError]:
    """The counts of many compressed RLEs of one image, checked together; an error in place of those that cannot be used.

    Args:
        rles: size, as height and width, and counts of each.
        height: of the image.
        width: of the image.
    """
    try:
        whole = [counts.encode("ascii") for _, counts in rles]
        check_runs(decode_runs(whole), height, width)
    except (BadRecordError, UnicodeEncodeError):
        whole = []  # one of them is bad: ask for each
    if len(whole) == len(rles) and all(tuple(size) == (height, width) for size, _ in rles):
        return list(whole)
    found: list[bytes | BadRecordError] = []
    for size, counts in rles:
        try:
            found.append(_checked_rle({"size": list(size), "counts": counts}, height, width))
        except BadRecordError as error:
            found.append(error)
    return found


def _rasterized(polygons: list[Any], height: int, width: int) -> bytes:
    """The union of polygons as pycocotools rasterizes them."""
    parts, boundary = [], 0.0
    for polygon in polygons:
        try:
            corners = np.asarray(polygon, np.float64)
        except (TypeError, ValueError, OverflowError) as error:
            raise BadRecordError("segmentation_invalid", f"a polygon is no list of numbers: {error}") from error
        limit = POLYGON_MAX_OVERSHOOT * max(height, width)
        if corners.ndim != 1 or len(corners) % 2 or not (np.abs(corners) <= limit).all():
            raise BadRecordError(
                "segmentation_invalid",
                f"expected a polygon as a flat list of x, y pairs within {limit} pixels, found {_shortened(polygon)}",
            )
        if len(corners) >= POLYGON_MIN_COORDINATES:
            edges = np.diff(corners.reshape(-1, 2), axis=0, append=corners[None, :2])
            boundary += np.abs(edges).max(axis=1).sum()
            if boundary > POLYGONS_MAX_BOUNDARY:
                problem = f"expected polygons of at most {POLYGONS_MAX_BOUNDARY} pixels of boundary, found {boundary:.0f}"
                raise BadRecordError("segmentation_invalid", problem)
            parts.append(corners.tolist())
    if not parts:
        raise BadRecordError("polygon_too_short", f"expected three corners in a polygon, found {_shortened(polygons)}")
    masks = pycoco.frPyObjects(parts, height, width)
    union: bytes = (masks[0] if len(masks) == 1 else pycoco.merge(masks))["counts"]
    return union


def _checked_rle(rle: dict[str, Any], height: int, width: int) -> bytes:
    """The compressed counts of an RLE dict whose runs fill the image exactly."""
    size, counts = rle.get("size"), rle.get("counts")
    if not isinstance(size, (list, tuple)) or list(size) != [height, width]:
        raise BadRecordError("segmentation_invalid", f"expected an RLE of size {[height, width]} as the image, found {size}")
    if isinstance(counts, list):
        try:
            lengths = np.array(counts, np.int64) if counts else np.zeros(0, np.int64)
        except (TypeError, ValueError, OverflowError) as error:
            raise BadRecordError("segmentation_invalid", f"the counts of an RLE are no integers: {error}") from error
        if lengths.ndim != 1 or not np.array_equal(lengths, counts):
            raise BadRecordError("segmentation_invalid", f"the counts of an RLE are no list of integers: {_shortened(counts)}")
        check_runs(MaskRuns(lengths, np.array([0, len(lengths)])), height, width)
        return encode_rle(lengths)
    if isinstance(counts, str):
        try:
            counts = counts.encode("ascii")
        except UnicodeEncodeError as error:
            raise BadRecordError("segmentation_invalid", f"the counts of an RLE are no ASCII text: {error}") from error
    if not isinstance(counts, bytes):
        raise BadRecordError("segmentation_invalid", f"expected counts as text or a list, found {type(counts).__name__}")
    check_runs(decode_runs([counts]), height, width)
    return counts


def check_runs(runs: MaskRuns, height: int, width: int) -> None:
    """Refuse masks whose runs are negative or do not fill an image of this size.

    Raises:
        BadRecordError: ``segmentation_invalid``.
    """
    ends = np.concatenate(([0], np.cumsum(runs.lengths)))
    totals = np.diff(ends[runs.offsets])
    # Where runs are so long that their sum overflows, it becomes less on the way, and could end at the right number.
    if (runs.lengths < 0).any() or (ends[1:] < ends[:-1]).any() or (totals != height * width).any():
        raise BadRecordError(
            "segmentation_invalid",
            f"expected runs that add up to {height} x {width} = {height * width} pixels, found {totals.tolist()}"
            f" of runs from {runs.lengths.min(initial=0)} to {runs.lengths.max(initial=0)}",
        )


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."  # noqa: PLR2004  (one line of a report)


def with_background(counts: Sequence[bytes], height: int, width: int) -> list[bytes]:
    """The masks, with one of no pixel wherever a region has none."""
    nothing = encode_rle(np.array([height * width]))
    return [one or nothing for one in counts]


def mask_areas(counts: Sequence[bytes]) -> NDArray[np.int64]:
    """Pixels of each mask, int64 (n,)."""
    runs = decode_runs(counts)
    sums = np.concatenate(([0], np.cumsum(np.where(run_places(runs.offsets) % 2, runs.lengths, 0))))
    return sums[runs.offsets[1:]] - sums[runs.offsets[:-1]]


def mask_boxes(counts: Sequence[bytes], height: int, width: int) -> NDArray[np.float32]:
    """The box of each mask's pixels, xyxy, float32 (n, 4): x2 and y2 lie past the last pixel; zeros for an empty mask."""
    boxes: NDArray[np.float64] = pycoco.toBbox([{"size": [height, width], "counts": one} for one in counts]).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes.astype(np.float32)


def decode_rles(counts: Sequence[bytes], height: int, width: int) -> NDArray[np.bool_]:
    """Masks as pixels, bool (n, height, width) in C order.

    Raises:
        BadRecordError: ``segmentation_invalid``, a mask does not fill an image of this size.
    """
    runs = decode_runs(counts)
    check_runs(runs, height, width)
    masks = np.zeros((len(counts), height, width), np.uint8)
    owner, column, top, bottom = column_pieces(mask_edges(runs), runs.offsets, height)
    # A mark where a strip begins and where it has ended; the parity of the marks down to a pixel says whether it is
    # inside. Whole rows of all masks at once: five times as fast as pycocotools' columns and a copy into C order.
    masks[owner, top, column] = 1
    inner = bottom < height
    masks[owner[inner], bottom[inner], column[inner]] ^= 1
    for y in range(1, height):
        np.bitwise_xor(masks[:, y], masks[:, y - 1], out=masks[:, y])
    return masks.view(np.bool_)


def nearest_index(source: int, target: int) -> NDArray[np.int64]:
    """Which of ``source`` pixels each of ``target`` pixels takes in nearest resampling, int64 (target,).

    The centre rule ``floor((i + 0.5) * source / target)``, with the centres summed up as Pillow's NEAREST sums them:
    where a centre falls on a pixel's edge, the rounding of that sum decides.
    """
    step = source / target if target else 0.0
    centres = np.full(target, step)
    centres[:1] *= 0.5
    return np.minimum(np.cumsum(centres).astype(np.int64), source - 1)


def resample_rles(
    counts: Sequence[bytes], size_hw: tuple[int, int], resized_hw: tuple[int, int], padded_hw: tuple[int, int]
) -> list[bytes]:
    """Masks resized by nearest pixel and padded on the right and at the foot, equal to doing so with decoded masks.

    Where no side grows, only the ends of runs are moved and no mask is decoded.

    Args:
        counts: compressed RLE of n masks.
        size_hw: height and width of the masks.
        resized_hw: height and width after resizing; a side of 0 leaves nothing but padding.
        padded_hw: height and width of the result.

    Returns:
        Compressed RLE of n masks of ``padded_hw``; a mask that fell between the samples is empty.

    Raises:
        BadRecordError: ``segmentation_invalid``, a mask does not fill an image of ``size_hw``.
    """
    runs = decode_runs(counts)
    check_runs(runs, *size_hw)
    if resized_hw[0] > size_hw[0] or resized_hw[1] > size_hw[1]:
        return _resample_decoded(counts, size_hw, resized_hw, padded_hw)
    rows, columns = nearest_index(size_hw[0], resized_hw[0]), nearest_index(size_hw[1], resized_hw[1])
    rows_above = np.searchsorted(rows, np.arange(size_hw[0] + 1))
    columns_before = np.searchsorted(columns, np.arange(size_hw[1] + 2))
    edges = mask_edges(runs)
    column = edges // size_hw[0]
    is_sampled = np.diff(columns_before)[column]
    edges = columns_before[column] * resized_hw[0] + is_sampled * rows_above[edges - column * size_hw[0]]
    return _padded(edges, runs.offsets, resized_hw, padded_hw)


def low_res_rles(counts: Sequence[bytes], height: int, width: int, frame: Frame) -> list[bytes]:
    """Masks as the frame's mask decoder sees them: nearest pixel, padded on the right and at the foot.

    Returns:
        Compressed RLE of n masks of ``low_res_px`` x ``low_res_px``, equal to what Segment Anything's processor makes
        of segmentation maps; a mask that fell between the samples is empty.
    """
    side = frame.low_res_px
    return resample_rles(counts, (height, width), frame.low_res_hw(height, width), (side, side))


def low_res_masks(counts: Sequence[bytes], height: int, width: int, frame: Frame) -> NDArray[np.bool_]:
    """The masks of ``low_res_rles`` as pixels, bool (n, low_res_px, low_res_px)."""
    return decode_rles(low_res_rles(counts, height, width, frame), frame.low_res_px, frame.low_res_px)


def _padded(
    edges: NDArray[np.int64], offsets: NDArray[np.int64], size_hw: tuple[int, int], padded_hw: tuple[int, int]
) -> list[bytes]:
    """Compressed RLE of masks given by the ends of their runs, after padding; empty runs among them are dropped."""
    owner, column, top, bottom = column_pieces(edges, offsets, size_hw[0])
    start = column * padded_hw[0] + top
    end = column * padded_hw[0] + bottom

    # Strips that touch are one run: a boundary that occurs twice is none.
    pixels = padded_hw[0] * padded_hw[1]
    base = owner * (pixels + 1)
    boundaries = np.column_stack((start + base, end + base)).ravel()
    touches = np.flatnonzero(boundaries[1:] == boundaries[:-1])
    boundaries = np.delete(boundaries, np.concatenate((touches, touches + 1)))
    owner, boundaries = np.divmod(boundaries, pixels + 1)
    inner = boundaries < pixels
    owner, boundaries = owner[inner], boundaries[inner]
    masks = len(offsets) - 1
    new_offsets = np.searchsorted(owner, np.arange(masks + 1)) + np.arange(masks + 1)
    new_edges = np.insert(boundaries, new_offsets[1:] - np.arange(1, masks + 1), pixels)
    return encode_runs(MaskRuns(runs_between(new_edges, new_offsets), new_offsets))


def _resample_decoded(
    counts: Sequence[bytes], size_hw: tuple[int, int], resized_hw: tuple[int, int], padded_hw: tuple[int, int]
) -> list[bytes]:
    """The same by way of pixels, for images that grow: they are smaller than the frame and cheap to decode."""
    rows, columns = nearest_index(size_hw[0], resized_hw[0]), nearest_index(size_hw[1], resized_hw[1])
    padded = np.zeros((*padded_hw, len(counts)), np.uint8, order="F")
    masks = decode_rles(counts, *size_hw)
    padded[: resized_hw[0], : resized_hw[1]] = masks[:, rows[:, None], columns].transpose(1, 2, 0)
    encoded: list[bytes] = [rle["counts"] for rle in pycoco.encode(padded)]
    return encoded
