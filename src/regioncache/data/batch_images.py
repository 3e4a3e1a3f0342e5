"""Decode the images of a batch straight into its memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from regioncache.data.pixels import EncodedImage, normalize_into, resize_exact, resize_fast
from regioncache.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Picture = EncodedImage | np.ndarray[Any, np.dtype[np.uint8]]


class BufferRing:
    """Blocks of memory that are used again in turn: writing to fresh pages is ten times slower than to known ones.

    Args:
        blocks: how many batches may be alive at once; 0 takes fresh memory for every batch.
    """

    def __init__(self, blocks: int) -> None:
        self._blocks = [np.empty(0, np.uint8) for _ in range(blocks)]
        self._next = 0

    def take(self, shape: tuple[int, ...], dtype: type[np.uint8 | np.float32]) -> NDArray[Any]:
        """Memory of that shape and type; its contents are arbitrary."""
        if not self._blocks:
            return np.empty(shape, dtype)
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        at, self._next = self._next, (self._next + 1) % len(self._blocks)
        if self._blocks[at].size < size:
            self._blocks[at] = np.empty(size, np.uint8)
        return self._blocks[at][:size].view(dtype).reshape(shape)

    def __reduce__(self) -> tuple[type[BufferRing], tuple[int]]:
        return BufferRing, (len(self._blocks),)


def picture_hw(picture: Picture) -> tuple[int, int]:
    """Height and width of an image, decoded or not."""
    if isinstance(picture, EncodedImage):
        return picture.height, picture.width
    return picture.shape[0], picture.shape[1]


def pixels_of(picture: Picture) -> NDArray[np.uint8]:
    """RGB pixels, uint8 (H, W, 3)."""
    return picture.decode() if isinstance(picture, EncodedImage) else picture


def is_normalized(picture: Picture) -> bool:
    """Whether a transform has normalised an image already: float32 (H, W, 3)."""
    return isinstance(picture, np.ndarray) and picture.dtype == np.float32


def normalized_batch(pictures: Sequence[Picture], ring: BufferRing) -> NDArray[np.float32]:
    """Normalised images at their own size, at the top left of float32 (B, 3, max H, max W), zeros elsewhere.

    Raises:
        ConfigError: some images are normalised and some are not.
    """
    if not all(map(is_normalized, pictures)):
        raise ConfigError("a batch mixes images that a transform has normalised with images that it has not")
    sizes = [picture_hw(picture) for picture in pictures]
    height, width = (max(size[axis] for size in sizes) for axis in range(2))
    batch = ring.take((len(pictures), 3, height, width), np.float32)
    for slot, picture, (rows, columns) in zip(batch, pictures, sizes, strict=True):
        slot[:, :rows, :columns] = np.moveaxis(np.asarray(picture), -1, 0)
        slot[:, :rows, columns:] = 0
        slot[:, rows:] = 0
    return batch


def native_batch(pictures: Sequence[Picture], ring: BufferRing) -> NDArray[np.uint8]:
    """Images at their stored size, at the top left of uint8 (B, max H, max W, 3), zeros elsewhere."""
    sizes = [picture_hw(picture) for picture in pictures]
    height, width = (max((size[axis] for size in sizes), default=0) for axis in range(2))
    batch = ring.take((len(pictures), height, width, 3), np.uint8)
    for slot, picture, (rows, columns) in zip(batch, pictures, sizes, strict=True):
        target = slot[:rows, :columns]
        if not isinstance(picture, EncodedImage):
            target[...] = picture
        elif picture.raw or columns == width:
            picture.decode(out=target)
        else:
            target[...] = picture.decode()
        slot[:rows, columns:] = 0
        slot[rows:] = 0
    return batch


def frame_batch(
    pictures: Sequence[Picture],
    resized_hw: Sequence[tuple[int, int]],
    side_px: int,
    ring: BufferRing,
    *,
    dtype: type[np.uint8 | np.float32],
    resize: Literal["exact", "fast"],
) -> NDArray[Any]:
    """Images resized to their frame, at the top left, zeros elsewhere.

    Returns:
        uint8 (B, side, side, 3); or float32 (B, 3, side, side), normalised before padding, as SAM's processor gives it.
    """
    shape = (len(pictures), side_px, side_px, 3) if dtype is np.uint8 else (len(pictures), 3, side_px, side_px)
    batch = ring.take(shape, dtype)
    kernel = resize_exact if resize == "exact" else resize_fast
    for slot, picture, (rows, columns) in zip(batch, pictures, resized_hw, strict=True):
        pixels = kernel(pixels_of(picture), (rows, columns))
        if dtype is np.uint8:
            slot[:rows, :columns] = pixels
            slot[:rows, columns:] = 0
            slot[rows:] = 0
        else:
            normalize_into(pixels, slot)
            slot[:, :rows, columns:] = 0
            slot[:, rows:] = 0
    return batch
