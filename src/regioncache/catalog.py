"""The catalog: one YAML file per dataset, with its archives, splits, licence and expected counts.

A user's own dataset in a known format is one more file in a folder of their own; no code is needed. Nothing here opens
an archive or a socket.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import msgspec
import yaml

from regioncache.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Key = Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_]*$")]
Text = Annotated[str, msgspec.Meta(min_length=1)]
Count = Annotated[int, msgspec.Meta(ge=1)]
# No root and no climbing: the path is joined to a folder of ours.
RelativePath = Annotated[str, msgspec.Meta(pattern=r"^(?!/)(?!.*(^|/)\.\.(/|$)).+$")]
Url = Annotated[str, msgspec.Meta(pattern="^https?://")]
ArchiveKind = Literal["zip", "tar", "gzip", "file"]
Exif = Literal["ignore"]
TaskType = Literal["recognition", "caption"]
Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


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
        kind: what its first bytes must show; ``file`` for anything else, such as plain JSON or CSV.
        bytes: its exact size, if known.
        sha256: of the whole file, 64 lower-case hexadecimal digits, if known.
        urls: where to download it, in order.
        local: a file on this machine, relative to the working directory, tried before the urls.
    """

    path: RelativePath
    kind: ArchiveKind
    bytes: Count | None = None
    sha256: Sha256 | None = None
    urls: Annotated[tuple[Url, ...], msgspec.Meta(min_length=1)] = ()
    local: Text | None = None

    def __post_init__(self) -> None:
        if not self.urls and self.local is None:
            raise ValueError("Object needs `urls` or `local`, or the archive cannot be had")


class Member(_Entry, frozen=True):
    """One file inside an archive.

    Args:
        archive: the archive's key.
        member: the name inside it; None when the archive is the file itself.
    """

    archive: Key
    member: RelativePath | None = None


class Folder(_Entry, frozen=True):
    """Many files inside an archive.

    Args:
        archive: the archive's key.
        nested: the name of a zip inside the archive that holds the files; None when the archive holds them itself.
        prefix: what stands before the file names of the annotations, with its slash.
    """

    archive: Key
    nested: RelativePath | None = None
    prefix: str = ""


class Split(_Entry, frozen=True):
    """One split of a dataset.

    Args:
        shards: the number of Parquet files, fixed so that the plan is known before anything is downloaded.
        annotations: the annotation file.
        expected_images: the number of images that the annotation file lists, if known.
        panoptic: the PNG files that hold a region id per pixel, for formats that have them.
        images: the image files, for formats whose annotations name images.
    """

    shards: Count
    annotations: Member
    expected_images: Count | None = None
    panoptic: Folder | None = None
    images: Folder | None = None

    def archive_keys(self) -> list[str]:
        """The archives that this split reads, each once, in the order of first use."""
        parts = (self.annotations, self.panoptic, self.images)
        return list(dict.fromkeys(part.archive for part in parts if part is not None))


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
        archives: by key.
        splits: by name, in the order of the file.
        expected_categories: the number of categories in the annotation files, if known.
        coco_image_ids: whether image ids are those of COCO, so that photos can be matched with other sets of COCO photos.
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
    coco_image_ids: bool = False


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
        raise ConfigError(f"{path}: {_explain(value, error)}") from error
    for split_name, split in dataset.splits.items():
        for key in split.archive_keys():
            if key not in dataset.archives:
                known = ", ".join(dataset.archives)
                raise ConfigError(f"{path}: splits.{split_name} reads from archive {key!r}, expected one of: {known}")
    return dataset


def load_catalog(folders: Sequence[Path]) -> dict[str, Dataset]:
    """Read every ``*.yaml`` and ``*.yml`` of some folders, by name, sorted by name.

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
    return {name: found[name][1] for name in sorted(found)}


def _explain(value: Any, error: msgspec.ValidationError) -> str:  # noqa: ANN401  (whatever the YAML file holds)
    """The key path, the rule and the value found. msgspec writes ``[...]`` for the key of a mapping: find that key."""
    rule, _, at = str(error).partition(" - at `")
    at = at.rstrip("`")
    if at.startswith("key"):  # the offender is a key of a mapping, such as: key in `$.archives`
        at = at.partition("`")[2]
    keys: list[str] = []
    for name, index, some_key in re.findall(r"\.(\w+)|\[(\d+)\]|(\[\.\.\.\])", at):
        if some_key:
            key = _offending_key(value, keys[-1])
            keys.append(key)
            value = value[key]
        elif index:
            keys[-1] += f"[{index}]"
            value = value[int(index)]
        else:
            keys.append(name)
            value = value[name]
    choices = {"exif": Exif, "kind": ArchiveKind, "task_type": TaskType}
    if rule.startswith("Invalid enum value") and keys[-1] in choices:
        rule = f"Expected one of {', '.join(get_args(choices[keys[-1]]))}"
    shown = repr(value)
    if isinstance(value, dict):
        shown = f"a mapping with the keys {', '.join(map(str, value))}" if value else "a mapping with no key"
    return f"{'.'.join(keys) or 'the whole file'}: {rule}, found {shown}"


def _offending_key(entries: dict[str, Any], section: str) -> str:
    """The first entry of a section that alone breaks a rule; msgspec stops there too."""
    kind = {"archives": Archive, "splits": Split}[section]
    for key, value in entries.items():
        try:
            msgspec.convert({key: value}, dict[Key, kind])  # type: ignore[valid-type]  # chosen at run time
        except msgspec.ValidationError:
            return key
    raise AssertionError(f"every entry of {section} is valid alone, yet together they are not")
