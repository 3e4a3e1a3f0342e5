"""The files that a split of the catalog is made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from regioncache.archive import Member, OpenArchive, list_members, nested_archive
from regioncache.errors import ArchiveError, ConfigError
from regioncache.fetch.verify import archive_sha256, is_verified, verify_whole, write_record

if TYPE_CHECKING:
    from pathlib import Path

    from regioncache.catalog import Dataset, Folder, Split


@dataclass(frozen=True, slots=True)
class SplitInputs:
    """One split's archives on this machine.

    Attributes:
        dataset: the catalog entry.
        split_name: which split.
        archives_dir: the folder that archives are fetched to.
        spool_dir: where a deflated inner archive is inflated to.
    """

    dataset: Dataset
    split_name: str
    archives_dir: Path
    spool_dir: Path

    @property
    def split(self) -> Split:
        """The split's part of the catalog entry.

        Raises:
            ConfigError: the entry has no such split.
        """
        splits = self.dataset.splits
        if self.split_name not in splits:
            raise ConfigError(f"{self.dataset.name} has no split {self.split_name!r}; it has {', '.join(splits)}")
        return splits[self.split_name]

    def path(self, archive: str) -> Path:
        """Where the archive of that key lies."""
        return self.archives_dir / self.dataset.archives[archive].path

    def sha256s(self) -> dict[str, str]:
        """The sha256 of every archive that the split reads, by key.

        Raises:
            ArchiveError: a file is not the archive of the catalog entry, such as one that was put there by hand.
        """
        return {key: self._verified_sha256(key) for key in self.split.archive_keys()}

    def _verified_sha256(self, key: str) -> str:
        path, archive = self.path(key), self.dataset.archives[key]
        if not is_verified(path, archive):
            write_record(path, verify_whole(path, archive))
        return archive_sha256(path)

    def annotation_bytes(self) -> tuple[bytes, str]:
        """The annotation file, and what to call it in errors.

        Raises:
            ArchiveError: the archive has no such member.
        """
        path, wanted = self.path(self.split.annotations.archive), self.split.annotations.member
        if wanted is None:
            return path.read_bytes(), str(path)
        with OpenArchive(path) as archive:
            return archive.read(_member(path, wanted)), f"{path}: {wanted}"

    def folder(self, name: str) -> Folder:
        """The split's folder of that name, ``images`` or ``panoptic``.

        Raises:
            ConfigError: the split has none.
        """
        folder: Folder | None = getattr(self.split, name)
        if folder is None:
            raise ConfigError(
                f"{self.dataset.name}, split {self.split_name}: the format {self.dataset.format} needs `{name}`, which says where"
                " those files lie; add it to the catalog entry"
            )
        return folder

    def folder_file(self, folder: Folder) -> tuple[Path, Member | None]:
        """The file that a folder's members are read from, and the window of it that is their archive."""
        path = self.path(folder.archive)
        return (path, None) if folder.nested is None else nested_archive(path, _member(path, folder.nested), self.spool_dir)

    def members(self, folder: Folder) -> dict[str, Member]:
        """The members of a folder's archive, by their full name."""
        path, window = self.folder_file(folder)
        return list_members(path, within=window)


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
