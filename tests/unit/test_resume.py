"""A run that stops after any step and goes on elsewhere sees what an unbroken run sees, bit for bit."""

from __future__ import annotations

import hashlib
import json
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import torch
from torch.utils.data import DataLoader

from noisy import noisy
from regioncache import ParquetRegionDataset, RegionCollator, ShuffledRegions
from regioncache.data.loader import RegionLoader
from regioncache.data.mix_orders import WeightedMix
from regioncache.data.mixing import MixedDataset
from regioncache.data.orders import RandomOrder
from regioncache.data.samplers import OrderBatchSampler, OrderSampler
from regioncache.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

EPOCHS, SAMPLES, GLOBAL_BATCH, STEPS = 3, 26, 4, 7  # the last step of an epoch has 2 of 4 places to pad
SAVE_POINTS = (0, 1, 3, STEPS)

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than cores, on purpose


class Seen(NamedTuple):
    """One sample as the training loop got it."""

    image_id: int
    source: str
    region_ids: tuple[int, ...]
    pixels: str
    boxes: str
    is_padding: bool


def seen_in(batch: dict[str, Any]) -> list[Seen]:
    """Every sample of a batch without what the batch padded."""
    found = []
    for b, regions in enumerate(batch["region_mask"]):
        height, width = batch["pixel_sizes"][b].tolist()
        pixels = batch["pixel_values"][b, :height, :width].numpy().tobytes()
        boxes = batch["input_boxes"][b][regions].numpy().tobytes()
        found.append(
            Seen(
                int(batch["metadata_image_id"][b, 0]),
                batch["source"][b],
                tuple(batch["metadata_region_id"][b][regions].tolist()),
                hashlib.sha256(pixels).hexdigest(),
                hashlib.sha256(boxes).hexdigest(),
                bool(batch["is_padding"][b]),
            )
        )
    return found


def mixed_of(made: Path) -> MixedDataset:
    dataset = ParquetRegionDataset(made, tokens="byt5-sca-20", regions=ShuffledRegions(6), transforms=noisy, seed=3)
    return MixedDataset({"coco": dataset, "vg": ParquetRegionDataset(made, regions=ShuffledRegions(3), transforms=noisy)})


def loaders_of(made: Path, ranks: int, **options: Any) -> list[RegionLoader]:
    """One loader for each rank."""
    mixed = mixed_of(made)
    order = WeightedMix(mixed.lengths, {"coco": 2, "vg": 1}, epoch_length=SAMPLES, seed=8)
    batch_size = GLOBAL_BATCH // ranks
    timeout = 60 if options.get("num_workers") else 0
    return [
        RegionLoader(mixed, OrderBatchSampler(order, batch_size, rank=rank, ranks=ranks), timeout=timeout, **options)
        for rank in range(ranks)
    ]


def steps_of(loaders: Iterable[Iterable[dict[str, Any]]]) -> Iterable[list[Seen]]:
    """The global batches of one pass, all ranks together."""
    for batches in zip(*loaders, strict=True):
        yield [one for batch in batches for one in seen_in(batch)]


@pytest.fixture(scope="module")
def unbroken(made: Path) -> list[list[list[Seen]]]:
    """What a run in one process sees, by epoch and step."""
    (loader,) = loaders_of(made, 1)
    return [list(steps_of([loader])) for _ in range(EPOCHS)]


def check_resumes(
    made: Path, unbroken: list[list[list[Seen]]], epoch: int, step: int, *, before: dict[str, Any], after: dict[str, Any]
) -> None:
    """Stop a run of one shape after a step of an epoch, and go on in another shape to the start of the next epoch."""
    first = loaders_of(made, **before)
    for loader in first:
        loader.set_epoch(epoch)
    assert list(islice(steps_of(first), step)) == unbroken[epoch][:step]
    states = [json.dumps(loader.state_dict()) for loader in first]
    assert len(set(states)) == 1  # any rank's state is the state
    second = loaders_of(made, **after)
    for loader in second:
        loader.load_state_dict(json.loads(states[0]))
        assert loader.epoch == epoch
    assert list(steps_of(second)) == unbroken[epoch][step:]
    if epoch + 1 < EPOCHS:
        assert next(iter(steps_of(second))) == unbroken[epoch + 1][0]


def test_the_unbroken_run_is_worth_comparing(unbroken: list[list[list[Seen]]]) -> None:
    assert [len(epoch) for epoch in unbroken] == [STEPS] * EPOCHS
    for epoch in unbroken:
        samples = [one for step in epoch for one in step]
        assert [one.is_padding for one in samples] == [False] * SAMPLES + [True] * 2
        assert {one.source for one in samples} == {"coco", "vg"}
        assert len({one.pixels for one in samples[:SAMPLES]}) == SAMPLES  # repeated images are augmented anew
    orders = [[one.image_id for step in epoch for one in step] for epoch in unbroken]
    assert orders[0] != orders[1] != orders[2] != orders[0]


