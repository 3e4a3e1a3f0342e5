"""Several sources in one order; flat indices count through the sources in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from regioncache.data.order.draws import Purpose, counting, index_dtype, order_generator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from regioncache.data.order.draws import Indices


def rows_of_source(length: int, count: int, seed: int, epoch: int, source: int) -> Indices:
    """``count`` rows of a source for one epoch: whole passes, each in an order of its own, then a part of a pass.

    Within an epoch every row comes floor(count / length) times or once more. The parts of successive epochs follow one
    another round a fixed random circle of all rows, so after any number of epochs no row had more than one extra turn ahead
    of another; that needs the same ``count`` in every epoch.

    Args:
        length: rows of the source.
        count: how many are wanted.
        seed: the run's seed.
        epoch: the epoch.
        source: the place of the source in the mix.

    Returns:
        int32 or int64 (count,).
    """
    passes, rest = divmod(count, length)
    parts = []
    for visit in range(passes):
        rows = counting(length)
        order_generator(seed, epoch, Purpose.PASS, source=source, visit=visit).shuffle(rows)
        parts.append(rows)
    if rest:
        circle = counting(length)
        order_generator(seed, 0, Purpose.REST, source=source).shuffle(circle)
        start = epoch * rest % length
        rows = np.concatenate((circle[start : start + rest], circle[: max(0, start + rest - length)]))
        order_generator(seed, epoch, Purpose.PASS, source=source, visit=passes).shuffle(rows)
        parts.append(rows)
    return np.concatenate(parts) if parts else counting(0)


def source_labels(counts: Sequence[int], seed: int, epoch: int) -> NDArray[np.uint16]:
    """The source of each place of an epoch, in random order, uint16 (sum of counts,)."""
    labels = np.repeat(np.arange(len(counts), dtype=np.uint16), counts)
    order_generator(seed, epoch, Purpose.SOURCES).shuffle(labels)
    return labels


def filled(labels: NDArray[np.uint16], lengths: Sequence[int], seed: int, epoch: int) -> Indices:
    """Flat indices for a sequence of sources: each place takes the next row of its source.

    Args:
        labels: the source of each place, uint16 (n,).
        lengths: rows of each source.
        seed: the run's seed.
        epoch: the epoch.

    Returns:
        int32 or int64 (n,): row r of source j is sum(lengths[:j]) + r.
    """
    order: Indices = np.empty(len(labels), index_dtype(sum(lengths)))
    counts = np.bincount(labels, minlength=len(lengths)).tolist()
    start = 0
    for source, (length, count) in enumerate(zip(lengths, counts, strict=True)):
        rows = rows_of_source(length, count, seed, epoch, source)
        rows = rows.astype(order.dtype, copy=False)
        rows += start
        order[labels == source] = rows
        start += length
    return order
