"""Random brightness, contrast, saturation, hue and channel order; regions stay where they are.

In NumPy, on float32: Pillow's HSV has 256 hues and levels, which is coarser than the distortion, and OpenCV is no dependency
of the reader. Hue and saturation change without a way to HSV and back: a pixel's largest channel V and its span D, which is V
less the smallest, say all that is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from regioncache.data.transforms.arguments import is_number, is_range, require
from regioncache.data.transforms.compose import Transform

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from regioncache.data.region_sample import RegionSample

_HUE_SECTOR_DEGREES = 60
_MOST_HUE_DELTA = 180


class Distortion(NamedTuple):
    """What is done to the pixels, in this order.

    Attributes:
        brightness: grey levels added, or None.
        contrast: factor of all values, or None.
        contrast_first: whether the contrast changes before saturation and hue, not after them.
        saturation: factor of the saturation, or None.
        hue: degrees added to the hue, or None.
        channels: which channel stands in the place of R, of G and of B, or None.
    """

    brightness: float | None = None
    contrast: float | None = None
    contrast_first: bool = True
    saturation: float | None = None
    hue: float | None = None
    channels: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class PhotoMetricDistortion(Transform):
    """mmdetection's distortion, each part with probability one half, its numbers uniform in their ranges.

    The order: brightness, contrast (or after hue, each order with probability one half), saturation, hue, channels. Unlike
    there the result is uint8 again, rounded, so that exact steps can follow; and no value goes below black between steps.

    Args:
        brightness_delta: most grey levels added or taken away.
        contrast_range: least and most factor of all values.
        saturation_range: least and most factor of the saturation, which ends at 1.
        hue_delta: most degrees that the hue turns either way.
    """

    brightness_delta: float = 32
    contrast_range: tuple[float, float] = (0.5, 1.5)
    saturation_range: tuple[float, float] = (0.5, 1.5)
    hue_delta: float = 18

    def __post_init__(self) -> None:
        require(is_number(self.brightness_delta, 0), self, "brightness_delta", "a number from 0 on")
        require(is_range(self.contrast_range, 0), self, "contrast_range", "(least, most), both from 0 on")
        require(is_range(self.saturation_range, 0), self, "saturation_range", "(least, most), both from 0 on")
        require(is_number(self.hue_delta, 0, _MOST_HUE_DELTA), self, "hue_delta", "a number from 0 to 180")

    def apply(self, sample: RegionSample, generator: np.random.Generator) -> RegionSample:
        """See ``Transform.apply``."""
        distortion = self.draw(generator)
        pixels = sample.pixels_for("PhotoMetricDistortion")
        return sample if pixels is None else sample.with_image(distorted(pixels, distortion))

    def draw(self, generator: np.random.Generator) -> Distortion:
        """Draw the numbers; as many draws whatever they decide."""
        contrast_first, bright, contrast, saturate, turn, swap = (generator.integers(2, size=6) == 1).tolist()
        brightness = float(generator.uniform(-self.brightness_delta, self.brightness_delta))
        factor = float(generator.uniform(*self.contrast_range))
        saturation = float(generator.uniform(*self.saturation_range))
        hue = float(generator.uniform(-self.hue_delta, self.hue_delta))
        first, second, third = generator.permutation(3).tolist()
        return Distortion(
            brightness if bright else None,
            factor if contrast else None,
            contrast_first,
            saturation if saturate else None,
            hue if turn else None,
            (first, second, third) if swap else None,
        )


def distorted(pixels: NDArray[np.uint8], distortion: Distortion) -> NDArray[np.uint8]:
    """Distorted pixels.

    Args:
        pixels: uint8 (H, W, 3) RGB.
        distortion: what to do.

    Returns:
        uint8 (H, W, 3); ``pixels`` itself if nothing is to be done.
    """
    if distortion == Distortion(contrast_first=distortion.contrast_first):
        return pixels
    planes = np.ascontiguousarray(np.moveaxis(pixels, -1, 0)).astype(np.float32)
    if distortion.brightness is not None:
        planes += np.float32(distortion.brightness)
        np.maximum(planes, 0, out=planes)
    if distortion.contrast is not None and distortion.contrast_first:
        planes *= np.float32(distortion.contrast)
    if distortion.saturation is not None:
        _saturate(planes, distortion.saturation)
    if distortion.hue is not None:
        _turn_hue(planes, distortion.hue)
    if distortion.contrast is not None and not distortion.contrast_first:
        planes *= np.float32(distortion.contrast)
    np.rint(np.minimum(planes, 255, out=planes), out=planes)
    result = np.empty(pixels.shape, np.uint8)
    for place, channel in enumerate(distortion.channels or (0, 1, 2)):
        result[..., place] = planes[channel]
    return result


def _saturate(planes: NDArray[np.float32], factor: float) -> None:
    """Multiply the saturation D / V, 1 at most, with V and hue as they are: each channel's distance from V by the same factor."""
    value = planes.max(0)
    planes -= value
    if factor <= 1:
        planes *= np.float32(factor)
    else:
        # D * factor is V at most, so the factor is V / D at most.
        span = -planes.min(0)
        most = np.divide(value, span, out=np.full_like(value, factor), where=span > 0)
        planes *= np.minimum(most, np.float32(factor), out=most)
    planes += value


def _turn_hue(planes: NDArray[np.float32], degrees: float) -> None:
    """Turn the hue, with V and saturation as they are."""
    red, green, blue = planes
    value = planes.max(0)
    span = value - planes.min(0)
    hue = np.where(value == red, green - blue, np.where(value == green, blue - red, red - green))
    np.divide(hue, span, out=hue, where=span > 0)  # without a span all channels are V, whatever the hue
    hue += np.where(value == red, np.float32(0), np.where(value == green, np.float32(2), np.float32(4)))
    hue += np.float32(degrees / _HUE_SECTOR_DEGREES)
    for plane, offset in zip(planes, (5, 3, 1), strict=True):
        # A channel lies V - D * clip(min(k, 4 - k), 0, 1) high, with k = (offset + hue in sectors) mod 6.
        k = np.mod(hue + np.float32(offset), np.float32(6))
        np.minimum(k, 4 - k, out=k)
        np.clip(k, 0, 1, out=k)
        k *= span
        np.subtract(value, k, out=plane)
