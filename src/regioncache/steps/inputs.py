"""The files that a split of the catalog is made from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec

from regioncache.archive import Member, OpenArchive, inflated_file, list_members, nested_archive, read_member
from regioncache.errors import ArchiveError, ConfigError
from regioncache.fetch.record import archive_sha256, is_verified, write_record
from regioncache.fetch.verify import verify_whole
from regioncache.sources import SOURCES
from regioncache.sources.places import FolderPart, MemberFolder
from regioncache.sources.record import AnnotationFile

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

    from regioncache import catalog
    from regioncache.sources.record import Source


@dataclass(frozen=True, slots=True)
class SplitInputs:
    """One split's archives on this machine.

    Attributes:
        dataset: the catalog entry.
        split_name: which split.
        archives_dir: the folder that archives are fetched to.
        spool_dir: where compressed archives are inflated to.
        shard: of a streamed split, the one whose archives are meant; None means those that all shards share.
    """

    dataset: catalog.Dataset
    split_name: str
    archives_dir: Path
    spool_dir: Path
    shard: int | None = None

    @property
    def split(self) -> catalog.Split:
        """The split's part of the catalog entry.

        Raises:
            ConfigError: the entry has no such split.
        """
        splits = self.dataset.splits
        if self.split_name not in splits:
            raise ConfigError(f"{self.dataset.name} has no split {self.split_name!r}; it has {', '.join(splits)}")
        return splits[self.split_name] if self.shard is None else self.dataset.shard_split(self.split_name, self.shard)

    @property
    def is_streamed(self) -> bool:
        """Whether each shard has archives of its own."""
        return self.split.stream is not None

    @property
    def parses_shards(self) -> bool:
        """Whether each shard has annotation files of its own; else one parse serves all shards."""
        return self.is_streamed and self.dataset.parses_shards(self.split_name)

    def of_shard(self, shard: int) -> SplitInputs:
        """What one shard is made from: of a streamed split its own archives, else the split's."""
        return replace(self, shard=shard) if self.is_streamed else self

    @property
    def source(self) -> Source:
        """The reader of the dataset's format.

        Raises:
            ConfigError: there is none.
        """
        kind = self.dataset.format
        if kind not in SOURCES:
            raise ConfigError(f"{self.dataset.name}: format {kind!r} is none of {', '.join(sorted(SOURCES))}")
        return SOURCES[kind]

    def options(self) -> Any:  # noqa: ANN401  (each format's own)
        """The entry's choices for the split, in the format's own type.

        Raises:
            ConfigError: a choice is unknown to the format, missing, or of another type.
        """
        try:
            return msgspec.convert(self.dataset.options_of(self.split_name), self.source.Options)
        except msgspec.ValidationError as error:
            raise ConfigError(
                f"{self.dataset.name}, split {self.split_name}: options of the format {self.dataset.format}: {error}"
            ) from error

    def sha256s(self) -> dict[str, str]:
        """The sha256 of every archive that the split, or its shard, reads, by key.

        Raises:
            ArchiveError: a file is not the archive of the catalog entry, such as one that was put there by hand.
        """
        return {key: self.verified_sha256(key) for key in self.split.archive_keys() if key in self.dataset.archives}

    def verified_sha256(self, key: str) -> str:
        """The sha256 of one archive, as ``sha256s``."""
        path, archive = self._fetched(key), self.dataset.archives[key]
        if not is_verified(path, archive):
            write_record(path, verify_whole(path, archive))
        return archive_sha256(path)

    def _fetched(self, key: str) -> Path:
        return self.archives_dir / self.dataset.archives[key].path

    def readable(self, key: str) -> Path:
        """The file that an archive's members are read from: itself, or what it was inflated to.

        Raises:
            ArchiveError: it cannot be inflated.
        """
        path = self._fetched(key)
        if self.dataset.archives[key].kind != "gzip":
            return path
        return inflated_file(path, self.spool_dir, content=self.verified_sha256(key))

    def files(self, stack: ExitStack) -> dict[str, AnnotationFile]:
        """The annotation files, by the format's name for each; stored ones are mapped for as long as ``stack`` is open.

        Raises:
            ConfigError: the split lacks a file that the format needs.
            ArchiveError: an archive has no such member.
        """
        missing = [name for name in self.source.NEEDS.files if name not in self.split.files]
        if missing:
            raise self._lacks("files", missing)
        return {name: self.file(member, stack) for name, member in self.split.files.items()}

    def file(self, wanted: catalog.Member, stack: ExitStack) -> AnnotationFile:
        """One file of an archive, or the archive itself where it is the file."""
        path = self.readable(wanted.archive)
        archive = stack.enter_context(OpenArchive(path))
        if wanted.member is None:
            return AnnotationFile(str(path), archive.buffer)
        data = read_member(archive.buffer, _member(path, wanted.member), archive=path)
        return AnnotationFile(f"{path}: {wanted.member}", data)

    def folders(self) -> dict[str, tuple[catalog.Folder, ...]]:
        """The parts of each folder that the format reads; of a streamed split, without a shard, those that all shards share.

        Raises:
            ConfigError: the split lacks one.
        """
        needed = ("images", *self.source.NEEDS.folders)
        missing = [name for name in needed if not self.split.folder_parts(name)]
        if missing:
            raise self._lacks("folders", missing)
        found = {name: self.split.folder_parts(name) for name in (*needed, *self.source.NEEDS.optional_folders)}
        return {
            name: parts for name, parts in found.items() if parts and all(part.archive in self.dataset.archives for part in parts)
        }

    def window_files(self) -> dict[str, Path]:
        """The annotation files that rows have windows in, where they lie; see ``Needs.windows``.

        Raises:
            ConfigError: one is a member of an archive, and not a file of its own.
        """
        found = {name: self.split.files[name] for name in self.source.NEEDS.windows if name in self.split.files}
        inside = [name for name, member in found.items() if member.member is not None]
        if inside:
            raise ConfigError(
                f"{self.dataset.name}, split {self.split_name}: the format {self.dataset.format} reads {', '.join(inside)} row by"
                " row, which needs a file of its own, not a member of an archive"
            )
        return {name: self.readable(member.archive) for name, member in found.items()}

    def _lacks(self, section: str, missing: list[str]) -> ConfigError:
        return ConfigError(
            f"{self.dataset.name}, split {self.split_name}: the format {self.dataset.format} needs {', '.join(missing)} under"
            f" `{section}`; say in the catalog entry where to find them"
        )

    def folder_file(self, part: catalog.Folder) -> tuple[Path, Member | None]:
        """The file that a folder's members are read from, and the window of it that is their archive."""
        path = self.readable(part.archive)
        return (path, None) if part.nested is None else nested_archive(path, _member(path, part.nested), self.spool_dir)

    def member_folder(self, parts: tuple[catalog.Folder, ...]) -> MemberFolder:
        """What a folder's archives hold."""
        found = []
        for part in parts:
            path, window = self.folder_file(part)
            found.append(FolderPart(list_members(path, within=window), part.prefix))
        return MemberFolder(found)


def _member(path: Path, name: str) -> Member:
    members = list_members(path)
    if name not in members:
        raise ArchiveError(
            path,
            f"has no member {name}",
            expected=name,
            found=", ".join(sorted(members)[:6]) or "an empty archive",
            remedy="Correct the catalog entry, or fetch the archive again",
        )
    return members[name]
