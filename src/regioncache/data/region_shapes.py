"""Boxes, points and masks of regions, moved together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from regioncache.errors import ConfigError
from regioncache.geometry import clip_xyxy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from regioncache.data.region_masks import RegionMasks


class Window(NamedTuple):
    """A rectangle of whole pixels in an image.

    Attributes:
        left: its first column.
        top: its first row.
        width: its columns.
        height: its rows.
    """

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class RegionShapes:
    """Where n regions lie in an image. Boxes are areas, points are pixels: 0 is the first pixel of a row or column.

    Attributes:
        box_xyxy: float64 (n, 4), image pixels; may reach out of the image until it is first moved.
        point_xy: float64 (n, k, 2), image pixels, or None where there are no points.
        masks: of the image's size (or of the source's, where the stored image is smaller and was not moved yet), or None.
    """

    box_xyxy: NDArray[np.float64]
    point_xy: NDArray[np.float64] | None = None
    masks: RegionMasks | None = None

    def __post_init__(self) -> None:
        if self.box_xyxy.ndim != 2 or self.box_xyxy.shape[1] != 4:  # noqa: PLR2004  (x1, y1, x2, y2)
            raise ConfigError(f"boxes are (n, 4), not {self.box_xyxy.shape}")
        for name, value in (("point_xy", self.point_xy), ("masks", self.masks)):
            if value is not None and len(value) != len(self):
                raise ConfigError(f"{name}: expected one for each of {len(self)} boxes, found {len(value)}")

    def __len__(self) -> int:
        return len(self.box_xyxy)

    def take(self, index: NDArray[np.int64]) -> RegionShapes:
        """Some regions, in that order."""
        point_xy = None if self.point_xy is None else self.point_xy[index]
        return RegionShapes(self.box_xyxy[index], point_xy, None if self.masks is None else self.masks.take(index))

    def resized(self, image_hw: tuple[int, int], resized_hw: tuple[int, int]) -> RegionShapes:
        """Scaled by new side / old side for each axis, as Segment Anything scales prompts; masks by nearest pixel."""
        scale_xy = np.array([resized_hw[1] / image_hw[1], resized_hw[0] / image_hw[0]])
        box_xyxy = clip_xyxy(self.box_xyxy * np.tile(scale_xy, 2), *resized_hw)
        point_xy = None if self.point_xy is None else self.point_xy * scale_xy
        masks = None if self.masks is None else self.masks.resized(resized_hw)
        return RegionShapes(box_xyxy, point_xy, masks)

    def flipped(self, image_hw: tuple[int, int], *, horizontal: bool, vertical: bool) -> RegionShapes:
        """Mirrored: a box edge x goes to width - x, a pixel x to width - 1 - x (at least 0), and so down the columns."""
        size_wh = image_hw[::-1]
        box_xyxy = clip_xyxy(self.box_xyxy, *image_hw)
        point_xy = None if self.point_xy is None else self.point_xy.copy()
        for axis, mirrored in enumerate((horizontal, vertical)):
            if not mirrored:
                continue
            box_xyxy[:, [axis, axis + 2]] = size_wh[axis] - box_xyxy[:, [axis + 2, axis]]
            if point_xy is not None:
                # A point scaled down may lie in the last half pixel, whose mirror is before the first one.
                point_xy[..., axis] = np.maximum(size_wh[axis] - 1 - point_xy[..., axis], 0)
        masks = self.masks
        if masks is not None:
            rows, columns = (slice(None, None, -1 if mirrored else 1) for mirrored in (vertical, horizontal))
            masks = masks.resized(image_hw).part(rows, columns)
        return RegionShapes(box_xyxy, point_xy, masks)

    def cropped(self, image_hw: tuple[int, int], window: Window) -> tuple[RegionShapes, NDArray[np.int64]]:
        """What is left of the regions in a window, and which ones those are, int64 (m,).

        A region goes when no area of its box is left, or no pixel of a mask that had some. A point that was cut off moves
        to the nearest pixel that is left of the region's mask, or without a mask to the middle of its box.
        """
        left, top, width, height = window
        box_xyxy = clip_xyxy(self.box_xyxy, *image_hw) - np.array([left, top, left, top])
        return self.left_in(image_hw, window, clip_xyxy(box_xyxy, height, width))

    def left_in(
        self, image_hw: tuple[int, int], window: Window, box_xyxy: NDArray[np.float64]
    ) -> tuple[RegionShapes, NDArray[np.int64]]:
        """What ``cropped`` gives, where the boxes in the window are known already.

        Args:
            image_hw: height and width of the whole image.
            window: what is cut from it.
            box_xyxy: float64 (n, 4), pixels of the window.
        """
        left, top, width, height = window
        kept = np.flatnonzero((box_xyxy[:, 2:] > box_xyxy[:, :2]).all(1))
        masks = self.masks
        if masks is not None:
            whole = masks.resized(image_hw).take(kept)
            masks = whole.part(slice(top, top + height), slice(left, left + width))
            cut_off = np.flatnonzero(~_covers(masks.pixels))
            cut_off = cut_off[_covers(whole.take(cut_off).pixels)]  # regions that never had a mask stay by their boxes
            if len(cut_off):
                left_over = np.delete(np.arange(len(kept)), cut_off)
                kept, masks = kept[left_over], masks.take(left_over)
        point_xy = None
        if self.point_xy is not None:
            moved = self.point_xy[kept] - np.array([left, top])
            point_xy = _points_inside(moved, box_xyxy[kept], None if masks is None else masks.pixels, (height, width))
        return RegionShapes(box_xyxy[kept], point_xy, masks), kept

    def padded(self, image_hw: tuple[int, int], padded_hw: tuple[int, int]) -> RegionShapes:
        """In an image that is larger on the right and at the foot: only masks grow."""
        masks = None if self.masks is None else self.masks.resized(image_hw).padded(padded_hw)
        return RegionShapes(clip_xyxy(self.box_xyxy, *image_hw), self.point_xy, masks)

    def with_mask_boxes(self) -> RegionShapes:
        """With the boxes of the masks' pixels, for regions whose mask has any."""
        if self.masks is None or not len(self):
            return self
        box_xyxy, covers = mask_boxes_xyxy(self.masks.pixels)
        return RegionShapes(np.where(covers[:, None], box_xyxy, self.box_xyxy), self.point_xy, self.masks)


