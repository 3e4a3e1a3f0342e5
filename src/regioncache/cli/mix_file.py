"""A mix of caches as a YAML file, or as options, says it.

::

    sources:
      coco: {cache: .data.cache/coco_panoptic/train, weight: 2}
      vg: {cache: .data.cache/visual_genome/train, weight: 1}
    batches: ratio        # mixed (default), ratio: the weights inside every batch, one_source: every batch from one source
    batch_size: 8         # of one rank
    ranks: 4
    stop: exhaust_once    # or stop_first (default), or repeat with epoch_length
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from regioncache.data.mix_orders import RatioBatches, RepeatMix, SourceBatches, WeightedMix
from regioncache.entry_problems import explain
from regioncache.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from regioncache.data.mix_sources import MixOrder

Count = Annotated[int, msgspec.Meta(ge=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
Stop = Literal["stop_first", "exhaust_once", "repeat"]
Batches = Literal["mixed", "ratio", "one_source"]


class MixSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One source of a mix.

    Args:
        cache: a cache folder, or a Parquet file of samples.
        weight: its part of the mix beside the others' weights.
        repeat: how often an epoch holds it.
    """

    cache: Annotated[str, msgspec.Meta(min_length=1)]
    weight: Positive | None = None
    repeat: Positive | None = None


class Mix(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mix of caches.

    Args:
        sources: by name.
        batches: what a batch holds.
        batch_size: samples of one rank in a step.
        ranks: processes that train together.
        stop: when an epoch ends.
        epoch_length: samples of an epoch; stands for ``stop: repeat``.
    """

    sources: Annotated[dict[str, MixSource], msgspec.Meta(min_length=1)]
    batches: Batches = "mixed"
    batch_size: Count | None = None
    ranks: Count = 1
    stop: Stop | None = None
    epoch_length: Count | None = None


def mix_of(value: Any, where: str) -> Mix:  # noqa: ANN401  (whatever the YAML file holds)
    """A mix from plain values.

    Args:
        value: as read.
        where: the file, for errors.

    Raises:
        ConfigError: a value breaks a rule; names the key and what was found.
    """
    try:
        return msgspec.convert(value, Mix)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {explain(value, error, {'sources': MixSource}, _CHOICES)}") from error


_CHOICES = {"stop": Stop, "batches": Batches}


def order_of(mix: Mix, lengths: Mapping[str, int]) -> MixOrder:
    """The order that a mix means.

    Args:
        mix: as it was written.
        lengths: samples of each source.

    Raises:
        ConfigError: its parts do not fit together, or do not fit the sources.
    """
    weights = {name: source.weight for name, source in mix.sources.items() if source.weight is not None}
    repeats = {name: source.repeat for name, source in mix.sources.items() if source.repeat is not None}
    if weights and repeats:
        raise ConfigError("a mix is by weight or by repeat; give all of its sources the one or the other")
    if mix.batches != "mixed" and mix.batch_size is None:
        raise ConfigError(f"batches={mix.batches!r} needs batch_size")
    stop: Stop = mix.stop or ("repeat" if mix.epoch_length else "stop_first")
    if mix.batches == "mixed" and not weights:
        if mix.stop or mix.epoch_length:
            raise ConfigError(
                "without weights every source comes as often as its repeat says; stop and epoch_length need weights"
            )
        return RepeatMix(lengths, {**dict.fromkeys(mix.sources, 1.0), **repeats})
    if repeats:
        raise ConfigError(f"batches={mix.batches!r} are by weight, not by repeat")
    if mix.batches == "mixed":
        return WeightedMix(lengths, weights, stop=stop, epoch_length=mix.epoch_length)
    size = mix.batch_size or 1
    if mix.batches == "ratio":
        return RatioBatches(lengths, weights, size, stop=stop, epoch_length=mix.epoch_length)
    return SourceBatches(lengths, size, weights or None, stop=stop, epoch_length=mix.epoch_length)
