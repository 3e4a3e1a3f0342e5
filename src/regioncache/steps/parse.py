"""Step ``parse``: an annotation file to a columnar table, once."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa

from regioncache.atomic import atomic_path
from regioncache.errors import AnnotationError, ConfigError
from regioncache.hashing import content_key
from regioncache.sources import SOURCES
from regioncache.sources.record import Category, MemberFolder, Parsed, Report

if TYPE_CHECKING:
    from pathlib import Path

    from regioncache.sources.record import Source
    from regioncache.steps.inputs import SplitInputs

VERSION = 1
_KEY, _CATEGORIES, _REPORT = b"key", b"categories", b"report"


def source_of(inputs: SplitInputs) -> Source:
    """The reader of the dataset's format.

    Raises:
        ConfigError: there is none.
    """
    kind = inputs.dataset.format
    if kind not in SOURCES:
        raise ConfigError(f"{inputs.dataset.name}: format {kind!r} is none of {', '.join(sorted(SOURCES))}")
    return SOURCES[kind]


def parse_annotations(inputs: SplitInputs, out: Path) -> bool:
    """Decode the split's annotation file into ``out``, an Arrow IPC file sorted by image id.

    Returns:
        Whether anything was done; False where ``out`` already holds the result of the same inputs.

    Raises:
        AnnotationError: the file cannot be used, or its counts are not the catalog's.
        ArchiveError: an archive cannot be read.
    """
    source, split = source_of(inputs), inputs.split
    folders = {name: inputs.folder(name) for name in ("images", *source.FOLDERS)}
    key = content_key("parse", VERSION, split=msgspec.to_builtins(split), archives=inputs.sha256s())
    if out.exists() and annotations_key(out) == key:
        return False
    data, name = inputs.annotation_bytes()
    table, categories, report = source.parse(
        data,
        name=name,
        folders={key: MemberFolder(inputs.members(folder), folder.prefix) for key, folder in folders.items()},
    )
    _check_counts(inputs, name, report.counts["images_listed"], len(categories))
    metadata = {
        _KEY: key,
        _CATEGORIES: json.dumps([asdict(one) for one in categories]),
        _REPORT: json.dumps(report.to_json(), sort_keys=True),
    }
    table = table.replace_schema_metadata(metadata)
    with (
        atomic_path(out) as temporary,
        pa.OSFile(str(temporary), "wb") as sink,
        pa.ipc.new_file(sink, table.schema) as writer,
    ):
        writer.write_table(table)
    return True


def _check_counts(inputs: SplitInputs, name: str, images: int, categories: int) -> None:
    for what, expected, found in (
        ("images", inputs.split.expected_images, images),
        ("categories", inputs.dataset.expected_categories, categories),
    ):
        if expected is not None and expected != found:
            raise AnnotationError(
                name,
                f"lists another number of {what} than the catalog entry {inputs.dataset.name} says",
                expected=expected,
                found=found,
                remedy="Fetch the archive again, or correct the catalog entry if the publisher changed it",
            )


def open_annotations(path: Path) -> Parsed:
    """Map a parsed table; nothing is read until a slice of it is used."""
    table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    metadata = table.schema.metadata
    categories = [Category(**one) for one in json.loads(metadata[_CATEGORIES])]
    return Parsed(table, categories, Report.from_json(json.loads(metadata[_REPORT])))


def annotations_key(path: Path) -> str | None:
    """The content key of a parsed table, or None where the file is no such table."""
    try:
        metadata = pa.ipc.open_file(pa.memory_map(str(path))).schema.metadata or {}
    except (pa.ArrowInvalid, OSError):
        return None
    key: bytes | None = metadata.get(_KEY)
    return None if key is None else key.decode()
