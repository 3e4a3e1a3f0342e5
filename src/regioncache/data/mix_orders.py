"""Orders that mix several sources; their indices are those of a ``MixedDataset`` of the same sources."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from regioncache.data.mix_sources import MixOrder
from regioncache.data.order.interleave import interleaved
from regioncache.data.order.mix import filled, source_labels
from regioncache.data.order.permutation import subset
from regioncache.data.order.ratio import ratio_batches, ratio_counts, ratio_labels
from regioncache.data.order.shares import check_stop, repeated_counts, weighted_counts
from regioncache.data.orders import check_count
from regioncache.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from regioncache.data.order.draws import Indices
    from regioncache.data.order.interleave import StoppingStrategy
    from regioncache.data.order.shares import Stop


class _CountedMix(MixOrder):
    """So many samples of each source, in random order."""

    def set_counts(self, counts: Sequence[int]) -> None:
        """Say how many samples of each source an epoch has.

        Raises:
            ConfigError: it would have none.
        """
        self._counts = list(counts)
        check_count("the length of an epoch", sum(self._counts))

    @property
    def counts(self) -> dict[str, int]:
        """See ``MixOrder.counts``."""
        return dict(zip(self.sources, self._counts, strict=True))

    def indices(self, epoch: int) -> Indices:
        """See ``Order.indices``."""
        return filled(source_labels(self._counts, self.seed, epoch), self.lengths, self.seed, epoch)


class WeightedMix(_CountedMix):
    """Sources in the proportion of their weights, in random order.

    n_j is a source's length and p_j its weight divided by the sum of all. An epoch's length L is

    - ``stop_first``: floor(min n_j / p_j); no row comes twice;
    - ``exhaust_once``: ceil(max n_j / p_j); every row comes at least once;
    - ``repeat``: ``epoch_length``;

    and source j has p_j L samples of it, rounded down, and up for the largest remainders until the sum is L.

    Args:
        sources: the number of samples of each source; ``MixedDataset.lengths``.
        weights: one for each source, above 0; None takes the lengths.
        stop: when an epoch ends.
        epoch_length: samples of an epoch; with ``repeat``, and only there.
        seed: the run's seed.

    Raises:
        ConfigError: a source is empty, a weight is missing or cannot be used, or an epoch would be empty.
    """

    def __init__(
        self,
        sources: Mapping[str, int],
        weights: Mapping[str, float] | None = None,
        *,
        stop: Stop = "repeat",
        epoch_length: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(sources, seed)
        check_stop(stop, "epoch_length", epoch_length)
        self.set_counts(weighted_counts(self.lengths, self.shares(weights), stop, epoch_length))


class RepeatMix(_CountedMix):
    """Every source a number of times, in random order: floor(n_j r_j + 1/2) samples of source j.

    Args:
        sources: the number of samples of each source; ``MixedDataset.lengths``.
        repeats: how often an epoch holds each source, such as 5, or 0.5 for half of it.
        seed: the run's seed.

    Raises:
        ConfigError: a source is empty, a number is missing or cannot be used, or an epoch would be empty.
    """

    def __init__(self, sources: Mapping[str, int], repeats: Mapping[str, float], *, seed: int = 0) -> None:
        super().__init__(sources, seed)
        self.set_counts(repeated_counts(self.lengths, self.named("repeats", repeats)))


class _BatchMix(MixOrder):
    """Whole batches."""

    def __init__(self, sources: Mapping[str, int], batch_size: int, stop: Stop, epoch_length: int | None, seed: int) -> None:
        super().__init__(sources, seed)
        check_stop(stop, "epoch_length", epoch_length)
        self.chunk = check_count("batch_size", batch_size)

    def identity(self) -> dict[str, Any]:
        """See ``Order.identity``."""
        return {**super().identity(), "batch_size": self.chunk}


class RatioBatches(_BatchMix):
    """The same ratio of sources inside every batch.

    A batch of B has p_j B samples of source j. Where that is no whole number it has floor(p_j B), and the places that are
    left rotate among the sources, so that the ratio is exact over D batches, the common denominator of all p_j B. With k_j(b)
    the samples of source j in the first b batches (``ratio_counts``), n_j its length, the number of batches is

    - ``stop_first``: the largest b with k_j(b) <= n_j for all j; no row comes twice;
    - ``exhaust_once``: the smallest b with k_j(b) >= n_j for all j; every row comes at least once;
    - ``repeat``: floor(epoch_length / B).

    Args:
        sources: the number of samples of each source; ``MixedDataset.lengths``.
        weights: one for each source, above 0.
        batch_size: B: of one rank for the ratio on every device, or of all ranks together.
        stop: when an epoch ends.
        epoch_length: samples of an epoch; with ``repeat``, and only there.
        seed: the run's seed.

    Raises:
        ConfigError: a source is empty, a weight is missing or cannot be used, or an epoch would have no batch.
    """

    def __init__(
        self,
        sources: Mapping[str, int],
        weights: Mapping[str, float],
        batch_size: int,
        *,
        stop: Stop = "stop_first",
        epoch_length: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(sources, batch_size, stop, epoch_length, seed)
        shares = self.shares(weights)
        batches = (epoch_length or 0) // batch_size if stop == "repeat" else ratio_batches(self.lengths, shares, batch_size, stop)
        self._counts = ratio_counts(shares, batch_size, check_count("the number of batches of an epoch", batches))

    @cached_property
    def counts(self) -> dict[str, int]:
        """See ``MixOrder.counts``."""
        return dict(zip(self.sources, self._counts.sum(axis=0).tolist(), strict=True))

    def indices(self, epoch: int) -> Indices:
        """See ``Order.indices``."""
        return filled(ratio_labels(self._counts, self.seed, epoch), self.lengths, self.seed, epoch)


class SourceBatches(_BatchMix):
    """Every batch from one source, the batches of all sources in random order.

    With B the size of a batch, n_j the length of source j and p_j its weight divided by the sum of all, the number of batches
    K is

    - ``stop_first``: floor(min floor(n_j / B) / p_j); no row comes twice;
    - ``exhaust_once``: ceil(max ceil(n_j / B) / p_j); every row comes at least once;
    - ``repeat``: floor(epoch_length / B);

    and source j has p_j K of them, rounded down, and up for the largest remainders until the sum is K.

    Args:
        sources: the number of samples of each source; ``MixedDataset.lengths``.
        batch_size: B: of one rank, or of all ranks together for one source in the whole step.
        weights: one for each source, above 0; None takes the lengths.
        stop: when an epoch ends.
        epoch_length: samples of an epoch; with ``repeat``, and only there.
        seed: the run's seed.

    Raises:
        ConfigError: a source is empty, a weight is missing or cannot be used, or an epoch would have no batch.
    """

    def __init__(
        self,
        sources: Mapping[str, int],
        batch_size: int,
        weights: Mapping[str, float] | None = None,
        *,
        stop: Stop = "stop_first",
        epoch_length: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(sources, batch_size, stop, epoch_length, seed)
        up = batch_size - 1 if stop == "exhaust_once" else 0
        batches = [(length + up) // batch_size for length in self.lengths]
        length = None if epoch_length is None else epoch_length // batch_size
        self._batches = weighted_counts(batches, self.shares(weights), stop, length)
        check_count("the number of batches of an epoch", sum(self._batches))

    @property
    def counts(self) -> dict[str, int]:
        """See ``MixOrder.counts``."""
        return {name: batches * self.chunk for name, batches in zip(self.sources, self._batches, strict=True)}

    def indices(self, epoch: int) -> Indices:
        """See ``Order.indices``."""
        labels: NDArray[np.uint16] = np.repeat(source_labels(self._batches, self.seed, epoch), self.chunk)
        return filled(labels, self.lengths, self.seed, epoch)


class InterleavedMix(MixOrder):
    """The original's mix: ``interleave_datasets`` of Hugging Face ``datasets``, index for index; see ``interleaved``.

    Without probabilities sources take turns, row i mod n_j of source j in turn i, and an epoch has sources x max n_j samples
    (``all_exhausted``) or sources x min n_j (``first_exhausted``).

    Args:
        sources: the number of samples of each source; ``MixedDataset.lengths``.
        probabilities: one for each source, or None for turns.
        stopping_strategy: as Hugging Face names it; the original trains with ``all_exhausted``.
        shuffle: the same samples in random order, another in each epoch, as the original's trainer draws them; else as they
            are interleaved.
        seed: the run's seed.

    Raises:
        ConfigError: a source is empty, or a probability is missing or cannot be used.
    """

    def __init__(
        self,
        sources: Mapping[str, int],
        probabilities: Mapping[str, float] | None = None,
        *,
        stopping_strategy: StoppingStrategy = "all_exhausted",
        shuffle: bool = False,
        seed: int = 42,
    ) -> None:
        super().__init__(sources, seed)
        if stopping_strategy not in ("first_exhausted", "all_exhausted"):
            raise ConfigError(f"stopping_strategy={stopping_strategy!r} is none of first_exhausted, all_exhausted")
        self.shuffle = shuffle
        chances: Sequence[float] | None = None if probabilities is None else self.named("probabilities", probabilities)
        self._order = interleaved(self.lengths, chances, seed, stopping_strategy)

    @cached_property
    def counts(self) -> dict[str, int]:
        """See ``MixOrder.counts``."""
        ends = np.cumsum(self.lengths)
        held = np.bincount(np.searchsorted(ends, self._order, side="right"), minlength=len(ends))
        return dict(zip(self.sources, held.tolist(), strict=True))

    def identity(self) -> dict[str, Any]:
        """See ``Order.identity``."""
        return {**super().identity(), "shuffle": self.shuffle}

    def indices(self, epoch: int) -> Indices:
        """See ``Order.indices``."""
        return subset(self._order, self.seed, epoch) if self.shuffle else self._order
