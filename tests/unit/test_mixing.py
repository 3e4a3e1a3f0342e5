"""Mixed sources: which samples, in which batches, with which fields."""

from __future__ import annotations

import pickle
from collections import Counter
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from datasets import Dataset, interleave_datasets

from regioncache import ParquetRegionDataset, RegionCollator, ShuffledRegions
from regioncache.data.loader import JointLoader, RegionLoader
from regioncache.data.mix_orders import InterleavedMix, RatioBatches, RepeatMix, SourceBatches, WeightedMix
from regioncache.data.mixing import MixedDataset
from regioncache.data.orders import RandomOrder, SequentialOrder
from regioncache.data.samplers import OrderBatchSampler
from regioncache.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from regioncache.data.mix_sources import MixOrder

SOURCES = {"coco": 30, "o365": 12, "vg": 5}
NAMES = list(SOURCES)


def sources_of(order: MixOrder, epoch: int) -> list[str]:
    ends = np.cumsum(list(order.sources.values()))
    return [list(order.sources)[k] for k in np.searchsorted(ends, order.indices(epoch), side="right")]


@pytest.mark.parametrize(
    ("stop", "length", "expected"),
    [
        # 30, 12 and 5 rows in the proportion 5 : 3 : 2; 5 / 0.2 = 25, 30 / 0.5 = 60
        ("stop_first", None, {"coco": 13, "o365": 7, "vg": 5}),
        ("exhaust_once", None, {"coco": 30, "o365": 18, "vg": 12}),
        ("repeat", 101, {"coco": 51, "o365": 30, "vg": 20}),
    ],
)
def test_weights_give_exact_counts(stop: Any, length: int | None, expected: dict[str, int]) -> None:
    order = WeightedMix(SOURCES, {"vg": 0.2, "coco": 0.5, "o365": 0.3}, stop=stop, epoch_length=length)
    assert order.counts == expected
    for epoch in range(3):
        assert Counter(sources_of(order, epoch)) == expected


def test_repeats_may_be_fractions() -> None:
    order = RepeatMix(SOURCES, {"coco": 0.5, "o365": 1, "vg": 2.5})
    assert order.counts == {"coco": 15, "o365": 12, "vg": 13}
    rows = np.stack([np.bincount(order.indices(epoch), minlength=47) for epoch in range(10)])
    assert (rows[:, 30:42] == 1).all()
    assert set(rows[:, 42:].ravel().tolist()) == {2, 3}
    assert rows[:2, :30].sum(axis=0).tolist() == [1] * 30  # one half, then the other
    assert rows[:, 42:].sum(axis=0).tolist() == [26] * 5  # 10 x 2.6: 13 of 5 rows


def test_a_ratio_holds_in_every_batch() -> None:
    order = RatioBatches(SOURCES, {"coco": 2, "o365": 1, "vg": 1}, 8, stop="exhaust_once")
    batches = np.array(sources_of(order, 0)).reshape(-1, 8)
    assert len(batches) == 8  # 30 rows of coco, 4 a batch
    assert all(Counter(batch.tolist()) == {"coco": 4, "o365": 2, "vg": 2} for batch in batches)


def test_the_places_that_are_left_rotate() -> None:
    order = RatioBatches(SOURCES, {"coco": 1, "o365": 1, "vg": 1}, 4, stop="repeat", epoch_length=24)
    batches = np.array(sources_of(order, 5)).reshape(6, 4)
    held = [Counter(batch.tolist()) for batch in batches]
    assert all(sorted(one.values()) == [1, 1, 2] for one in held)
    for start in range(4):
        assert sum(held[start : start + 3], Counter()) == dict.fromkeys(NAMES, 4)


