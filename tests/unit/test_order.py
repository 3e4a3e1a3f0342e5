"""Orders as formulas and peers have them, and the samplers that cut them."""

from __future__ import annotations

from collections import Counter
from itertools import chain, islice
from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from regioncache import ParquetRegionDataset
from regioncache.data.columns import image_sizes_hw, region_categories, region_counts
from regioncache.data.mixing import MixedDataset
from regioncache.data.order.groups import aspect_ratio_groups, region_count_groups
from regioncache.data.order.repeat_factor import repeat_factors
from regioncache.data.orders import (
    GroupedBatches,
    RandomOrder,
    RepeatFactorOrder,
    ReplacementOrder,
    SequentialOrder,
    SubsetOrder,
    WeightedOrder,
)
from regioncache.data.samplers import OrderBatchSampler, OrderSampler
from regioncache.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from regioncache.data.orders import Order


def test_sequential_is_as_stored() -> None:
    assert SequentialOrder(5).indices(3).tolist() == [0, 1, 2, 3, 4]


def test_an_index_takes_four_bytes_below_two_to_the_31() -> None:
    assert RandomOrder(10).indices(0).dtype == np.int32
    assert ReplacementOrder(2**31 + 7, 5).indices(0).dtype == np.int64


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    orders = [tuple(RandomOrder(50, seed).indices(epoch)) for seed in range(3) for epoch in range(3)]
    assert len(set(orders)) == 9
    assert tuple(RandomOrder(50, 2).indices(1)) == orders[7]


def test_every_place_of_a_permutation_is_even() -> None:
    length, epochs = 12, 6000
    places = np.zeros((length, length))
    for epoch in range(epochs):
        places[np.arange(length), RandomOrder(length, 7).indices(epoch)] += 1
    expected = epochs / length
    chi_square = ((places - expected) ** 2 / expected).sum()
    degrees = (length - 1) ** 2
    assert abs(chi_square - degrees) < 5 * sqrt(2 * degrees)


def test_neighbours_are_parted_over_the_whole_range() -> None:
    length = 100_000
    order = RandomOrder(length).indices(0)
    distance = np.abs(np.diff(order.astype(np.int64))).mean()
    assert distance == pytest.approx(length / 3, rel=0.02)  # of two independent even draws
    displacement = np.abs(order - np.arange(length)).mean()
    assert displacement == pytest.approx(length / 3, rel=0.02)


def test_draws_with_replacement_are_even() -> None:
    drawn = np.bincount(ReplacementOrder(10, 100_000, 1).indices(0), minlength=10)
    assert drawn.sum() == 100_000
    assert ((drawn - 10_000) ** 2 / 10_000).sum() < 35  # chi-square of 9 degrees: beyond it once in 20,000


@pytest.mark.parametrize("replacement", [True, False])
def test_weights_are_probabilities(replacement: bool) -> None:
    weights = np.array([0.0, 1, 2, 3, 4, 0])
    order = WeightedOrder(weights, 1, replacement=replacement, seed=3)
    first = Counter(int(order.indices(epoch)[0]) for epoch in range(4000))
    assert set(first) == {1, 2, 3, 4}
    for index in range(1, 5):
        share = weights[index] / 10
        assert first[index] == pytest.approx(4000 * share, abs=5 * sqrt(4000 * share * (1 - share)))


def test_many_weighted_draws_follow_the_weights() -> None:
    weights = np.random.default_rng(0).random(50)
    drawn = np.bincount(WeightedOrder(weights, 500_000, seed=1).indices(0), minlength=50)
    expected = 500_000 * weights / weights.sum()
    assert ((drawn - expected) ** 2 / expected).sum() < 49 + 5 * sqrt(98)


def test_without_replacement_the_second_draw_has_the_weights_that_are_left() -> None:
    weights = np.array([1.0, 2, 5])
    order = WeightedOrder(weights, 3, replacement=False, seed=9)
    drawn = [tuple(order.indices(epoch).tolist()) for epoch in range(6000)]
    assert all(sorted(one) == [0, 1, 2] for one in drawn)
    for (first, second, _), count in Counter(drawn).items():
        share = weights[first] / 8 * weights[second] / (8 - weights[first])
        assert count == pytest.approx(6000 * share, abs=5 * sqrt(6000 * share))


def test_repeat_factors_are_those_of_lvis() -> None:
    images = [[0, 0, 1], [0], [2, 0], [], [1, -1]]
    counts = np.array([len(one) for one in images])
    categories = np.array([one for image in images for one in image])
    threshold = 0.7
    frequency = {c: sum(c in image for image in images) / 5 for c in (0, 1, 2)}
    factor = {c: max(1.0, sqrt(threshold / share)) for c, share in frequency.items()}
    expected = [max([factor[c] for c in image if c >= 0], default=1.0) for image in images]
    np.testing.assert_allclose(repeat_factors(counts, categories, threshold), expected, rtol=1e-12)