@pytest.mark.parametrize("step", SAVE_POINTS)
@pytest.mark.parametrize("epoch", range(EPOCHS))
@pytest.mark.parametrize(("before", "after"), [(1, 1), (2, 2), (4, 4), (1, 4), (4, 2), (2, 1)])
def test_resumes_under_any_number_of_ranks(
    made: Path, unbroken: list[list[list[Seen]]], before: int, after: int, epoch: int, step: int
) -> None:
    check_resumes(made, unbroken, epoch, step, before={"ranks": before}, after={"ranks": after})


@pytest.mark.parametrize("step", SAVE_POINTS)
@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 0), (0, 1), (2, 2)])
def test_resumes_under_any_number_of_workers(
    made: Path, unbroken: list[list[list[Seen]]], before: int, after: int, step: int
) -> None:
    old, new = (
        {
            "ranks": 1,
            "num_workers": workers,
            **({"multiprocessing_context": "fork", "persistent_workers": True} if workers else {}),
        }
        for workers in (before, after)
    )
    check_resumes(made, unbroken, 1, step, before=old, after=new)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_resumes_under_any_start_method(made: Path, unbroken: list[list[list[Seen]]], method: str) -> None:
    options = {"num_workers": 1, "multiprocessing_context": method, "persistent_workers": True}
    check_resumes(made, unbroken, 0, 1, before={"ranks": 1}, after={"ranks": 1, **options})


def test_resumes_with_workers_on_several_ranks(made: Path, unbroken: list[list[list[Seen]]]) -> None:
    options = {"num_workers": 2, "multiprocessing_context": "fork"}
    check_resumes(made, unbroken, 1, 3, before={"ranks": 2, **options}, after={"ranks": 4, **options})


@pytest.mark.parametrize("persistent", [False, True])
def test_three_epochs_with_workers_are_those_without(made: Path, unbroken: list[list[list[Seen]]], persistent: bool) -> None:
    (loader,) = loaders_of(made, 1, num_workers=2, multiprocessing_context="fork", persistent_workers=persistent)
    assert [list(steps_of([loader])) for _ in range(EPOCHS)] == unbroken


def test_another_global_batch_is_refused_with_both_numbers(made: Path) -> None:
    (loader,) = loaders_of(made, 1)
    next(iter(loader))
    other = OrderBatchSampler(loader.batches.order, 3, ranks=2)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="global_batch was 4 when it was saved and is 6 now"):
        other.load_state_dict(loader.state_dict())


def test_set_epoch_keeps_a_loaded_position_of_that_epoch_only(made: Path, unbroken: list[list[list[Seen]]]) -> None:
    (loader,) = loaders_of(made, 1)
    state = loader.batches.state_at(1, 5 * GLOBAL_BATCH)
    loader.load_state_dict(state)
    loader.set_epoch(1)
    assert loader.state_dict() == state
    assert list(steps_of([loader])) == unbroken[1][5:]
    loader.load_state_dict(state)
    loader.set_epoch(2)
    assert list(steps_of([loader])) == unbroken[2]


def test_a_loop_that_breaks_goes_on_with_the_next_epoch_under_any_number_of_workers(
    made: Path, unbroken: list[list[list[Seen]]]
) -> None:
    for options in ({}, {"num_workers": 2, "multiprocessing_context": "fork"}):
        (loader,) = loaders_of(made, 1, **options)
        assert list(islice(steps_of([loader]), 2)) == unbroken[0][:2]
        assert loader.state_dict()["position"] == 2 * GLOBAL_BATCH
        assert next(iter(steps_of([loader]))) == unbroken[1][0]


@pytest.mark.parametrize("workers", [0, 2])
def test_the_samplers_fit_a_plain_data_loader(made: Path, workers: int) -> None:
    dataset = ParquetRegionDataset(made, regions=ShuffledRegions(6))
    options: dict[str, Any] = {"num_workers": workers, "collate_fn": RegionCollator(), "timeout": 60 if workers else 0}
    if workers:
        options.update(multiprocessing_context="fork", persistent_workers=True)
    single = DataLoader(dataset, batch_size=4, sampler=OrderSampler(RandomOrder(12)), **options)  # type: ignore[arg-type]
    several = DataLoader(dataset, batch_sampler=OrderBatchSampler(RandomOrder(12), 4), **options)  # type: ignore[arg-type]
    assert len(single) == len(several) == 3
    order = RandomOrder(12)
    for epoch in range(2):
        for one, other, start in zip(single, several, range(0, 12, 4), strict=True):
            direct = RegionCollator()([dataset[epoch, index] for index in order.indices(epoch)[start : start + 4].tolist()])
            for batch in (one, other):
                assert torch.equal(batch["metadata_region_id"], direct["metadata_region_id"])
                assert torch.equal(batch["pixel_values"], direct["pixel_values"])