def test_batches_of_one_source() -> None:
    order = SourceBatches(SOURCES, 4, {"coco": 1, "o365": 1, "vg": 1}, stop="exhaust_once")
    batches = np.array(sources_of(order, 0)).reshape(-1, 4)
    assert all(len(set(batch.tolist())) == 1 for batch in batches)
    assert Counter(batches[:, 0].tolist()) == dict.fromkeys(NAMES, 8)  # ceil(30 / 4)
    assert SourceBatches(SOURCES, 4, {"coco": 1, "o365": 1, "vg": 1}).counts == dict.fromkeys(NAMES, 4)  # floor(5 / 4)


@pytest.mark.parametrize("strategy", ["first_exhausted", "all_exhausted"])
@pytest.mark.parametrize("chances", [None, [0.5, 0.3, 0.2], [0.05, 0.05, 0.9]])
@pytest.mark.parametrize("lengths", [[3, 4, 5], [1, 700, 30], [6, 6, 6]])
def test_the_original_order_is_that_of_the_datasets_library(
    lengths: list[int], chances: list[float] | None, strategy: Any
) -> None:
    starts = np.cumsum([0, *lengths])
    peers = [Dataset.from_dict({"at": list(range(start, end))}) for start, end in pairwise(starts)]
    expected = interleave_datasets(peers, probabilities=chances, seed=7, stopping_strategy=strategy)["at"]
    named = None if chances is None else dict(zip("abc", chances, strict=True))
    order = InterleavedMix(dict(zip("abc", lengths, strict=True)), named, stopping_strategy=strategy, seed=7)
    assert order.indices(0).tolist() == order.indices(4).tolist() == list(expected)
    assert len(order) == len(expected)
    shuffled = InterleavedMix(order.sources, named, stopping_strategy=strategy, shuffle=True, seed=7)
    assert sorted(shuffled.indices(0).tolist()) == sorted(expected)
    if len(expected) > 12:
        assert shuffled.indices(0).tolist() != shuffled.indices(1).tolist()


def test_turns_are_the_index_modulo_the_length() -> None:
    order = InterleavedMix({"a": 3, "b": 4, "c": 5}).indices(0)
    assert order.tolist() == [one for i in range(5) for one in (i % 3, 3 + i % 4, 7 + i % 5)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WeightedMix({}), "a mix needs at least one source"),
        (lambda: WeightedMix({"coco": 3, "empty": 0}), "source 'empty' is empty"),
        (lambda: WeightedMix(SOURCES, {"coco": 1}, stop="stop_first"), "weights are for coco; the sources are coco, o365, vg"),
        (lambda: WeightedMix({"a": 3, "b": 4}, {"a": 1, "b": 0}, stop="stop_first"), "weights: 'b' has 0"),
        (lambda: WeightedMix({"a": 3, "b": 4}, {"a": 1, "b": 1e-9}, stop="stop_first"), "'b' has less than a millionth"),
        (lambda: WeightedMix(SOURCES), "epoch_length=None: stop='repeat' needs it"),
        (lambda: WeightedMix(SOURCES, stop="stop_first", epoch_length=5), "epoch_length=5: stop='stop_first' decides the length"),
        (lambda: WeightedMix(SOURCES, stop="never"), "stop='never' is none of stop_first, exhaust_once, repeat"),  # type: ignore[arg-type]
        (lambda: RepeatMix(SOURCES, {"coco": 1, "o365": 1, "vg": float("inf")}), "repeats: 'vg' has inf"),
        (lambda: RepeatMix({"vg": 5}, {"vg": 0.01}), "the length of an epoch is 0"),
        (lambda: RepeatMix({"vg": 5}, {"vg": 1e20}), f"the length of an epoch is 5{'0' * 20}; an order holds at most {2**40}"),
        (lambda: SourceBatches(SOURCES, 8), "the number of batches of an epoch is 0"),
        (lambda: RatioBatches(SOURCES, dict.fromkeys(NAMES, 1.0), 24), "the number of batches of an epoch is 0"),
        (lambda: InterleavedMix(SOURCES, stopping_strategy="some"), "stopping_strategy='some'"),  # type: ignore[arg-type]
        (lambda: MixedDataset({}), "a mix needs at least one source"),
        (lambda: JointLoader({}), "a joint loader needs at least one source"),
    ],
)
def test_what_cannot_be_mixed_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def all_and_nothing(made: Path) -> MixedDataset:
    """A source with everything, and one with boxes and captions only."""
    return MixedDataset(
        {
            "all": ParquetRegionDataset(made, tokens="byt5-sca-20", prompts="sam", image="bytes", masks="lowres"),
            "boxes": ParquetRegionDataset(made, image=None),
        }
    )