def test_an_image_comes_as_often_as_its_factor_on_average() -> None:
    factors = np.array([1.0, 1.3, 2.5, 1.9, 0.4, 1.0, 1.9])
    order = RepeatFactorOrder(factors, 4)
    held = np.stack([np.bincount(order.indices(epoch), minlength=7) for epoch in range(3000)])
    assert (held.sum(axis=1) == len(order)).all()
    assert ((held == np.floor(factors)) | (held == np.ceil(factors))).all()
    np.testing.assert_allclose(held.mean(axis=0), factors, atol=0.05)


def test_groups_are_those_of_the_shape_and_of_the_number_of_regions() -> None:
    sizes_hw = np.array([[10, 20], [20, 10], [10, 10], [30, 10]])
    assert aspect_ratio_groups(sizes_hw).tolist() == [1, 0, 1, 0]
    assert aspect_ratio_groups(sizes_hw, (0.4, 1.5)).tolist() == [2, 1, 1, 0]
    assert region_count_groups(np.array([5, 0, 9, 1, 5, 30]), 3).tolist() == [1, 0, 2, 0, 1, 2]
    assert region_count_groups(np.full(9, 4), 3).max() <= 1


def test_columns_are_those_of_the_files(made: Path) -> None:
    dataset = ParquetRegionDataset(made, image=None)
    rows = [row for path in sorted((made / "samples").glob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    assert image_sizes_hw(dataset).tolist() == [[row["height"], row["width"]] for row in rows]
    assert region_counts(dataset).tolist() == [len(row["region_id"]) for row in rows]
    counts, categories = region_categories(dataset)
    assert counts.sum() == len(categories)
    assert categories.tolist() == [one for row in rows for one in row["category_index"]]
    mixed_counts, mixed = region_categories(MixedDataset({"a": dataset, "b": dataset}))
    assert mixed_counts.tolist() == [*counts, *counts]
    assert not set(mixed[: len(categories)]) & set(mixed[len(categories) :])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomOrder(0), "rows is 0"),
        (lambda: ReplacementOrder(5, 0), "num_samples is 0"),
        (lambda: SubsetOrder([]), "a subset is a list"),
        (lambda: SubsetOrder([-1, 2]), "a subset is a list"),
        (lambda: WeightedOrder([0.5, -1], 3), r"weights\[1\] is -1.0"),
        (lambda: WeightedOrder([0.5, float("nan")], 3), r"weights\[1\] is nan"),
        (lambda: WeightedOrder([0.0, 0.0], 3), "only 0 of 2 weights"),
        (lambda: WeightedOrder([1.0, 1.0, 0.0], 3, replacement=False), "only 2 of 3 weights"),
        (lambda: RepeatFactorOrder([0.0, 0.0]), "the sum of all factors is 0"),
        (lambda: GroupedBatches([0, -1], 2), "groups are whole numbers"),
        (lambda: RandomOrder(5, -1).indices(0), "seed -1, epoch 0"),
        (lambda: OrderBatchSampler(RandomOrder(5), 2, rank=2, ranks=2), "rank=2, ranks=2"),
        (lambda: OrderBatchSampler(RandomOrder(5), 2, tail="cut"), "tail='cut' is none of pad, drop, wrap"),  # type: ignore[arg-type]
        (lambda: OrderBatchSampler(RandomOrder(5), 3, ranks=2, tail="drop"), "an epoch of 5 samples has no batch"),
        (lambda: OrderBatchSampler(GroupedBatches([0, 1, 0, 1], 4), 2), "made for batches of 4, but the global batch is 2"),
    ],
)
def test_what_cannot_be_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def pairs_of(sampler: OrderBatchSampler) -> list[list[int]]:
    return [[index for _, index in batch] for batch in sampler]


def test_ranks_have_neighbouring_shares_of_every_global_batch() -> None:
    shares = [pairs_of(OrderBatchSampler(SequentialOrder(11), 2, rank=rank, ranks=2)) for rank in (0, 1)]
    assert shares == [[[0, 1], [4, 5], [8, 9]], [[2, 3], [6, 7], [10, 0]]]


def test_tails_pad_wrap_or_drop() -> None:
    for tail, expected in (("pad", [8, 9, 10, 0]), ("wrap", [8, 9, 10, 0]), ("drop", [4, 5, 6, 7])):
        sampler = OrderBatchSampler(SequentialOrder(11), 4, tail=tail)  # type: ignore[arg-type]
        assert pairs_of(sampler)[-1] == expected
        sampler.set_epoch(0)
        marks = [mark.tolist() for _, mark in sampler.marked_batches()]
        assert any(map(any, marks)) == (tail == "pad")
        if tail == "pad":
            assert marks[-1] == [False, False, False, True]
        assert sampler.padded == (0 if tail == "drop" else 1)


def test_a_source_smaller_than_a_rank_still_fills_every_rank() -> None:
    shares = [pairs_of(OrderBatchSampler(SequentialOrder(3), 2, rank=rank, ranks=4)) for rank in range(4)]
    assert shares == [[[0, 1]], [[2, 0]], [[1, 2]], [[0, 1]]]


