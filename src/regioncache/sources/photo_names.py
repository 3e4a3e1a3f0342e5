"""Photos by the names that annotation files give them, which are not always those that archives give them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from regioncache.sources.places import MemberFolder, Place


class PhotoFinder:
    """Finds photos.

    Looked for in turn: the name as given; where folders in front may be missing, the name without the first of them,
    without the first two, and so on; and the base name over all parts, if it is the name of one file only.

    Args:
        folder: where the photos lie.
        drops_folders: whether folders in front of a name may be missing in the archives.
    """

    def __init__(self, folder: MemberFolder, *, drops_folders: bool) -> None:
        self._folder, self._drops_folders = folder, drops_folders
        self._by_base_name: dict[str, Place | None] | None = None
        self.repaired = 0
        """How many were found by another name than the given one."""

    def find(self, file_name: str) -> Place | None:
        """Where the photo lies, or None."""
        place = self._folder.find(file_name)
        if place is not None:
            return place
        rest = file_name
        while place is None and self._drops_folders and "/" in rest:
            rest = rest.partition("/")[2]
            place = self._folder.find(rest)
        if place is None:
            place = self._only_one_named(_base_name(file_name))
        self.repaired += place is not None
        return place

    def _only_one_named(self, base_name: str) -> Place | None:
        if self._by_base_name is None:  # made when first needed: a set with true names needs none
            self._by_base_name = {}
            for name, place in self._folder.files():
                base = _base_name(name)
                self._by_base_name[base] = None if base in self._by_base_name else place
        return self._by_base_name.get(base_name)

    def __str__(self) -> str:
        return str(self._folder)


class NameEnds:
    """The ends of file names, whole folders at a time: ``b/c.jpg`` is an end of ``a/b/c.jpg``, ``.jpg`` is not.

    Args:
        ends: the ends.
    """

    def __init__(self, ends: Sequence[str]) -> None:
        self._ends = tuple(f"/{one.removeprefix('/')}" for one in ends)

    def match(self, file_name: str) -> bool:
        """Whether the name has one of the ends."""
        return f"/{file_name}".endswith(self._ends)


def _base_name(name: str) -> str:
    return name.rpartition("/")[2]
