"""Step ``guard``: which photos no guarded training split may hold, from the files of referring expressions."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from regioncache.errors import ConfigError
from regioncache.hashing import content_key
from regioncache.sources.leakage import guarded_images
from regioncache.steps.inputs import SplitInputs
from regioncache.steps.tables import map_table, table_key, write_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyarrow as pa

    from regioncache.catalog import Dataset
    from regioncache.sources.record import AnnotationFile

VERSION = 1


class Guard(NamedTuple):
    """A list of guarded photos: ``coco_image_id`` and ``held_by``, and the content key of what it was made from."""

    table: pa.Table
    key: str


def list_guarded_images(datasets: Sequence[Dataset], *, archives_dir: Path, spool_dir: Path, out: Path) -> bool:
    """Write the photos that the entries' ``guards`` hold beyond their training splits.

    Returns:
        Whether anything was done; False where ``out`` already holds the result of the same files.

    Raises:
        AnnotationError: a file cannot be used.
        ArchiveError: an archive cannot be read.
        ConfigError: two entries guard under one label.
    """
    inputs = [SplitInputs(one, next(iter(one.splits)), archives_dir, spool_dir) for one in datasets]
    sources = [
        [label, member.archive, member.member, one.verified_sha256(member.archive)]
        for one in inputs
        for label, member in one.dataset.guards.items()
    ]
    key = content_key("guard", VERSION, sources=sources)
    if out.exists() and table_key(out) == key:
        return False
    with ExitStack() as stack:
        files: dict[str, AnnotationFile] = {}
        for one in inputs:
            for label, member in one.dataset.guards.items():
                if label in files:
                    raise ConfigError(f"{one.dataset.name}: guards.{label} is the label of another dataset too; rename one")
                files[label] = one.file(member, stack)
        table = guarded_images(files)
    write_table(out, table, key)
    return True


def open_guard(path: Path) -> Guard:
    """A list that ``list_guarded_images`` wrote.

    Raises:
        ConfigError: the file is not one.
    """
    key = table_key(path)
    if key is None:
        raise ConfigError(f"{path} is not the output of `regioncache guard`; run that step first")
    return Guard(map_table(path), key)
