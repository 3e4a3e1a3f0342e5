"""Equal inputs give equal bytes, wherever, on however many cores, and with or without Snakemake."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from built_cache import build
from pack_archives import fetched_paths, panoptic_entry
from workspace import DRAWN_SHARDS, Workspace, assert_same_files, file_bytes

if TYPE_CHECKING:
    from pathlib import Path


def test_a_build_on_one_core_in_another_folder_has_the_same_bytes(built: Workspace, rebuilt: Workspace) -> None:
    files = file_bytes(built.cache_dir)
    assert_same_files(rebuilt.cache_dir, files)
    parts = sum(DRAWN_SHARDS.values())
    # Per shard three Parquet files with offsets; per split an index, statistics, rejects and the tokenizer's two files.
    assert len(files) == parts * 3 * 2 + len(DRAWN_SHARDS) * (3 + 2)


def test_the_steps_alone_have_the_same_bytes_as_the_workflow(built: Workspace, drawn: Path, tmp_path: Path) -> None:
    entry = panoptic_entry(drawn, name="drawn", shards=DRAWN_SHARDS, expected_categories=None)
    for split in DRAWN_SHARDS:
        cache = build(fetched_paths(tmp_path, entry, split))
        assert_same_files(cache, file_bytes(built.cache_dir / "drawn" / split))


def test_a_second_run_has_nothing_to_do_and_touches_nothing(built: Workspace) -> None:
    def state() -> dict[str, int]:
        folders = (built.cache_dir, built.folder / ".data")
        return {str(path): os.lstat(path).st_mtime_ns for folder in folders for path in folder.rglob("*")}

    before = state()
    assert "Nothing to be done" in built.snakemake("cache_drawn")
    assert state() == before


def test_another_way_to_fetch_is_no_reason_to_fetch_or_build_again(built: Workspace) -> None:
    (built.folder / "fetch.yaml").write_text("fetch: {mirrors: [/mnt/mirror], offline: true, tries: 2, timeout_s: 5}\n")
    done = built.run([*built.snakemake_command("-n", "cache_drawn"), "fetch.yaml"])
    assert "Nothing to be done" in done.stdout


def test_a_build_leaves_no_temporary_file(built: Workspace) -> None:
    names = [path.name for folder in (built.cache_dir, built.folder / ".data") for path in folder.rglob("*")]
    assert [name for name in names if ".tmp" in name or name.endswith(".part")] == []
