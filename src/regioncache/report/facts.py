"""What ``regioncache info`` and ``bench`` say of a cache."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from regioncache.cache.index import read_index
from regioncache.cache.open_rows import footer_metadata
from regioncache.data.collate import RegionCollator
from regioncache.data.dataset import ParquetRegionDataset
from regioncache.errors import CacheError

if TYPE_CHECKING:
    from pathlib import Path


def cache_facts(cache: Path) -> dict[str, Any]:
    """What a cache, or a single Parquet file of samples, holds.

    Raises:
        CacheError: there is none, or it cannot be read.
    """
    if cache.is_file():
        dataset = ParquetRegionDataset(cache, image=None)
        metadata = footer_metadata(cache)
        return {
            "path": str(cache),
            "dataset": metadata.get("regioncache.dataset"),
            "split": metadata.get("regioncache.split"),
            "rows": len(dataset),
            "bytes": cache.stat().st_size,
        }
    index = read_index(cache)
    return {
        "path": str(cache),
        "dataset": index.dataset,
        "split": index.split,
        "rows": sum(entry.rows for entry in index.shards),
        "shards": len(index.shards),
        "bytes": sum(entry.bytes for _, entry in index.files()),
        "tokens": {name: side.key for name, side in index.tokens.items()},
        "prompts": {name: side.key for name, side in index.prompts.items()},
        "counts": index.counts,
        "licence": index.licence,
        "archives": {path: archive["sha256"] for path, archive in index.provenance.get("archives", {}).items()},
    }


def sidecars(cache: Path) -> tuple[str | None, str | None]:
    """The first tokens and the first prompts side-car of a cache, by name; None where it has none."""
    if cache.is_file():
        return None, None
    index = read_index(cache)
    return next(iter(index.tokens), None), next(iter(index.prompts), None)


def reading_facts(cache: Path, *, batch_size: int, seconds: float) -> dict[str, Any]:
    """One collated batch's shapes, and how fast this machine reads the cache in one process.

    Args:
        cache: a cache folder or a Parquet file of samples.
        batch_size: samples of a batch.
        seconds: how long to measure.

    Raises:
        CacheError: the cache is empty or cannot be read.
    """
    tokens, prompts = sidecars(cache)
    dataset = ParquetRegionDataset(cache, tokens=tokens, prompts=prompts, image="bytes", masks="rle")
    if not len(dataset):
        raise CacheError(cache, "the cache holds no image", remedy="Look at its rejects.parquet")
    collator = RegionCollator(buffers=2)
    order = np.random.Generator(np.random.Philox(0)).permutation(len(dataset))
    batches = [order[at : at + batch_size] for at in range(0, len(order), batch_size)]
    batch = collator([dataset[int(index)] for index in batches[0]])
    rates: list[float] = []
    until = time.perf_counter() + seconds
    while not rates or time.perf_counter() < until:
        for some in batches:
            start = time.perf_counter()
            collator([dataset[int(index)] for index in some])
            rates.append(len(some) / (time.perf_counter() - start))
    return {
        "path": str(cache.absolute()),
        "samples": len(dataset),
        "tokens": tokens,
        "prompts": prompts,
        "batch": {key: _shape(value) for key, value in batch.items()},
        "samples_per_s": round(median(rates), 1),
    }


def _shape(value: Any) -> str:  # noqa: ANN401  (any value of a batch)
    if hasattr(value, "shape"):
        return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
    return f"{type(value).__name__} of {len(value)}"
