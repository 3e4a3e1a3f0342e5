"""Leaving out regions after other transforms made them small, or too many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from regioncache.data.transforms.arguments import is_number, is_whole, require
from regioncache.data.transforms.compose import Transform
from regioncache.geometry import clip_xyxy

if TYPE_CHECKING:
    from regioncache.data.region_sample import RegionSample


@dataclass(frozen=True)
class FilterAnnotations(Transform):
    """Leave out regions that are too small. The sample stays, also with no region left.

    Args:
        min_gt_bbox_wh: least width and height of a box, in image pixels.
        min_gt_mask_area: least pixels of a mask.
        by_box: judge boxes.
        by_mask: judge masks, where the sample has any.
    """

    min_gt_bbox_wh: tuple[float, float] = (1.0, 1.0)
    min_gt_mask_area: int = 1
    by_box: bool = True
    by_mask: bool = False

    def __post_init__(self) -> None:
        sides = isinstance(self.min_gt_bbox_wh, tuple) and len(self.min_gt_bbox_wh) == 2  # noqa: PLR2004  (w, h)
        require(sides and all(is_number(side, 0) for side in self.min_gt_bbox_wh), self, "min_gt_bbox_wh", "(width, height)")
        require(is_whole(self.min_gt_mask_area, 0), self, "min_gt_mask_area", "a whole number from 0 on")
        require(isinstance(self.by_box, bool), self, "by_box", "true or false")
        require(isinstance(self.by_mask, bool) and (self.by_box or self.by_mask), self, "by_mask", "true, since by_box is not")

    def apply(self, sample: RegionSample, generator: np.random.Generator) -> RegionSample:  # noqa: ARG002  (nothing is drawn)
        """See ``Transform.apply``."""
        kept = np.ones(len(sample), np.bool_)
        if self.by_box:
            box_xyxy = clip_xyxy(sample.box_xyxy, *sample.image_hw)
            kept &= (box_xyxy[:, 2:] - box_xyxy[:, :2] >= self.min_gt_bbox_wh).all(1)
        if self.by_mask and sample.regions.masks is not None:
            kept &= sample.regions.masks.pixels.sum((1, 2)) >= self.min_gt_mask_area
        return sample if kept.all() else sample.take(np.flatnonzero(kept))


@dataclass(frozen=True)
class LimitRegions(Transform):
    """Keep the first regions, after a region policy that shuffles them and transforms that drop some.

    Args:
        max_regions: how many are kept at most.
    """

    max_regions: int

    def __post_init__(self) -> None:
        require(is_whole(self.max_regions, 1), self, "max_regions", "a whole number from 1 on")

    def apply(self, sample: RegionSample, generator: np.random.Generator) -> RegionSample:  # noqa: ARG002  (nothing is drawn)
        """See ``Transform.apply``."""
        return sample if len(sample) <= self.max_regions else sample.take(np.arange(self.max_regions))
