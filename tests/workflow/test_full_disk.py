"""No room on the disk, at every step: a clear error, nothing half-written, and the next run as if nothing had been.

A limit on the size of files stands for the full disk: the system refuses a write in the same way, with EFBIG.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest

from built_cache import build
from pack_archives import fetched_paths, panoptic_entry
from workspace import assert_same_files, file_bytes

if TYPE_CHECKING:
    from pathlib import Path

NAME = "byt5-sca-20"
LIMITED = """
import resource, sys
limit = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
from regioncache.__main__ import main
main()
"""


class Verb(NamedTuple):
    """A step: its arguments, and the files that it alone makes; the first of them says that the step is done."""

    arguments: tuple[str, ...]
    outputs: tuple[str, ...]


PART = "part-00001-of-00002"
SPLIT_CACHE, SPLIT_WORK = ".data.cache/drawn/val", ".data/work/drawn/val"
ENTRY = "catalog/drawn.yaml"
VERBS = {
    "parse": Verb(("parse", ENTRY, "val"), (f"{SPLIT_WORK}/annotations.arrow",)),
    "convert": Verb(
        ("convert", ENTRY, "val", "1"),
        (
            f"{SPLIT_WORK}/samples/{PART}.json",
            f"{SPLIT_CACHE}/samples/{PART}.parquet",
            f"{SPLIT_CACHE}/samples/{PART}.offsets",
        ),
    ),
    "tokenizer": Verb(
        ("tokenizer", NAME, "byt5"),
        tuple(f".data/work/tokenizers/{NAME}/{name}" for name in ("meta.json", "tokenizer.zip")),
    ),
    "tokenize": Verb(
        ("tokenize", ENTRY, "val", "1", NAME),
        (
            f"{SPLIT_WORK}/tokens/{NAME}/{PART}.json",
            f"{SPLIT_CACHE}/tokens/{NAME}/{PART}.parquet",
            f"{SPLIT_CACHE}/tokens/{NAME}/{PART}.offsets",
        ),
    ),
    "prompt": Verb(
        ("prompt", ENTRY, "val", "1", "sam"),
        (
            f"{SPLIT_WORK}/prompts/sam/{PART}.json",
            f"{SPLIT_CACHE}/prompts/sam/{PART}.parquet",
            f"{SPLIT_CACHE}/prompts/sam/{PART}.offsets",
        ),
    ),
    "publish": Verb(
        ("publish", ENTRY, "val", "--tokens", NAME, "--prompts", "sam"),
        (
            *(f"{SPLIT_CACHE}/{name}" for name in ("index.json", "rejects.parquet", "stats.json")),
            f"{SPLIT_WORK}/rejects.parquet",
        ),
    ),
}


SHARD_VERBS = ("convert", "tokenize", "prompt")
INDEX = f"{SPLIT_CACHE}/index.json"


def unpublished(files: dict[str, bytes]) -> dict[str, bytes]:
    """A shard that was written anew takes back the index of its cache."""
    return {path: data for path, data in files.items() if path != INDEX}


@pytest.fixture(scope="module")
def finished(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which everything is built; not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    entry = panoptic_entry(drawn, name="drawn", shards={"val": 2}, expected_categories=None)
    build(fetched_paths(folder, entry, "val"))
    return folder


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return shutil.copytree(finished, tmp_path / "build", symlinks=True)


def run(folder: Path, arguments: tuple[str, ...], limit_bytes: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-B", "-c", LIMITED, str(limit_bytes), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def check_refusal(done: subprocess.CompletedProcess[str], outputs: tuple[str, ...]) -> None:
    """One line that names what was written and what to do."""
    assert done.returncode == 1, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert re.match(r"regioncache: (\[Errno \d+\] )?no space left while writing ", lines[0]), done.stderr
    # Libraries want a tokenizer's files beside each other, so that it is unpacked even where it is only read.
    assert any(output in lines[0] for output in (*outputs, "tokenizer.zip")), done.stderr
    assert "Nothing half-written was kept: free space on that disk" in lines[0]


@pytest.mark.parametrize("name", VERBS)
def test_a_step_without_room_leaves_nothing_and_then_runs_as_if_nothing_had_been(finished: Path, folder: Path, name: str) -> None:
    verb = VERBS[name]
    for output in verb.outputs:
        (folder / output).unlink()
    whole = file_bytes(finished)
    check_refusal(run(folder, verb.arguments, 100), verb.outputs)
    left = file_bytes(folder)
    assert set(whole) - set(verb.outputs) <= set(left) <= set(whole) - {verb.outputs[0]}
    assert [path for path, data in left.items() if data != whole[path]] == []
    assert run(folder, verb.arguments, 1 << 40).returncode == 0
    assert_same_files(folder, unpublished(whole) if name in SHARD_VERBS else whole)


@pytest.mark.parametrize("missing_bytes", [1, 100, 5_000, 100_000])
def test_a_shard_that_almost_fits_is_not_kept(finished: Path, folder: Path, missing_bytes: int) -> None:
    verb = VERBS["convert"]
    size = (folder / verb.outputs[1]).stat().st_size
    for output in verb.outputs:
        (folder / output).unlink()
    before = file_bytes(folder)
    check_refusal(run(folder, verb.arguments, size - missing_bytes), verb.outputs)
    assert_same_files(folder, before)
    assert run(folder, verb.arguments, size).returncode == 0
    assert_same_files(folder, unpublished(file_bytes(finished)))


def test_a_shard_that_stands_survives_a_failed_attempt_at_another(folder: Path) -> None:
    before = file_bytes(folder)
    verb = VERBS["convert"]
    check_refusal(run(folder, (*verb.arguments, "--storage", "raw"), 10_000), verb.outputs)
    assert_same_files(folder, before)
