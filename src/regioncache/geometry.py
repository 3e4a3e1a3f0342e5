"""Frames that a model sees an image in, and how boxes follow. Builder and reader both use this file.

A frame is a rule for the size that an image is resized to before padding. ``sam`` is Segment Anything's: the longest
side becomes 1024 pixels, both sides are rounded half up. ``square`` stretches both sides to 1024 pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from regioncache.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Frame:
    """A rule for resizing.

    Attributes:
        name: ``sam`` keeps the aspect ratio, ``square`` stretches.
        size_px: longest side of the image in the frame.
        low_res_px: longest side of the low-resolution masks that the mask decoder predicts.
    """

    name: Literal["sam", "square"]
    size_px: int = 1024
    low_res_px: int = 256

    def resized_hw(self, height: int, width: int) -> tuple[int, int]:
        """Size (height, width) of the resized image, before padding; a thin image's short side may round to 0."""
        return self._fit(height, width, self.size_px)

    def low_res_hw(self, height: int, width: int) -> tuple[int, int]:
        """Size (height, width) of the resized low-resolution mask, before padding; a side may round to 0."""
        return self._fit(height, width, self.low_res_px)

    def vanishes(self, height: int, width: int) -> bool:
        """Whether a side of the resized image rounds to 0, so that no pixel is left and the image must be rejected."""
        return 0 in self.resized_hw(height, width)

    def scale_xy(self, height: int, width: int) -> NDArray[np.float64]:
        """Factors (x, y), float64 (2,), from source pixels to the frame.

        The two differ, because each side is rounded by itself: Segment Anything's processor multiplies x by
        ``new_width / width`` and y by ``new_height / height``.
        """
        new_height, new_width = self.resized_hw(height, width)
        return np.array([new_width / width, new_height / height])

    def scale_xyxy(self, height: int, width: int) -> NDArray[np.float64]:
        """Factors for boxes (x1, y1, x2, y2), float64 (4,), from source pixels to the frame."""
        return np.tile(self.scale_xy(height, width), 2)

    def _fit(self, height: int, width: int, size_px: int) -> tuple[int, int]:
        if height < 1 or width < 1:
            raise ConfigError(f"an image of height {height} and width {width} has no size in a frame; sides start at 1")
        if self.name == "square":
            return size_px, size_px
        # The scale is a float64 of its own, as in Segment Anything's get_preprocess_shape;
        # height * size_px / max(height, width) rounds elsewhere.
        scale = size_px * 1.0 / max(height, width)
        return int(height * scale + 0.5), int(width * scale + 0.5)


FRAMES = {"sam": Frame("sam"), "square": Frame("square")}


def frame_named(name: str) -> Frame:
    """The frame of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in FRAMES:
        raise ConfigError(f"there is no frame {name!r}; choose one of: {', '.join(sorted(FRAMES))}")
    return FRAMES[name]


def clip_xyxy(boxes_xyxy: ArrayLike, height: int, width: int) -> NDArray[np.float64]:
    """Boxes (..., 4) cut to the image, float64: x to 0..width, y to 0..height; one outside collapses on the border."""
    return np.clip(np.asarray(boxes_xyxy, np.float64), 0.0, np.array([width, height, width, height], np.float64))
