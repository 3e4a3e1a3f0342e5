"""``MixedDataset``: several datasets as one."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Any, TypeVar

from regioncache.cache.layout import TOKENS, sidecar_folder
from regioncache.data.fields import Fields
from regioncache.data.open_cache import read_tokenizer_info
from regioncache.errors import ConfigError, TokenizerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from regioncache.data.dataset import ParquetRegionDataset
    from regioncache.data.open_cache import TokenizerInfo

Value = TypeVar("Value")


class MixedDataset:
    """The samples of several datasets one source after the other, each with its source's name under ``source``.

    Sources need not have the same things: where some have masks, tokens, points or images and others do not, the collator
    fills in the rest and says in ``has_masks``, ``has_tokens``, ``has_points`` and ``has_image`` what is real. How sources are
    mixed is said by an order: ``WeightedMix``, ``RepeatMix``, ``RatioBatches``, ``SourceBatches``, ``InterleavedMix``.

    Args:
        sources: datasets by name; their order gives the indices.

    Raises:
        ConfigError: there is no source, one is empty, or two have masks of different kinds or boxes in different frames.
        TokenizerError: the tokens of two sources come from different tokenizers.
    """

    def __init__(self, sources: Mapping[str, ParquetRegionDataset]) -> None:
        if not sources:
            raise ConfigError("a mix needs at least one source")
        self.sources = dict(sources)
        self.lengths = {name: len(dataset) for name, dataset in sources.items()}
        for name, length in self.lengths.items():
            if not length:
                raise ConfigError(f"source {name!r} is empty; leave it out of the mix, or look at its rejects")
        self._names = list(sources)
        self._ends = list(accumulate(self.lengths.values()))
        _agreed(sources, "the frame of the boxes", lambda dataset: dataset.frame.name)
        self.fields = Fields(
            _agreed_tokenizer(sources),
            _agreed(sources, "the kind of masks", lambda dataset: dataset.masks),
            any(dataset.prompts is not None for dataset in sources.values()),
            any(dataset.image is not None for dataset in sources.values()),
        )

    def __len__(self) -> int:
        return self._ends[-1]

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that ``dataset[i]`` draws for; see ``ParquetRegionDataset.set_epoch``."""
        for dataset in self.sources.values():
            dataset.set_epoch(epoch)

    def locate(self, index: int) -> tuple[str, int]:
        """The source of an index, and the row in it.

        Raises:
            IndexError: there is no such row.
        """
        count = len(self)
        if not -count <= index < count:
            raise IndexError(f"sample {index} of a mix of {count}")
        index %= count
        source = bisect_right(self._ends, index)
        return self._names[source], index - (self._ends[source - 1] if source else 0)

    def __getitem__(self, index: int | tuple[int, int]) -> dict[str, Any]:
        """The sample at ``index``, or at ``(epoch, index)``, with ``source`` and ``fields``, which the collator reads."""
        if isinstance(index, tuple):
            name, row = self.locate(index[1])
            sample = self.sources[name][index[0], row]
        else:
            name, row = self.locate(int(index))
            sample = self.sources[name][row]
        return {**sample, "source": name, "fields": self.fields}


def _agreed(
    sources: Mapping[str, ParquetRegionDataset], what: str, value_of: Callable[[ParquetRegionDataset], Value | None]
) -> Value | None:
    """The value of all sources that have one."""
    found: dict[Value, str] = {}
    for name, dataset in sources.items():
        value = value_of(dataset)
        if value is not None:
            found.setdefault(value, name)
    if len(found) > 1:
        named = ", ".join(f"{value} in {name!r}" for value, name in found.items())
        raise ConfigError(f"{what} must be the same in all sources of a mix; found {named}")
    return next(iter(found), None)


def _agreed_tokenizer(sources: Mapping[str, ParquetRegionDataset]) -> TokenizerInfo | None:
    found: dict[TokenizerInfo, str] = {}
    for name, dataset in sources.items():
        if dataset.tokens is not None:
            for path in dataset.paths:
                cache = path.parent.parent if path.is_file() else path
                found.setdefault(read_tokenizer_info(sidecar_folder(cache, TOKENS, dataset.tokens)), name)
    if len(found) > 1:
        named = ", ".join(f"key {one.key} in {name!r}" for one, name in found.items())
        raise TokenizerError(f"a mix has tokens of two tokenizers: {named}. Build all caches with the same tokenizer")
    return next(iter(found), None)
