"""COCO's detection JSON (images, annotations, categories) to flat columns, in little more memory than the columns take."""

from __future__ import annotations

import contextlib
import math
from array import array
from collections import Counter
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from regioncache.errors import AnnotationError
from regioncache.schema import REGION_FLAGS
from regioncache.sources.coco_records import Int32, Int64
from regioncache.sources.json_windows import WINDOW_BYTES, JsonWindows
from regioncache.sources.regions import Category, box_areas

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from regioncache.sources.json_windows import Window
    from regioncache.sources.record import AnnotationFile


class ImageRecord(msgspec.Struct, gc=False):
    """What is used of an entry of ``images``."""

    id: Int64
    file_name: str
    width: Int32 | None = None
    height: Int32 | None = None
    coco_url: str | None = None
    url: str | None = None


class RegionRecord(msgspec.Struct, gc=False):
    """What is used of an entry of ``annotations``; the flags are Objects365's."""

    id: Int64
    image_id: Int64
    category_id: Int32
    bbox: tuple[float | None, ...] | None = None
    area: float | None = None
    iscrowd: float | bool | None = 0
    isfake: float | bool | None = 0
    isreflected: float | bool | None = 0
    segmentation: msgspec.Raw = msgspec.Raw(b"")


class CategoryRecord(msgspec.Struct, gc=False):
    """What is used of an entry of ``categories``."""

    id: Int32
    name: str


class _File(msgspec.Struct):
    images: msgspec.Raw
    annotations: msgspec.Raw
    categories: msgspec.Raw


class ImageColumns(NamedTuple):
    """The images, n of them, in the order of the file.

    Attributes:
        image_id: int64 (n,).
        file_name: n texts.
        size_wh: int32 (n, 2); both -1 where the file does not say both.
        url: n texts, where they were published (``coco_url`` or ``url``), empty where the file does not say.
    """

    image_id: NDArray[np.int64]
    file_name: list[str]
    size_wh: NDArray[np.int32]
    url: list[str]


class CocoJson(NamedTuple):
    """A decoded file.

    Attributes:
        images: its images.
        regions: columns of its annotations in the order of the file, one entry per region: ``region_id`` and ``image_id``
            (int64), ``category_id`` (int32), ``box_xywh`` (float64, (n, 4), NaN where a box is not four numbers), ``area``
            (float64, width x height where nothing is said), ``is_crowd`` (bool), ``flags`` (uint8, bits of
            ``REGION_FLAGS``), and with masks ``mask_start`` and ``mask_bytes`` (int64), where in the file the
            ``segmentation`` lies. A dict, so that whoever rearranges a column can let go of it before the next one.
        categories: in the order of the file.
    """

    images: ImageColumns
    regions: dict[str, NDArray[Any]]
    categories: list[Category]


def decode(
    file: AnnotationFile, *, with_masks: bool = False, with_flags: bool = False, window_bytes: int = WINDOW_BYTES
) -> CocoJson:
    """Decode a detection file.

    Args:
        file: the file.
        with_masks: whether the columns say where masks lie.
        with_flags: whether the flags of regions are looked at; else they are 0.
        window_bytes: about how much of the file is objects at a time.

    Raises:
        AnnotationError: it is no JSON, lacks an array, or a record lacks a field or has one of another type; the error says
            which record of which array.
    """
    reader = JsonWindows(file, "COCO detection file", window_bytes)
    top = reader.top(_File)
    categories = [one for some, _ in reader.records("categories", top.categories, CategoryRecord) for one in some]
    return CocoJson(
        _image_columns(reader.records("images", top.images, ImageRecord)),
        _region_columns(reader.records("annotations", top.annotations, RegionRecord), with_masks, with_flags),
        _numbered(file.name, categories),
    )


def raw_json(data: bytes | memoryview, start: NDArray[np.int64], lengths: NDArray[np.int64]) -> pa.LargeBinaryArray:
    """Slices of a file as one Arrow array, copied once."""
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    joined = np.empty(offsets[-1], np.uint8)
    view = memoryview(data)
    for first in range(0, len(start), _SLICES_AT_A_TIME):
        some = slice(first, first + _SLICES_AT_A_TIME)
        spans = zip(start[some].tolist(), lengths[some].tolist(), strict=True)
        piece = b"".join([view[begin : begin + size] for begin, size in spans])
        joined[offsets[first] : offsets[first] + len(piece)] = np.frombuffer(piece, np.uint8)
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(start), [None, pa.py_buffer(offsets), pa.py_buffer(joined)])


