"""Catalog entries from their YAML files: checked, and every series replaced by its archives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from regioncache.catalog import (
    Archive,
    ArchiveKind,
    Dataset,
    Exif,
    Folder,
    FolderParts,
    Member,
    SizeMismatch,
    Split,
    TaskType,
    WithoutRegions,
)
from regioncache.entry_problems import explain
from regioncache.errors import ConfigError
from regioncache.plain_yaml import read_plain_yaml

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_SECTIONS = {"archives": Archive, "splits": Split, "files": Member, "folders": FolderParts, "guards": Member}
_CHOICES = {
    "exif": Exif,
    "kind": ArchiveKind,
    "task_type": TaskType,
    "images_without_regions": WithoutRegions,
    "size_mismatch": SizeMismatch,
}


def load_dataset_entry(path: Path) -> Dataset:
    """Read one entry.

    Raises:
        ConfigError: the file cannot be read, is not YAML, or breaks a rule; names the file, the key and what was found.
    """
    value = read_plain_yaml(path, "catalog entry")
    try:
        dataset = msgspec.convert(value, Dataset)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {explain(value, error, _SECTIONS, _CHOICES)}") from error
    named = [(f"splits.{name}", key) for name, split in dataset.splits.items() for key in split.archive_keys()]
    named += [("guards", member.archive) for member in dataset.guards.values()]
    for where, key in named:
        if key not in dataset.archives:
            known = ", ".join(dataset.archives)
            raise ConfigError(f"{path}: {where} reads from archive {key!r}, expected one of: {known}")
    return _without_series(path, dataset)


def _without_series(path: Path, dataset: Dataset) -> Dataset:
    """The entry with every series replaced by its archives; in folders too, but for those of streamed splits."""
    archives: dict[str, Archive] = {}
    for key, archive in dataset.archives.items():
        for one, numbered in archive.series(key).items():
            if one in archives or (one != key and one in dataset.archives):
                raise ConfigError(f"{path}: archives.{one} is there already, and the series {key} gives it again; rename one")
            archives[one] = numbered
    whole = {name: split for name, split in dataset.splits.items() if split.stream is None}
    files = [(f"splits.{name}.files", member) for name, split in whole.items() for member in split.files.values()]
    for where, member in [*files, *(("guards", member) for member in dataset.guards.values())]:
        if dataset.archives[member.archive].numbers is not None:
            raise ConfigError(f"{path}: {where} names the series {member.archive}, expected a single archive")
    splits = dict(dataset.splits)
    for name, split in whole.items():
        folders: dict[str, Folder | tuple[Folder, ...]] = {
            folder: tuple(
                msgspec.structs.replace(part, archive=key)
                for part in split.folder_parts(folder)
                for key in dataset.archives[part.archive].series(part.archive)
            )
            for folder in split.folders
        }
        splits[name] = msgspec.structs.replace(split, folders=folders)
    for name in dataset.splits.keys() - whole.keys():
        _check_stream(f"{path}: splits.{name}", dataset, splits[name])
    return msgspec.structs.replace(dataset, archives=archives, splits=splits)


def _check_stream(where: str, dataset: Dataset, split: Split) -> None:
    """Every series of a streamed split has an archive for each of its shards, and the images are in one."""
    for key in split.archive_keys():
        archive = dataset.archives[key]
        if archive.numbers is None:
            continue
        if archive.numbers != split.stream:
            raise ConfigError(
                f"{where} streams the numbers {list(split.stream or ())}, expected those of the series {key},"
                f" {list(archive.numbers)}"
            )
        if archive.kind in ("gzip", "folder"):
            raise ConfigError(
                f"{where} streams the series {key} of kind {archive.kind}, expected archives that are read in place"
            )
    if any(dataset.archives[part.archive].numbers is None for part in split.folder_parts("images")):
        raise ConfigError(f"{where} is streamed, but its images are not in a series; give the split `shards` instead")


def load_catalog(folders: Sequence[Path]) -> dict[str, Dataset]:
    """Read every ``*.yaml`` and ``*.yml`` of some folders, by name, sorted by name.

    Raises:
        ConfigError: as ``load_entries``.
    """
    return {name: dataset for name, (_, dataset) in load_entries(folders).items()}


def load_entries(folders: Sequence[Path]) -> dict[str, tuple[Path, Dataset]]:
    """As ``load_catalog``, each entry with its file, which may be named otherwise.

    Raises:
        ConfigError: a folder is missing, an entry is bad, or two files give the same name.
    """
    found: dict[str, tuple[Path, Dataset]] = {}
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(f"{folder}: a catalog folder is expected here, found no folder")
        for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
            dataset = load_dataset_entry(path)
            if dataset.name in found:
                first = found[dataset.name][0]
                raise ConfigError(f"{path}: name: {dataset.name!r} is already the name of {first}; rename one of them")
            found[dataset.name] = (path, dataset)
    _check_shared_archives(found)
    return dict(sorted(found.items()))


def _check_shared_archives(found: dict[str, tuple[Path, Dataset]]) -> None:
    """Two datasets may read one archive, but then they must mean the same file."""
    meant: dict[str, tuple[Path, str, Archive]] = {}
    for path, dataset in found.values():
        for key, archive in dataset.archives.items():
            first_path, first_key, first = meant.setdefault(archive.path, (path, key, archive))
            if first != archive:
                raise ConfigError(
                    f"{path}: archives.{key} has the same path as archives.{first_key} of {first_path}, {archive.path}, but"
                    " other facts; make both equal, or give one another path"
                )
