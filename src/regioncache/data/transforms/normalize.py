"""From grey levels to the numbers that a model takes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from regioncache.data.pixels import NORMALIZED
from regioncache.data.transforms.arguments import is_number, require
from regioncache.data.transforms.compose import Transform
from regioncache.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from regioncache.data.region_sample import RegionSample

_CHANNELS = 3


@dataclass(frozen=True)
class Normalize(Transform):
    """``(x - mean) / std`` for each channel, in float32; the image's last change but padding.

    The result is (H, W, 3) as before, a view of (3, H, W) memory, which the collator batches as it is.

    Args:
        mean: of R, G, B, in grey levels from 0 to 255; without ``mean`` and ``std`` Segment Anything's exact numbers, which
            divide by 255 first and round to float32 between.
        std: of R, G, B, likewise.
    """

    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        if (self.mean is None) != (self.std is None):
            raise ConfigError("Normalize: give both mean and std, or neither for Segment Anything's")
        for name, least in (("mean", -np.inf), ("std", float(np.finfo(np.float32).tiny))):
            value = getattr(self, name)
            three = value is None or (len(value) == _CHANNELS and all(is_number(one, least) for one in value))
            require(three, self, name, "three numbers, for std above 0")

    def apply(self, sample: RegionSample, generator: np.random.Generator) -> RegionSample:  # noqa: ARG002  (nothing is drawn)
        """See ``Transform.apply``."""
        pixels = sample.pixels_for("Normalize")
        return sample if pixels is None else sample.with_image(normalized(pixels, _levels(self.mean, self.std)))


def normalized(pixels: NDArray[np.uint8], levels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pixels (H, W, 3) as float32 (H, W, 3), a view of (3, H, W) memory.

    Args:
        pixels: grey levels.
        levels: float32 (3, 256), the value of each grey level of each channel.
    """
    planes = np.empty((_CHANNELS, *pixels.shape[:2]), np.float32)
    for plane, values, channel in zip(planes, levels, np.moveaxis(pixels, -1, 0), strict=True):
        np.take(values, channel, out=plane, mode="clip")
    return planes.transpose(1, 2, 0)


@lru_cache(maxsize=16)
def _levels(mean: tuple[float, ...] | None, std: tuple[float, ...] | None) -> NDArray[np.float32]:
    if mean is None or std is None:
        return NORMALIZED
    levels: NDArray[np.float32] = ((np.arange(256.0) - np.array(mean)[:, None]) / np.array(std)[:, None]).astype(np.float32)
    return levels
