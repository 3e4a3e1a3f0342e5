"""Annotation maps that come as PNG files, to arrays."""

from __future__ import annotations

import io
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
from PIL import Image, UnidentifiedImageError

from regioncache.errors import BadRecordError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_REASONS = ("map_mode", "map_undecodable")
_RGB_BITS = np.uint32(0xFFFFFF)


class MapSize(NamedTuple):
    """What size a map must have.

    Attributes:
        height: in pixels.
        width: in pixels.
        said_by: who says so.
        reason: the reject's code for another size.
    """

    height: int
    width: int
    said_by: str
    reason: str


def grey_map(data: bytes, what: str, size: MapSize | None = None) -> NDArray[np.uint8]:
    """The values of an 8-bit grey PNG, uint8 (height, width).

    Args:
        data: the file's bytes.
        what: what the map is, with its article, for errors.
        size: that it must have; looked at before anything is decoded.

    Raises:
        BadRecordError: ``map_mode``, it is no 8-bit grey PNG; ``map_undecodable``, it is damaged; or the size's reason.
    """
    with decoded_png(data, what, ("L",), _REASONS, size) as image:
        return np.asarray(image)


def rgb_map(data: bytes, what: str, size: MapSize | None = None) -> NDArray[np.uint32]:
    """The values ``R + 256 * G + 65536 * B`` of an 8-bit RGB or RGBA PNG, uint32 (height, width).

    Args:
        data: the file's bytes.
        what: what the map is, with its article, for errors.
        size: that it must have; looked at before anything is decoded.

    Raises:
        BadRecordError: ``map_mode``, it is no 8-bit RGB or RGBA PNG; ``map_undecodable``, it is damaged; or the size's reason.
    """
    with decoded_png(data, what, ("RGB", "RGBA"), _REASONS, size) as image:
        return rgb_words(image)


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Pillow warns of large sizes, which are judged here, and of oddities that do not matter to pixels."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def decoded_png(
    data: bytes, what: str, modes: tuple[str, ...], reasons: tuple[str, str], size: MapSize | None = None
) -> Iterator[Image.Image]:
    """Open and decode a PNG of one of these Pillow modes.

    A palette or grey image where colours are expected would decode to other values without a word, so that it is refused.

    Args:
        data: the file's bytes.
        what: what the file should be, with its article.
        modes: the modes that are taken.
        reasons: the reject's code for another mode, and for damage.
        size: that it must have; None for any up to ``MOST_PIXELS``. A few bytes can declare a gigabyte of pixels, so that it is
            looked at before they are decoded.

    Raises:
        BadRecordError: of these reasons, or of the size's.
    """
    with _loaded(data, what, modes, reasons, size) as image:
        yield image


MOST_PIXELS = 1 << 25
"""Of a map that may have another size than its image; some five times the largest photos of public sets."""


def _loaded(data: bytes, what: str, modes: tuple[str, ...], reasons: tuple[str, str], size: MapSize | None) -> Image.Image:
    _, undecodable = reasons
    try:
        with _without_warnings(), Image.open(io.BytesIO(data)) as image:
            _check_header(image, what, modes, reasons, size)
            image.load()
            return image
    except (BadRecordError, MemoryError):
        raise
    except UnidentifiedImageError as error:  # its text holds an address, which differs between runs
        raise BadRecordError(undecodable, f"expected {what}, found {len(data)} bytes beginning {data[:8]!r}") from error
    except Exception as error:  # (Pillow's plugins raise whatever the damaged bytes make them meet)
        raise BadRecordError(undecodable, f"expected {what}: {error}") from error


def _check_header(image: Image.Image, what: str, modes: tuple[str, ...], reasons: tuple[str, str], size: MapSize | None) -> None:
    """What can be judged before anything is decoded."""
    wrong_mode, undecodable = reasons
    if size is None and image.width * image.height > MOST_PIXELS:
        raise BadRecordError(
            undecodable, f"expected {what} of at most {MOST_PIXELS} pixels, found {image.width} x {image.height}"
        )
    if image.format != "PNG" or image.mode not in modes:
        expected = " or ".join(modes)
        raise BadRecordError(wrong_mode, f"expected an {expected} PNG, found {image.format} {image.mode}")
    if size is not None and (image.height, image.width) != (size.height, size.width):
        expected = f"{size.width} x {size.height} as {size.said_by}"
        raise BadRecordError(size.reason, f"expected {expected}, found {what} of {image.width} x {image.height}")


def rgb_words(image: Image.Image) -> NDArray[np.uint32]:
    """``R + 256 * G + 65536 * B`` of an RGB or RGBA image, uint32 (height, width).

    Pillow keeps both as four bytes a pixel, so that they read as one little-endian word.
    """
    height, width = image.height, image.width
    try:
        words = pa.array(image).flatten().buffers()[1]  # Pillow's own memory; a copy's fresh pages cost 0.5 ms
    except ValueError:  # an image of more than 16 MiB lies in several blocks
        words = image.tobytes("raw", "RGBX" if image.mode == "RGB" else "RGBA")
    return np.frombuffer(words, "<u4", count=height * width).reshape(height, width) & _RGB_BITS
