"""What all mixes of sources share."""

from __future__ import annotations

from abc import abstractmethod
from math import isfinite
from typing import TYPE_CHECKING, Any

from regioncache.data.order.shares import shares_of
from regioncache.data.orders import Order
from regioncache.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from fractions import Fraction


class MixOrder(Order):
    """An order of named sources, and a fixed number of samples of each in every epoch.

    Within an epoch a row comes as often as any other row of its source, or once more; where an epoch takes only a part of a
    source, the next epoch goes on with other rows. See ``rows_of_source``.

    Args:
        sources: the number of samples of each source; ``MixedDataset.lengths``.
        seed: the run's seed.

    Raises:
        ConfigError: there is no source, or one is empty.
    """

    repeats = True

    def __init__(self, sources: Mapping[str, int], seed: int) -> None:
        if not sources:
            raise ConfigError("a mix needs at least one source")
        for name, length in sources.items():
            if length < 1:
                raise ConfigError(f"source {name!r} is empty; leave it out of the mix, or look at its rejects")
        self.sources, self.seed = dict(sources), seed
        self.rows = sum(sources.values())

    @property
    def lengths(self) -> list[int]:
        """Samples of each source."""
        return list(self.sources.values())

    @property
    @abstractmethod
    def counts(self) -> dict[str, int]:
        """Samples of each source in every epoch."""

    def __len__(self) -> int:
        return sum(self.counts.values())

    def identity(self) -> dict[str, Any]:
        """See ``Order.identity``."""
        return {**super().identity(), "seed": self.seed, "sources": self.sources, "counts": self.counts}

    def named(self, what: str, values: Mapping[str, float]) -> list[float]:
        """One positive number for each source, in the order of the sources."""
        if set(values) != set(self.sources):
            raise ConfigError(f"{what} are for {', '.join(values) or 'no source'}; the sources are {', '.join(self.sources)}")
        for name, value in values.items():
            if not (isfinite(value) and value > 0):
                raise ConfigError(f"{what}: {name!r} has {value}; expected a number above 0, or leave the source out")
        return [values[name] for name in self.sources]

    def shares(self, weights: Mapping[str, float] | None) -> list[Fraction]:
        """The weights, or the lengths without any, divided by their sum.

        Raises:
            ConfigError: a weight is missing or cannot be used.
        """
        shares = shares_of(self.named("weights", weights or self.sources))
        for name, share in zip(self.sources, shares, strict=True):
            if not share:
                raise ConfigError(f"weights: {name!r} has less than a millionth of all; leave it out, or give it more")
        return shares
