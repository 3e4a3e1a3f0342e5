"""What every source takes and gives: members of archives in, regions of one image out, and records that could not be used."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec
import numpy as np
import pyarrow as pa

from regioncache.archive import Member
from regioncache.geometry import clip_xyxy
from regioncache.masks import mask_areas, mask_boxes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray


class AnnotationFile(NamedTuple):
    """One annotation file: what to call it in errors (archive and member), and its bytes, mapped where they lie stored."""

    name: str
    data: bytes | memoryview


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


class Parsed(NamedTuple):
    """A parsed annotation file: one row per usable image, sorted by image id, the categories in order, and the rest.

    The table has at least ``IMAGE_FIELDS`` and the ``place_fields`` of ``images``. It may have ``coco_image_id``
    (int64, -1 where the photo is in no COCO release) and ``url`` (where the image was published, empty if unknown).
    A width and height of -1 are learnt from the image itself.
    The report counts ``images_listed``, each image that the files list or name once: it is a row, or has one reject of its
    own; and, where it is known, ``regions_listed``.
    """

    table: pa.Table
    categories: list[Category]
    report: Report


class NoOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The options of a format that has none."""


class Source(Protocol):
    """A reader of one annotation format; a module of ``regioncache.sources`` is one.

    ``FILES`` names the annotation files of a split that it needs, ``FOLDERS`` the split's folders (beside its ``images``)
    that rows have members in, ``Options`` is a msgspec struct of what a catalog entry may choose.
    """

    FILES: tuple[str, ...]
    FOLDERS: tuple[str, ...]

    @property
    def Options(self) -> type[msgspec.Struct]:  # noqa: N802  (a class of the module)
        """What a catalog entry may choose."""

    def parse(
        self,
        files: Mapping[str, AnnotationFile],
        folders: Mapping[str, MemberFolder],
        options: Any,  # noqa: ANN401  (each format's own)
        /,
    ) -> Parsed:
        """Decode the annotation files and join them with what the archives hold.

        Args:
            files: those of ``FILES``; other files of the split may be there too.
            folders: ``images`` and those of ``FOLDERS``. The table says where each row's members lie (``place_columns``).
            options: the entry's choices, an ``Options``.

        Raises:
            AnnotationError: a file as a whole cannot be used.
        """

    def regions_of(
        self, row: Mapping[str, Any], read: Callable[[str], bytes], categories: Mapping[int, Category], report: Report, /
    ) -> Regions:
        """The regions of one image.

        Args:
            row: a row of the table.
            read: gives the row's member in the folder of that name.
            categories: by the source's id.
            report: gets what is worth counting, and the regions that cannot be used.

        Raises:
            BadRecordError: the record cannot be used; the reason says why.
        """


IMAGE_FIELDS = [
    pa.field("image_id", pa.int64()),
    pa.field("file_name", pa.string()),
    pa.field("width", pa.int32()),
    pa.field("height", pa.int32()),
]
"""The fields that every parsed table begins with."""

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


