"""Samplers for PyTorch's ``DataLoader``: an order, cut into batches for one rank, that can be resumed.

They yield ``(epoch, index)``, which ``ParquetRegionDataset`` takes, so that the epoch reaches every worker with the index:
persistent or not, forked or spawned. Where an order holds an index more than once in an epoch, the k-th repetition's first
number is epoch + k 2^32, so that the same image is augmented anew. torch is not needed here.

Every pass is an epoch: the first is epoch 0, the next 1, and so on; ``set_epoch`` says otherwise.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from regioncache.data.order.draws import draws_crc32
from regioncache.data.order.ranks import TAILS, batch_count, batch_of_rank
from regioncache.data.order.visits import Visits
from regioncache.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from regioncache.data.order.ranks import Tail
    from regioncache.data.orders import Order

Pair = tuple[int, int]
_REPETITION = 32


class _Sampler(ABC):
    """What both samplers are: global batches of an order, of which a rank takes its share."""

    def __init__(self, order: Order, batch_size: int, *, rank: int | None, ranks: int, tail: Tail) -> None:
        if batch_size < 1 or ranks < 1 or not (rank is None or 0 <= rank < ranks):
            raise ConfigError(f"batch_size={batch_size}, rank={rank}, ranks={ranks}: sizes are 1 or more, and rank < ranks")
        if tail not in TAILS:
            raise ConfigError(f"tail={tail!r} is none of {', '.join(TAILS)}")
        self.order, self.batch_size, self.rank, self.ranks, self.tail = order, batch_size, rank, ranks, tail
        self.global_batch = batch_size * ranks
        if self.global_batch % order.chunk:
            raise ConfigError(
                f"{type(order).__name__} was made for batches of {order.chunk}, but the global batch is {self.global_batch}"
                f" ({batch_size} on each of {ranks} ranks), which they do not fill"
            )
        self.steps = batch_count(len(order), self.global_batch, tail)
        self._next = self._at = (0, 0)

    @property
    def epoch(self) -> int:
        """The epoch that the next pass is."""
        return self._next[0]

    @property
    def step(self) -> int:
        """The step, counted in global batches, that the next pass begins with."""
        return self._next[1] // self.global_batch

    @property
    def padded(self) -> int:
        """How many samples of an epoch, of all ranks together, are repetitions that fill the last global batch."""
        return max(0, self.steps * self.global_batch - len(self.order))

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next pass is; it begins at its start, unless a state of that very epoch was loaded."""
        self._next = self._at = self._next if self._next[0] == epoch else (epoch, 0)

    def seek(self, epoch: int, step: int) -> None:
        """Let the next pass be an epoch from a step on."""
        self._next = self._at = (epoch, step * self.global_batch)

    def state_dict(self) -> dict[str, Any]:
        """The epoch, how many of its samples all ranks were given, and what must be the same to resume.

        Workers fetch ahead of the training loop: under a plain ``DataLoader`` with workers the position includes what they
        fetched. ``RegionLoader`` and torchdata's ``StatefulDataLoader`` count what the loop was given.
        """
        return self.state_at(*self._at)

    def state_at(self, epoch: int, position: int) -> dict[str, Any]:
        """The state after the first ``position`` samples of an epoch."""
        return {"epoch": epoch, "position": position, **self.identity()}

    def identity(self) -> dict[str, Any]:
        """What a state must have in common with this sampler; the rank and the number of ranks are not among it."""
        return {
            "global_batch": self.global_batch,
            "tail": self.tail,
            "order": self.order.identity(),
            "draws_crc32": draws_crc32(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Let the next pass go on behind the samples that the state says were given.

        Raises:
            ConfigError: the state is of another order, or of another global batch.
        """
        check_identity(state, self.identity())
        position = int(state["position"])
        if position % self.global_batch or not 0 <= position <= self.steps * self.global_batch:
            raise ConfigError(
                f"the state's position is {position}; expected a multiple of the global batch, {self.global_batch}, up to"
                f" {self.steps * self.global_batch}"
            )
        self._next = self._at = (int(state["epoch"]), position)

    def marked_batches(self) -> Iterator[tuple[list[Pair], NDArray[np.bool_]]]:
        """Each batch of this rank, with which of its samples only fill the last global batch, bool (batch_size,)."""
        epoch, position = self._next  # at the first batch: a loader with workers asks twice for an iterator
        self._next = (epoch + 1, 0)
        order = self.order.indices(epoch)
        visits = Visits(order[:position], self.order.rows) if self.order.repeats else None
        mine = range(self.ranks) if self.rank is None else (self.rank,)
        for step in range(position // self.global_batch, self.steps):
            again = np.zeros(self.global_batch, np.int64)
            if visits is not None:
                again = visits.count(batch_of_rank(order, step, batch_size=self.global_batch, rank=0, ranks=1)[0])
            for rank in mine:
                indices, behind = batch_of_rank(order, step, batch_size=self.batch_size, rank=rank, ranks=self.ranks)
                epochs = (again[rank * self.batch_size : (rank + 1) * self.batch_size] << _REPETITION) + epoch
                if rank == mine[-1]:
                    self._at = (epoch, (step + 1) * self.global_batch)
                yield list(zip(epochs.tolist(), indices.tolist(), strict=True)), behind & (self.tail == "pad")

    @abstractmethod
    def __len__(self) -> int:
        """What one pass over a whole epoch yields."""


class OrderBatchSampler(_Sampler):
    """For ``DataLoader(batch_sampler=...)``: lists of (epoch, index), equally many on every rank.

    Args:
        order: the order of an epoch.
        batch_size: samples of one rank in a step.
        rank: this process; None gives the batches of all ranks in turn, for a loader that deals them out itself, as that of
            ``accelerate`` and of the Hugging Face ``Trainer`` does.
        ranks: how many processes train together.
        tail: what becomes of the last samples when they do not fill a global batch (batch_size x ranks). ``pad`` fills it
            with samples from the start of the epoch, which ``padded`` counts and ``RegionLoader`` marks; ``wrap`` does so
            and does not mark them; ``drop`` leaves them out.

    Raises:
        ConfigError: an argument cannot be used, or an epoch has no batch.
    """

    drop_last = False  # read by accelerate; no batch is ever short

    def __init__(self, order: Order, batch_size: int, *, rank: int | None = 0, ranks: int = 1, tail: Tail = "pad") -> None:
        super().__init__(order, batch_size, rank=rank, ranks=ranks, tail=tail)

    def __len__(self) -> int:
        return self.steps * (self.ranks if self.rank is None else 1)

    def __iter__(self) -> Iterator[list[Pair]]:
        for pairs, _ in self.marked_batches():
            yield pairs


class OrderSampler(_Sampler):
    """For ``DataLoader(sampler=...)``: one (epoch, index) after the other.

    Args:
        order: the order of an epoch.
        batch_size: with several ranks, the ``batch_size`` of the loader; 1 otherwise.
        rank: this process.
        ranks: how many processes train together; leave it at 1 where the loader deals batches out itself.
        tail: see ``OrderBatchSampler``; matters only where batch_size x ranks is more than 1.

    Raises:
        ConfigError: an argument cannot be used, or an epoch has no batch.
    """

    def __init__(self, order: Order, batch_size: int = 1, *, rank: int = 0, ranks: int = 1, tail: Tail = "pad") -> None:
        super().__init__(order, batch_size, rank=rank, ranks=ranks, tail=tail)

    def __len__(self) -> int:
        return self.steps * self.batch_size

    def __iter__(self) -> Iterator[Pair]:
        for pairs, _ in self.marked_batches():
            yield from pairs


def check_identity(state: Mapping[str, Any], expected: Mapping[str, Any], where: str = "") -> None:
    """Refuse a state that is of something else.

    Raises:
        ConfigError: names the first difference, with both values.
    """
    for name, value in expected.items():
        found = state.get(name)
        if isinstance(value, dict) and isinstance(found, dict):
            check_identity(found, value, f"{where}{name}.")
        elif found != value:
            raise ConfigError(
                f"the state cannot be resumed here: {where}{name} was {found!r} when it was saved and is {value!r} now."
                f" {_REMEDIES.get(name, 'Make the same order, or start anew')}"
            )


_REMEDIES = {
    "global_batch": "Keep batch_size x ranks as it was: then any number of ranks resumes exactly",
    "draws_crc32": "This numpy turns random bits into other draws; resume with the version that the run was begun with",
}
