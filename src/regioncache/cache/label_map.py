"""Masks of disjoint regions as one small map: zstd of which region owns each pixel.

Half the bytes of the RLEs, and all regions of an image decode at once instead of one after the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ZSTD_LEVEL = 3
_UINT8_REGIONS = 255


def encode_label_map(ordinals: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    """Compress an ordinal map.

    Args:
        ordinals: (H, W); 0 = no region, k = k-th region + 1; uint8 up to 255 regions, else uint16.
    """
    compressed: bytes = pa.Codec("zstd", compression_level=_ZSTD_LEVEL).compress(np.ascontiguousarray(ordinals), asbytes=True)
    return compressed


def decode_label_map(data: NDArray[np.uint8], height: int, width: int, regions: int) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Undo ``encode_label_map``.

    Args:
        data: uint8, the compressed bytes.
        height: rows of the map.
        width: columns of the map.
        regions: regions of the row, which decide the map's type.

    Returns:
        (height, width), read-only.
    """
    small = regions <= _UINT8_REGIONS
    raw = pa.Codec("zstd").decompress(pa.py_buffer(data), height * width * (1 if small else 2))
    if small:
        return np.frombuffer(raw, np.uint8).reshape(height, width)
    return np.frombuffer(raw, np.uint16).reshape(height, width)


def decode_semantic_map(data: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """The map of category indices, uint8 (height, width), 255 = none, read-only; ``encode_label_map`` makes it too."""
    raw = pa.Codec("zstd").decompress(pa.py_buffer(data), height * width)
    return np.frombuffer(raw, np.uint8).reshape(height, width)


def split_label_map(ordinals: NDArray[np.uint8] | NDArray[np.uint16], regions: NDArray[np.integer]) -> NDArray[np.bool_]:
    """One mask per region.

    Args:
        ordinals: (H, W) ordinal map.
        regions: (n,) 0-based regions, in the order wanted.

    Returns:
        bool (n, H, W).
    """
    masks: NDArray[np.bool_] = ordinals[None] == (regions + 1).astype(ordinals.dtype)[:, None, None]
    return masks