def test_every_pass_is_an_epoch_unless_set() -> None:
    sampler = OrderBatchSampler(RandomOrder(6), 3)
    epochs = [{epoch for batch in sampler for epoch, _ in batch} for _ in range(3)]
    assert epochs == [{0}, {1}, {2}]
    sampler.set_epoch(1)
    assert {epoch for batch in sampler for epoch, _ in batch} == {1}


def test_an_iterator_that_is_never_asked_costs_no_epoch() -> None:
    sampler = OrderBatchSampler(RandomOrder(6), 3)
    iter(sampler)
    assert next(iter(sampler))[0][0] == 0


def test_repetitions_within_an_epoch_draw_anew() -> None:
    sampler = OrderBatchSampler(ReplacementOrder(4, 40), 5)
    pairs = list(chain.from_iterable(sampler))
    assert len(set(pairs)) == 40
    visits: Counter[int] = Counter()
    for epoch, index in pairs:
        assert epoch == visits[index] << 32
        visits[index] += 1
    resumed = OrderBatchSampler(ReplacementOrder(4, 40), 5)
    resumed.seek(0, 3)
    assert list(chain.from_iterable(resumed)) == pairs[15:]


def test_all_ranks_in_turn_are_what_single_ranks_have() -> None:
    singles = [pairs_of(OrderBatchSampler(RandomOrder(21), 3, rank=rank, ranks=2)) for rank in (0, 1)]
    together = OrderBatchSampler(RandomOrder(21), 3, rank=None, ranks=2)
    assert len(together) == 8
    assert pairs_of(together) == [batch for both in zip(*singles, strict=True) for batch in both]


def test_single_indices_are_the_batches_one_by_one() -> None:
    for rank in range(3):
        batches = OrderBatchSampler(RandomOrder(20), 2, rank=rank, ranks=3)
        single = OrderSampler(RandomOrder(20), 2, rank=rank, ranks=3)
        assert list(single) == list(chain.from_iterable(batches))
        assert len(single) == 2 * len(batches)
    assert sorted(index for _, index in OrderSampler(RandomOrder(20))) == list(range(20))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: OrderBatchSampler(RandomOrder(20, 2), 4), "order.seed was 1 when it was saved and is 2 now"),
        (lambda: OrderBatchSampler(RandomOrder(21, 1), 4), "order.length was 20 when it was saved and is 21 now"),
        (lambda: OrderBatchSampler(SequentialOrder(20), 4), "order.kind was 'RandomOrder'"),
        (lambda: OrderBatchSampler(RandomOrder(20, 1), 3, ranks=2), "global_batch was 4 when it was saved and is 6 now"),
        (lambda: OrderBatchSampler(RandomOrder(20, 1), 4, tail="drop"), "tail was 'pad'"),
    ],
)
def test_a_state_of_something_else_is_refused_with_both_values(other: Callable[[], OrderBatchSampler], message: str) -> None:
    state = OrderBatchSampler(RandomOrder(20, 1), 2, ranks=2).state_dict()
    with pytest.raises(ConfigError, match=message):
        other().load_state_dict(state)


def test_a_state_of_other_weights_or_of_another_numpy_is_refused() -> None:
    state = OrderBatchSampler(WeightedOrder([1, 2, 3.0], 8), 4).state_dict()
    with pytest.raises(ConfigError, match=r"order\.weights_crc32"):
        OrderBatchSampler(WeightedOrder([1, 2, 3.5], 8), 4).load_state_dict(state)
    with pytest.raises(ConfigError, match="This numpy turns random bits into other draws"):
        OrderBatchSampler(WeightedOrder([1, 2, 3.0], 8), 4).load_state_dict({**state, "draws_crc32": 0})
    with pytest.raises(ConfigError, match="the state's position is 3; expected a multiple of the global batch, 4, up to 8"):
        OrderBatchSampler(WeightedOrder([1, 2, 3.0], 8), 4).load_state_dict({**state, "position": 3})


@pytest.mark.parametrize(
    "order",
    [
        SequentialOrder(30),
        RandomOrder(30),
        ReplacementOrder(9, 30),
        SubsetOrder([3, 3, 8, 1, 9, 4]),
        WeightedOrder(np.arange(10.0), 30),
        WeightedOrder(np.arange(30.0), 20, replacement=False),
        RepeatFactorOrder(np.linspace(1, 3, 10)),
        GroupedBatches(np.arange(30) % 3, 2),
    ],
    ids=lambda order: type(order).__name__,
)
def test_a_sampler_goes_on_after_any_batch(order: Order) -> None:
    whole = list(OrderBatchSampler(order, 4))
    for stop in range(len(whole) + 1):
        first = OrderBatchSampler(order, 4)
        given = list(islice(first, stop))
        second = OrderBatchSampler(order, 2, ranks=2)
        second.load_state_dict(first.state_dict())
        rest = list(second)
        second_rank = OrderBatchSampler(order, 2, rank=1, ranks=2)
        second_rank.load_state_dict(first.state_dict())
        joined = [[*one, *two] for one, two in zip(rest, second_rank, strict=True)]
        assert given + joined == whole
