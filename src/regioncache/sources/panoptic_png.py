"""Panoptic PNG files to id maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regioncache.sources.map_png import MapSize, decoded_png, rgb_words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_REASONS = ("panoptic_png_mode", "panoptic_undecodable")


def png_ids(data: bytes, size: MapSize | None = None) -> NDArray[np.uint32]:
    """Segment ids, uint32 (height, width), of a COCO panoptic PNG: ``R + 256 * G + 65536 * B``.

    Args:
        data: the file's bytes.
        size: that it must have; looked at before anything is decoded.

    Raises:
        BadRecordError: ``panoptic_png_mode``, the file is no 8-bit RGB PNG (a palette or grey image would decode to
            other ids without a word); ``panoptic_undecodable``, it is damaged; or the size's reason.
    """
    with decoded_png(data, "a panoptic PNG", ("RGB",), _REASONS, size) as image:
        return rgb_words(image)
