"""How often an index came before within its epoch, so that a repeated image is not augmented alike each time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from regioncache.data.order.draws import Indices


class Visits:
    """Counts of the indices that an epoch has held so far.

    Args:
        before: the indices before the first batch.
        rows: indices are smaller than this.
    """

    def __init__(self, before: Indices, rows: int) -> None:
        self._seen = np.bincount(before, minlength=rows).astype(np.int32)

    def count(self, indices: Indices) -> NDArray[np.int64]:
        """How often each of the next indices came before, int64 (n,), those before it in this call included."""
        by_index = np.argsort(indices, kind="stable")
        ordered = indices[by_index]
        first = np.searchsorted(ordered, ordered, side="left")
        earlier = np.empty(len(indices), np.int64)
        earlier[by_index] = self._seen[ordered] + np.arange(len(ordered)) - first
        np.add.at(self._seen, indices, 1)
        return earlier
