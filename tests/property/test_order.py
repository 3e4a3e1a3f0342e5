"""What holds of every order, length, batch and number of ranks."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from regioncache.data.order.draws import order_generator
from regioncache.data.order.ranks import TAILS
from regioncache.data.orders import (
    GroupedBatches,
    RandomOrder,
    RepeatFactorOrder,
    ReplacementOrder,
    SequentialOrder,
    SubsetOrder,
    WeightedOrder,
)
from regioncache.data.rng import sample_generator
from regioncache.data.samplers import OrderBatchSampler, OrderSampler

if TYPE_CHECKING:
    from regioncache.data.order.ranks import Tail
    from regioncache.data.orders import Order

RANKS = (1, 2, 3, 4, 7)
EPOCHS = st.integers(0, 2**40)
SEEDS = st.integers(0, 2**63 - 1)


@st.composite
def orders(draw: st.DrawFn) -> Order:
    length, seed = draw(st.integers(1, 90)), draw(SEEDS)
    kind = draw(st.integers(0, 6))
    numbers = np.random.default_rng(length).random(length)
    made: list[Order] = [
        SequentialOrder(length),
        RandomOrder(length, seed),
        ReplacementOrder(length, draw(st.integers(1, 90)), seed),
        SubsetOrder(np.flatnonzero(numbers <= numbers[0]), seed=seed),
        WeightedOrder(numbers, draw(st.integers(1, 90)), seed=seed),
        WeightedOrder(numbers, draw(st.integers(1, length)), replacement=False, seed=seed),
        RepeatFactorOrder(1 + numbers * 3, seed),
    ]
    return made[kind]


@settings(deadline=None)
@given(length=st.integers(1, 300), seed=SEEDS, epoch=EPOCHS, groups=st.integers(1, 5), batch=st.integers(1, 9))
def test_every_index_comes_once(length: int, seed: int, epoch: int, groups: int, batch: int) -> None:
    group_of = np.random.default_rng(length).integers(0, groups, length)
    for order in (SequentialOrder(length), RandomOrder(length, seed), GroupedBatches(group_of, batch, seed)):
        assert sorted(order.indices(epoch).tolist()) == list(range(length))


@settings(deadline=None)
@given(order=orders(), epoch=EPOCHS)
def test_an_order_is_a_function_of_its_arguments_and_keeps_its_length(order: Order, epoch: int) -> None:
    drawn = order.indices(epoch)
    assert len(drawn) == len(order)
    assert drawn.dtype == np.int32
    assert ((drawn >= 0) & (drawn < order.rows)).all()
    assert drawn.tolist() == order.indices(epoch).tolist()
    if not order.repeats:
        assert len(set(drawn.tolist())) == len(drawn)


@settings(deadline=None)
@given(order=orders(), batch=st.integers(1, 6), ranks=st.sampled_from(RANKS), tail=st.sampled_from(TAILS), epoch=EPOCHS)
def test_ranks_have_equally_many_batches_and_together_the_order(
    order: Order, batch: int, ranks: int, tail: Tail, epoch: int
) -> None:
    whole, together = order.indices(epoch).tolist(), batch * ranks
    if tail == "drop" and len(whole) < together:
        return
    samplers = [OrderBatchSampler(order, batch, rank=rank, ranks=ranks, tail=tail) for rank in range(ranks)]
    for sampler in samplers:
        sampler.set_epoch(epoch)
    shares = [list(sampler.marked_batches()) for sampler in samplers]
    steps = len(whole) // together if tail == "drop" else -(-len(whole) // together)
    assert {len(share) for share in shares} == {len(sampler) for sampler in samplers} == {steps}
    assert all(len(pairs) == batch for share in shares for pairs, _ in share)
    in_turn = [
        (pair[1], bool(mark))
        for step in zip(*shares, strict=True)
        for pairs, marks in step
        for pair, mark in zip(pairs, marks, strict=True)
    ]
    expected = [whole[place % len(whole)] for place in range(steps * together)]
    assert [index for index, _ in in_turn] == expected
    assert [mark for _, mark in in_turn] == [tail == "pad" and place >= len(whole) for place in range(len(expected))]


@settings(deadline=None)
@given(order=orders(), ranks=st.sampled_from(RANKS), batch=st.integers(1, 4), epoch=st.integers(0, 9))
def test_the_same_samples_under_any_number_of_ranks(order: Order, ranks: int, batch: int, epoch: int) -> None:
    alone = OrderSampler(order, batch * ranks)
    alone.set_epoch(epoch)
    several = [OrderBatchSampler(order, batch, rank=rank, ranks=ranks) for rank in range(ranks)]
    for sampler in several:
        sampler.set_epoch(epoch)
    assert list(alone) == list(chain.from_iterable(chain.from_iterable(zip(*several, strict=True))))


@settings(deadline=None)
@given(length=st.integers(1, 200), groups=st.integers(1, 4), batch=st.integers(1, 8), seed=SEEDS)
def test_only_leftovers_are_batched_with_other_groups(length: int, groups: int, batch: int, seed: int) -> None:
    group_of = np.random.default_rng(length).integers(0, groups, length)
    order = GroupedBatches(group_of, batch, seed).indices(0)
    full = sum(count // batch for count in Counter(group_of.tolist()).values())
    for start in range(0, full * batch, batch):
        assert len(set(group_of[order[start : start + batch]].tolist())) == 1
    assert length - full * batch <= groups * (batch - 1)


@settings(deadline=None)
@given(seed=SEEDS, epoch=EPOCHS, index=st.integers(0, 2**40), purpose=st.integers(1, 7))
def test_no_order_draws_the_numbers_of_a_sample(seed: int, epoch: int, index: int, purpose: int) -> None:
    ours = order_generator(seed, epoch, purpose, visit=index).random(4)  # type: ignore[arg-type]
    assert not set(ours.tolist()) & set(sample_generator(seed, epoch, index).random(4).tolist())
