"""Steps keep what stands, and a cache that changes is no longer published."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from built_cache import build, draw_and_fetch
from regioncache import ParquetRegionDataset
from regioncache.cache.verify import verify_cache
from regioncache.errors import CacheError
from regioncache.steps.prompt import prompt_shard
from regioncache.steps.row_maker import ConvertOptions

if TYPE_CHECKING:
    from pathlib import Path

    from regioncache.steps.paths import BuildPaths


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> BuildPaths:
    """A published split of one shard."""
    paths = draw_and_fetch(tmp_path_factory.mktemp("steps"), train_images=4, val_images=1, shards=1)
    build(paths)
    return paths


def prompts(paths: BuildPaths, seed: int) -> bool:
    part, report = paths.part("prompts/sam", 0), paths.report("prompts/sam", 0)
    return prompt_shard(paths.samples(0), "sam", points_per_region=2, seed=seed, out=part, report_path=report)


def modified(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_a_second_build_of_the_same_inputs_writes_no_shard(built: BuildPaths) -> None:
    before = {path: time for path, time in modified(built.cache).items() if "part-" in path}
    build(built)
    assert {path: time for path, time in modified(built.cache).items() if "part-" in path} == before


def test_a_cache_with_a_replaced_shard_is_not_finished_until_it_is_published_again(built: BuildPaths) -> None:
    assert len(ParquetRegionDataset(built.cache)) == 4
    assert prompts(built, seed=1)
    with pytest.raises(CacheError, match=r"index\.json: there is no finished cache here"):
        ParquetRegionDataset(built.cache)
    assert not prompts(built, seed=1)
    build(built)
    assert len(ParquetRegionDataset(built.cache)) == 4


def test_a_split_of_nothing_but_rejects_publishes_an_empty_cache_that_says_so(tmp_path: Path) -> None:
    paths = draw_and_fetch(tmp_path, train_images=3, val_images=1, shards=2)
    cache = build(paths, options=ConvertOptions(max_pixels=1), reject_budget=1.0)
    assert pq.read_table(cache / "rejects.parquet")["reason"].to_pylist() == ["image_too_large"] * 3
    assert verify_cache(cache, full=True)["rows"] == 0
    assert len(ParquetRegionDataset(cache, tokens="byt5-sca-20", prompts="sam")) == 0
