"""Resizing: to one size, to one of several, to a random one. Sizes are (width, height), as in mmdetection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from regioncache.data.pixels import resize_exact, resize_fast
from regioncache.data.transforms.arguments import is_range, is_size, require
from regioncache.data.transforms.compose import Transform

if TYPE_CHECKING:
    import numpy as np

    from regioncache.data.region_sample import RegionSample

Quality = Literal["exact", "fast"]

_KERNELS = {"exact": resize_exact, "fast": resize_fast}


def fitted_hw(image_hw: tuple[int, int], scale_wh: tuple[int, int], *, keep_ratio: bool) -> tuple[int, int]:
    """The height and width that an image gets, at least 1.

    With ``keep_ratio`` the largest size whose long side is within the longer and whose short side is within the shorter
    number of ``scale_wh``, rounded half up, as mmcv's ``rescale_size`` does; else just ``scale_wh``.
    """
    if not keep_ratio:
        return scale_wh[1], scale_wh[0]
    factor = min(max(scale_wh) / max(image_hw), min(scale_wh) / min(image_hw))
    return max(int(image_hw[0] * factor + 0.5), 1), max(int(image_hw[1] * factor + 0.5), 1)


@dataclass(frozen=True)
class _Resizing(Transform):
    def _resized(self, sample: RegionSample, scale_wh: tuple[int, int], *, keep_ratio: bool, quality: Quality) -> RegionSample:
        size_hw = fitted_hw(sample.image_hw, scale_wh, keep_ratio=keep_ratio)
        return sample.resized(size_hw, _KERNELS[quality])

    def _check_common(self, *, keep_ratio: bool, quality: str) -> None:
        require(isinstance(keep_ratio, bool), self, "keep_ratio", "true or false")
        require(quality in _KERNELS, self, "quality", "exact or fast")


@dataclass(frozen=True)
class Resize(_Resizing):
    """To one size.

    Args:
        scale: width and height; with ``keep_ratio`` limits of the long and the short side, whichever is which.
        keep_ratio: keep the image's proportions.
        quality: ``exact`` is Pillow's antialiased bilinear, SAM's own; ``fast`` is torch's, at most one grey level off.
    """

    scale: tuple[int, int]
    keep_ratio: bool = False
    quality: Quality = "exact"

    def __post_init__(self) -> None:
        require(is_size(self.scale), self, "scale", "(width, height) in pixels")
        self._check_common(keep_ratio=self.keep_ratio, quality=self.quality)

    def apply(self, sample: RegionSample, generator: np.random.Generator) -> RegionSample:  # noqa: ARG002  (nothing is drawn)
        """See ``Transform.apply``."""
        return self._resized(sample, self.scale, keep_ratio=self.keep_ratio, quality=self.quality)


@dataclass(frozen=True)
class RandomChoiceResize(_Resizing):
    """To one of several sizes, each equally likely.

    Args:
        scales: widths and heights, as for ``Resize``.
        keep_ratio: keep the image's proportions.
        quality: as for ``Resize``.
    """

    scales: tuple[tuple[int, int], ...]
    keep_ratio: bool = False
    quality: Quality = "exact"

    def __post_init__(self) -> None:
        sizes = isinstance(self.scales, tuple) and len(self.scales) > 0 and all(is_size(scale) for scale in self.scales)
        require(sizes, self, "scales", "one or more (width, height) in pixels")
        self._check_common(keep_ratio=self.keep_ratio, quality=self.quality)

    def apply(self, sample: RegionSample, generator: np.random.Generator) -> RegionSample:
        """See ``Transform.apply``."""
        scale = self.scales[int(generator.integers(len(self.scales)))]
        return self._resized(sample, scale, keep_ratio=self.keep_ratio, quality=self.quality)


@dataclass(frozen=True)
class RandomResize(_Resizing):
    """To a random size.

    Args:
        scale: two sizes, between whose long sides and between whose short sides one is drawn, ends included; or with
            ``ratio_range`` one size (width, height), which is multiplied by a drawn ratio and truncated.
        ratio_range: least and most ratio.
        keep_ratio: keep the image's proportions.
        quality: as for ``Resize``.
    """

    scale: tuple[int, int] | tuple[tuple[int, int], tuple[int, int]]
    ratio_range: tuple[float, float] | None = None
    keep_ratio: bool = False
    quality: Quality = "exact"

    def __post_init__(self) -> None:
        if self.ratio_range is None:
            two = isinstance(self.scale, tuple) and len(self.scale) == 2 and all(is_size(one) for one in self.scale)  # noqa: PLR2004
            require(two, self, "scale", "two sizes (width, height), or one together with ratio_range")
        else:
            require(is_size(self.scale), self, "scale", "one size (width, height), since ratio_range is given")
            require(is_range(self.ratio_range, 0), self, "ratio_range", "(least, most), both from 0 on")
        self._check_common(keep_ratio=self.keep_ratio, quality=self.quality)

    def apply(self, sample: RegionSample, generator: np.random.Generator) -> RegionSample:
        """See ``Transform.apply``."""
        return self._resized(sample, self._drawn_wh(generator), keep_ratio=self.keep_ratio, quality=self.quality)

    def _drawn_wh(self, generator: np.random.Generator) -> tuple[int, int]:
        first, second = self.scale
        if isinstance(first, tuple) and isinstance(second, tuple):
            long, short = sorted((max(first), max(second))), sorted((min(first), min(second)))
            return int(generator.integers(long[0], long[1] + 1)), int(generator.integers(short[0], short[1] + 1))
        least, most = self.ratio_range or (1.0, 1.0)
        ratio = generator.uniform(least, most)
        width, height = (max(int(side * ratio), 1) for side in (first, second) if isinstance(side, int))
        return width, height
