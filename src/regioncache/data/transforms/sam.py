"""Segment Anything's own input, as the last step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from regioncache.data.pixels import normalize_into, resize_exact, resize_fast
from regioncache.data.transforms.arguments import require
from regioncache.data.transforms.compose import Transform
from regioncache.geometry import Frame, frame_named

if TYPE_CHECKING:
    from regioncache.data.region_sample import RegionSample
    from regioncache.data.region_shapes import RegionShapes

FRAME_CHOICES = ("sam", "square")


def with_low_res_masks(sample: RegionSample, frame: Frame) -> RegionSample:
    """The sample with its masks in the frame's low resolution, as Segment Anything's mask decoder predicts them."""
    low_res_hw = frame.low_res_hw(*_whole_hw(sample))
    ignored = None if sample.ignored is None else _low_res(sample.ignored, low_res_hw, frame)
    return replace(sample, regions=_low_res(sample.regions, low_res_hw, frame), ignored=ignored)


def _whole_hw(sample: RegionSample) -> tuple[int, int]:
    """The size that the frame goes by: the source's, also where the stored image is smaller, until a step moves the image."""
    return sample.original_hw if sample.frame_hw is None else sample.image_hw


def _low_res(shapes: RegionShapes, low_res_hw: tuple[int, int], frame: Frame) -> RegionShapes:
    if shapes.masks is None:
        return shapes
    small = shapes.masks.resized(low_res_hw)
    return replace(shapes, masks=small.padded((frame.low_res_px, frame.low_res_px)).as_low_res())


@dataclass(frozen=True)
class LowResMasks(Transform):
    """Masks in the frame's 256 x 256, nearest pixel, zero-padded right and below: the last step, where the collator normalises.

    Args:
        frame: ``sam`` or ``square``.
    """

    frame: Literal["sam", "square"] = "sam"

    def __post_init__(self) -> None:
        require(self.frame in FRAME_CHOICES, self, "frame", " or ".join(FRAME_CHOICES))

    def apply(self, sample: RegionSample, generator: np.random.Generator) -> RegionSample:  # noqa: ARG002  (nothing is drawn)
        """See ``Transform.apply``."""
        return with_low_res_masks(sample, frame_named(self.frame))


@dataclass(frozen=True)
class SamInput(Transform):
    """Resize to the frame, normalise, pad with zeros on the right and at the foot: the last step.

    With ``quality="exact"`` the bits of Segment Anything's processor: Pillow's bilinear on uint8, mean and deviation after
    division by 255 in float32, padding after normalising. Boxes and points come into the frame with it, and
    ``original_sizes`` is the image's size before this step.

    Args:
        frame: ``sam`` (longest side 1024) or ``square`` (both sides).
        quality: ``exact``, or ``fast`` for torch's resize, at most one grey level off.
        masks: ``frame`` resizes masks with the image; ``lowres`` makes them 256 x 256, as the dataset does.
    """

    frame: Literal["sam", "square"] = "sam"
    quality: Literal["exact", "fast"] = "exact"
    masks: Literal["frame", "lowres"] = "frame"

    def __post_init__(self) -> None:
        require(self.frame in FRAME_CHOICES, self, "frame", " or ".join(FRAME_CHOICES))
        require(self.quality in ("exact", "fast"), self, "quality", "exact or fast")
        require(self.masks in ("frame", "lowres"), self, "masks", "frame or lowres")

    def apply(self, sample: RegionSample, generator: np.random.Generator) -> RegionSample:  # noqa: ARG002  (nothing is drawn)
        """See ``Transform.apply``."""
        frame = frame_named(self.frame)
        before = with_low_res_masks(sample, frame) if self.masks == "lowres" else sample
        kernel = resize_exact if self.quality == "exact" else resize_fast
        bare = _without_masks(before) if self.masks == "lowres" else before
        whole_hw = _whole_hw(sample)
        resized = bare.resized(frame.resized_hw(*whole_hw), kernel).in_frame(whole_hw)
        pixels = resized.pixels_for("SamInput")
        padded = resized.with_image(None).padded((frame.size_px, frame.size_px))
        if pixels is not None:
            planes = np.zeros((3, frame.size_px, frame.size_px), np.float32)
            normalize_into(pixels, planes)
            padded = padded.with_image(planes.transpose(1, 2, 0))
        return _with_masks_of(padded, before) if self.masks == "lowres" else padded


def _without_masks(sample: RegionSample) -> RegionSample:
    ignored = None if sample.ignored is None else replace(sample.ignored, masks=None)
    return replace(sample, regions=replace(sample.regions, masks=None), ignored=ignored)


def _with_masks_of(sample: RegionSample, other: RegionSample) -> RegionSample:
    ignored = sample.ignored
    if ignored is not None and other.ignored is not None:
        ignored = replace(ignored, masks=other.ignored.masks)
    return replace(sample, regions=replace(sample.regions, masks=other.regions.masks), ignored=ignored)
