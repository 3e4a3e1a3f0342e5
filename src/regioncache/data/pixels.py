"""From stored bytes to pixels, and from pixels to what SAM's image encoder takes.

The exact path is SAM's own: Pillow BILINEAR on RGB uint8, then ``(x / 255 - mean) / std`` per channel, zeros right and below.
Normalising is a function of one uint8 per channel, so a table of 3 x 256 float32 gives the same bits.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import simplejpeg
from PIL import Image

from regioncache.errors import CacheError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)
NORMALIZED = ((np.arange(256, dtype=np.uint8)[None] * (1 / 255)).astype(np.float32) - MEAN[:, None]) / STD[:, None]
"""float32 (3, 256): the normalised value of each grey level of each channel."""

_MIRRORS = (Image.Transpose.FLIP_TOP_BOTTOM, Image.Transpose.FLIP_LEFT_RIGHT)
_JPEG_MAGIC = b"\xff\xd8\xff"


@dataclass(slots=True, eq=False)
class EncodedImage:
    """One stored image, not decoded yet.

    Attributes:
        data: uint8, the stored bytes; a read-only view of the mapped file.
        height: rows of the stored pixels.
        width: columns of the stored pixels.
        raw: whether ``data`` is RGB uint8 (height, width, 3) itself, not an image file.
        shard: the file that it comes from, for errors.
        image_id: which image this is, for errors.
    """

    data: NDArray[np.uint8]
    height: int
    width: int
    raw: bool
    shard: Path
    image_id: int

    @property
    def name(self) -> str:
        """What to call the image in an error."""
        return f"{self.shard}: image {self.image_id}"

    def decode(self, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """The pixels, RGB uint8 (height, width, 3).

        Args:
            out: where to put them, C-contiguous uint8 (height, width, 3); fresh memory, or for raw images a read-only
                view of the mapped file, if absent.

        Raises:
            CacheError: the bytes do not decode to the recorded size.
        """
        if self.raw:
            if self.data.size != self.height * self.width * 3:
                expected, found = f"{self.height * self.width * 3} bytes", f"{self.data.size} bytes"
                raise CacheError(self.name, "the raw image has another size than recorded", expected=expected, found=found)
            pixels = self.data.reshape(self.height, self.width, 3)
            if out is None:
                return pixels
            out[...] = pixels
            return out
        pixels = self._decode_file(out)
        if out is not None and pixels is not out and not np.shares_memory(pixels, out):
            out[...] = pixels
        return pixels

    def _decode_file(self, out: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
        if self.data[:3].tobytes() == _JPEG_MAGIC:
            try:
                self._check_size(*simplejpeg.decode_jpeg_header(self.data)[:2])
                decoded: NDArray[np.uint8] = simplejpeg.decode_jpeg(self.data, "RGB", buffer=out)
            except ValueError:
                pass  # CMYK and oddities that libjpeg-turbo's simple interface refuses: Pillow knows them
            else:
                return decoded
        image = self.open()
        self._check_size(image.height, image.width)
        try:
            return np.asarray(image.convert("RGB"))
        except Exception as error:  # (Pillow's plugins raise whatever the damaged bytes make them meet)
            raise self._undecodable(error) from error

    def _check_size(self, height: int, width: int) -> None:
        """Compare what the image's header says with what the cache does, before memory is taken for its pixels."""
        if (height, width) != (self.height, self.width):
            raise CacheError(
                self.name,
                "the image decodes to another size than recorded",
                expected=f"{self.width} x {self.height}",
                found=f"{width} x {height}",
                remedy="Run regioncache verify --full, and build the cache again",
            )

    def _undecodable(self, error: Exception) -> CacheError:
        return CacheError(self.name, f"the stored image does not decode ({error})", remedy="Build the cache again")

    def open(self) -> Image.Image:
        """The image as Pillow opens it, in its stored mode, not decoded yet.

        Raises:
            CacheError: Pillow does not know the bytes.
        """
        if self.raw:
            return Image.fromarray(self.decode())
        try:
            return Image.open(io.BytesIO(self.data))
        except Exception as error:  # (as above)
            raise self._undecodable(error) from error


def resize_exact(pixels: NDArray[np.uint8], size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize as SAM's processor does: Pillow BILINEAR (antialiased) on uint8.

    Args:
        pixels: uint8 (H, W, 3).
        size_hw: height and width wanted.

    Returns:
        uint8 (height, width, 3); ``pixels`` itself if it has that size already.
    """
    if pixels.shape[:2] == size_hw:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((size_hw[1], size_hw[0]), Image.Resampling.BILINEAR))


def resize_fast(pixels: NDArray[np.uint8], size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize with torch's antialiased bilinear on uint8, at most one grey level from ``resize_exact``, in a third of the time.

    Args:
        pixels: uint8 (H, W, 3).
        size_hw: height and width wanted.

    Returns:
        uint8 (height, width, 3).
    """
    import torch  # noqa: PLC0415  (torch is an extra, and only this path needs it)

    if pixels.shape[:2] == size_hw:
        return pixels
    # torch takes no read-only memory, which raw images are; a copy costs a fiftieth of the resize.
    source = torch.from_numpy(pixels if pixels.flags.writeable and pixels.flags.c_contiguous else pixels.copy())
    nchw = source[None].permute(0, 3, 1, 2)
    resized = torch.nn.functional.interpolate(nchw, size_hw, mode="bilinear", antialias=True)
    channels_last: NDArray[np.uint8] = resized[0].permute(1, 2, 0).numpy()
    return channels_last


def mirror(pixels: NDArray[Any], *, horizontal: bool = False, vertical: bool = False) -> NDArray[Any]:
    """An image (H, W, 3) with its columns, its rows or both in reverse order; float32 images as a view."""
    if pixels.dtype != np.uint8 or not (horizontal or vertical):
        return pixels[:: -1 if vertical else 1, :: -1 if horizontal else 1]
    how = Image.Transpose.ROTATE_180 if horizontal and vertical else _MIRRORS[horizontal]
    return np.asarray(Image.fromarray(pixels).transpose(how))  # three times as fast as a copy in reverse


def normalize_into(pixels: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
    """Write the normalised image at the top left of ``out``, which holds zeros elsewhere.

    Args:
        pixels: uint8 (h, w, 3).
        out: float32 (3, H, W) with H >= h and W >= w.
    """
    height, width = pixels.shape[:2]
    for channel in range(3):
        np.take(NORMALIZED[channel], pixels[..., channel], out=out[channel, :height, :width], mode="clip")