def test_indices_count_through_the_sources(made: Path) -> None:
    mixed = all_and_nothing(made)
    assert len(mixed) == 24
    assert mixed.lengths == {"all": 12, "boxes": 12}
    assert [mixed.locate(index) for index in (0, 11, 12, -1)] == [("all", 0), ("all", 11), ("boxes", 0), ("boxes", 11)]
    assert [mixed[index]["image_id"] for index in (3, 15)] == [ParquetRegionDataset(made, image=None)[3]["image_id"]] * 2
    assert len(pickle.dumps(mixed)) < 2500
    with pytest.raises(IndexError, match="sample 24 of a mix of 24"):
        mixed[24]


def test_the_epoch_reaches_the_source(made: Path) -> None:
    source = ParquetRegionDataset(made, image=None, regions=ShuffledRegions(5))
    mixed = MixedDataset({"a": ParquetRegionDataset(made, image=None), "b": source})
    for epoch in range(3):
        expected = source[epoch, 2]["metadata_region_id"].tolist()
        assert mixed[epoch, 14]["metadata_region_id"].tolist() == expected
        mixed.set_epoch(epoch)
        assert mixed[14]["metadata_region_id"].tolist() == expected


@pytest.mark.parametrize("regions", ["pad", "flat"])
@pytest.mark.parametrize("picked", [[0, 12], [13, 1, 14], [12, 13]])
def test_what_a_source_lacks_is_filled_in_and_flagged(made: Path, regions: Any, picked: list[int]) -> None:
    mixed = all_and_nothing(made)
    collator = RegionCollator(regions, tensors="numpy")
    samples = [mixed[index] for index in picked]
    batch = collator(samples)
    own = [index < 12 for index in picked]
    assert batch["source"] == ["all" if one else "boxes" for one in own]
    for flag in ("has_tokens", "has_masks", "has_points", "has_image"):
        assert batch[flag].tolist() == own
    counts = [len(sample["metadata_region_id"]) for sample in samples]
    place = np.repeat(np.arange(len(picked)), counts)
    where = batch["region_mask"] if regions == "pad" else slice(None)
    of_region = {name: batch[name][where] for name in ("labels", "attention_mask", "masks", "input_labels", "input_boxes")}
    assert of_region["masks"].shape == (sum(counts), 256, 256)
    for b, is_own in enumerate(own):
        mine = {name: value[place == b] for name, value in of_region.items()}
        np.testing.assert_array_equal(mine["input_boxes"], samples[b]["input_boxes"])
        if not is_own:
            assert (mine["labels"] == -100).all()
            assert not any(mine[name].any() for name in ("attention_mask", "masks", "input_labels"))
            assert not batch["pixel_values"][b].any()
        else:
            alone = RegionCollator("flat", tensors="numpy")([mixed.sources["all"][picked[b]]])
            np.testing.assert_array_equal(mine["labels"], alone["labels"])
            np.testing.assert_array_equal(mine["masks"], alone["masks"])
            np.testing.assert_array_equal(mine["input_labels"], alone["input_labels"])
            height, width = alone["pixel_values"].shape[1:3]
            np.testing.assert_array_equal(batch["pixel_values"][b, :height, :width], alone["pixel_values"][0])


