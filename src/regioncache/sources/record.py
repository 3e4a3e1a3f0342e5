"""What every source takes and gives: annotation files and folders in, a table of images out, and the regions of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Mapping

    from regioncache.sources.places import MemberFolder
    from regioncache.sources.regions import Category, Regions
    from regioncache.sources.reports import Report


class AnnotationFile(NamedTuple):
    """One annotation file: what to call it in errors (archive and member), and its bytes, mapped where they lie stored."""

    name: str
    data: bytes | memoryview


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


class Needs(NamedTuple):
    """What a format needs of a split.

    Attributes:
        files: annotation files that it must have.
        folders: folders beside ``images`` that it must have; rows have members in them.
        optional_folders: folders that it may have.
        windows: annotation files that are too large to keep, so that each row says where in them its own lines lie
            (``place_fields``, as of a folder).
    """

    files: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    optional_folders: tuple[str, ...] = ()
    windows: tuple[str, ...] = ()


class NoOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The options of a format that has none."""


class ReadMember(Protocol):
    """Gives a row's bytes in a folder, or in one of the files ``Needs.windows``."""

    def __call__(self, folder: str, nth: int | None = None, /) -> bytes:
        """The row's member, or its ``nth`` where rows have several (``place_list_fields``)."""


class Source(Protocol):
    """A reader of one annotation format; a module of ``regioncache.sources`` is one.

    ``NEEDS`` says which files and folders a split must have, ``Options`` is a msgspec struct of what a catalog entry may choose.
    """

    NEEDS: Needs

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
            files: those of ``NEEDS``; other files of the split may be there too.
            folders: ``images`` and those of ``NEEDS`` that the split has. The table says where each row's members lie
                (``place_columns``). A format that does not look into ``images`` leaves that to ``placing.place_images``; it can
                be streamed with one annotation file for all shards, and gets no streamed folder.
            options: the entry's choices, an ``Options``.

        Raises:
            AnnotationError: a file as a whole cannot be used.
        """

    def regions_of(
        self, row: Mapping[str, Any], read: ReadMember, categories: Mapping[int, Category], report: Report, /
    ) -> Regions:
        """The regions of one image.

        Args:
            row: a row of the table.
            read: gives the row's member in a folder.
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
