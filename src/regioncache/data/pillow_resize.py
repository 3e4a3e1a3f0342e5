"""Pillow's antialiased bilinear resize in whole numbers, so that any device gives the same grey levels bit for bit.

Pillow resizes one axis after the other, each output being a sum of the pixels under a triangle, in fixed point: weights of
22 bits, rounded half up. Whole numbers add up to the same value in any order, which floating-point numbers do not. The
arithmetic is that of Pillow's ``Resample.c``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import PIL
import torch

_WEIGHT_BITS = 22
_TALL_ROWS_FIRST = int(PIL.__version__.split(".")[0]) >= 13  # noqa: PLR2004  (the release that brought the rule)


class Taps(NamedTuple):
    """Which pixels each output is made of.

    Attributes:
        places: int32 (taps, size), indices of the pixels along the axis.
        weight: int32 (taps, size, 1, 1), their weights, which add up to about 2^22; 0 where an output has fewer taps.
    """

    places: torch.Tensor
    weight: torch.Tensor


@lru_cache(maxsize=1024)
def taps(source: int, size: int, device: torch.device) -> Taps:
    """The taps of one axis, on a device.

    Args:
        source: pixels along the axis.
        size: pixels wanted.
        device: where to put them.
    """
    scale = source / size
    reach = max(scale, 1.0)  # of the triangle to either side; wider than a pixel where the image shrinks
    center = (np.arange(size) + 0.5) * scale
    first = np.maximum((center - reach + 0.5).astype(np.int64), 0)
    end = np.minimum((center + reach + 0.5).astype(np.int64), source)
    index = first + np.arange((end - first).max())[:, None]
    triangle = np.maximum(1.0 - np.abs((index - center + 0.5) * (1.0 / reach)), 0.0)
    triangle[index >= end] = 0.0
    weight = np.floor(triangle / triangle.sum(axis=0) * (1 << _WEIGHT_BITS) + 0.5)
    index = np.minimum(index, source - 1)
    return Taps(_on(index, device), _on(weight, device)[..., None, None])


def _on(values: np.ndarray[tuple[int, int], np.dtype[np.int64 | np.float64]], device: torch.device) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.int32)).to(device)


def resize(image: torch.Tensor, size_hw: tuple[int, int]) -> torch.Tensor:
    """Resize as ``pixels.resize_exact`` does, bit for bit.

    Args:
        image: uint8 (H, W, C), on any device.
        size_hw: height and width wanted, 1 or more.

    Returns:
        uint8 (C, height, width).
    """
    # The axis at work stands in front, so that a pixel and its neighbour are whole rows of memory apart.
    if _are_rows_first((image.shape[0], image.shape[1]), size_hw):
        rows = _resized(image.permute(0, 2, 1), size_hw[0])
        return _resized(rows.permute(2, 1, 0), size_hw[1]).permute(1, 2, 0)
    columns = _resized(image.permute(1, 2, 0), size_hw[1])
    return _resized(columns.permute(2, 1, 0), size_hw[0]).permute(1, 0, 2)


def _are_rows_first(source_hw: tuple[int, int], size_hw: tuple[int, int]) -> bool:
    """The order of the installed Pillow: from 13 on it takes rows first where far more rows than columns go."""
    fewer_rows, fewer_columns = source_hw[0] - size_hw[0], source_hw[1] - size_hw[1]
    return _TALL_ROWS_FIRST and fewer_rows > max(0, 2 * fewer_columns)


def _resized(grey: torch.Tensor, size: int) -> torch.Tensor:
    """The first of three axes at another size, uint8."""
    if len(grey) == size:
        return grey
    grey = grey.contiguous()
    total = torch.full((size, *grey.shape[1:]), 1 << (_WEIGHT_BITS - 1), dtype=torch.int32, device=grey.device)
    picked, weighted = torch.empty_like(total, dtype=torch.uint8), torch.empty_like(total)
    for places, weight in zip(*taps(len(grey), size, grey.device), strict=True):
        torch.index_select(grey, 0, places, out=picked)
        total += torch.mul(picked, weight, out=weighted)
    return total.bitwise_right_shift_(_WEIGHT_BITS).to(torch.uint8)
