"""Whole columns of a dataset, for weights and groups: the size, the number of regions and the categories of every sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq

from regioncache.data.mixing import MixedDataset
from regioncache.data.open_cache import find_shards

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa
    from numpy.typing import NDArray

    from regioncache.data.dataset import ParquetRegionDataset


def image_sizes_hw(dataset: ParquetRegionDataset | MixedDataset) -> NDArray[np.int64]:
    """Height and width of every sample's source image, int64 (n, 2)."""
    tables = [np.stack([table["height"], table["width"]], axis=1) for table in _tables(dataset, ["height", "width"])]
    return _joined(tables, (0, 2))


def region_counts(dataset: ParquetRegionDataset | MixedDataset) -> NDArray[np.int64]:
    """How many regions are stored for every sample, int64 (n,)."""
    return region_categories(dataset)[0]


def region_categories(dataset: ParquetRegionDataset | MixedDataset) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What ``repeat_factors`` takes: regions of each sample, int64 (n,), and the category of every region, int64 (sum,).

    Categories of different sources of a mix are counted as different ones.
    """
    counts: list[NDArray[Any]] = []
    categories: list[NDArray[Any]] = []
    for one, first in _first_categories(dataset):
        for table in _tables(one, ["category_index"]):
            for chunk in table["category_index"].chunks:
                counts.append(chunk.value_lengths().to_numpy())
                dense = chunk.flatten().to_numpy().astype(np.int64)
                categories.append(np.where(dense < 0, dense, dense + first))
    return _joined(counts, (0,)), _joined(categories, (0,))


def _first_categories(dataset: ParquetRegionDataset | MixedDataset) -> Iterator[tuple[ParquetRegionDataset, int]]:
    """Every dataset of a mix, and what its categories begin with."""
    first = 0
    for one in _datasets(dataset):
        yield one, first
        largest = -1
        for table in _tables(one, ["category_index"]):
            largest = max(
                [largest, *(int(chunk.flatten().to_numpy().max(initial=-1)) for chunk in table["category_index"].chunks)]
            )
        first += largest + 1


def _datasets(dataset: ParquetRegionDataset | MixedDataset) -> list[ParquetRegionDataset]:
    return list(dataset.sources.values()) if isinstance(dataset, MixedDataset) else [dataset]


def _tables(dataset: ParquetRegionDataset | MixedDataset, columns: list[str]) -> Iterator[pa.Table]:
    """These columns of every shard, nothing else of it."""
    for one in _datasets(dataset):
        for path in one.paths:
            shards = find_shards(path, tokens=None, prompts=None, archives=None, use_pread=False)
            for name in shards.names:
                yield pq.read_table(shards.samples / name, columns=columns, memory_map=True)


def _joined(arrays: list[NDArray[Any]], empty: tuple[int, ...]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(empty, np.int64), *arrays]).astype(np.int64)
