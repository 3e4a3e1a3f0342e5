"""The same ratio of sources inside every batch."""

from __future__ import annotations

from math import floor, gcd, lcm
from typing import TYPE_CHECKING

import numpy as np

from regioncache.data.order.draws import Purpose, order_generator

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    from numpy.typing import NDArray

    from regioncache.data.order.shares import Stop

_GOLDEN = 0.6180339887498949


def ratio_counts(shares: Sequence[Fraction], batch_size: int, batches: int) -> NDArray[np.int64]:
    """How many samples of each source every batch holds.

    p_j B samples of source j where that is a whole number. Else floor(p_j B), and the places that are left rotate: batch b
    gives source j one more where a mark of the grid u_b + 0, 1, 2, ... falls into its stretch of the line of all remainders.
    u_b steps through 0, 1/D, ..., (D - 1)/D in golden-section jumps, D the common denominator of all p_j B, so that any D
    batches in a row hold exactly D p_j B samples of source j.

    Args:
        shares: their sum is 1.
        batch_size: B.
        batches: how many batches.

    Returns:
        int64 (batches, sources); each row's sum is ``batch_size``.
    """
    quotas = [share * batch_size for share in shares]
    cycle = lcm(*(quota.denominator for quota in quotas))
    ends = np.cumsum([0] + [int((quota - floor(quota)) * cycle) for quota in quotas])
    step = round(cycle * _GOLDEN) or 1
    while gcd(step, cycle) != 1:
        step += 1
    marks = np.arange(batches, dtype=np.int64) * step % cycle
    extra = np.diff((ends + marks[:, None]) // cycle, axis=1)
    return extra + np.array([floor(quota) for quota in quotas], np.int64)


def ratio_batches(lengths: Sequence[int], shares: Sequence[Fraction], batch_size: int, stop: Stop) -> int:
    """How many batches an epoch has.

    With k_j(b) the samples of source j in the first b batches (``ratio_counts``) and n_j its length: ``stop_first`` is the
    largest b with k_j(b) <= n_j for all j; ``exhaust_once`` the smallest b with k_j(b) >= n_j for all j.
    """
    batches = 1024
    while True:
        left = np.array(lengths) - np.cumsum(ratio_counts(shares, batch_size, batches), axis=0)
        # The first batch that takes too many of a source, or the last of every source.
        reached = np.any(left < 0, axis=1) if stop == "stop_first" else np.all(left <= 0, axis=1)
        if reached[-1]:
            return int(np.argmax(reached)) + (stop == "exhaust_once")
        batches *= 2


def ratio_labels(counts: NDArray[np.int64], seed: int, epoch: int) -> NDArray[np.uint16]:
    """The source of each place, batch after batch, in random order within each, uint16 (sum of counts,)."""
    batches, sources = counts.shape
    in_order = np.repeat(np.tile(np.arange(sources, dtype=np.uint16), batches), counts.reshape(-1))
    labels = in_order.reshape(batches, -1)
    order_generator(seed, epoch, Purpose.SOURCES).permuted(labels, axis=1, out=labels)
    return labels.reshape(-1)
