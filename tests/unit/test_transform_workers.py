"""The same augmented sample under every number of workers, another one in every epoch."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from torch.utils.data import DataLoader

from regioncache import ParquetRegionDataset, RegionCollator, ShuffledRegions
from regioncache.data.transforms.config import transforms_from_config

if TYPE_CHECKING:
    from pathlib import Path

EPOCHS, IMAGES = 3, 8
STEPS: list[Any] = [
    {"RandomFlip": {"side_words": "ignore"}},
    {"RandomCrop": {"crop_size": [0.5, 0.5], "crop_type": "relative_range"}},
    "PhotoMetricDistortion",
    {"LargeScaleJitter": {"image_size": 128, "side_words": "ignore"}},
]


def dataset_of(made: Path, seed: int = 5) -> ParquetRegionDataset:
    return ParquetRegionDataset(
        made,
        tokens="byt5-sca-20",
        prompts="sam",
        masks="rle",
        regions=ShuffledRegions(8),
        transforms=transforms_from_config(STEPS),
        seed=seed,
    )


def digest(batch: dict[str, Any]) -> str:
    """Of every array, caption and mask of a batch."""
    found = hashlib.sha256()
    for key, value in sorted(batch.items()):
        found.update(key.encode())
        if isinstance(value, np.ndarray):
            found.update(value.tobytes())
        else:
            found.update(repr([list(one) if not isinstance(one, str) else one for one in value]).encode())
    return found.hexdigest()


def collated(dataset: ParquetRegionDataset, **arguments: Any) -> list[list[str]]:
    """The digest of each image, epoch by epoch, with (epoch, index) as the index."""
    order = [[(epoch, index)] for epoch in range(EPOCHS) for index in range(IMAGES)]
    loader = DataLoader(dataset, batch_sampler=order, collate_fn=RegionCollator(tensors="numpy"), **arguments)
    found = [digest(batch) for batch in loader]
    return [found[epoch * IMAGES :][:IMAGES] for epoch in range(EPOCHS)]


@pytest.fixture(scope="module")
def alone(made: Path) -> list[list[str]]:
    """Without workers."""
    return collated(dataset_of(made))


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("persistent", [False, True])
def test_workers_change_no_bit_of_an_augmented_sample(
    made: Path, alone: list[list[str]], workers: int, *, persistent: bool
) -> None:
    found = collated(
        dataset_of(made), num_workers=workers, persistent_workers=persistent, multiprocessing_context="fork", timeout=60
    )
    assert found == alone


def test_a_spawned_worker_gives_the_same(made: Path, alone: list[list[str]]) -> None:
    assert collated(dataset_of(made), num_workers=1, multiprocessing_context="spawn", timeout=60) == alone


def test_every_epoch_and_every_seed_augments_otherwise(made: Path, alone: list[list[str]]) -> None:
    other_seed = collated(dataset_of(made, seed=6))
    for index in range(IMAGES):
        assert len({epoch[index] for epoch in (*alone, *other_seed)}) == 2 * EPOCHS


def test_the_order_in_which_samples_are_asked_for_does_not_matter(made: Path, alone: list[list[str]]) -> None:
    dataset, collate = dataset_of(made), RegionCollator(tensors="numpy")
    for epoch, index in [(2, 7), (0, 3), (1, 0), (0, 3)]:
        assert digest(collate([dataset[epoch, index]])) == alone[epoch][index]
