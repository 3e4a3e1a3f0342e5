"""Large-scale jitter: mirror, scale at random, and cut or pad to a square. The original's to the bit, or exact."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from regioncache.data.region_shapes import Window
from regioncache.data.transforms.arguments import is_number, is_whole, require
from regioncache.data.transforms.compose import Transform
from regioncache.data.transforms.flip import SIDE_WORD_CHOICES, SideWords, flipped_truly
from regioncache.errors import ConfigError
from regioncache.geometry import clip_xyxy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from regioncache.data.region_sample import RegionSample

MIN_SIDE_PX = 1e-5
"""A box whose width or height is not larger than this when all is done is dropped, as the original drops it."""

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class JitterDraws(NamedTuple):
    """The three numbers that decide everything.

    Attributes:
        flip: in [0, 1); the image is mirrored if it is below the transform's ``flip_prob``.
        scale: the image's longer side becomes ``scale * image_size``.
        crop: in [0, 1), of both axes: how far into what is too much the window begins.
    """

    flip: float
    scale: float
    crop: float


class JitterGeometry(NamedTuple):
    """What follows from the draws.

    Attributes:
        resized_hw: size after scaling, at least 1: round half to even, as ``round`` does.
        window: what is cut from that; padding on the right and at the foot fills it up.
    """

    resized_hw: tuple[int, int]
    window: Window


def jitter_geometry(image_hw: tuple[int, int], draws: JitterDraws, image_size: int) -> JitterGeometry:
    """Sizes and window of an image.

    Args:
        image_hw: its height and width.
        draws: the random numbers.
        image_size: side of the square.
    """
    target = image_size * draws.scale
    factor = min(target / image_hw[0], target / image_hw[1])
    height, width = (max(round(side * factor), 1) for side in image_hw)
    top, left = (round(max(side - image_size, 0) * draws.crop) for side in (height, width))
    return JitterGeometry((height, width), Window(left, top, min(width, image_size), min(height, image_size)))


@dataclass(frozen=True)
class LargeScaleJitter(Transform):
    """Mirror, scale, cut or pad to ``image_size`` x ``image_size``.

    Args:
        min_scale: least scale; 1 makes the longer side ``image_size`` pixels.
        max_scale: most scale.
        image_size: side of the square, in pixels.
        flip_prob: how likely the image is mirrored.
        side_words: as for ``RandomFlip``; the original's rule is ``ignore``.
        tokenize: as for ``RandomFlip``.
        rounding: ``truncate`` is the original: whole-number boxes, truncated when scaled; torch's bilinear in float64 without
            antialiasing on normalised values, back to grey levels by truncation, so that about 9 % of the values are one
            lower than they were; padding of the mean colour. It needs torch. ``exact`` has none of these faults: boxes keep
            their fractions, pixels are Pillow's antialiased bilinear, and padding is left to the collator, which pads after
            normalising, with zeros.
    """

    min_scale: float = 0.1
    max_scale: float = 2.0
    image_size: int = 1024
    flip_prob: float = 0.5
    side_words: SideWords = "skip"
    tokenize: Any = None
    rounding: Literal["truncate", "exact"] = "truncate"

    def __post_init__(self) -> None:
        require(is_number(self.min_scale, 0) and self.min_scale > 0, self, "min_scale", "a number above 0")
        require(is_number(self.max_scale, self.min_scale), self, "max_scale", "a number not below min_scale")
        require(is_whole(self.image_size, 1), self, "image_size", "a whole number from 1 on")
        require(is_number(self.flip_prob, 0, 1), self, "flip_prob", "a number from 0 to 1")
        require(self.side_words in SIDE_WORD_CHOICES, self, "side_words", ", ".join(SIDE_WORD_CHOICES))
        require(self.tokenize is None or callable(self.tokenize), self, "tokenize", "a function of a list of phrases")
        require(self.rounding in ("truncate", "exact"), self, "rounding", "truncate or exact")

    def apply(self, sample: RegionSample, generator: np.random.Generator) -> RegionSample:
        """See ``Transform.apply``."""
        return self.jittered(
            sample, JitterDraws(generator.random(), generator.uniform(self.min_scale, self.max_scale), generator.random())
        )

    def jittered(self, sample: RegionSample, draws: JitterDraws) -> RegionSample:
        """The sample under given draws.

        Raises:
            ConfigError: ``rounding="truncate"`` without torch.
        """
        mirrored = sample
        if draws.flip < self.flip_prob:
            mirrored = flipped_truly(sample, horizontal=True, vertical=False, side_words=self.side_words, tokenize=self.tokenize)
        geometry = jitter_geometry(sample.image_hw, draws, self.image_size)
        if self.rounding == "exact":
            cropped = mirrored.resized(geometry.resized_hw).cropped(geometry.window)
            return _without_degenerate(cropped.in_frame(cropped.image_hw))
        return self._truncated(mirrored, geometry, truncated_boxes(sample, geometry, mirrored=mirrored is not sample))

    def _truncated(self, mirrored: RegionSample, geometry: JitterGeometry, box_xyxy: NDArray[np.float64]) -> RegionSample:
        resized_hw, window = geometry
        size_hw, window_hw = (self.image_size, self.image_size), (window.height, window.width)
        pixels = mirrored.pixels_for("LargeScaleJitter")
        box_xyxy = clip_xyxy(box_xyxy, *size_hw)
        resized = mirrored.regions.resized(mirrored.image_hw, resized_hw)
        left, kept = resized.left_in(resized_hw, window, box_xyxy)
        # Boxes that reach out of the image reach into the padding, as the original's do.
        regions = replace(left.padded(window_hw, size_hw), box_xyxy=box_xyxy[kept])
        ignored = mirrored.ignored
        if ignored is not None:
            in_window, _ = ignored.resized(mirrored.image_hw, resized_hw).cropped(resized_hw, window)
            ignored = in_window.padded(window_hw, size_hw)
        return mirrored.moved(
            size_hw,
            image=None if pixels is None else truncated_pixels(pixels, geometry, self.image_size),
            regions=regions,
            kept=kept,
            ignored=ignored,
        )


def truncated_boxes(sample: RegionSample, geometry: JitterGeometry, *, mirrored: bool) -> NDArray[np.float64]:
    """The original's boxes: whole numbers, mirrored, scaled and truncated toward zero, upright, from the window's corner.

    Returns:
        float64 (n, 4) xyxy, not clipped.
    """
    height, width = sample.image_hw
    (resized_height, resized_width), window = geometry
    corners = np.trunc(sample.box_xyxy).reshape(-1, 2, 2)  # two corners of x, y
    if mirrored:
        corners[..., 0] = width - corners[..., 0]
    corners = np.trunc(corners * [resized_width / width, resized_height / height])
    upright = np.concatenate((corners.min(1), corners.max(1)), axis=1)
    boxes: NDArray[np.float64] = upright - [window.left, window.top, window.left, window.top]
    return boxes


def truncated_pixels(pixels: NDArray[np.uint8], geometry: JitterGeometry, image_size: int) -> NDArray[np.uint8]:
    """The original's image, given the mirrored one: uint8 (image_size, image_size, 3).

    Raises:
        ConfigError: torch is not installed.
    """
    try:
        import torch  # noqa: PLC0415  (torch is an extra)
    except ImportError as error:
        raise ConfigError(
            "rounding='truncate' repeats torch's own float64 bilinear, and torch is not installed: install"
            " regioncache[torch], or use rounding='exact'"
        ) from error
    resized_hw, (left, top, width, height) = geometry
    mean, std = np.array(_MEAN), np.array(_STD)
    levels = (np.arange(256)[:, None] / 255 - mean) / std
    planes = np.stack([levels[:, channel][pixels[..., channel]] for channel in range(3)])
    threads = torch.get_num_threads()
    # Where torch cuts the work between threads it rounds otherwise: the result is the original's, and the same in every process,
    # with one thread only.
    torch.set_num_threads(1)
    try:
        resized = torch.nn.functional.interpolate(
            torch.from_numpy(planes)[None], size=resized_hw, mode="bilinear", align_corners=False
        )[0].numpy()
    finally:
        torch.set_num_threads(threads)
    square = np.zeros((3, image_size, image_size))
    square[:, :height, :width] = resized[:, top : top + height, left : left + width]
    grey = (square * std[:, None, None] + mean[:, None, None]) * 255
    return np.ascontiguousarray(grey.astype(np.uint8).transpose(1, 2, 0))


def _without_degenerate(sample: RegionSample) -> RegionSample:
    kept = (sample.box_xyxy[:, 2:] - sample.box_xyxy[:, :2] > MIN_SIDE_PX).all(1)
    return sample if kept.all() else sample.take(np.flatnonzero(kept))
