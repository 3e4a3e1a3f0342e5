"""Splits whose archives come and go with their shards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import yaml

from built_cache import build, sample_rows
from official.files import write_file, write_tar
from official.streams import line, record
from own_table import photo
from regioncache.entries import load_dataset_entry
from regioncache.errors import ConfigError
from regioncache.selection import selected_shards
from regioncache.steps.inputs import SplitInputs
from regioncache.steps.paths import BuildPaths

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEMA = yaml.safe_load((Path(__file__).resolve().parents[2] / "workflow/schemas/catalog.schema.yaml").read_text())


def stream_entry() -> dict[str, Any]:
    """An entry whose split streams two series and shares one file."""
    photos = {"path": "mine/sa_{n:06d}.tar", "kind": "tar", "numbers": [9, 11], "by_hand": "ask", "disk_mb": 7}
    return {
        "name": "mine",
        "title": "Mine",
        "format": "sa1b",
        "homepage": "https://example.org",
        "licence": {"annotations": "CC0", "images": "CC0"},
        "citation": "none",
        "exif": "ignore",
        "task_type": "caption",
        "archives": {
            "photos": photos,
            "lines": {**photos, "path": "mine/lines{n}.tsv", "kind": "file"},
            "captions": {"path": "mine/captions.tsv", "kind": "file", "by_hand": "ask"},
        },
        "splits": {
            "train": {
                "stream": [9, 11],
                "files": {"annotations": {"archive": "lines"}, "captions": {"archive": "captions"}},
                "folders": {"images": {"archive": "photos", "prefix": "./"}},
            }
        },
    }


def load(folder: Path, entry: dict[str, Any]) -> BuildPaths:
    path = folder / "entry.yaml"
    path.write_text(yaml.safe_dump(entry))
    return BuildPaths(load_dataset_entry(path), "train", folder / "archives", folder / "work", folder / "cache")


def test_each_number_is_a_shard_with_its_own_archive_of_each_series(tmp_path: Path) -> None:
    entry = stream_entry()
    assert jsonschema.Draft202012Validator(SCHEMA).is_valid(entry)
    dataset = load(tmp_path, entry).dataset
    assert dataset.splits["train"].shard_count == 3
    assert [dataset.shard_split("train", shard).archive_keys() for shard in range(3)] == [
        ["lines_9", "captions", "photos_9"],
        ["lines_10", "captions", "photos_10"],
        ["lines_11", "captions", "photos_11"],
    ]
    assert dataset.shard_split("train", 1).folder_parts("images")[0].prefix == "./"
    streamed = [f"mine/lines{n}.tsv" for n in (9, 10, 11)] + [f"mine/sa_0000{n:02d}.tar" for n in (9, 10, 11)]
    assert sorted(one.path for one in dataset.streamed_archives("train")) == sorted(streamed)


def test_a_split_with_a_file_per_archive_parses_each_shard_and_one_with_shared_files_once(tmp_path: Path) -> None:
    paths = load(tmp_path, stream_entry())
    assert paths.inputs.parses_shards
    assert paths.annotations_of(1) == paths.work / "annotations" / "part-00001-of-00003.arrow"
    entry = stream_entry()
    del entry["archives"]["lines"]
    entry["splits"]["train"]["files"]["annotations"]["archive"] = "captions"
    paths = load(tmp_path, entry)
    assert not paths.inputs.parses_shards
    assert paths.annotations_of(1) == paths.annotations
    # What all shards share has no streamed archive, so that parsing needs none of them.
    assert paths.inputs.folders() == {}
    assert list(paths.inputs.of_shard(1).folders()) == ["images"]


BAD: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "other numbers": (
        lambda e: e["archives"]["lines"].update(numbers=[9, 12]),
        r"splits\.train streams the numbers \[9, 11\], expected those of the series lines, \[9, 12\]",
    ),
    "falling": (lambda e: e["splits"]["train"].update(stream=[3, 1]), r"splits\.train: Object needs `stream` in rising order"),
    "no series": (
        lambda e: e["archives"].update(photos={"path": "a.tar", "kind": "tar", "by_hand": "ask"}),
        r"splits\.train is streamed, but its images are not in a series",
    ),
    "compressed": (
        lambda e: e["archives"]["photos"].update(kind="gzip"),
        r"splits\.train streams the series photos of kind gzip, expected archives that are read in place",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_stream_that_cannot_be_is_refused_with_its_split(case: str, tmp_path: Path) -> None:
    spoil, message = BAD[case]
    entry = stream_entry()
    spoil(entry)
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, entry)


def test_a_file_that_rows_have_windows_in_must_be_a_file_of_its_own(tmp_path: Path) -> None:
    entry = stream_entry()
    entry["splits"]["train"]["files"]["captions"]["member"] = "captions.tsv"
    inputs = load(tmp_path, entry).inputs
    with pytest.raises(ConfigError, match="reads captions row by row, which needs a file of its own"):
        SplitInputs.window_files(inputs.of_shard(0))


@pytest.mark.parametrize(
    ("selection", "numbers", "expected"),
    [
        ("0-10", (0, 999), list(range(11))),
        ("all", (5, 8), [0, 1, 2, 3]),
        ("7", (5, 8), [2]),
        ("5-6, 8,6", (5, 8), [0, 1, 3]),
        ("0-6", (5, 8), [0, 1]),
        ("7-2000", (5, 8), [2, 3]),
    ],
)
def test_a_selection_names_archives_by_their_numbers(selection: str, numbers: tuple[int, int], expected: list[int]) -> None:
    assert selected_shards(selection, numbers) == expected


@pytest.mark.parametrize("selection", ["", "1-", "a", "3-1", "0", "9-12", "1;2", "-1"])
def test_a_selection_that_cannot_be_read_or_names_nothing_is_refused(selection: str) -> None:
    with pytest.raises(ConfigError, match="tars: "):
        selected_shards(selection, (1, 8))


def test_an_image_that_two_archives_hold_is_two_rows_and_counted(tmp_path: Path) -> None:
    entry = stream_entry()
    entry["splits"]["train"]["folders"]["images"]["prefix"] = ""
    paths = load(tmp_path, entry)
    held = {9: (900, 901), 10: (901, 902), 11: (903, 900)}
    for number, ids in held.items():
        write_tar(tmp_path / f"archives/mine/sa_{number:06d}.tar", {f"sa_{one}.jpg": photo(128, 96) for one in ids})
        lines = [line(one, 0, 10 * one, record(10 * one, (10, 20, 60, 50))) for one in ids]
        write_file(tmp_path / f"archives/mine/lines{number}.tsv", "".join(lines).encode())
    captions = [line(one, 0, 10 * one, [{"caption": "a cup", "conf": 0.9}]) for one in range(900, 904)]
    write_file(tmp_path / "archives/mine/captions.tsv", "".join(captions).encode())
    rows = sample_rows(build(paths, tokenizers={}, frames=(), reject_budget=1, region_budget=1))
    assert [row["image_id"] for row in rows] == [900, 901, 901, 902, 900, 903]
    counts = json.loads((paths.cache / "stats.json").read_bytes())["counts"]
    assert counts["images_in_several_archives"] == 2
    build(paths, tokenizers={}, frames=(), reject_budget=1, region_budget=1, shards=[1])
    assert "images_in_several_archives" not in json.loads((paths.cache / "stats.json").read_bytes())["counts"]
