"""Batches of images that are alike: in shape, so that little is padded, or in their number of regions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from regioncache.data.order.draws import Purpose, order_generator
from regioncache.data.order.permutation import permutation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from regioncache.data.order.draws import Indices


def aspect_ratio_groups(sizes_hw: NDArray[np.int64], bounds: Sequence[float] = (1.0,)) -> NDArray[np.int64]:
    """The group of each image by width / height; as given, 0 is upright and 1 is square or wide, as in mmdetection.

    Args:
        sizes_hw: int64 (n, 2), height and width.
        bounds: ascending ratios; group k begins at bounds[k - 1].

    Returns:
        int64 (n,).
    """
    return np.digitize(sizes_hw[:, 1] / sizes_hw[:, 0], np.asarray(bounds, np.float64))


def region_count_groups(region_counts: NDArray[np.int64], groups: int) -> NDArray[np.int64]:
    """The group of each image by its number of regions, groups of about equal size; equal numbers are never parted.

    Args:
        region_counts: int64 (n,).
        groups: how many groups at most.

    Returns:
        int64 (n,), 0 for the fewest regions.
    """
    ranks = np.sort(region_counts)
    bounds = np.unique(ranks[np.arange(1, groups) * len(ranks) // groups])
    return np.digitize(region_counts, bounds)


def grouped_batches(groups: NDArray[np.int64], batch_size: int, seed: int, epoch: int) -> Indices:
    """Every index once; every ``batch_size`` indices in a row are of one group, but for the leftovers at the end.

    Of each group, drawn in random order, full batches are cut, and all batches shuffled. What is left of each group, less
    than a batch, follows at the end, group by group.

    Args:
        groups: int64 (n,), the group of each index, from 0.
        batch_size: indices of a batch.
        seed: the run's seed.
        epoch: the epoch.

    Returns:
        int32 or int64 (n,).
    """
    drawn = permutation(len(groups), seed, epoch)
    drawn = drawn[np.argsort(groups[drawn], kind="stable")]
    ends = np.cumsum(np.bincount(groups))
    full, left = [drawn[:0]], [drawn[:0]]
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        cut = end - (end - start) % batch_size
        full.append(drawn[start:cut])
        left.append(drawn[cut:end])
    batches = np.concatenate(full).reshape(-1, batch_size)
    order_generator(seed, epoch, Purpose.BATCHES).shuffle(batches)
    return np.concatenate([batches.reshape(-1), *left])
