"""Annotation maps that come as PNG files, to arrays."""

from __future__ import annotations

import io
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from PIL import Image, UnidentifiedImageError

from regioncache.errors import BadRecordError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_REASONS = ("map_mode", "map_undecodable")
_RGB_BITS = np.uint32(0xFFFFFF)


def grey_map(data: bytes, what: str) -> NDArray[np.uint8]:
    """The values of an 8-bit grey PNG, uint8 (height, width).

    Args:
        data: the file's bytes.
        what: what the map is, with its article, for errors.

    Raises:
        BadRecordError: ``map_mode``, it is no 8-bit grey PNG; ``map_undecodable``, it is damaged.
    """
    with decoded_png(data, what, ("L",), _REASONS) as image:
        return np.asarray(image)


def rgb_map(data: bytes, what: str) -> NDArray[np.uint32]:
    """The values ``R + 256 * G + 65536 * B`` of an 8-bit RGB or RGBA PNG, uint32 (height, width).

    Args:
        data: the file's bytes.
        what: what the map is, with its article, for errors.

    Raises:
        BadRecordError: ``map_mode``, it is no 8-bit RGB or RGBA PNG; ``map_undecodable``, it is damaged.
    """
    with decoded_png(data, what, ("RGB", "RGBA"), _REASONS) as image:
        return rgb_words(image)


@contextmanager
def decoded_png(data: bytes, what: str, modes: tuple[str, ...], reasons: tuple[str, str]) -> Iterator[Image.Image]:
    """Open and decode a PNG of one of these Pillow modes.

    A palette or grey image where colours are expected would decode to other values without a word, so that it is refused.

    Args:
        data: the file's bytes.
        what: what the file should be, with its article.
        modes: the modes that are taken.
        reasons: the reject's code for another mode, and for damage.

    Raises:
        BadRecordError: of these reasons.
    """
    wrong_mode, undecodable = reasons
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.format != "PNG" or image.mode not in modes:
                expected = " or ".join(modes)
                raise BadRecordError(wrong_mode, f"expected an {expected} PNG, found {image.format} {image.mode}")
            image.load()
            yield image
    except UnidentifiedImageError as error:  # its text holds an address, which differs between runs
        raise BadRecordError(undecodable, f"expected {what}, found {len(data)} bytes beginning {data[:8]!r}") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadRecordError(undecodable, f"expected {what}: {error}") from error


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
