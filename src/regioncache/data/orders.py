"""Orders of the samples of one dataset, as objects: what an epoch holds, and what must be the same to resume it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from regioncache.data.order.draws import array_crc32, counting, index_dtype
from regioncache.data.order.groups import grouped_batches
from regioncache.data.order.permutation import permutation, subset, with_replacement
from regioncache.data.order.repeat_factor import epoch_length, repeated
from regioncache.data.order.weighted import weighted_with_replacement, weighted_without_replacement
from regioncache.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from regioncache.data.order.draws import Indices

_MOST = 1 << 40  # samples or batches; a mistyped number is refused before memory is asked for


class Order(ABC):
    """The order of the samples in every epoch; a function of the epoch alone.

    Attributes:
        rows: indices are smaller than this.
        repeats: whether an index may come more than once in an epoch.
        chunk: every that many indices belong together in one batch; 1 where batches may be cut anywhere.
    """

    rows: int
    repeats = False
    chunk = 1

    @abstractmethod
    def __len__(self) -> int:
        """Samples of an epoch; the same in every epoch."""

    @abstractmethod
    def indices(self, epoch: int) -> Indices:
        """The indices of an epoch in order, int32 or int64 (len,)."""

    def identity(self) -> dict[str, Any]:
        """What two orders must have in common to be the same order: whole numbers and texts."""
        return {"kind": type(self).__name__, "length": len(self), "rows": self.rows, **self._arguments()}

    def _arguments(self) -> dict[str, Any]:
        return {}


class SequentialOrder(Order):
    """All samples as they are stored.

    Args:
        rows: samples of the dataset.
    """

    def __init__(self, rows: int) -> None:
        self.rows = check_count("rows", rows)

    def __len__(self) -> int:
        return self.rows

    def indices(self, epoch: int) -> Indices:  # noqa: ARG002  (the same in every epoch)
        """See ``Order.indices``."""
        return counting(self.rows)


class RandomOrder(Order):
    """All samples in random order, another in each epoch: a permutation of all of them, not of a buffer.

    Args:
        rows: samples of the dataset.
        seed: the run's seed.
    """

    def __init__(self, rows: int, seed: int = 0) -> None:
        self.rows, self.seed = check_count("rows", rows), seed

    def __len__(self) -> int:
        return self.rows

    def indices(self, epoch: int) -> Indices:
        """See ``Order.indices``."""
        return permutation(self.rows, self.seed, epoch)

    def _arguments(self) -> dict[str, Any]:
        return {"seed": self.seed}


class ReplacementOrder(Order):
    """Independent even draws.

    Args:
        rows: samples of the dataset.
        num_samples: draws of an epoch.
        seed: the run's seed.
    """

    repeats = True

    def __init__(self, rows: int, num_samples: int, seed: int = 0) -> None:
        self.rows, self.num_samples, self.seed = check_count("rows", rows), check_count("num_samples", num_samples), seed

    def __len__(self) -> int:
        return self.num_samples

    def indices(self, epoch: int) -> Indices:
        """See ``Order.indices``."""
        return with_replacement(self.rows, self.num_samples, self.seed, epoch)

    def _arguments(self) -> dict[str, Any]:
        return {"seed": self.seed}


class SubsetOrder(Order):
    """Some samples only.

    Args:
        indices: which, 0 or more; one that is given twice comes twice.
        shuffle: in random order, another in each epoch; else as given.
        seed: the run's seed.
    """

    def __init__(self, indices: ArrayLike, *, shuffle: bool = True, seed: int = 0) -> None:
        chosen = np.asarray(indices)
        if chosen.ndim != 1 or not chosen.size or not np.issubdtype(chosen.dtype, np.integer) or chosen.min() < 0:
            raise ConfigError(f"a subset is a list of indices of 0 or more, not {chosen.dtype} {chosen.shape}")
        self.rows = int(chosen.max()) + 1
        self.repeats = len(np.unique(chosen)) < len(chosen)
        self._chosen: Indices = chosen.astype(index_dtype(self.rows))
        self.shuffle, self.seed = shuffle, seed

    def __len__(self) -> int:
        return len(self._chosen)

    def indices(self, epoch: int) -> Indices:
        """See ``Order.indices``."""
        return subset(self._chosen, self.seed, epoch) if self.shuffle else self._chosen

    def _arguments(self) -> dict[str, Any]:
        return {"seed": self.seed, "shuffle": self.shuffle, "indices_crc32": array_crc32(self._chosen)}


class WeightedOrder(Order):
    """Draws in proportion to weights.

    Args:
        weights: (rows,), one for each sample, 0 or more.
        num_samples: draws of an epoch; without replacement at most the number of positive weights.
        replacement: whether a sample may be drawn again within an epoch.
        seed: the run's seed.

    Raises:
        ConfigError: a weight is negative or not finite, all are 0, or there are too few to draw from.
    """

    def __init__(self, weights: ArrayLike, num_samples: int, *, replacement: bool = True, seed: int = 0) -> None:
        self._weights = as_numbers("weights", weights)
        positive = int(np.count_nonzero(self._weights))
        self.rows, self.num_samples = len(self._weights), check_count("num_samples", num_samples)
        self.repeats, self.seed = replacement, seed
        if not positive or (not replacement and num_samples > positive):
            raise ConfigError(
                f"num_samples={num_samples}, replacement={replacement}: only {positive} of {self.rows} weights are above 0"
            )

    def __len__(self) -> int:
        return self.num_samples

    def indices(self, epoch: int) -> Indices:
        """See ``Order.indices``."""
        draw = weighted_with_replacement if self.repeats else weighted_without_replacement
        return draw(self._weights, self.num_samples, self.seed, epoch)

    def _arguments(self) -> dict[str, Any]:
        return {"seed": self.seed, "replacement": self.repeats, "weights_crc32": array_crc32(self._weights)}


class RepeatFactorOrder(Order):
    """Samples with rare categories more often; see ``repeat_factors`` for LVIS' factors.

    Args:
        factors: (rows,), how often an epoch holds each sample on average.
        seed: the run's seed.

    Raises:
        ConfigError: a factor is negative or not finite, or an epoch would hold nothing.
    """

    repeats = True

    def __init__(self, factors: ArrayLike, seed: int = 0) -> None:
        self._factors = as_numbers("factors", factors)
        self.rows, self.seed = len(self._factors), seed
        self._length = check_count("the sum of all factors", epoch_length(self._factors))

    def __len__(self) -> int:
        return self._length

    def indices(self, epoch: int) -> Indices:
        """See ``Order.indices``."""
        return repeated(self._factors, self.seed, epoch)

    def _arguments(self) -> dict[str, Any]:
        return {"seed": self.seed, "factors_crc32": array_crc32(self._factors)}


class GroupedBatches(Order):
    """All samples, in batches of one group each: images of like shape, or of like numbers of regions.

    Args:
        groups: (rows,), the group of each sample, from 0; see ``aspect_ratio_groups`` and ``region_count_groups``.
        batch_size: samples that belong together: of one rank, or of all ranks. The last batches, of what is left of each
            group, are mixed.
        seed: the run's seed.
    """

    def __init__(self, groups: ArrayLike, batch_size: int, seed: int = 0) -> None:
        self._groups = np.asarray(groups)
        if self._groups.ndim != 1 or not np.issubdtype(self._groups.dtype, np.integer) or self._groups.min(initial=0) < 0:
            raise ConfigError(f"groups are whole numbers from 0 on, one a sample, not {self._groups.dtype} {self._groups.shape}")
        self.rows, self.chunk, self.seed = check_count("rows", len(self._groups)), check_count("batch_size", batch_size), seed

    def __len__(self) -> int:
        return self.rows

    def indices(self, epoch: int) -> Indices:
        """See ``Order.indices``."""
        return grouped_batches(self._groups, self.chunk, self.seed, epoch)

    def _arguments(self) -> dict[str, Any]:
        return {"seed": self.seed, "batch_size": self.chunk, "groups_crc32": array_crc32(self._groups)}


def check_count(name: str, count: int) -> int:
    """The count as a plain int.

    Raises:
        ConfigError: it is less than 1, or more than any order can hold.
    """
    if count < 1:
        raise ConfigError(f"{name} is {count}; an order needs at least 1")
    if count > _MOST:
        raise ConfigError(f"{name} is {count}; an order holds at most {_MOST}")
    return int(count)


def as_numbers(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Values as float64 (n,).

    Raises:
        ConfigError: there are none, or one is negative or not finite.
    """
    numbers = np.asarray(values, np.float64)
    wrong = np.flatnonzero(~(np.isfinite(numbers) & (numbers >= 0))) if numbers.ndim == 1 else None
    if wrong is None or not len(numbers):
        raise ConfigError(f"{name} are one number for each sample, not an array of shape {numbers.shape}")
    if len(wrong):
        raise ConfigError(f"{name}[{wrong[0]}] is {numbers[wrong[0]]}; expected a finite number of 0 or more")
    return numbers
