"""Padding on the right and at the foot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from regioncache.data.transforms.arguments import is_number, is_size, is_whole, require
from regioncache.data.transforms.compose import Transform
from regioncache.errors import ConfigError

if TYPE_CHECKING:
    from regioncache.data.region_sample import RegionSample

_CHANNELS = 3
_WHITE = 255


@dataclass(frozen=True)
class Pad(Transform):
    """Make an image larger on the right and at the foot; masks get no pixel there. No side ever shrinks.

    Args:
        size: width and height wanted; or
        size_divisor: make both sides multiples of this; or
        pad_to_square: make both sides as long as the longer one. It may go together with ``size_divisor``.
        pad_val: grey level of the new pixels, one or one for each of R, G, B; after ``Normalize`` in its units.
    """

    size: tuple[int, int] | None = None
    size_divisor: int | None = None
    pad_to_square: bool = False
    pad_val: float | tuple[float, float, float] = 0.0

    def __post_init__(self) -> None:
        require(self.size is None or is_size(self.size), self, "size", "(width, height) in pixels")
        require(self.size_divisor is None or is_whole(self.size_divisor, 1), self, "size_divisor", "a whole number from 1 on")
        require(isinstance(self.pad_to_square, bool), self, "pad_to_square", "true or false")
        values = self.pad_val if isinstance(self.pad_val, tuple) else (self.pad_val,)
        require(len(values) in (1, _CHANNELS) and all(map(is_number, values)), self, "pad_val", "a number, or three")
        if (self.size is not None) == (self.size_divisor is not None or self.pad_to_square):
            raise ConfigError("Pad: give either size, or size_divisor and pad_to_square, one of them or both")

    def apply(self, sample: RegionSample, generator: np.random.Generator) -> RegionSample:  # noqa: ARG002  (nothing is drawn)
        """See ``Transform.apply``.

        Raises:
            ConfigError: ``pad_val`` is no grey level, and the image is not normalised.
        """
        if sample.image is not None and sample.image.dtype == np.uint8:
            levels = np.asarray(self.pad_val)
            if not ((levels >= 0) & (levels <= _WHITE) & (levels == np.floor(levels))).all():
                raise ConfigError(f"pad_val={self.pad_val} is no grey level from 0 to {_WHITE}; put Pad after Normalize")
        size_hw = self._size_hw(sample.image_hw)
        return sample if size_hw == sample.image_hw else sample.padded(size_hw, self.pad_val)

    def _size_hw(self, image_hw: tuple[int, int]) -> tuple[int, int]:
        height, width = image_hw
        if self.size is not None:
            return max(height, self.size[1]), max(width, self.size[0])
        if self.pad_to_square:
            height = width = max(height, width)
        divisor = self.size_divisor or 1
        return -(-height // divisor) * divisor, -(-width // divisor) * divisor
