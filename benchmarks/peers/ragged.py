"""Flat values cut into one piece per region."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def split(values: NDArray[Any], counts: NDArray[Any]) -> list[NDArray[Any]]:
    """Pieces of ``counts`` values each; views."""
    ends = np.cumsum(counts).tolist()
    return [values[end - count : end] for end, count in zip(ends, counts.tolist(), strict=True)]
