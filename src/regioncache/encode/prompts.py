"""Point prompts inside of regions, and masks at the resolution that the mask decoder predicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from regioncache.errors import BadRecordError
from regioncache.masks import check_runs, low_res_rles, nearest_index, with_background
from regioncache.rle import decode_runs, mask_edges, run_places

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from regioncache.geometry import Frame

__all__ = ["low_res_ordinals", "low_res_rles", "region_points", "use_one_thread"]

WORD = (1 << 64) - 1


def use_one_thread() -> None:
    """Keep OpenCV to one thread in this process: shards run side by side, and results do not depend on it."""
    cv2.setNumThreads(1)


def region_points(
    counts: Sequence[bytes],
    boxes_xyxy: ArrayLike,
    height: int,
    width: int,
    *,
    points_per_region: int,
    seed: int,
    image_id: int,
    region_ids: Sequence[int],
) -> NDArray[np.int32]:
    """Pixels inside of each region's mask, or of its box: the most interior one, then uniform draws with replacement.

    The most interior pixel is the one farthest (Euclidean) from the nearest pixel outside of the mask, where everything
    beyond the image is outside; among equals the first one in row-major order. The draws of a region depend on
    ``seed``, ``image_id`` and its region id, and on no other region. For a region without a mask, the pixels that its
    box touches stand for it.

    Args:
        counts: compressed RLE of n masks, empty where there is none.
        boxes_xyxy: n boxes inside of the image.
        height: of the image, in pixels.
        width: of the image, in pixels.
        points_per_region: k.
        seed: any integer.
        image_id: of the image.
        region_ids: n ids.

    Returns:
        ``point_xy`` int32 (n, k, 2), source pixels.

    Raises:
        BadRecordError: ``mask_empty``, a mask has no pixel; ``segmentation_invalid``, it is not of this size.
    """
    boxes = np.asarray(boxes_xyxy, np.float64).reshape(-1, 4)
    runs = decode_runs(with_background(counts, height, width))
    check_runs(runs, height, width)
    place = run_places(runs.offsets)
    is_mask = place % 2 == 1
    start = (mask_edges(runs) - runs.lengths)[is_mask]
    length = runs.lengths[is_mask]
    first = np.concatenate(([0], np.cumsum(is_mask)))[runs.offsets]
    point_xy = np.empty((len(counts), points_per_region, 2), np.int32)
    for row, region_id in enumerate(region_ids):
        draws = _uniform(points_per_region - 1, seed, image_id, region_id) if points_per_region > 1 else _NO_DRAWS
        if not counts[row]:
            point_xy[row] = _points_in_box(boxes[row], height, width, draws)[:points_per_region]
            continue
        mine = slice(first[row], first[row + 1])
        if not length[mine].sum():
            raise BadRecordError("mask_empty", f"region {region_id} of image {image_id} has no pixel")
        if points_per_region:
            point_xy[row, 0] = _most_interior_xy(start[mine], length[mine], height)
        if points_per_region > 1:
            point_xy[row, 1:] = _pixels_at(draws, start[mine], length[mine], height)
    return point_xy


_NO_DRAWS = np.empty(0)


def _points_in_box(box_xyxy: NDArray[np.float64], height: int, width: int, draws: NDArray[np.float64]) -> NDArray[np.int64]:
    """The middle pixel (x, y) of those that a box touches, then those at these fractions of their column-major order."""
    first = np.minimum(np.floor(box_xyxy[:2]), [width - 1, height - 1]).astype(np.int64)
    columns, rows = np.maximum(np.ceil(box_xyxy[2:]).astype(np.int64) - first, 1).tolist()
    middle = [[(columns - 1) // 2, (rows - 1) // 2]]
    drawn = np.column_stack(np.divmod((draws * (columns * rows)).astype(np.int64), rows))
    points: NDArray[np.int64] = first + np.concatenate((middle, drawn))
    return points


def _most_interior_xy(start: NDArray[np.int64], length: NDArray[np.int64], height: int) -> tuple[int, int]:
    """The pixel (x, y) farthest from outside of the mask whose column-major runs are given; the mask has a pixel."""
    filled = length > 0
    start, end = start[filled], (start + length)[filled]
    left, top = np.divmod(start, height)
    right, bottom = np.divmod(end - 1, height)
    if (left != right).any():  # a run over a column's foot
        y0, y1 = 0, height
    else:
        y0, y1 = int(top.min()), int(bottom.max()) + 1
    x0, x1 = int(left[0]), int(right[-1]) + 1

    # The box's columns as pixels, with a border of outside pixels, so that the nearest one outside is among them.
    bounds = np.column_stack((start, end)).ravel() - x0 * height
    values = np.arange(len(bounds) + 1, dtype=np.uint8) & 1
    columns = np.repeat(values, np.diff(bounds, prepend=0, append=(x1 - x0) * height)).reshape(x1 - x0, height)
    crop = np.pad(columns[:, y0:y1], 1)
    distance = cv2.distanceTransform(crop, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # Squares of distances are integers: rounded, they are equal on every processor.
    near = np.flatnonzero(distance >= distance.max() * (1 - 1e-6))
    squares = np.rint(distance.ravel()[near].astype(np.float64) ** 2)
    x, y = np.divmod(near[squares == squares.max()], crop.shape[1])
    best = np.lexsort((x, y))[0]
    return x0 - 1 + int(x[best]), y0 - 1 + int(y[best])


def _uniform(count: int, seed: int, image_id: int, region_id: int) -> NDArray[np.float64]:
    """Numbers in [0, 1) that the three ids decide. Raw words, because only those of a bit generator never change."""
    generator = np.random.Philox(
        key=np.array([seed & WORD, image_id & WORD], np.uint64),
        counter=np.array([0, 0, 0, region_id & WORD], np.uint64),
    )
    words: NDArray[np.uint64] = generator.random_raw(count)
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _pixels_at(draws: NDArray[np.float64], start: NDArray[np.int64], length: NDArray[np.int64], height: int) -> NDArray[np.int64]:
    """The mask's pixels (x, y) at these fractions of its column-major order, int64 (m, 2)."""
    ends = np.cumsum(length)
    rank = (draws * ends[-1]).astype(np.int64)
    run = np.searchsorted(ends, rank, side="right")
    pixel = start[run] + rank - (ends - length)[run]
    return np.column_stack(np.divmod(pixel, height))


def low_res_ordinals(ordinals: NDArray[np.uint8] | NDArray[np.uint16], frame: Frame) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """An ordinal map (height, width) in the frame's low resolution: nearest pixel, padded with 0 right and below.

    Returns:
        (low_res_px, low_res_px) of the same type, equal to what Segment Anything's processor makes of the map.
    """
    height, width = ordinals.shape
    new_height, new_width = frame.low_res_hw(height, width)
    padded = np.zeros((frame.low_res_px, frame.low_res_px), ordinals.dtype)
    rows, columns = nearest_index(height, new_height), nearest_index(width, new_width)
    padded[:new_height, :new_width] = ordinals[rows[:, None], columns]
    return padded
