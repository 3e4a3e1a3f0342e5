"""The catalog: one YAML file per dataset, with its archives, splits, licence and expected counts.

A user's own dataset in a known format is one more file in a folder of their own; no code is needed. Nothing here opens
an archive or a socket.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import yaml

from regioncache.entry_problems import explain
from regioncache.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Key = Annotated[str, msgspec.Meta(pattern="^[a-z][A-Za-z0-9_]*$")]
Text = Annotated[str, msgspec.Meta(min_length=1)]
Count = Annotated[int, msgspec.Meta(ge=1)]
# No root and no climbing: the path is joined to a folder of ours.
RelativePath = Annotated[str, msgspec.Meta(pattern=r"^(?!/)(?!.*(^|/)\.\.(/|$)).+$")]
Url = Annotated[str, msgspec.Meta(pattern="^https?://")]
ArchiveKind = Literal["zip", "tar", "gzip", "file", "folder"]
WithoutRegions = Literal["keep", "leave_out"]
SizeMismatch = Literal["reject", "trust_image"]
Exif = Literal["ignore"]
TaskType = Literal["recognition", "caption"]
Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
_NUMBER = re.compile(r"\{n(:0\d+d)?\}")


class _Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every part of an entry has in common: it is read-only, and a misspelt key is an error."""


class Licence(_Entry, frozen=True):
    """What one may do with a dataset.

    Args:
        annotations: the licence of boxes, masks, categories and texts.
        images: the licence of the images, or who holds their rights.
    """

    annotations: Text
    images: Text


class Archive(_Entry, frozen=True):
    """One file that is fetched and then only read, never unpacked.

    Args:
        path: where it lies below the folder of archives, such as ``coco/train2017.zip``; a mirror folder is expected
            to have it there too.
        kind: what its first bytes must show; ``gzip`` for one compressed file or tar, which is inflated once before it
            is read; ``folder`` for a local folder of files, which is packed into a plain tar; ``file`` for anything
            else, such as plain JSON or CSV.
        bytes: its exact size, if known.
        sha256: of the whole file, 64 lower-case hexadecimal digits, if known.
        urls: where to download it, in order.
        local: a file or folder on this machine, relative to the working directory, tried before the urls.
        by_hand: for a file that has no public address: what it is and how to get it; the error of the download says so.
        numbers: first and last number of a series of archives; ``{n}`` (or ``{n:04d}``) in the path, the urls and
            ``local`` is each one's number, and a folder that names the series' key means all of them.
    """

    path: RelativePath
    kind: ArchiveKind
    bytes: Count | None = None
    sha256: Sha256 | None = None
    urls: Annotated[tuple[Url, ...], msgspec.Meta(min_length=1)] = ()
    local: Text | None = None
    by_hand: Text | None = None
    numbers: tuple[Annotated[int, msgspec.Meta(ge=0)], Annotated[int, msgspec.Meta(ge=0)]] | None = None

    def __post_init__(self) -> None:
        if not self.urls and self.local is None and self.by_hand is None:
            raise ValueError("Object needs `urls`, `local` or `by_hand`, or the archive cannot be had")
        if self.kind == "folder" and (self.local is None or self.urls):
            raise ValueError("Object is a folder, which needs `local` and has no `urls`")
        if self.numbers is not None:
            if self.numbers[0] > self.numbers[1]:
                raise ValueError("Object needs `numbers` in rising order")
            if self.sha256 is not None or self.bytes is not None:
                raise ValueError("Object is a series, whose archives have no common `bytes` or `sha256`")
            if not all(map(_NUMBER.search, (self.path, *self.urls, self.local or "{n}"))):
                raise ValueError("Object is a series, which needs `{n}` in its `path`, its `urls` and its `local`")

    def series(self, key: str) -> dict[str, Archive]:
        """Itself under its key, or the archives of the series under ``<key>_<number>``."""
        if self.numbers is None:
            return {key: self}
        return {f"{key}_{n}": self._numbered(n) for n in range(self.numbers[0], self.numbers[1] + 1)}

    def _numbered(self, n: int) -> Archive:
        def filled(text: str) -> str:
            return _NUMBER.sub(lambda found: format(n, (found[1] or ":d")[1:]), text)

        local = None if self.local is None else filled(self.local)
        return msgspec.structs.replace(
            self, path=filled(self.path), urls=tuple(map(filled, self.urls)), local=local, numbers=None
        )


class Member(_Entry, frozen=True):
    """One file inside an archive.

    Args:
        archive: the archive's key.
        member: the name inside it; None when the archive is the file itself.
    """

    archive: Key
    member: RelativePath | None = None


class Folder(_Entry, frozen=True):
    """Many files inside an archive, or inside each archive of a series.

    Args:
        archive: the archive's key.
        nested: the name of a zip inside the archive that holds the files; None when the archive holds them itself.
        prefix: what stands before the file names of the annotations, with its slash.
    """

    archive: Key
    nested: RelativePath | None = None
    prefix: str = ""


