"""Loaders that know exactly what the training loop was given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from regioncache.data.collate import RegionCollator
from regioncache.data.order.shares import check_stop
from regioncache.data.samplers import check_identity
from regioncache.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from regioncache.data.order.shares import Stop
    from regioncache.data.samplers import OrderBatchSampler


class RegionLoader:
    """A ``DataLoader`` over a dataset in the order of a batch sampler, with exact state.

    Its state counts the batches that the loop was given, not those that workers fetched ahead: save it after any step, and a
    loader that loads it goes on with the next batch, bit for bit, under any number of workers, and of ranks if
    batch_size x ranks stays. Every pass is an epoch, as with the sampler; a state at the end of an epoch resumes to an empty
    rest of it. With ``tail="pad"`` every batch has ``is_padding``, bool (B,): samples that only fill the last global batch.

    Args:
        dataset: samples by (epoch, index): a ``ParquetRegionDataset`` or ``MixedDataset``.
        batches: the batches of this rank; not to be shared with another loader.
        collate: makes a batch of samples; None takes ``RegionCollator()``.
        options: of ``torch.utils.data.DataLoader``: ``num_workers``, ``persistent_workers``, ``multiprocessing_context``,
            ``prefetch_factor``, ``pin_memory``, ``timeout``.

    Raises:
        ConfigError: the sampler is one for loaders that deal batches out, or its order does not fit the dataset.
    """

    def __init__(
        self,
        dataset: Any,  # noqa: ANN401  (any map-style dataset of dicts)
        batches: OrderBatchSampler,
        collate: Callable[[Sequence[Mapping[str, Any]]], dict[str, Any]] | None = None,
        **options: Any,  # noqa: ANN401  (those of DataLoader)
    ) -> None:
        from torch.utils.data import DataLoader  # noqa: PLC0415  (torch is an extra)

        if batches.rank is None:
            raise ConfigError("rank=None gives the batches of all ranks in turn; a RegionLoader needs those of its own rank")
        if batches.order.rows > len(dataset):
            raise ConfigError(f"the order is of {batches.order.rows} samples, the dataset has {len(dataset)}")
        mixed, mix = (getattr(one, name, None) for one, name in ((dataset, "lengths"), (batches.order, "sources")))
        if mixed is not None and mix is not None and list(mixed.items()) != list(mix.items()):
            raise ConfigError(f"the order mixes {mix}, but the dataset's sources are {mixed}, in that order")
        self.batches = batches
        marked = batches.tail == "pad"
        rows: Any = _MarkedDataset(dataset) if marked else dataset
        self.loader: DataLoader[Any] = DataLoader(
            rows,
            batch_sampler=_MarkedBatches(batches) if marked else batches,
            collate_fn=collate or RegionCollator(),
            **options,
        )
        self._given: tuple[int, int] | None = None

    def __len__(self) -> int:
        return self.batches.steps

    @property
    def epoch(self) -> int:
        """The epoch that the next pass is."""
        return self.batches.epoch

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next pass is; it begins at its start, unless a state of that very epoch was loaded."""
        self.batches.set_epoch(epoch)
        self._given = None

    def __iter__(self) -> Iterator[dict[str, Any]]:
        epoch, step = self.batches.epoch, self.batches.step
        self._given = epoch, step
        for batch in self.loader:
            step += 1
            self._given = epoch, step
            yield batch

    def stream(self, first: int) -> Iterator[dict[str, Any]]:
        """Batches without end, epoch after epoch, from the ``first``-th of all on."""
        epoch, step = divmod(first, len(self))
        while True:
            self.batches.seek(epoch, step)
            yield from self
            epoch, step = epoch + 1, 0

    def state_dict(self) -> dict[str, Any]:
        """The epoch, how many of its samples the loops of all ranks were given, and what must be the same to resume."""
        if self._given is None:
            return self.batches.state_dict()
        return self.batches.state_at(self._given[0], self._given[1] * self.batches.global_batch)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Let the next pass go on behind the state.

        Raises:
            ConfigError: the state is of another order, or of another global batch.
        """
        self.batches.load_state_dict(state)
        self._given = None


class JointLoader:
    """One batch of every source in each step: ``{"coco": batch, "o365": batch}``.

    Each source has a loader of its own, with its own order and batch size. Its batches follow one another without end: where
    a source's epoch ends its next one begins, and an epoch of this loader begins where the last one ended in every source. So
    epoch e is the steps e L to (e + 1) L of every source, and (epoch, position) is the whole state. The length L of an epoch,
    with m_j the batches of an epoch of source j:

    - ``stop_first``: min m_j;
    - ``exhaust_once``: max m_j;
    - ``repeat``: ``steps``.

    Args:
        loaders: by source.
        stop: the rule.
        steps: batches of an epoch; with ``repeat``, and only there.

    Raises:
        ConfigError: there is no source, or the rule and ``steps`` do not fit.
    """

    def __init__(self, loaders: Mapping[str, RegionLoader], stop: Stop = "stop_first", *, steps: int | None = None) -> None:
        if not loaders:
            raise ConfigError("a joint loader needs at least one source")
        check_stop(stop, "steps", steps)
        lengths = [len(loader) for loader in loaders.values()]
        self.loaders, self.stop = dict(loaders), stop
        self._steps = steps or (min(lengths) if stop == "stop_first" else max(lengths))
        self._next = self._given = (0, 0)

    def __len__(self) -> int:
        return self._steps

    @property
    def epoch(self) -> int:
        """The epoch that the next pass is."""
        return self._next[0]

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next pass is; it begins at its start, unless a state of that very epoch was loaded."""
        self._next = self._given = self._next if self._next[0] == epoch else (epoch, 0)

    def __iter__(self) -> Iterator[dict[str, dict[str, Any]]]:
        epoch, first = self._given = self._next
        self._next = (epoch + 1, 0)
        streams = {name: loader.stream(epoch * len(self) + first) for name, loader in self.loaders.items()}
        for step in range(first, len(self)):
            batches = {name: next(stream) for name, stream in streams.items()}
            self._given = (epoch, step + 1)
            yield batches

    def state_dict(self) -> dict[str, Any]:
        """The epoch, how many of its steps the loop was given, and what must be the same to resume."""
        return {"epoch": self._given[0], "position": self._given[1], **self._identity()}

    def _identity(self) -> dict[str, Any]:
        sources = {name: loader.batches.identity() for name, loader in self.loaders.items()}
        return {"steps": len(self), "sources": sources}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Let the next pass go on behind the state.

        Raises:
            ConfigError: the state is of other sources, orders or lengths.
        """
        check_identity(state, self._identity())
        self._next = self._given = (int(state["epoch"]), int(state["position"]))


class _MarkedBatches:
    """A sampler's batches as (epoch, index, whether it only fills the last batch)."""

    def __init__(self, batches: OrderBatchSampler) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[tuple[int, int, bool]]]:
        for pairs, marks in self.batches.marked_batches():
            yield [(*pair, mark) for pair, mark in zip(pairs, marks.tolist(), strict=True)]


class _MarkedDataset:
    """Samples that say whether they only fill the last batch."""

    def __init__(self, dataset: Any) -> None:  # noqa: ANN401  (any map-style dataset of dicts)
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: tuple[int, int, bool]) -> dict[str, Any]:
        return {**self.dataset[index[:2]], "is_padding": index[2]}
