"""The same batches under every start method, number of workers and life of workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch.utils.data import DataLoader

from regioncache import ParquetRegionDataset, RegionCollator, ShuffledRegions

if TYPE_CHECKING:
    from pathlib import Path


def batches(loader: DataLoader[Any]) -> list[tuple[list[int], int]]:
    """Region ids and the sum of the pixels of each batch."""
    return [(batch["metadata_region_id"].flatten().tolist(), int(batch["pixel_values"].sum())) for batch in loader]


def dataset_of(made: Path) -> ParquetRegionDataset:
    return ParquetRegionDataset(
        made, tokens="byt5-sca-20", prompts="sam", image="bytes", masks="lowres", regions=ShuffledRegions(8), seed=5
    )


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than this machine has cores, on purpose
@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_change_nothing(made: Path, method: str, workers: int, persistent: bool) -> None:
    dataset = dataset_of(made)
    expected = batches(DataLoader(dataset, batch_size=3, collate_fn=RegionCollator()))
    loader = DataLoader(
        dataset,
        batch_size=3,
        collate_fn=RegionCollator(),
        num_workers=workers,
        multiprocessing_context=method,
        persistent_workers=persistent,
        timeout=60,
    )
    for _ in range(2):
        assert batches(loader) == expected


def test_an_epoch_in_the_index_reaches_persistent_workers(made: Path) -> None:
    dataset = dataset_of(made)
    order = [[(epoch, index) for index in range(4)] for epoch in range(2)]
    loader = DataLoader(
        dataset, batch_sampler=order, collate_fn=RegionCollator(), num_workers=1, persistent_workers=True, timeout=60
    )
    direct = [RegionCollator()([dataset[pair] for pair in pairs]) for pairs in order]
    assert [ids for ids, _ in batches(loader)] == [one["metadata_region_id"].flatten().tolist() for one in direct]
    assert not torch.equal(direct[0]["metadata_region_id"], direct[1]["metadata_region_id"])