FolderParts = Folder | Annotated[tuple[Folder, ...], msgspec.Meta(min_length=1)]


class Split(_Entry, frozen=True):
    """One split of a dataset.

    Args:
        shards: the number of Parquet files, fixed so that the plan is known before anything is downloaded.
        files: the annotation files, by the names that the format gives them.
        folders: where the image files lie (``images``), and other files per image that the format reads; a list where
            several archives hold parts of one folder.
        options: the format's own choices for this split, over those of the dataset.
        expected_images: the number of images that the annotation files list, if known.
        expected_regions: the number of regions that they list, if known.
        leakage_guard: whether photos of guarded validation and test sets are left out; for training splits of COCO's
            photos.
    """

    shards: Count
    folders: Annotated[dict[Key, FolderParts], msgspec.Meta(min_length=1)]
    files: dict[Key, Member] = {}
    options: dict[str, Any] = {}
    expected_images: Count | None = None
    expected_regions: Count | None = None
    leakage_guard: bool = False

    def folder_parts(self, name: str) -> tuple[Folder, ...]:
        """The parts of a folder; none where the split has no such folder."""
        folder = self.folders.get(name, ())
        return (folder,) if isinstance(folder, Folder) else folder

    def archive_keys(self) -> list[str]:
        """The archives that this split reads, each once, in the order of first use."""
        keys = [member.archive for member in self.files.values()]
        keys += [part.archive for name in self.folders for part in self.folder_parts(name)]
        return list(dict.fromkeys(keys))


class Dataset(_Entry, frozen=True):
    """One catalog entry.

    Args:
        name: the name in targets, folders and the ``source`` column; unique over all folders.
        title: the name that people read.
        format: the reader in ``regioncache.sources`` that understands the archives.
        homepage: where the dataset is published.
        licence: of annotations and images; copied into every cache.
        citation: what to cite.
        exif: ``ignore``: annotations are in the stored orientation of the image, whatever its EXIF tag says.
        task_type: the task that a multi-task model is told.
        archives: by key; a series is replaced by its archives when the entry is loaded.
        splits: by name, in the order of the file.
        options: the format's own choices, for all splits.
        expected_categories: the number of categories in the annotation files, if known.
        coco_image_ids: whether image ids are those of COCO, so that photos can be matched with other sets of COCO photos.
        images_without_regions: ``keep`` them as rows without regions, or ``leave_out``, which lists them as rejects.
        size_mismatch: what to do where an image has another size than its record: ``reject`` it, or ``trust_image``.
        parse_memory_mb: what decoding the annotation files takes, where that is more than 4,000 MB.
        guards: files of referring expressions whose photos beyond the training split no guarded split may hold, by label.
    """

    name: Key
    title: Text
    format: Key
    homepage: Url
    licence: Licence
    citation: Text
    exif: Exif
    task_type: TaskType
    archives: Annotated[dict[Key, Archive], msgspec.Meta(min_length=1)]
    splits: Annotated[dict[Key, Split], msgspec.Meta(min_length=1)]
    expected_categories: Count | None = None
    options: dict[str, Any] = {}
    coco_image_ids: bool = False
    images_without_regions: WithoutRegions = "keep"
    size_mismatch: SizeMismatch = "reject"
    parse_memory_mb: Count | None = None
    guards: dict[Text, Member] = {}

    def options_of(self, split: str) -> dict[str, Any]:
        """The format's choices for one split."""
        return {**self.options, **self.splits[split].options}


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
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: this catalog entry cannot be read: {error}") from error
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
    """The entry with every series replaced by its archives, in the folders that name it too."""
    archives: dict[str, Archive] = {}
    for key, archive in dataset.archives.items():
        for one, numbered in archive.series(key).items():
            if one in archives or (one != key and one in dataset.archives):
                raise ConfigError(f"{path}: archives.{one} is there already, and the series {key} gives it again; rename one")
            archives[one] = numbered
    files = [(f"splits.{name}.files", member) for name, split in dataset.splits.items() for member in split.files.values()]
    for where, member in [*files, *(("guards", member) for member in dataset.guards.values())]:
        if dataset.archives[member.archive].numbers is not None:
            raise ConfigError(f"{path}: {where} names the series {member.archive}, expected a single archive")
    splits = {}
    for name, split in dataset.splits.items():
        folders: dict[str, Folder | tuple[Folder, ...]] = {
            folder: tuple(
                msgspec.structs.replace(part, archive=key)
                for part in split.folder_parts(folder)
                for key in dataset.archives[part.archive].series(part.archive)
            )
            for folder in split.folders
        }
        splits[name] = msgspec.structs.replace(split, folders=folders)
    return msgspec.structs.replace(dataset, archives=archives, splits=splits)


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
