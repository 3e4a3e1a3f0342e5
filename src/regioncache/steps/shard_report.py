"""What a shard's step leaves beside its shard for the publishing step: key, size, checksum, counts, rejects."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from regioncache.atomic import write_json
from regioncache.cache.index import ShardEntry
from regioncache.cache.open_rows import footer_metadata
from regioncache.errors import CacheError
from regioncache.hashing import sha256_file
from regioncache.sources.reports import Report

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

KEY = "regioncache.key"


@dataclass(frozen=True, slots=True)
class ShardReport:
    """One shard as its step left it.

    Attributes:
        key: content key of the step that wrote the shard.
        entry: its line of ``index.json``.
        report: counts and rejects.
        archives: sha256 by key of the archives that this shard alone was made from, which may be gone by now.
    """

    key: str
    entry: ShardEntry
    report: Report = field(default_factory=Report)
    archives: dict[str, str] = field(default_factory=dict)


def write_shard_report(
    path: Path, shard: Path, key: str, rows: int, report: Report, archives: Mapping[str, str] | None = None
) -> None:
    """Describe a finished shard; written after it, so that its presence says that the step is done."""
    entry = ShardEntry(shard.name, rows, shard.stat().st_size, sha256_file(shard))
    write_json(path, {"key": key, "entry": asdict(entry), "archives": archives or {}, **report.to_json()})


def read_shard_report(path: Path) -> ShardReport:
    """Undo ``write_shard_report``.

    Raises:
        CacheError: the file is missing or damaged.
    """
    try:
        raw: dict[str, Any] = json.loads(path.read_bytes())
        return ShardReport(raw["key"], ShardEntry(**raw["entry"]), Report.from_json(raw), raw["archives"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CacheError(path, f"not a shard's report ({error!r})", remedy="Run the same command again") from error


def is_done(path: Path, shard: Path, key: str) -> bool:
    """Whether the shard stands as a step of this key left it."""
    if not (path.exists() and shard.exists() and shard.stat().st_size):
        return False
    try:
        report = read_shard_report(path)
        return report.key == key and report.entry.bytes == shard.stat().st_size and footer_metadata(shard)[KEY] == key
    except (CacheError, KeyError):
        return False
