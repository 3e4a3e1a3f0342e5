r"""``index.json``: what a cache holds, written last.

A shortened sample::

    {"format": "regioncache", "schema_version": 1, "dataset": "coco_panoptic", "split": "val", "key": "9f…",
     "shards": [{"name": "part-00000-of-00003.parquet", "rows": 1666, "bytes": 271843210, "sha256": "ab…"}, …],
     "tokens": {"byt5-sca-20": {"key": "17…", "shards": […]}},
     "prompts": {"sam": {"key": "c4…", "shards": […]}},
     "counts": {"images": 5000, "regions": 56000, …}, "licence": {…}, "provenance": {…},
     "archives_dir": "../../../.data/archives", "small_files": {"stats.json": "07…", …}, "~sha256": "e1…"}
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from regioncache.atomic import write_bytes
from regioncache.cache.layout import INDEX_NAME, PROMPTS, SAMPLES, TOKENS
from regioncache.errors import CacheError
from regioncache.schema import SCHEMA_VERSION

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = "regioncache"
_MOST = 1 << 60  # bytes or rows
_REBUILD = "Run the target that builds this cache again"
_SEAL = b',\n "~sha256": "%s"\n}\n'  # hash of everything before it


@dataclass(frozen=True, slots=True)
class ShardEntry:
    """One file of a cache: its name in its folder, rows, size in bytes and sha256."""

    name: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class SidecarEntry:
    """One side-car: the key of what made it, and its shards."""

    key: str
    shards: list[ShardEntry]


@dataclass(frozen=True, slots=True)
class CacheIndex:
    """The contents of ``index.json``; ``small_files`` is the sha256 of every file beside the shards, by its path."""

    dataset: str
    split: str
    key: str
    shards: list[ShardEntry]
    tokens: dict[str, SidecarEntry] = field(default_factory=dict)
    prompts: dict[str, SidecarEntry] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    licence: dict[str, str] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    archives_dir: str = ""
    small_files: dict[str, str] = field(default_factory=dict)

    def files(self) -> list[tuple[str, ShardEntry]]:
        """Every hashed file with its folder, relative to the cache."""
        found = [(SAMPLES, shard) for shard in self.shards]
        for kind, sidecars in ((TOKENS, self.tokens), (PROMPTS, self.prompts)):
            found += [(f"{kind}/{name}", shard) for name, entry in sidecars.items() for shard in entry.shards]
        return found


def write_index(cache: Path, index: CacheIndex) -> None:
    """Publish a cache: write its ``index.json``, whole or not at all, with the sha256 of itself as its last line."""
    body = json.dumps(
        {"format": FORMAT, "schema_version": SCHEMA_VERSION, **asdict(index)},
        indent=1,
        sort_keys=True,
        ensure_ascii=False,
    ).encode()
    body = body.removesuffix(b"\n}")
    write_bytes(cache / INDEX_NAME, body + _SEAL % hashlib.sha256(body).hexdigest().encode())


def unpublish(shard: Path) -> None:
    """Take back the index of the cache that a shard belongs to, because the shard is about to be replaced.

    Readers that are open keep what they mapped; new ones learn that the cache is not finished.
    """
    for folder in list(shard.parents)[1:3]:  # samples/part, or tokens/<name>/part and prompts/<frame>/part
        (folder / INDEX_NAME).unlink(missing_ok=True)


def _check_seal(path: Path, data: bytes) -> None:
    body, found = data[: -len(_SEAL % (b"0" * 64))], data[-len(_SEAL % (b"0" * 64)) :]
    expected = _SEAL % hashlib.sha256(body).hexdigest().encode()
    if found != expected:
        raise CacheError(
            path,
            "its contents are not those that were written: the seal in its last line does not fit",
            expected=expected.decode().strip(",\n }"),
            found=found.decode(errors="replace").strip(",\n }"),
            remedy=_REBUILD,
        )


def read_index(cache: Path) -> CacheIndex:
    """Read ``index.json``.

    Raises:
        CacheError: it is missing, damaged, of another program, or of a newer schema version.
    """
    path = cache / INDEX_NAME
    try:
        data = path.read_bytes()
        raw = json.loads(data)
    except FileNotFoundError as error:
        raise CacheError(
            path, "there is no finished cache here: index.json, which is written last, is missing", remedy=_REBUILD
        ) from error
    except (ValueError, RecursionError) as error:
        raise CacheError(path, f"not readable as JSON ({error})", remedy=_REBUILD) from error
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        found = raw.get("format") if isinstance(raw, dict) else type(raw).__name__
        raise CacheError(path, "not the index of a cache", expected=f"format {FORMAT!r}", found=found)
    check_schema_version(path, raw.get("schema_version"))
    _check_seal(path, data)
    try:
        index = CacheIndex(
            **{
                **{key: value for key, value in raw.items() if key not in ("format", "schema_version", "~sha256")},
                "shards": [ShardEntry(**shard) for shard in raw["shards"]],
                **{
                    kind: {
                        name: SidecarEntry(entry["key"], [ShardEntry(**shard) for shard in entry["shards"]])
                        for name, entry in raw[kind].items()
                    }
                    for kind in (TOKENS, PROMPTS)
                },
            }
        )
        _check_values(index)
        return index  # noqa: TRY300  (what is checked and what is returned are one)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise CacheError(path, f"its fields are not those of an index ({error})", remedy=_REBUILD) from error


def _check_values(index: CacheIndex) -> None:
    """Refuse values of other types, and names that lead out of the cache: files of these names are read, and deleted by `gc`.

    Raises:
        ValueError: what is wrong.
    """
    entries = [entry for _, entry in index.files()]
    sidecars = [*index.tokens.items(), *index.prompts.items()]
    texts = [index.dataset, index.split, index.key, index.archives_dir, *(entry.key for _, entry in sidecars)]
    texts += [text for entry in entries for text in (entry.name, entry.sha256)]
    mappings = ((index.counts, int), (index.licence, str), (index.small_files, str), (index.provenance, object))
    texts += [key for values, _ in mappings for key in values]
    if not all(isinstance(one, str) and "\x00" not in one for one in texts):
        raise ValueError("a text is none, or holds a null byte")
    if not all(isinstance(values, dict) and all(isinstance(one, kind) for one in values.values()) for values, kind in mappings):
        raise ValueError("counts, licence, small_files or provenance hold something else than they should")
    if not all(type(number) is int and 0 <= number < _MOST for entry in entries for number in (entry.rows, entry.bytes)):
        raise ValueError("rows or bytes of a shard are no such number")
    plain = [*(entry.name for entry in entries), *(name for name, _ in sidecars)]
    outside = [name for name in plain if name in ("", ".", "..") or "/" in name]  # a cache may have thousands: no paths here
    outside += [name for name in index.small_files if name.startswith("/") or ".." in name.split("/")]
    if outside:
        raise ValueError(f"the name {outside[0]!r} leads out of the cache")


def check_schema_version(path: Path, version: object) -> None:
    """Refuse a file of a schema version that this program does not know.

    Raises:
        CacheError: the version is newer, older than any readable one, or not a number.
    """
    if version == SCHEMA_VERSION:
        return
    newer = isinstance(version, int) and version > SCHEMA_VERSION
    raise CacheError(
        path,
        "written with a newer cache schema than this version reads" if newer else "of a cache schema that cannot be read",
        expected=f"schema version {SCHEMA_VERSION}",
        found=version,
        remedy="Upgrade regioncache, or build the cache again with this version" if newer else _REBUILD,
    )


def check_sizes(cache: Path, folder: str, shards: list[ShardEntry]) -> None:
    """Compare the size of every shard of one folder with the index; this is cheap, and done at each open.

    Raises:
        CacheError: a shard is missing, or has another size than was published.
    """
    wanted = {shard.name for shard in shards}
    try:
        with os.scandir(cache / folder) as entries:
            sizes = {entry.name: entry.stat().st_size for entry in entries if entry.name in wanted}
    except (FileNotFoundError, NotADirectoryError):
        sizes = {}
    for shard in shards:
        found = sizes.get(shard.name)
        if found != shard.bytes:
            path = cache / folder / shard.name
            if found is None:
                raise CacheError(path, "listed in index.json, but missing", remedy=_REBUILD)
            problem = "cut short" if found < shard.bytes else "of another size than was published"
            raise CacheError(path, problem, expected=f"{shard.bytes} bytes", found=f"{found} bytes", remedy=_REBUILD)
