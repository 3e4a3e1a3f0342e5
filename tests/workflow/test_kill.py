"""Killed at any moment and run again, a build ends with the bytes of an unbroken one."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np

from dying import die_at, kill_during
from pack_archives import fetched_paths, panoptic_entry
from regioncache.cache.verify import verify_cache
from workspace import DRAWN_SHARDS, Workspace, assert_same_files, file_bytes, make_drawn_workspace, make_workspace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

KILLS = 20
SHORTEST_S, LONGEST_S = 1.0, 7.0
NAME = "byt5-sca-20"


def check_what_is_published(cache_dir: Path, expected: Mapping[str, bytes]) -> None:
    """A file that has its own name is whole, and a cache that has an index is finished."""
    found = {path: data for path, data in file_bytes(cache_dir).items() if ".tmp-" not in path}
    assert [path for path, data in found.items() if data != expected[path]] == []
    for index in cache_dir.rglob("index.json"):
        verify_cache(index.parent, full=True)


def test_a_workflow_that_is_killed_twenty_times_ends_with_the_same_bytes(built: Workspace, drawn: Path, tmp_path: Path) -> None:
    expected = file_bytes(built.cache_dir)
    workspace = make_drawn_workspace(tmp_path, drawn)
    command = workspace.snakemake_command("cache_drawn")
    rng = np.random.default_rng(20)
    kills = 0
    while kills < KILLS:
        if kill_during(workspace, command, float(rng.uniform(SHORTEST_S, LONGEST_S))) == 0:
            assert_same_files(workspace.cache_dir, expected)
            for folder in (".data", ".data.cache", ".snakemake"):
                shutil.rmtree(workspace.folder / folder)
            continue
        kills += 1
        if workspace.cache_dir.exists():
            check_what_is_published(workspace.cache_dir, expected)
        workspace.snakemake("--unlock")
    workspace.snakemake("cache_drawn")
    assert_same_files(workspace.cache_dir, expected)


STEPS = {
    "tokenizer": ("tokenizer", NAME, "byt5"),
    "parse": ("parse", "catalog/drawn.yaml", "val"),
    "convert": ("convert", "catalog/drawn.yaml", "val", "0"),
    "tokenize": ("tokenize", "catalog/drawn.yaml", "val", "0", NAME),
    "publish": ("publish", "catalog/drawn.yaml", "val", "--tokens", NAME, "--prompts", "sam"),
}
FEWEST_MOMENTS = {"tokenizer": 6, "parse": 3, "convert": 6, "tokenize": 6, "publish": 15}
UNBROKEN = ("prompt", "catalog/drawn.yaml", "val", "0", "sam")  # writes as `tokenize` does


def test_a_step_that_is_killed_at_each_of_its_file_operations_ends_with_the_same_bytes(
    built: Workspace, drawn: Path, tmp_path: Path
) -> None:
    """The steps of a whole build one after the other, each killed at its first, second, third ... operation."""
    expected = {
        path.removeprefix("drawn/val/"): data
        for path, data in file_bytes(built.cache_dir).items()
        if path.startswith("drawn/val/")
    }
    workspace = make_workspace(tmp_path)
    entry = panoptic_entry(drawn, name="drawn", shards=DRAWN_SHARDS, expected_categories=None)
    cache = fetched_paths(workspace.folder, entry, "val").cache
    for step, arguments in STEPS.items():
        if step == "publish":
            workspace.regioncache(*UNBROKEN)
        moment = 1
        while die_at(workspace, workspace.folder / ".data", moment, *arguments) != 0:
            moment += 1
            if cache.exists():
                check_what_is_published(cache, expected)
        assert moment > FEWEST_MOMENTS[step], step
    assert_same_files(cache, expected)
    assert [path for path in (workspace.folder / ".data").rglob("*") if ".tmp-" in path.name] == []
