"""Every index once, or drawn evenly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from regioncache.data.order.draws import Purpose, counting, index_dtype, order_generator

if TYPE_CHECKING:
    from regioncache.data.order.draws import Indices


def permutation(length: int, seed: int, epoch: int) -> Indices:
    """All of 0 ... length - 1 in random order: Fisher and Yates over the whole range, no block, no buffer.

    Every index may come anywhere. Memory: 4 bytes an index below 2^31 rows, else 8.

    Args:
        length: how many indices.
        seed: the run's seed.
        epoch: the epoch.

    Returns:
        int32 or int64 (length,).
    """
    order = counting(length)
    order_generator(seed, epoch, Purpose.PERMUTATION).shuffle(order)
    return order


def with_replacement(length: int, num_samples: int, seed: int, epoch: int) -> Indices:
    """``num_samples`` even draws from 0 ... length - 1, each on its own.

    Returns:
        int32 or int64 (num_samples,).
    """
    generator = order_generator(seed, epoch, Purpose.CHOICE)
    drawn: Indices = generator.integers(0, length, num_samples, dtype=index_dtype(length))
    return drawn


def subset(indices: Indices, seed: int, epoch: int) -> Indices:
    """These indices, each as often as it is given, in random order; the argument stays as it is."""
    order: Indices = np.array(indices)
    order_generator(seed, epoch, Purpose.PERMUTATION).shuffle(order)
    return order
