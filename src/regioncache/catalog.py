"""The catalog: one YAML file per dataset, with its archives, splits, licence and expected counts.

A user's own dataset in a known format is one more file in a folder of their own; no code is needed. Nothing here opens
an archive or a socket.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeVar

import msgspec

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
Numbers = tuple[Annotated[int, msgspec.Meta(ge=0)], Annotated[int, msgspec.Meta(ge=0)]]
Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
_MOST_NUMBERS = 100_000  # of one series
_NUMBER = re.compile(r"\{n(:0\d\d?d)?\}")


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
        disk_mb: about what it takes on the disk, to plan with where ``bytes`` is not known; of a series, each archive.
    """

    path: RelativePath
    kind: ArchiveKind
    bytes: Count | None = None
    sha256: Sha256 | None = None
    urls: Annotated[tuple[Url, ...], msgspec.Meta(min_length=1)] = ()
    local: Text | None = None
    by_hand: Text | None = None
    numbers: Numbers | None = None
    disk_mb: Count | None = None

    def __post_init__(self) -> None:
        if not self.urls and self.local is None and self.by_hand is None:
            raise ValueError("Object needs `urls`, `local` or `by_hand`, or the archive cannot be had")
        if self.kind == "folder" and (self.local is None or self.urls):
            raise ValueError("Object is a folder, which needs `local` and has no `urls`")
        if self.numbers is not None:
            if self.numbers[0] > self.numbers[1]:
                raise ValueError("Object needs `numbers` in rising order")
            if self.numbers[1] - self.numbers[0] >= _MOST_NUMBERS:
                raise ValueError(f"Object is a series of more than {_MOST_NUMBERS} archives")
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


_Part = TypeVar("_Part", Member, Folder)
FolderParts = Folder | Annotated[tuple[Folder, ...], msgspec.Meta(min_length=1)]


class Split(_Entry, frozen=True):
    """One split of a dataset.

    Args:
        shards: the number of Parquet files, fixed so that the plan is known before anything is downloaded.
        stream: in place of ``shards``, first and last number of the series that the split reads: each number is one shard,
            whose archives are fetched, converted and removed again.
        files: the annotation files, by the names that the format gives them.
        folders: where the image files lie (``images``), and other files per image that the format reads; a list where
            several archives hold parts of one folder.
        options: the format's own choices for this split, over those of the dataset.
        expected_images: the number of images that the annotation files list, if known.
        expected_regions: the number of regions that they list, if known.
        leakage_guard: whether photos of guarded validation and test sets are left out; for training splits of COCO's
            photos.
    """

    folders: Annotated[dict[Key, FolderParts], msgspec.Meta(min_length=1)]
    shards: Count | None = None
    stream: Numbers | None = None
    files: dict[Key, Member] = {}
    options: dict[str, Any] = {}
    expected_images: Count | None = None
    expected_regions: Count | None = None
    leakage_guard: bool = False

    def __post_init__(self) -> None:
        if (self.shards is None) == (self.stream is None):
            raise ValueError("Object needs either `shards` or `stream`")
        if self.stream is not None and self.stream[0] > self.stream[1]:
            raise ValueError("Object needs `stream` in rising order")

    @property
    def shard_count(self) -> int:
        """The number of Parquet files of the whole split."""
        first, last = self.stream or (1, self.shards or 0)
        return last - first + 1

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

    def shard_split(self, name: str, shard: int) -> Split:
        """A streamed split as one of its shards reads it: each series stands for its archive of the shard's number."""
        split = self.splits[name]
        if split.stream is None:
            raise AssertionError(f"{self.name}, split {name}, is not streamed")
        number = split.stream[0] + shard

        def one(part: _Part) -> _Part:
            return part if part.archive in self.archives else msgspec.structs.replace(part, archive=f"{part.archive}_{number}")

        return msgspec.structs.replace(
            split,
            files={file: one(member) for file, member in split.files.items()},
            folders={folder: tuple(one(part) for part in split.folder_parts(folder)) for folder in split.folders},
        )

    def streamed_archives(self, name: str) -> list[Archive]:
        """The archives that come and go with the shards of a streamed split."""
        split = self.splits[name]
        first, last = split.stream or (1, 0)
        series = [key for key in split.archive_keys() if key not in self.archives]
        return [self.archives[f"{key}_{number}"] for key in series for number in range(first, last + 1)]

    def parses_shards(self, name: str) -> bool:
        """Whether each shard of a split has annotation files of its own; else one parse serves all shards."""
        return any(member.archive not in self.archives for member in self.splits[name].files.values())

    def options_of(self, split: str) -> dict[str, Any]:
        """The format's choices for one split."""
        return {**self.options, **self.splits[split].options}
