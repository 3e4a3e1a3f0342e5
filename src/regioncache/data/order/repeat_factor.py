"""Images with rare categories more often."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from regioncache.data.order.draws import Purpose, counting, index_dtype, order_generator

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from regioncache.data.order.draws import Indices


def repeat_factors(region_counts: NDArray[np.int64], category_index: NDArray[np.int64], threshold: float) -> NDArray[np.float64]:
    """How often an epoch should hold each image, by LVIS' rule.

    f(c) is the share of images with category c, r(c) = max(1, sqrt(threshold / f(c))), and an image's factor is the largest
    r(c) of its categories; 1 for an image without any. Gupta, Dollar, Girshick: LVIS (CVPR 2019), section 4.

    Args:
        region_counts: int64 (images,), regions of each image.
        category_index: int64 (sum of region_counts,), category of every region, images in order; -1 for none.
        threshold: share of images below which a category is repeated; LVIS has 0.001.

    Returns:
        float64 (images,), 1 or more.
    """
    images = len(region_counts)
    factors = np.ones(images)
    known = category_index >= 0
    if not known.any():
        return factors
    categories = int(category_index.max()) + 1
    pairs = np.unique(np.repeat(np.arange(images), region_counts)[known] * categories + category_index[known])
    image, category = np.divmod(pairs, categories)
    share = np.bincount(category, minlength=categories) / images
    with np.errstate(divide="ignore"):
        factor_of = np.maximum(1.0, np.sqrt(threshold / share))
    np.maximum.at(factors, image, factor_of[category])
    return factors


def epoch_length(factors: NDArray[np.float64]) -> int:
    """How many samples an epoch of ``repeated`` holds, the same in every epoch.

    sum(floor(f)) + min(floor(F + 1/2), floor(F / m)), where F is the sum of the fractions f - floor(f) and m the largest.
    """
    return int(np.floor(factors).sum()) + _extra_copies(factors - np.floor(factors))


def _extra_copies(fractions: NDArray[np.float64]) -> int:
    largest = float(fractions.max(initial=0.0))
    total = float(fractions.sum())
    return min(int(total + 0.5), int(total / largest)) if largest else 0


def repeated(factors: NDArray[np.float64], seed: int, epoch: int) -> Indices:
    """Image i floor(f) or ceil(f) times, f = factors[i] on average over epochs, in random order.

    Which images get the extra copy is drawn anew for every epoch by systematic sampling over a random order: evenly spaced
    points on the line of all fractions. Unlike independent rounding, this gives every epoch the same length.

    Args:
        factors: float64 (n,), 0 or more.
        seed: the run's seed.
        epoch: the epoch.

    Returns:
        int32 or int64 (epoch_length(factors),).
    """
    generator = order_generator(seed, epoch, Purpose.COPIES)
    fractions = np.floor(factors)
    copies = fractions.astype(np.int32)
    np.subtract(factors, fractions, out=fractions)
    extra = _extra_copies(fractions)
    if extra:
        candidates = np.flatnonzero(fractions).astype(index_dtype(len(factors)))
        generator.shuffle(candidates)
        line = fractions[candidates]
        del fractions  # arrays of all images are large
        np.cumsum(line, out=line)
        line *= extra / line[-1]
        line[-1] = extra  # whatever the rounding of the sum
        line += generator.random()
        np.floor(line, out=line)
        copies[candidates[np.diff(line, prepend=0.0) > 0]] += 1
    order: Indices = np.repeat(counting(len(factors)), copies)
    generator.shuffle(order)
    return order
