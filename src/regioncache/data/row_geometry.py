"""What follows from an image's size in a frame; many images share a size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from regioncache.geometry import FRAMES

if TYPE_CHECKING:
    from regioncache.geometry import Frame


class RowGeometry:
    """Sizes and factors of one image size in one frame; shared, so read-only.

    Attributes:
        original_hw: int64 (2,), source height and width.
        resized_hw: int64 (2,), height and width in the frame, before padding.
        corner: float64 (4,), width, height, width, height.
        scale: float64 (4,), factors of x, y, x, y from source pixels to the frame.
    """

    __slots__ = ("corner", "original_hw", "resized_hw", "scale")

    def __init__(self, frame: Frame, height: int, width: int) -> None:
        self.original_hw = np.array([height, width], np.int64)
        self.resized_hw = np.array(frame.resized_hw(height, width), np.int64)
        self.corner = np.array([width, height, width, height], np.float64)
        self.scale = frame.scale_xyxy(height, width)
        for array in (self.original_hw, self.resized_hw, self.corner, self.scale):
            array.flags.writeable = False


class FrameSizes(dict[tuple[int, int], RowGeometry]):
    """The geometry of each (height, width) in one frame, made when it is first asked for.

    Args:
        frame: the frame.
    """

    MOST = 1 << 16
    MOST_PIXELS = 1 << 31
    """Of one image; a row that declares more is damaged, and masks of that size would take all memory."""

    def __init__(self, frame: Frame) -> None:
        super().__init__()
        self.frame = frame

    def __missing__(self, size_hw: tuple[int, int]) -> RowGeometry:
        height, width = size_hw
        if height < 1 or width < 1 or height * width > self.MOST_PIXELS or FRAMES["sam"].vanishes(height, width):
            raise ValueError(f"no image of a cache is {width} x {height} pixels")
        if len(self) == self.MOST:
            self.clear()
        geometry = self[size_hw] = RowGeometry(self.frame, height, width)
        return geometry
