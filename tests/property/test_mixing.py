"""The count formulas of every mix, and what each row gets."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from regioncache.data.mix_orders import RatioBatches, RepeatMix, SourceBatches, WeightedMix
from regioncache.data.order.shares import STOPS
from regioncache.errors import ConfigError

SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=4)
TENTHS = st.integers(1, 30)


def named(values: list[int]) -> dict[str, int]:
    return {f"source {k}": value for k, value in enumerate(values)}


@st.composite
def mixes(draw: st.DrawFn) -> tuple[dict[str, int], dict[str, float], dict[str, Fraction]]:
    """Sources, weights in tenths, and the same weights divided by their sum, exactly."""
    lengths = draw(SIZES)
    tenths = draw(st.lists(TENTHS, min_size=len(lengths), max_size=len(lengths)))
    shares = {name: Fraction(one, sum(tenths)) for name, one in named(tenths).items()}
    return named(lengths), {name: one / 10 for name, one in named(tenths).items()}, shares


def held(order: WeightedMix | RepeatMix | RatioBatches | SourceBatches, epochs: int) -> list[dict[str, list[list[int]]]]:
    """By epoch and source, how often each row comes."""
    starts = np.cumsum([0, *order.sources.values()])
    found = []
    for epoch in range(epochs):
        rows = np.bincount(order.indices(epoch), minlength=starts[-1])
        parts = zip(order.sources, starts, starts[1:], strict=False)
        found.append({name: rows[start:end] for name, start, end in parts})
    return found


def check_rows(order: WeightedMix | RepeatMix | RatioBatches | SourceBatches, stop: str) -> None:
    epochs = held(order, 4)
    for name, length in order.sources.items():
        count = order.counts[name]
        for epoch in epochs:
            assert sum(epoch[name]) == count
            assert max(epoch[name]) - min(epoch[name]) <= 1
        over_epochs = np.sum([epoch[name] for epoch in epochs], axis=0)
        assert over_epochs.max() - over_epochs.min() <= 1
        if stop == "stop_first":
            assert count <= length
        if stop == "exhaust_once":
            assert count >= length
    assert len(order) == sum(order.counts.values()) == len(order.indices(1))


@settings(deadline=None)
@given(mix=mixes(), stop=st.sampled_from(STOPS), length=st.integers(1, 100), seed=st.integers(0, 99))
def test_weighted_mixes_keep_their_formula(
    mix: tuple[dict[str, int], dict[str, float], dict[str, Fraction]], stop: str, length: int, seed: int
) -> None:
    sources, weights, shares = mix
    ends = [sources[name] / shares[name] for name in sources]
    total = {"stop_first": floor(min(ends)), "exhaust_once": ceil(max(ends)), "repeat": length}[stop]
    order = WeightedMix(sources, weights, stop=stop, epoch_length=length if stop == "repeat" else None, seed=seed)  # type: ignore[arg-type]
    assert len(order) == total
    for name, share in shares.items():
        assert order.counts[name] in {floor(share * total), ceil(share * total)}
    check_rows(order, stop)


@settings(deadline=None)
@given(lengths=SIZES, quarters=st.lists(st.integers(2, 14), min_size=4, max_size=4), seed=st.integers(0, 99))
def test_repeat_mixes_keep_their_formula(lengths: list[int], quarters: list[int], seed: int) -> None:
    sources = named(lengths)
    repeats = {name: quarter / 4 for name, quarter in zip(sources, quarters, strict=False)}
    order = RepeatMix(sources, repeats, seed=seed)
    assert order.counts == {name: floor(sources[name] * Fraction(repeats[name]) + Fraction(1, 2)) for name in sources}
    check_rows(order, "repeat")


@settings(deadline=None)
@given(mix=mixes(), stop=st.sampled_from(STOPS), batch=st.integers(1, 12), batches=st.integers(1, 30), seed=st.integers(0, 99))
def test_ratios_hold_in_every_batch_and_stop_as_they_should(
    mix: tuple[dict[str, int], dict[str, float], dict[str, Fraction]], stop: str, batch: int, batches: int, seed: int
) -> None:
    sources, weights, shares = mix
    length = batch * batches if stop == "repeat" else None
    try:
        order = RatioBatches(sources, weights, batch, stop=stop, epoch_length=length, seed=seed)  # type: ignore[arg-type]
    except ConfigError as error:
        assert stop == "stop_first"
        assert "the number of batches of an epoch is 0" in str(error)  # noqa: PT017  (only this reason is allowed)
        return
    ends = np.cumsum(list(sources.values()))
    table = np.searchsorted(ends, order.indices(2), side="right").reshape(-1, batch)
    taken = np.stack([(table == k).sum(axis=1) for k in range(len(sources))], axis=1)
    quotas = [share * batch for share in shares.values()]
    for k, quota in enumerate(quotas):
        assert set(taken[:, k].tolist()) <= {floor(quota), ceil(quota)}
    cycle = np.lcm.reduce([quota.denominator for quota in quotas])
    for start in range(len(taken) - cycle + 1):
        assert taken[start : start + cycle].sum(axis=0).tolist() == [quota * cycle for quota in quotas]
    if stop == "exhaust_once":
        assert not (taken[:-1].sum(axis=0) >= list(sources.values())).all()
    elif stop == "repeat":
        assert len(taken) == batches
    else:
        longer = RatioBatches(sources, weights, batch, stop="repeat", epoch_length=len(order) + batch)
        assert any(longer.counts[name] > sources[name] for name in sources)
    check_rows(order, stop)


@settings(deadline=None)
@given(mix=mixes(), stop=st.sampled_from(STOPS), batch=st.integers(1, 6), batches=st.integers(1, 30), seed=st.integers(0, 99))
def test_batches_of_one_source_keep_their_formula(
    mix: tuple[dict[str, int], dict[str, float], dict[str, Fraction]], stop: str, batch: int, batches: int, seed: int
) -> None:
    sources, weights, shares = mix
    whole = {
        "stop_first": floor(min(sources[name] // batch / shares[name] for name in sources)),
        "exhaust_once": ceil(max(-(-sources[name] // batch) / shares[name] for name in sources)),
        "repeat": batches,
    }[stop]
    length = batch * batches + batch - 1 if stop == "repeat" else None
    if not whole:
        return
    order = SourceBatches(sources, batch, weights, stop=stop, epoch_length=length, seed=seed)  # type: ignore[arg-type]
    assert len(order) == whole * batch
    table = np.searchsorted(np.cumsum(list(sources.values())), order.indices(3), side="right").reshape(-1, batch)
    assert (table == table[:, :1]).all()
    check_rows(order, stop)
