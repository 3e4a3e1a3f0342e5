"""Panoptic PNG files to id maps."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from PIL import Image, UnidentifiedImageError

from regioncache.errors import BadRecordError

if TYPE_CHECKING:
    from numpy.typing import NDArray

ID_BITS = np.uint32(0xFFFFFF)


def png_ids(data: bytes) -> NDArray[np.uint32]:
    """Segment ids, uint32 (height, width), of a COCO panoptic PNG: ``R + 256 * G + 65536 * B``.

    Args:
        data: the file's bytes.

    Raises:
        BadRecordError: ``panoptic_png_mode``, the file is no 8-bit RGB PNG (a palette or grey image would decode to
            other ids without a word); ``panoptic_undecodable``, it is damaged.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.format != "PNG" or image.mode != "RGB":
                raise BadRecordError("panoptic_png_mode", f"expected an RGB PNG, found {image.format} {image.mode}")
            image.load()
            return _rgbx_words(image) & ID_BITS
    except UnidentifiedImageError as error:  # its text holds an address, which differs between runs
        found = f"{len(data)} bytes beginning {data[:8]!r}"
        raise BadRecordError("panoptic_undecodable", f"expected a panoptic PNG, found {found}") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadRecordError("panoptic_undecodable", f"expected a panoptic PNG: {error}") from error


def _rgbx_words(image: Image.Image) -> NDArray[np.uint32]:
    """Pillow keeps RGB as four bytes a pixel, so that R, G, B and padding read as one little-endian word."""
    height, width = image.height, image.width
    try:
        words = pa.array(image).flatten().buffers()[1]  # Pillow's own memory; a copy's fresh pages cost 0.5 ms
    except ValueError:  # an image of more than 16 MiB lies in several blocks
        words = image.tobytes("raw", "RGBX")
    return np.frombuffer(words, "<u4", count=height * width).reshape(height, width)
