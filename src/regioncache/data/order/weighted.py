"""Draws in proportion to weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from regioncache.data.order.draws import Purpose, index_dtype, order_generator

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from regioncache.data.order.draws import Indices

_BLOCK = 1 << 20


def weighted_with_replacement(weights: NDArray[np.float64], num_samples: int, seed: int, epoch: int) -> Indices:
    """Draws that fall on index i with probability weights[i] / sum(weights), each on its own.

    The uniform numbers are made in ascending order (exponential gaps, divided by their sum), so that looking them up walks
    once through memory, and the draws are shuffled at the end: at 10^8 weights this is several times as fast as looking up
    unsorted numbers, and has no limit on the number of weights (``torch.multinomial`` has 2^24).

    Args:
        weights: float64 (n,), 0 or more, finite, with a positive sum.
        num_samples: how many.
        seed: the run's seed.
        epoch: the epoch.

    Returns:
        int32 or int64 (num_samples,).
    """
    generator = order_generator(seed, epoch, Purpose.CHOICE)
    ends = np.cumsum(weights)
    last = int(np.flatnonzero(weights)[-1])  # rounding must not carry a draw to a weight of 0 behind it
    at = generator.standard_exponential(num_samples + 1)
    np.cumsum(at, out=at)
    at *= ends[-1] / at[-1]
    order: Indices = np.empty(num_samples, index_dtype(len(weights)))
    for start in range(0, num_samples, _BLOCK):
        block = slice(start, min(start + _BLOCK, num_samples))
        order[block] = np.minimum(np.searchsorted(ends, at[block], side="right"), last)
    generator.shuffle(order)
    return order


def weighted_without_replacement(weights: NDArray[np.float64], num_samples: int, seed: int, epoch: int) -> Indices:
    """Different indices, drawn one after the other in proportion to the weights that are left.

    Each index gets an exponential number divided by its weight; the smallest come first. Efraimidis, Spirakis: Weighted
    random sampling with a reservoir (Information Processing Letters 97, 2006).

    Args:
        weights: float64 (n,), 0 or more, finite.
        num_samples: how many, at most the number of positive weights.
        seed: the run's seed.
        epoch: the epoch.

    Returns:
        int32 or int64 (num_samples,), in the order of the draws.
    """
    generator = order_generator(seed, epoch, Purpose.CHOICE)
    keys = generator.standard_exponential(len(weights))
    with np.errstate(divide="ignore"):
        np.divide(keys, weights, out=keys)  # infinite where the weight is 0
    if num_samples < len(keys):
        first = np.argpartition(keys, num_samples)[:num_samples]
        order = first[np.argsort(keys[first])]
    else:
        order = np.argsort(keys)
    return order.astype(index_dtype(len(weights)))