def mask_boxes_xyxy(pixels: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The box of each mask's pixels, float64 (n, 4), x2 and y2 past the last pixel; and whether it has any, bool (n,)."""
    columns, rows = np.asarray(pixels.any(1)), np.asarray(pixels.any(2))
    first = [used.argmax(1) for used in (columns, rows)]
    past = [used.shape[1] - used[:, ::-1].argmax(1) for used in (columns, rows)]
    return np.stack((*first, *past), 1).astype(np.float64), np.asarray(rows.any(1))


def _covers(pixels: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which masks have a pixel, bool (n,)."""
    return np.asarray(pixels.any((1, 2)))


def _points_inside(
    point_xy: NDArray[np.float64],
    box_xyxy: NDArray[np.float64],
    pixels: NDArray[np.bool_] | None,
    size_hw: tuple[int, int],
) -> NDArray[np.float64]:
    size_wh = np.array(size_hw[::-1])
    middle_xy = np.minimum(np.floor((box_xyxy[:, :2] + box_xyxy[:, 2:]) / 2), size_wh - 1)
    for region, which in np.argwhere(((point_xy < 0) | (point_xy >= size_wh)).any(-1)).tolist():
        inside_yx = np.empty((0, 2)) if pixels is None else np.argwhere(pixels[region])
        if len(inside_yx):
            away = np.square(inside_yx - point_xy[region, which, ::-1]).sum(1)
            point_xy[region, which] = inside_yx[away.argmin(), ::-1]
        else:
            point_xy[region, which] = middle_xy[region]
    return point_xy
