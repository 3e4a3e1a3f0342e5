"""No socket is opened where none is needed, and the message says which file to place where."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from no_network import forbid_network, network_tries
from pack_archives import PANOPTIC_ZIP, panoptic_entry, write_entry
from regioncache.entries import load_dataset_entry
from regioncache.errors import ArchiveError
from regioncache.steps.parse import parse_annotations
from regioncache.steps.paths import BuildPaths
from workspace import Workspace, make_workspace

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with the project's own catalog, no archive and no network."""
    workspace = make_workspace(
        tmp_path_factory.mktemp("offline"),
        catalog_dirs=["workflow/catalog"],
        fetch={"mirrors": [], "offline": True, "tries": 1, "timeout_s": 1},
    )
    forbid_network(workspace)
    return workspace


GUARD_ARCHIVES = 3  # RefCOCO, RefCOCO+ and RefCOCOg: whose photos a training split must not hold


def test_the_workspace_without_network_has_none(offline: Workspace) -> None:
    for program in ("socket.socket().connect(('127.0.0.1', 9))", "socket.gethostbyname('localhost')"):
        done = subprocess.run(
            [sys.executable, "-c", f"import socket; {program}"],
            env=offline.variables(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert "this test allows no network" in done.stderr
    notes = offline.folder / "no_network" / "notes"
    assert len(notes.read_text().splitlines()) == 2
    notes.unlink()


def test_the_plan_of_a_dataset_is_made_without_archives_and_without_network(offline: Workspace) -> None:
    plan = offline.snakemake("-n", "cache_coco_panoptic")
    entry = yaml.safe_load((offline.folder / "workflow" / "catalog" / "coco_panoptic.yaml").read_text())
    shards = sum(split["shards"] for split in entry["splits"].values())
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", plan, re.MULTILINE))
    assert {rule: int(count) for rule, count in jobs.items()} == {
        "fetch_archive": len(entry["archives"]) + GUARD_ARCHIVES,
        "list_guarded_images": 1,
        "resolve_tokenizer": 1,
        "parse_annotations": 2,
        "convert_shard": shards,
        "tokenize_shard": shards,
        "prompt_shard": shards,
        "publish_split": 2,
        "cache_coco_panoptic": 1,
        "total": len(entry["archives"]) + GUARD_ARCHIVES + 1 + 1 + 2 + 3 * shards + 2 + 1,
    }
    assert network_tries(offline) == ""


def parts_of(split: dict[str, Any]) -> list[dict[str, Any]]:
    """What a split names of archives."""
    return [*split.get("files", {}).values(), *split["folders"].values()]


def test_the_whole_catalog_is_planned_without_archives_and_without_network(offline: Workspace) -> None:
    plan = offline.snakemake("-n", "cache_all")
    jobs = {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", plan, re.MULTILINE)}
    entries = [
        yaml.safe_load(path.read_text())
        for path in (offline.folder / "workflow" / "catalog").glob("*.yaml")
        if path.stem != "demo"
    ]
    splits = [split for entry in entries for split in entry["splits"].values()]
    assert jobs["publish_split"] == len(splits)
    chosen = 11  # archives of each stream: `tars` is 0-10
    assert jobs["parse_shard"] == chosen  # SA1B-Cap has annotation files for each archive, and Open Images one for all
    assert jobs["parse_annotations"] == len(splits) - 1
    shards = sum(chosen if "stream" in one else one["shards"] for one in splits)
    assert jobs["convert_shard"] == jobs["tokenize_shard"] == jobs["prompt_shard"] == shards
    paths, streamed = set(), set()
    for entry in entries:
        series = {part["archive"] for split in entry["splits"].values() if "stream" in split for part in parts_of(split)}
        for key, archive in entry["archives"].items():
            first, last = archive.get("numbers", (0, 0))
            is_streamed = key in series and "numbers" in archive
            place = streamed if is_streamed else paths
            place |= {(archive["path"], number) for number in range(first, (chosen - 1 if is_streamed else last) + 1)}
    assert jobs["fetch_archive"] == len(paths)
    assert jobs["fetch_streamed_archive"] + jobs["fetch_rest_of_shard"] == len(streamed)
    assert jobs["fetch_streamed_archive"] == 2 * chosen  # the tar of each shard comes first
    assert network_tries(offline) == ""


def test_a_whole_build_from_local_archives_opens_no_socket(rebuilt: Workspace) -> None:
    assert network_tries(rebuilt) == ""
    assert "Nothing to be done" in rebuilt.snakemake("cache_drawn")
    assert network_tries(rebuilt) == ""


def test_offline_the_error_says_which_file_to_place_where(offline: Workspace) -> None:
    destination = ".data/archives/coco/val2017.zip"
    printed = offline.snakemake(destination, ok=False)
    entry = load_dataset_entry(offline.folder / "workflow" / "catalog" / "coco_panoptic.yaml")
    archive = entry.archives["val_images"]
    assert "coco/val2017.zip could not be had" in printed
    for url in archive.urls:
        assert f"{url}: not tried, because offline is set" in printed
    assert f"(zip, {archive.bytes} bytes, sha256 {archive.sha256}) and place it at {offline.folder / destination}" in printed
    assert network_tries(offline) == ""


def test_a_file_placed_by_hand_is_judged_before_it_is_read(drawn: Path, tmp_path: Path) -> None:
    entry = panoptic_entry(drawn, name="placed", shards={"val": 1}, base_url="http://localhost", expected_categories=None)
    dataset = load_dataset_entry(write_entry(tmp_path, entry))
    paths = BuildPaths(dataset, "val", tmp_path / "archives", tmp_path / "work", tmp_path / "cache")
    folder = tmp_path / "archives" / "placed"
    folder.mkdir(parents=True)
    for name in ("val2017.zip", PANOPTIC_ZIP):
        (folder / name).write_bytes((drawn / name).read_bytes())
    wrong = bytearray((drawn / "val2017.zip").read_bytes())
    wrong[len(wrong) // 2] ^= 1
    (folder / "val2017.zip").write_bytes(wrong)
    expected = entry["archives"]["val_images"]["sha256"]
    with pytest.raises(ArchiveError, match=f"{folder / 'val2017.zip'}: .*expected sha256 {expected}, found [0-9a-f]+"):
        parse_annotations(paths.inputs, paths.annotations)
    assert not paths.annotations.exists()
    (folder / "val2017.zip").write_bytes((drawn / "val2017.zip").read_bytes())
    assert parse_annotations(paths.inputs, paths.annotations)