_SLICES_AT_A_TIME = 1 << 16
_NO_BOX = (math.nan,) * 4


def _image_columns(windows: Iterator[Window]) -> ImageColumns:
    image_id, sides, file_name, url = array("q"), array("i"), list[str](), list[str]()
    for records, _ in windows:
        image_id.extend(map(attrgetter("id"), records))
        file_name.extend(map(attrgetter("file_name"), records))
        url.extend([one.coco_url or one.url or "" for one in records])
        for one in records:
            known = one.width is not None and one.height is not None
            sides.extend((one.width, one.height) if known else (-1, -1))
    return ImageColumns(np.asarray(image_id), file_name, np.asarray(sides).reshape(-1, 2), url)


def _region_columns(windows: Iterator[Window], with_masks: bool, with_flags: bool) -> dict[str, NDArray[Any]]:
    # Arrays that grow in place: pieces to be joined at the end would need every column twice.
    grown: dict[str, array[Any]] = {
        "region_id": array("q"),
        "image_id": array("q"),
        "category_id": array("i"),
        "box_xywh": array("d"),
        "area": array("d"),
        "is_crowd": array("B"),
        "flags": array("B"),
        "mask_start": array("q"),
        "mask_bytes": array("q"),
    }
    for records, base in windows:
        for column, name in (("region_id", "id"), ("image_id", "image_id"), ("category_id", "category_id")):
            grown[column].extend(map(attrgetter(name), records))
        grown["box_xywh"].extend(_flat_boxes([one.bbox for one in records]))
        grown["area"].extend([math.nan if one.area is None else one.area for one in records])
        grown["is_crowd"].frombytes(_bits(records, "iscrowd"))
        flags = np.zeros(len(records), np.uint8)
        if with_flags:
            flags |= _bits(records, "isfake") * np.uint8(REGION_FLAGS["fake"])
            flags |= _bits(records, "isreflected") * np.uint8(REGION_FLAGS["reflected"])
        grown["flags"].frombytes(flags)
        if with_masks:
            for span in map(pa.py_buffer, map(attrgetter("segmentation"), records)):
                grown["mask_start"].append(span.address - base if span.size else 0)
                grown["mask_bytes"].append(span.size)
        records.clear()  # before the next window is decoded
    columns: dict[str, NDArray[Any]] = {name: np.asarray(values) for name, values in grown.items()}
    columns["is_crowd"] = columns["is_crowd"].view(np.bool_)
    columns["box_xywh"] = columns["box_xywh"].reshape(-1, 4)
    unsaid = np.isnan(columns["area"])
    columns["area"][unsaid] = box_areas(columns["box_xywh"][unsaid])
    if not with_masks:
        del columns["mask_start"], columns["mask_bytes"]
    return columns


def _flat_boxes(boxes: list[tuple[float | None, ...] | None]) -> array[float]:
    """Four numbers for each box, NaN for one that is not four numbers."""
    lengths = {0 if one is None else len(one) for one in boxes}
    if lengths <= {4}:
        with contextlib.suppress(TypeError):  # None is no number; as rare as other lengths, which cost nothing else either
            return array("d", chain.from_iterable(boxes))  # type: ignore[arg-type]  # none is None: their lengths are 4
    flat = array("d")
    for box in boxes:
        flat.extend(_NO_BOX if box is None or len(box) != 4 or None in box else box)  # type: ignore[arg-type]  # noqa: PLR2004  (x, y, width, height, none of them None)
    return flat


def _bits(records: Sequence[RegionRecord], name: str) -> NDArray[np.uint8]:
    values = list(map(attrgetter(name), records))
    return np.frombuffer(bytes(map(bool, values)), np.uint8) if any(values) else np.zeros(len(values), np.uint8)


def _numbered(name: str, records: list[CategoryRecord]) -> list[Category]:
    doubled = [one for one, times in Counter(one.id for one in records).items() if times > 1]
    if doubled:
        raise AnnotationError(name, "category ids appear twice", expected="unique ids", found=doubled)
    return [Category(one.id, one.name, is_thing=True, index=k) for k, one in enumerate(records)]
