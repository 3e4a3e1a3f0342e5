"""Masks that transforms move, kept as run lengths until their pixels are needed, and sequences picked from lazily."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np
from pycocotools import mask as coco_mask

from regioncache.errors import ConfigError
from regioncache.masks import decode_rles, nearest_index

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from regioncache.data.masks import RLE

T_co = TypeVar("T_co", covariant=True)


class Picked(Sequence[T_co]):
    """Some values of a sequence, in a given order, read from it when asked for.

    Args:
        values: the sequence.
        positions: which of them, int64 (n,).
    """

    __slots__ = ("_positions", "_values")

    def __init__(self, values: Sequence[T_co], positions: NDArray[np.int64]) -> None:
        self._values: Sequence[T_co] = values
        self._positions = positions
        if isinstance(values, Picked):  # a pick from a pick is one pick
            self._values, self._positions = values._values, values._positions[positions]  # noqa: SLF001  (of this class)

    def __len__(self) -> int:
        return len(self._positions)

    @overload
    def __getitem__(self, index: int) -> T_co: ...
    @overload
    def __getitem__(self, index: slice) -> list[T_co]: ...
    def __getitem__(self, index: int | slice) -> T_co | list[T_co]:
        if isinstance(index, slice):
            return [self._values[at] for at in self._positions[index].tolist()]
        return self._values[int(self._positions[index])]

    def __repr__(self) -> str:
        return repr(list(self))


class RegionMasks:
    """The masks of n regions, all of one size. RLEs are decoded, and masks resampled, when their pixels are first asked for.

    Attributes:
        size_hw: height and width of every mask.
        is_low_res: whether they lie in a frame's low resolution, where no transform can follow.

    Args:
        size_hw: height and width of every mask.
        rles: n COCO compressed RLEs of that size; or
        pixels: bool (n, height, width).
        is_low_res: see above.
    """

    __slots__ = ("_axes", "_pixels", "_rles", "_source", "is_low_res", "size_hw")

    def __init__(
        self,
        size_hw: tuple[int, int],
        *,
        rles: Sequence[RLE] | None = None,
        pixels: NDArray[np.bool_] | None = None,
        is_low_res: bool = False,
    ) -> None:
        if (rles is None) == (pixels is None):
            raise ConfigError("masks are given either as RLEs or as pixels")
        self.size_hw = size_hw
        self.is_low_res = is_low_res
        self._rles = rles
        self._pixels = pixels
        # Masks that were resized: those before, and which of their rows and columns stand here.
        self._source: RegionMasks | None = None
        self._axes: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None

    def __len__(self) -> int:
        return next(len(one) for one in (self._source, self._rles, self._pixels) if one is not None)

    @property
    def pixels(self) -> NDArray[np.bool_]:
        """Bool (n, height, width); not to be changed."""
        if self._pixels is None:
            if self._source is not None and self._axes is not None:
                self._pixels = _gathered(self._source.pixels, *self._axes)
            else:
                rles: Any = self._rles
                self._pixels = decode_rles([rle["counts"] for rle in rles], *self.size_hw)
        return self._pixels

    @property
    def rles(self) -> Sequence[RLE]:
        """COCO compressed RLEs, n of them: as they were given, or encoded."""
        if self._rles is None:
            columns = np.asfortranarray(self.pixels.transpose(1, 2, 0)).view(np.uint8)
            self._rles = coco_mask.encode(columns)
        return self._rles

    def take(self, index: NDArray[np.int64]) -> RegionMasks:
        """The masks of some regions, in that order; those of the others are never decoded or resampled."""
        if self._pixels is not None:
            return RegionMasks(self.size_hw, pixels=self._pixels[index], is_low_res=self.is_low_res)
        if self._source is not None and self._axes is not None:
            return self._source.take(index)._sampled(*self._axes)  # noqa: SLF001  (of this class)
        rles: Any = self._rles
        return RegionMasks(self.size_hw, rles=Picked(rles, index), is_low_res=self.is_low_res)

    def resized(self, size_hw: tuple[int, int]) -> RegionMasks:
        """At another size, by nearest pixel, as Pillow's NEAREST takes it.

        Raises:
            ConfigError: the masks are in low resolution already.
        """
        if self.is_low_res:
            raise ConfigError(
                "the masks are in the frame's low resolution, where they cannot follow the image. Read the dataset with"
                " masks='rle' or 'dense', and make them small in the last step: LowResMasks, or SamInput(masks='lowres')"
            )
        if size_hw == self.size_hw:
            return self
        return self._sampled(nearest_index(self.size_hw[0], size_hw[0]), nearest_index(self.size_hw[1], size_hw[1]))

    def part(self, rows: slice, columns: slice) -> RegionMasks:
        """Some rows and columns."""
        if self._pixels is None and self._source is not None and self._axes is not None:
            return self._source._sampled(self._axes[0][rows], self._axes[1][columns])  # noqa: SLF001  (of this class)
        pixels = self.pixels[:, rows, columns]
        return RegionMasks((pixels.shape[1], pixels.shape[2]), pixels=pixels)

    def padded(self, size_hw: tuple[int, int]) -> RegionMasks:
        """Larger on the right and at the foot, with no pixel there."""
        pixels = np.zeros((len(self), *size_hw), np.bool_)
        pixels[:, : self.size_hw[0], : self.size_hw[1]] = self.pixels
        return RegionMasks(size_hw, pixels=pixels)

    def as_low_res(self) -> RegionMasks:
        """The same, marked as being in the frame's low resolution."""
        return RegionMasks(self.size_hw, pixels=self.pixels, is_low_res=True)

    def _sampled(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> RegionMasks:
        """Masks of these rows and columns, not gathered yet."""
        if self._pixels is None and self._source is not None and self._axes is not None:
            return self._source._sampled(self._axes[0][rows], self._axes[1][columns])  # noqa: SLF001  (of this class)
        made = RegionMasks.__new__(RegionMasks)
        made.size_hw, made.is_low_res = (len(rows), len(columns)), False
        made._rles, made._pixels = None, None  # noqa: SLF001  (of this class)
        made._source, made._axes = self, (rows, columns)  # noqa: SLF001  (of this class)
        return made


def _gathered(pixels: NDArray[np.bool_], rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.bool_]:
    # Columns are gathered pixel by pixel, rows as wholes: the smaller array is the one for the columns.
    if len(rows) > pixels.shape[1]:
        return pixels.take(columns, axis=2).take(rows, axis=1)
    return pixels.take(rows, axis=1).take(columns, axis=2)
