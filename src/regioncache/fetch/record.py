"""What was found in an archive, remembered in ``<file>.verified.json``: 18 GB are hashed once, and not at every start."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from regioncache.atomic import write_json
from regioncache.hashing import sha256_file

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from regioncache.catalog import Archive

_TOUCHED_WITHIN_NS = 600 * 10**9
_SAMPLES, _SAMPLE_BYTES = 256, 4096


class Record(msgspec.Struct, frozen=True):
    """What ``<file>.verified.json`` holds.

    Args:
        bytes: the file's size when it was verified.
        mtime_ns: its time of last change, in nanoseconds since 1970.
        inode: its number in the file system.
        sample: sha256 of the blocks of ``_sample``.
        sha256: of its bytes.
    """

    bytes: int
    mtime_ns: int
    inode: int
    sample: str
    sha256: str


def record_path(path: Path) -> Path:
    """Where the result for ``path`` is remembered; for a symbolic link, beside the link."""
    return path.with_name(path.name + ".verified.json")


def read_record(path: Path) -> Record | None:
    """The remembered result, or None if there is none or the file has changed since.

    Snakemake sets the time of change of every output when its job is done. So a file that is still the same one, of the same
    size, with the same sample of its bytes, may have another time within ten minutes of being verified.
    """
    try:
        record = msgspec.json.decode(record_path(path).read_bytes(), type=Record)
        verified_ns = record_path(path).stat().st_mtime_ns
        state = path.stat()
    except (OSError, msgspec.DecodeError):
        return None
    if (record.bytes, record.mtime_ns) == (state.st_size, state.st_mtime_ns):
        return record
    is_touched = abs(state.st_mtime_ns - verified_ns) < _TOUCHED_WITHIN_NS
    if is_touched and (record.bytes, record.inode) == (state.st_size, state.st_ino) and record.sample == _sample(path, state):
        write_record(path, record.sha256)
        return record
    return None


def write_record(path: Path, sha256: str) -> None:
    """Remember that ``path`` as it is now has this sha256."""
    state = path.stat()
    record = Record(state.st_size, state.st_mtime_ns, state.st_ino, _sample(path, state), sha256)
    # Steps of several datasets that read one archive may find at once that it has no record.
    write_json(record_path(path), msgspec.to_builtins(record), shared=True)


def archive_sha256(path: Path) -> str:
    """The sha256 of a file, remembered as long as it stays as it is; else hashed and remembered."""
    record = read_record(path)
    if record is not None:
        return record.sha256
    found = sha256_file(path)
    write_record(path, found)
    return found


def is_verified(path: Path, archive: Archive) -> bool:
    """Whether ``path`` is remembered to be this archive; reads next to nothing of it."""
    record = read_record(path)
    return record is not None and archive.bytes in (None, record.bytes) and archive.sha256 in (None, record.sha256)


def _sample(path: Path, state: os.stat_result) -> str:
    """The sha256 of evenly spread blocks, the first and the last among them; of all bytes up to 1 MiB."""
    last = max(0, state.st_size - _SAMPLE_BYTES)
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as handle:
        for number in range(_SAMPLES):
            handle.seek(last * number // (_SAMPLES - 1))
            digest.update(handle.read(_SAMPLE_BYTES))
    return digest.hexdigest()
