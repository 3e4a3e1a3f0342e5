"""Which part of an order each rank takes: its share of every global batch, so that all ranks have equally many batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from regioncache.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from regioncache.data.order.draws import Indices

Tail = Literal["pad", "drop", "wrap"]
TAILS = ("pad", "drop", "wrap")


def batch_count(length: int, global_batch: int, tail: Tail) -> int:
    """Batches of an epoch, the same on every rank.

    ``drop``: floor(length / global_batch); ``pad`` and ``wrap``: ceil(length / global_batch).

    Args:
        length: indices of the epoch.
        global_batch: samples of all ranks together in one step.
        tail: what becomes of the last indices, when they are fewer than a global batch.

    Raises:
        ConfigError: there is not one batch.
    """
    count = length // global_batch if tail == "drop" else -(-length // global_batch)
    if not count:
        raise ConfigError(
            f"an epoch of {length} samples has no batch: the global batch is {global_batch} and tail={tail!r}."
            " Use a smaller batch, or tail='pad'"
        )
    return count


def batch_of_rank(order: Indices, batch: int, *, batch_size: int, rank: int, ranks: int) -> tuple[Indices, NDArray[np.bool_]]:
    """One rank's share of one global batch: ``batch_size`` neighbours of the order.

    The shares of all ranks in turn are the order itself, whatever the number of ranks. Behind the end the order begins anew.

    Args:
        order: the indices of the epoch.
        batch: which global batch.
        batch_size: samples of one rank in a step.
        rank: from 0.
        ranks: how many ranks.

    Returns:
        Indices (batch_size,), and bool (batch_size,): which stand behind the end of the order.
    """
    start = (batch * ranks + rank) * batch_size
    if start + batch_size <= len(order):
        return order[start : start + batch_size], np.zeros(batch_size, np.bool_)
    positions = np.arange(start, start + batch_size)
    return order[positions % len(order)], positions >= len(order)
