"""What every source takes and gives: members of archives in, regions of one image out, and records that could not be used."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import pyarrow as pa

from regioncache.archive import Member

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray


class MemberFolder(NamedTuple):
    """Members of an archive by full name, and what stands before the file names that annotations use."""

    members: Mapping[str, Member]
    prefix: str

    def find(self, file_name: str) -> Member | None:
        """The member of a file name, or None."""
        return self.members.get(self.prefix + file_name)


class Parsed(NamedTuple):
    """A parsed annotation file: one row per usable image, sorted by image id, the categories in order, and the rest."""

    table: pa.Table
    categories: list[Category]
    report: Report


class Source(Protocol):
    """A reader of one annotation format; a module of ``regioncache.sources`` is one.

    ``FOLDERS`` names the split's folders (beside its ``images``) that rows have members in.
    """

    FOLDERS: tuple[str, ...]

    def parse(self, annotations: bytes, *, name: str, folders: Mapping[str, MemberFolder]) -> Parsed:
        """Decode the annotation file and join it with what the archives hold.

        Args:
            annotations: the annotation file.
            name: the archive and member that it came from, for errors.
            folders: ``images`` and those of ``FOLDERS``. The table says where each row's members lie (``place_columns``).

        Raises:
            AnnotationError: the file as a whole cannot be used.
        """

    def regions_of(
        self, row: Mapping[str, Any], read: Callable[[str], bytes], categories: Mapping[int, Category], report: Report
    ) -> Regions:
        """The regions of one image.

        Args:
            row: a row of the table.
            read: gives the row's member in the folder of that name.
            categories: by the source's id.
            report: gets what is worth counting.

        Raises:
            BadRecordError: the record cannot be used; the reason says why.
        """


_PLACE = {
    "offset": pa.int64(),
    "compressed_bytes": pa.int64(),
    "size_bytes": pa.int64(),
    "method": pa.int32(),
    "crc32": pa.int64(),
}


def place_fields(folder: str) -> list[pa.Field]:
    """The fields of a parsed table that say where a row's member in a folder lies."""
    return [pa.field(f"{folder}.name", pa.string()), *(pa.field(f"{folder}.{name}", kind) for name, kind in _PLACE.items())]


def place_columns(folder: str, members: Sequence[Member]) -> dict[str, list[Any]]:
    """The values of ``place_fields``; a missing checksum is -1."""
    columns = {f"{folder}.{name}": [getattr(member, name) for member in members] for name in ("name", *_PLACE)}
    columns[f"{folder}.crc32"] = [-1 if crc32 is None else crc32 for crc32 in columns[f"{folder}.crc32"]]
    return columns


def member_of(row: Mapping[str, Any], folder: str) -> Member:
    """The member that a row of a parsed table names."""
    values = {name: row[f"{folder}.{name}"] for name in ("name", *_PLACE)}
    return Member(**{**values, "crc32": None if values["crc32"] < 0 else values["crc32"]})


@dataclass(frozen=True, slots=True)
class Category:
    """One category of a dataset: the source's id, its name, whether it is a countable thing, and its place in the order."""

    category_id: int
    name: str
    is_thing: bool
    index: int


@dataclass(frozen=True, slots=True)
class Reject:
    """One record that was left out; ``reason`` is a code of ``schema.REJECT_REASONS``."""

    image_id: int
    file_name: str
    reason: str
    detail: str
    region_id: int = -1


class Regions(NamedTuple):
    """The regions of one image, n of them.

    ``box_xyxy`` is in source pixels; ``counts`` are COCO compressed RLEs at source size (empty where there is no mask);
    ``ordinals`` makes the (height, width) map of disjoint regions (0 = none, k = k-th region + 1), None if they overlap;
    ``coco_image_id`` is -1 where the photo is in no COCO release.
    """

    region_id: NDArray[np.int64]
    box_xyxy: NDArray[np.float32]
    category_id: NDArray[np.int32]
    category_index: NDArray[np.int32]
    phrases: list[list[str]]
    counts: list[bytes]
    area: NDArray[np.float64]
    is_crowd: NDArray[np.bool_]
    is_thing: NDArray[np.bool_]
    flags: NDArray[np.int32]
    ordinals: Callable[[], NDArray[np.uint8] | NDArray[np.uint16]] | None
    coco_image_id: int


@dataclass
class Report:
    """What one step left out, and what it counted."""

    rejects: list[Reject] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def count(self, name: str, amount: int = 1) -> None:
        """Add to a counter."""
        self.counts[name] = self.counts.get(name, 0) + int(amount)

    def reject(self, reject: Reject) -> None:
        """Leave a record out."""
        self.rejects.append(reject)

    def add(self, other: Report) -> None:
        """Take over all that another report holds."""
        self.rejects.extend(other.rejects)
        for name, amount in other.counts.items():
            self.count(name, amount)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "counts": self.counts,
            "rejects": [[one.image_id, one.region_id, one.file_name, one.reason, one.detail] for one in self.rejects],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Report:
        """Undo ``to_json``."""
        rejects = [
            Reject(image_id, file_name, reason, detail, region_id)
            for image_id, region_id, file_name, reason, detail in value["rejects"]
        ]
        return cls(rejects, dict(value["counts"]))
