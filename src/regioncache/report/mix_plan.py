"""What an epoch of a mix will hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from regioncache.cache.index import read_index
from regioncache.data.columns import region_counts
from regioncache.data.dataset import ParquetRegionDataset

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from regioncache.data.mix_sources import MixOrder


def rows_and_regions(cache: Path) -> tuple[int, int]:
    """How many samples and regions a cache, or a single Parquet file of samples, holds.

    Raises:
        CacheError: there is none, or it cannot be read.
    """
    dataset = ParquetRegionDataset(cache, image=None)
    counts = {} if cache.is_file() else read_index(cache).counts
    return len(dataset), counts["regions"] if "regions" in counts else int(region_counts(dataset).sum())


def plan_facts(order: MixOrder, regions: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """Of each source, and of all together under ``total``, what an epoch will hold.

    Args:
        order: the mix.
        regions: of each source.

    Returns:
        ``rows``; ``samples`` of an epoch; ``share`` of all samples of the epoch; ``epochs``, until each row came once;
        ``regions`` of an epoch, expected.
    """
    total = len(order)
    found: dict[str, dict[str, Any]] = {}
    for name, rows in order.sources.items():
        samples = order.counts[name]
        found[name] = {
            "rows": rows,
            "samples": samples,
            "share": round(samples / total, 4),
            "epochs": round(rows / samples, 2) if samples else None,
            "regions": round(regions[name] * samples / rows),
        }
    sums = {key: sum(one[key] for one in found.values()) for key in ("rows", "samples", "regions")}
    longest = [one["epochs"] for one in found.values()]
    ends = None if None in longest else max(longest)
    found["total"] = {"rows": sums["rows"], "samples": total, "share": 1.0, "epochs": ends, "regions": sums["regions"]}
    return found