def place_of(row: Mapping[str, Any], folder: str) -> Place:
    """The member that a row of a parsed table names."""
    values = {name: row[f"{folder}.{name}"] for name in ("name", *_PLACE)}
    return Place(row[f"{folder}.part"], Member(**{**values, "crc32": None if values["crc32"] < 0 else values["crc32"]}))


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

    Attributes:
        region_id: the source's id.
        box_xyxy: the published box, cut to the image; source pixels.
        published_box_xywh: as published: x, y, width and height, negative or outside of the image where it is so.
        mask_box_xyxy: the box of the mask's pixels; zeros where there is no mask.
        category_id: the source's id, -1 where regions have no category.
        category_index: dense, 0-based, -1 where regions have no category.
        phrases: one list per region.
        counts: COCO compressed RLE at source size, empty where there is no mask.
        area: pixels of the mask, else as published.
        is_crowd: one annotation for a group.
        is_thing: countable object, not stuff.
        flags: bits of ``schema.REGION_FLAGS``.
        ordinals: makes the (height, width) map of disjoint regions (0 = none, k = k-th region + 1), None if they overlap.
        semantic: makes the uint8 (height, width) map of category indices (255 = none), None where the regions say it all.
    """

    region_id: NDArray[np.int64]
    box_xyxy: NDArray[np.float32]
    published_box_xywh: NDArray[np.float64]
    mask_box_xyxy: NDArray[np.float32]
    category_id: NDArray[np.int32]
    category_index: NDArray[np.int32]
    phrases: list[list[str]]
    counts: list[bytes]
    area: NDArray[np.float64]
    is_crowd: NDArray[np.bool_]
    is_thing: NDArray[np.bool_]
    flags: NDArray[np.int32]
    ordinals: Callable[[], NDArray[np.uint8] | NDArray[np.uint16]] | None = None
    semantic: Callable[[], NDArray[np.uint8]] | None = None

    def chosen(self, keep: NDArray[np.bool_]) -> Regions:
        """The regions that ``keep``, bool (n,), names; their pixels in the map of regions become no region's."""
        places = np.flatnonzero(keep)
        arrays: dict[str, Any] = {name: value[places] for name, value in self._asdict().items() if isinstance(value, np.ndarray)}
        ordinals = None if self.ordinals is None else partial(_renumbered, self.ordinals, places, len(keep))
        phrases, counts = [self.phrases[k] for k in places], [self.counts[k] for k in places]
        return self._replace(**arrays, phrases=phrases, counts=counts, ordinals=ordinals)


def _renumbered(
    ordinals: Callable[[], NDArray[np.uint8] | NDArray[np.uint16]], places: NDArray[np.int64], count: int
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    numbers = np.zeros(count + 1, np.uint16)
    numbers[places + 1] = np.arange(1, len(places) + 1)
    if len(places) <= np.iinfo(np.uint8).max:
        return numbers.astype(np.uint8)[ordinals()]
    return numbers[ordinals()]


def make_regions(
    size_hw: tuple[int, int],
    *,
    region_id: Sequence[int],
    published_box_xywh: Sequence[Sequence[float]],
    phrases: list[list[str]],
    categories: Sequence[Category] | None = None,
    counts: list[bytes] | None = None,
    area: Sequence[float] | None = None,
    is_crowd: Sequence[bool] | None = None,
    flags: Sequence[int] | None = None,
) -> Regions:
    """Regions from what an annotation file says of them; the rest is derived.

    Args:
        size_hw: height and width of the image, to which boxes are cut.
        region_id: n ids.
        published_box_xywh: (n, 4).
        phrases: of each region.
        categories: of each region; None for regions without.
        counts: COCO compressed RLE of each region, empty where there is none; None for no masks at all.
        area: as published; a mask's own pixels count where there is a mask, and width x height where nothing is said.
        is_crowd: None for none.
        flags: None for none.
    """
    n = len(region_id)
    published = np.asarray(published_box_xywh, np.float64).reshape(n, 4)
    corners = np.concatenate((published[:, :2], published[:, :2] + published[:, 2:]), axis=1)
    sizes = np.asarray(published[:, 2] * published[:, 3] if area is None else area, np.float64)
    mask_box = np.zeros((n, 4), np.float32)
    has_mask = np.array([bool(one) for one in counts or ()], np.bool_)
    if has_mask.any():
        present = [one for one in counts or () if one]
        mask_box[has_mask] = mask_boxes(present, *size_hw)
        sizes = sizes.copy()
        sizes[has_mask] = mask_areas(present)
    return Regions(
        region_id=np.asarray(region_id, np.int64),
        box_xyxy=clip_xyxy(corners, *size_hw).astype(np.float32),
        published_box_xywh=published,
        mask_box_xyxy=mask_box,
        category_id=np.array([-1] * n if categories is None else [one.category_id for one in categories], np.int32),
        category_index=np.array([-1] * n if categories is None else [one.index for one in categories], np.int32),
        phrases=phrases,
        counts=counts if counts is not None else [b""] * n,
        area=sizes,
        is_crowd=np.zeros(n, np.bool_) if is_crowd is None else np.asarray(is_crowd, np.bool_),
        is_thing=np.ones(n, np.bool_) if categories is None else np.array([one.is_thing for one in categories], np.bool_),
        flags=np.zeros(n, np.int32) if flags is None else np.asarray(flags, np.int32),
    )


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