def test_samples_of_datasets_that_were_joined_elsewhere_are_filled_in_too(made: Path) -> None:
    full = ParquetRegionDataset(made, tokens="byt5-sca-20", masks="dense")[0]
    bare = ParquetRegionDataset(made, image=None)[0]
    one, other = (RegionCollator(tensors="numpy")(pair) for pair in ([full, bare], [bare, full]))
    for name in ("labels", "masks", "pixel_values"):
        np.testing.assert_array_equal(one[name][0], other[name][1])
        np.testing.assert_array_equal(one[name][1], other[name][0])
    assert one["masks"].shape[2:] == full["masks"].shape[1:]
    assert one["has_masks"].tolist() == [True, False]
    assert "has_masks" not in RegionCollator(tensors="numpy")([full, full])
    rle = ParquetRegionDataset(made, image=None, masks="rle")[0]
    batch = RegionCollator(tensors="numpy")([rle, bare])
    height, width = bare["original_sizes"].tolist()
    assert [one["size"] for one in batch["segmentation"][1]] == [[height, width]] * len(bare["metadata_region_id"])


def test_sources_that_do_not_fit_together_are_refused(made: Path) -> None:
    dataset = ParquetRegionDataset(made, masks="dense")
    with pytest.raises(ConfigError, match=r"the kind of masks must be the same .* dense in 'a', rle in 'b'"):
        MixedDataset({"a": dataset, "b": ParquetRegionDataset(made, masks="rle")})
    with pytest.raises(ConfigError, match=r"the frame of the boxes must be the same .* sam in 'a', square in 'b'"):
        MixedDataset({"a": dataset, "b": ParquetRegionDataset(made, prompts="square")})
    batches = OrderBatchSampler(WeightedMix({"b": 12, "a": 12}, stop="stop_first"), 4)
    with pytest.raises(ConfigError, match="the order mixes"):
        RegionLoader(MixedDataset({"a": dataset, "b": dataset}), batches)
    with pytest.raises(ConfigError, match="the order is of 13 samples, the dataset has 12"):
        RegionLoader(dataset, OrderBatchSampler(RandomOrder(13), 4))
    with pytest.raises(ConfigError, match="rank=None"):
        RegionLoader(dataset, OrderBatchSampler(RandomOrder(12), 4, rank=None))


def joint(made: Path, stop: Any = "stop_first", steps: int | None = None) -> JointLoader:
    """12 images in 3 batches of 4, and 10 of them in 5 batches of 2."""
    dataset = ParquetRegionDataset(made, image=None, regions=ShuffledRegions(4))
    many = RegionLoader(dataset, OrderBatchSampler(RandomOrder(12, 1), 4))
    few = RegionLoader(dataset, OrderBatchSampler(SequentialOrder(10), 2))
    return JointLoader({"many": many, "few": few}, stop, steps=steps)


def ids_of(batches: dict[str, dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: batch["metadata_region_id"].tolist() for name, batch in batches.items()}


@pytest.mark.parametrize(("stop", "steps", "length"), [("stop_first", None, 3), ("exhaust_once", None, 5), ("repeat", 7, 7)])
def test_a_batch_of_every_source_in_each_step(made: Path, stop: Any, steps: int | None, length: int) -> None:
    loader = joint(made, stop, steps)
    assert len(loader) == length
    streams = {name: one.stream(0) for name, one in joint(made).loaders.items()}
    for _ in range(2):
        for batches in loader:
            assert ids_of(batches) == {name: next(stream)["metadata_region_id"].tolist() for name, stream in streams.items()}


def test_a_joint_loader_resumes_after_any_step(made: Path) -> None:
    whole = [ids_of(batches) for loader in [joint(made, "exhaust_once")] for _ in range(2) for batches in loader]
    for given in range(6):
        first = joint(made, "exhaust_once")
        states = [first.state_dict(), *(first.state_dict() for _ in islice(first, given))]
        second = joint(made, "exhaust_once")
        second.load_state_dict(states[-1])
        assert [ids_of(batches) for _ in range(2) for batches in second] == whole[given:]
    with pytest.raises(ConfigError, match="steps was 5 when it was saved and is 3 now"):
        joint(made).load_state_dict(first.state_dict())
