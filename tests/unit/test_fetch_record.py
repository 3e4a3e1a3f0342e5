"""What is remembered about an archive."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from regioncache.catalog import Archive
from regioncache.fetch import record

if TYPE_CHECKING:
    from pathlib import Path


def archive_of(size: int | None = None, sha256: str | None = None) -> Archive:
    return Archive(path="a", kind="file", bytes=size, sha256=sha256, local="a")


def test_a_remembered_sha256_is_not_computed_again_until_size_or_time_change(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"first")
    state = path.stat()
    first = hashlib.sha256(b"first").hexdigest()
    assert record.archive_sha256(path) == first
    path.write_bytes(b"other")  # as long, and with the same time of change: only reading it could tell
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert record.archive_sha256(path) == first
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    assert record.archive_sha256(path) == hashlib.sha256(b"other").hexdigest()


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"bytes": 5}', b'{"bytes": "5", "mtime_ns": 0, "sha256": ""}'])
def test_a_broken_record_is_written_anew(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"first")
    record.record_path(path).write_bytes(text)
    assert record.archive_sha256(path) == hashlib.sha256(b"first").hexdigest()
    assert record.read_record(path) is not None


def test_a_record_of_another_archive_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"first")
    found = record.archive_sha256(path)
    assert record.is_verified(path, archive_of(size=5, sha256=found))
    assert not record.is_verified(path, archive_of(size=6))
    assert not record.is_verified(path, archive_of(sha256="0" * 64))


BIG = np.random.default_rng(0).bytes(3_000_000)
UNSAMPLED = 6_000  # between the first two blocks of the sample


def big_file(folder: Path) -> Path:
    path = folder / "a.tar"
    path.write_bytes(BIG)
    record.write_record(path, hashlib.sha256(BIG).hexdigest())
    return path


def change(path: Path, at: int) -> str:
    """Change one byte in place, and return the file's sha256."""
    changed = bytearray(path.read_bytes())
    changed[at] ^= 1
    with path.open("r+b") as handle:
        handle.write(changed)
    return hashlib.sha256(changed).hexdigest()


def test_a_file_that_was_only_touched_is_not_read_again(tmp_path: Path) -> None:
    path = big_file(tmp_path)
    change(path, UNSAMPLED)  # only reading all of it could tell
    for _ in range(2):
        os.utime(path)
        assert record.archive_sha256(path) == hashlib.sha256(BIG).hexdigest()


@pytest.mark.parametrize("at", [0, 4095, len(BIG) - 1], ids=["first byte", "end of a block", "last byte"])
def test_a_touched_file_with_another_sample_is_read(tmp_path: Path, at: int) -> None:
    path = big_file(tmp_path)
    found = change(path, at)
    assert record.archive_sha256(path) == found


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_file_that_changed_at_another_time_is_read(tmp_path: Path, hours: int) -> None:
    path = big_file(tmp_path)
    found = change(path, UNSAMPLED)
    os.utime(path, (time.time() + 3600 * hours,) * 2)
    assert record.archive_sha256(path) == found


def test_a_file_put_in_its_place_is_read(tmp_path: Path) -> None:
    path = big_file(tmp_path)
    other = tmp_path / "other"
    other.write_bytes(BIG)
    found = change(other, UNSAMPLED)
    os.utime(other, (time.time() + 1,) * 2)
    other.replace(path)
    assert record.archive_sha256(path) == found


def _record_often(path: Path, times: int) -> None:
    for _ in range(times):
        record.write_record(path, "0" * 64)


def test_processes_may_record_one_archive_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(b"PK\x03\x04")
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_record_often, args=(path, 100)) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0] * 4
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.zip", "a.zip.verified.json"]
    assert record.is_verified(path, Archive(path="a", kind="zip", local="a"))
