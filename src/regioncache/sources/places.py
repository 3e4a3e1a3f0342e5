"""Where the files of an image lie: members of archives, and the columns of a parsed table that name them."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from regioncache.archive import Member

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray


class Place(NamedTuple):
    """Where a file of a folder lies: in which of the folder's parts, and the member of that part's archive."""

    part: int
    member: Member


class FolderPart(NamedTuple):
    """Members of one archive by full name, and what stands before the file names that annotations use."""

    members: Mapping[str, Member]
    prefix: str


class MemberFolder(NamedTuple):
    """Files that may lie in several archives, such as the patches of a large set."""

    parts: Sequence[FolderPart]

    def find(self, file_name: str) -> Place | None:
        """Where a file lies, or None; the first part that has it wins."""
        for k, part in enumerate(self.parts):
            member = part.members.get(part.prefix + file_name)
            if member is not None:
                return Place(k, member)
        return None

    def files(self) -> Iterator[tuple[str, Place]]:
        """Every file below the prefix of its part, by its name after the prefix; parts in order, members in theirs."""
        for k, part in enumerate(self.parts):
            for name, member in part.members.items():
                if name.startswith(part.prefix):
                    yield name[len(part.prefix) :], Place(k, member)

    def __str__(self) -> str:
        return " or ".join(dict.fromkeys(part.prefix or "the root of the archive" for part in self.parts))


_PLACES_AT_A_TIME = 8192
_PLACE = {
    "offset": pa.int64(),
    "compressed_bytes": pa.int64(),
    "size_bytes": pa.int64(),
    "method": pa.int32(),
    "crc32": pa.int64(),
}


def place_fields(folder: str) -> list[pa.Field]:
    """The fields of a parsed table that say where a row's member in a folder lies."""
    return [
        pa.field(f"{folder}.part", pa.int32()),
        pa.field(f"{folder}.name", pa.string()),
        *(pa.field(f"{folder}.{name}", kind) for name, kind in _PLACE.items()),
    ]


def place_columns(folder: str, places: Sequence[Place]) -> dict[str, list[Any]]:
    """The values of ``place_fields``; a missing checksum is -1."""
    columns: dict[str, list[Any]] = {f"{folder}.part": [place.part for place in places]}
    for name in ("name", *_PLACE):
        columns[f"{folder}.{name}"] = [getattr(place.member, name) for place in places]
    columns[f"{folder}.crc32"] = [-1 if crc32 is None else crc32 for crc32 in columns[f"{folder}.crc32"]]
    return columns


def place_list_fields(folder: str) -> list[pa.Field]:
    """The fields of a parsed table that say where a row's members in a folder lie, of which it has any number."""
    return [pa.field(field.name, pa.list_(field.type)) for field in place_fields(folder)]


def place_list_columns(folder: str, places: Iterable[Place], ends: NDArray[np.int32]) -> dict[str, pa.ListArray]:
    """The columns of ``place_list_fields``, made some places at a time: as Python values they take many times the memory.

    Args:
        folder: the folder.
        places: those of all rows, row after row.
        ends: int32 (rows + 1,): row i has the places from ``ends[i]`` to ``ends[i + 1]``.
    """
    fields = place_fields(folder)
    chunks: dict[str, list[pa.Array]] = {field.name: [] for field in fields}
    rest = iter(places)
    while some := list(islice(rest, _PLACES_AT_A_TIME)):
        columns = place_columns(folder, some)
        for field in fields:
            chunks[field.name].append(pa.array(columns[field.name], field.type))
    return {
        field.name: pa.ListArray.from_arrays(ends, pa.chunked_array(chunks[field.name], field.type).combine_chunks())
        for field in fields
    }


def place_of(row: Mapping[str, Any], folder: str, nth: int | None = None) -> Place:
    """The member that a row of a parsed table names, or its ``nth`` where the row has a list of them."""
    values = {name: row[f"{folder}.{name}"] for name in ("part", "name", *_PLACE)}
    if nth is not None:
        values = {name: several[nth] for name, several in values.items()}
    part = values.pop("part")
    return Place(part, Member(**{**values, "crc32": None if values["crc32"] < 0 else values["crc32"]}))
