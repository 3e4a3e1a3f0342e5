"""Random crops: by size, and by overlap with a region."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from regioncache.data.region_shapes import Window
from regioncache.data.transforms.arguments import is_number, is_whole, require
from regioncache.data.transforms.compose import Transform

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from regioncache.data.region_sample import RegionSample

CropType = Literal["absolute", "absolute_range", "relative", "relative_range"]

_LEAST_RATIO, _MOST_RATIO = 0.5, 2.0
_WINDOWS_FOR_EACH_IOU = 50  # as mmdetection tries


@dataclass(frozen=True)
class RandomCrop(Transform):
    """A random part of the image, and what of the regions is left in it.

    A region goes when nothing of its box is left, or nothing of its mask if it has one.

    Args:
        crop_size: (width, height) wanted. ``absolute``: pixels, the image's side at most. ``relative``: shares of the
            image's sides, up to 1. ``relative_range``: shares drawn between these and 1. ``absolute_range``: not width and
            height but the least and the most pixels of either side, each drawn, ends included.
        crop_type: which of these.
        allow_negative_crop: take a window also when it leaves no region. Otherwise other windows are drawn, and if none of
            them leaves one, the image stays whole: a sample never becomes None. An image that has no region is cropped
            either way.
        recompute_bbox: make the boxes anew from the masks that are left.
        attempts: how many windows are drawn at most.
    """

    crop_size: tuple[float, float]
    crop_type: CropType = "absolute"
    allow_negative_crop: bool = False
    recompute_bbox: bool = False
    attempts: int = 20

    def __post_init__(self) -> None:
        kinds = ("absolute", "absolute_range", "relative", "relative_range")
        require(self.crop_type in kinds, self, "crop_type", f"one of {', '.join(kinds)}")
        two = isinstance(self.crop_size, tuple) and len(self.crop_size) == 2  # noqa: PLR2004  (w, h)
        if self.crop_type.startswith("absolute"):
            require(two and all(is_whole(one, 1) for one in self.crop_size), self, "crop_size", "two numbers of pixels")
            ordered = self.crop_type == "absolute" or self.crop_size[0] <= self.crop_size[1]
            require(ordered, self, "crop_size", "the least before the most")
        else:
            shares = two and all(is_number(one, 0, 1) and one > 0 for one in self.crop_size)
            require(shares, self, "crop_size", "two shares above 0, up to 1")
        require(is_whole(self.attempts, 1), self, "attempts", "a whole number from 1 on")
        for name in ("allow_negative_crop", "recompute_bbox"):
            require(isinstance(getattr(self, name), bool), self, name, "true or false")

    def apply(self, sample: RegionSample, generator: np.random.Generator) -> RegionSample:
        """See ``Transform.apply``."""
        size_hw = self._drawn_hw(generator, sample.image_hw)
        for _ in range(self.attempts):
            cropped = sample.cropped(_window_of(generator, sample.image_hw, size_hw))
            if len(cropped) or not len(sample) or self.allow_negative_crop:
                break
        else:
            return sample
        return replace(cropped, regions=cropped.regions.with_mask_boxes()) if self.recompute_bbox else cropped

    def _drawn_hw(self, generator: np.random.Generator, image_hw: tuple[int, int]) -> tuple[int, int]:
        """Height and width of the window, as mmdetection draws them."""
        first, second = self.crop_size
        if self.crop_type == "absolute":
            return min(int(second), image_hw[0]), min(int(first), image_hw[1])
        if self.crop_type == "absolute_range":
            height, width = (int(generator.integers(min(side, int(first)), min(side, int(second)) + 1)) for side in image_hw)
            return height, width
        share_hw = np.array([second, first])
        if self.crop_type == "relative_range":
            share_hw = share_hw + generator.random(2) * (1 - share_hw)
        height, width = (max(int(side * share + 0.5), 1) for side, share in zip(image_hw, share_hw, strict=True))
        return height, width


@dataclass(frozen=True)
class MinIoURandomCrop(Transform):
    """A random part of the image that overlaps every region by a drawn least IoU, as SSD trains.

    One of the image as it is, each of ``min_ious`` and "no limit" is drawn. Then windows are drawn whose sides are
    at least ``min_crop_size`` of the image's, no more than twice as long as wide or the reverse. A window counts when its
    IoU with every box is the limit at least and the middle of some box lies in it; regions whose middle lies outside go.
    After 50 windows that do not count, another limit is drawn, and after ``attempts`` limits the image stays whole.

    Args:
        min_ious: limits.
        min_crop_size: least share of each side.
        attempts: how many limits are drawn at most.
    """

    min_ious: tuple[float, ...] = (0.1, 0.3, 0.5, 0.7, 0.9)
    min_crop_size: float = 0.3
    attempts: int = 10

    def __post_init__(self) -> None:
        limits = isinstance(self.min_ious, tuple) and all(is_number(one, 0, 1) for one in self.min_ious)
        require(limits, self, "min_ious", "numbers from 0 to 1")
        require(is_number(self.min_crop_size, 0, 1) and self.min_crop_size > 0, self, "min_crop_size", "a share above 0, up to 1")
        require(is_whole(self.attempts, 1), self, "attempts", "a whole number from 1 on")

    def apply(self, sample: RegionSample, generator: np.random.Generator) -> RegionSample:
        """See ``Transform.apply``."""
        limits = (None, *self.min_ious, 0.0)
        for _ in range(self.attempts):
            limit = limits[int(generator.integers(len(limits)))]
            if limit is None:
                return sample
            for _ in range(_WINDOWS_FOR_EACH_IOU):
                window = self._drawn_window(generator, sample.image_hw)
                if window is None:
                    continue
                centred = _middles_in(sample.box_xyxy, window)
                if len(sample) and (min_iou(sample.box_xyxy, window) < limit or not centred.any()):
                    continue
                cropped = sample.take(np.flatnonzero(centred)).cropped(window)
                if len(cropped) or not len(sample):
                    return cropped
        return sample

    def _drawn_window(self, generator: np.random.Generator, image_hw: tuple[int, int]) -> Window | None:
        """A window of whole pixels, or None where its proportions are not allowed."""
        height, width = image_hw
        new_width = generator.uniform(self.min_crop_size * width, width)
        new_height = generator.uniform(self.min_crop_size * height, height)
        left, top = int(generator.uniform(0, width - new_width)), int(generator.uniform(0, height - new_height))
        if not _LEAST_RATIO <= new_height / new_width <= _MOST_RATIO:
            return None
        return Window(left, top, max(int(new_width), 1), max(int(new_height), 1))


def min_iou(box_xyxy: NDArray[np.float64], window: Window) -> float:
    """The least intersection over union of a window with any of the boxes (n, 4), n at least 1."""
    left, top, width, height = window
    inner = np.minimum(box_xyxy[:, 2:], [left + width, top + height]) - np.maximum(box_xyxy[:, :2], [left, top])
    intersection = np.maximum(inner, 0).prod(1)
    areas = (box_xyxy[:, 2:] - box_xyxy[:, :2]).prod(1)
    return float((intersection / (areas + width * height - intersection)).min())


def _middles_in(box_xyxy: NDArray[np.float64], window: Window) -> NDArray[np.bool_]:
    left, top, width, height = window
    middle_xy = (box_xyxy[:, :2] + box_xyxy[:, 2:]) / 2
    return np.asarray(((middle_xy > [left, top]) & (middle_xy < [left + width, top + height])).all(1))


def _window_of(generator: np.random.Generator, image_hw: tuple[int, int], size_hw: tuple[int, int]) -> Window:
    top, left = (int(generator.integers(side - part + 1)) for side, part in zip(image_hw, size_hw, strict=True))
    return Window(left, top, size_hw[1], size_hw[0])
