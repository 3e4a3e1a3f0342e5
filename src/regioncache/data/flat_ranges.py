"""Index arithmetic on values that lie one after the other, with a length for each owner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def starts_of(lengths: NDArray[Any]) -> NDArray[np.int64]:
    """Where each owner's values begin, int64 (n,)."""
    starts: NDArray[np.int64] = np.cumsum(lengths, dtype=np.int64)
    starts -= lengths
    return starts


def range_indices(starts: NDArray[np.int64], lengths: NDArray[Any]) -> NDArray[np.int64]:
    """The indices of the ranges [start, start + length), one range after the other, int64 (sum of lengths,)."""
    indices: NDArray[np.int64] = np.repeat(starts - starts_of(lengths), lengths)
    indices += np.arange(len(indices))
    return indices
