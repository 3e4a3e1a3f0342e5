"""A plain table of (image, boxes, phrases): Parquet, JSON lines or one JSON list, with the user's own column names.

One row is one image. ``boxes`` is a list of four numbers each; ``phrases`` has an entry per box, a text or a list of
texts. A table without boxes describes whole images: each text is one region.
"""

from __future__ import annotations

import codecs
import math
from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from regioncache.errors import AnnotationError
from regioncache.sources.json_values import NOT_DECODED
from regioncache.sources.places import MemberFolder, Place, place_columns, place_fields
from regioncache.sources.record import IMAGE_FIELDS, AnnotationFile, Needs, Parsed
from regioncache.sources.regions import Category, Regions, make_regions
from regioncache.sources.reports import Reject, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the columns are called; an empty name means that the table has no such column.

    Attributes:
        image: name of the image file below the folder ``images``.
        boxes: boxes in source pixels; empty for regions that are whole images.
        box_format: ``xyxy`` for corners, ``xywh`` for corner and size.
        phrases: texts of each box, or of the image.
        image_id: a number of one's own; empty for the row's place in the table, from 0.
        width, height: size of the image; empty to learn it from the image.
        url: where the image was published.
    """

    image: str = "image"
    boxes: str = "boxes"
    box_format: Literal["xyxy", "xywh"] = "xyxy"
    phrases: str = "phrases"
    image_id: str = ""
    width: str = ""
    height: str = ""
    url: str = ""

    def __post_init__(self) -> None:
        if not self.image or not self.phrases:
            raise ValueError("a table needs a column of image names and one of phrases: `image` and `phrases` must not be empty")
        if bool(self.width) != bool(self.height):
            raise ValueError("a table has both `width` and `height`, or none of them")


NEEDS = Needs(files=("table",))

TABLE = pa.schema(
    [
        *IMAGE_FIELDS,
        pa.field("url", pa.string()),
        *place_fields("images"),
        ("region_id", pa.list_(pa.int64())),
        ("box_xywh", pa.list_(pa.list_(pa.float64(), 4))),
        ("phrases", pa.list_(pa.list_(pa.string()))),
    ]
)
"""The parsed table: one row per usable image, sorted by image id; ``box_xywh`` is empty for whole images."""

_PARQUET = b"PAR1"
_BATCH_ROWS = 1024
_INT64 = range(-(2**63), 2**63)


def parse(files: Mapping[str, AnnotationFile], folders: Mapping[str, MemberFolder], options: Options) -> Parsed:
    """See ``Source.parse``."""
    name, data = files["table"]
    report = Report()
    rows: list[dict[str, Any]] = []
    listed = regions_listed = 0
    for place_in_table, record in enumerate(_records(name, memoryview(data), options)):
        listed += 1
        problem, image = _read_record(record, options)
        image_id = image.get("image_id", place_in_table)
        file_name = image.get("file_name", "")
        first_region = regions_listed
        regions_listed += len(image.get("phrases", ()))
        found = folders["images"].find(file_name) if problem is None else None
        if problem is not None:
            report.reject(Reject(image_id, file_name, "file_record_invalid", f"row {place_in_table} of {name}: {problem}"))
        elif found is None:
            detail = f"the images archive has no member {file_name} below {folders['images']}"
            report.reject(Reject(image_id, file_name, "image_missing", detail))
        else:
            region_id = list(range(first_region, regions_listed))
            rows.append(_usable_regions({**image, "image_id": image_id, "region_id": region_id, "place": found}, report))
    report.count("images_listed", listed)
    report.count("regions_listed", regions_listed)
    return Parsed(_table(_unique(rows, report)), [], report)


def _records(name: str, data: memoryview, options: Options) -> Iterator[Any]:
    """The table's rows; a row that is no mapping comes as it is."""
    if data[: len(_PARQUET)] == _PARQUET:
        yield from _parquet_records(name, data, options)
        return
    if data[: len(codecs.BOM_UTF8)].tobytes() == codecs.BOM_UTF8:
        data = data[len(codecs.BOM_UTF8) :]
    head = data[:1024].tobytes().lstrip()
    try:
        if head.startswith(b"["):
            for raw in msgspec.json.decode(data, type=list[msgspec.Raw]):
                yield msgspec.json.decode(raw)
        else:
            yield from _lines(data)
    except NOT_DECODED as error:
        raise AnnotationError(
            name,
            f"neither Parquet, JSON lines nor a JSON list: {error}",
            remedy='Write one JSON object per line, such as {"image": "a.jpg", "boxes": [[0, 0, 9, 9]], "phrases": ["a cup"]}',
        ) from error


def _lines(data: memoryview) -> Iterator[Any]:
    """Each line's value, or the line itself where it is no JSON: that row is rejected, and the next one is read."""
    for line in data.tobytes().splitlines():
        if line.strip():
            try:
                yield msgspec.json.decode(line)
            except NOT_DECODED as error:
                yield f"no JSON: {error}"


def _parquet_records(name: str, data: memoryview, options: Options) -> Iterator[Any]:
    wanted = [value for key, value in msgspec.structs.asdict(options).items() if key != "box_format" and value]
    try:
        with pq.ParquetFile(pa.BufferReader(pa.py_buffer(data))) as file:
            columns = file.schema_arrow.names
            missing = [one for one in wanted if one not in columns]
            if missing:
                remedy = "Name the table's columns under `options` in the catalog entry"
                raise AnnotationError(name, f"has no column {', '.join(missing)}", expected=wanted, found=columns, remedy=remedy)
            kind = file.schema_arrow.field(options.image).type
            if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_struct(kind):
                raise AnnotationError(
                    name,
                    f"the column {options.image} holds images, not their names",
                    expected="string",
                    found=kind,
                    remedy="Write the images to files of a folder or archive, and their names to the table",
                )
            for batch in file.iter_batches(_BATCH_ROWS, columns=wanted):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise AnnotationError(name, f"a damaged Parquet file: {error}", remedy="Write it again") from error


def _read_record(record: Any, options: Options) -> tuple[str | None, dict[str, Any]]:  # noqa: ANN401  (parsed JSON, judged here)
    """What is wrong with a row, if anything, and what could be read of it."""
    if not isinstance(record, dict):
        return f"expected a mapping, found {str(record)[:80]!r}", {}
    image: dict[str, Any] = {"width": -1, "height": -1, "url": ""}
    if options.image_id:
        image_id = record.get(options.image_id)
        if not _is_int64(image_id):
            return f"{options.image_id} is {image_id!r}, expected an integer", image
        image["image_id"] = image_id
    file_name = record.get(options.image)
    if not isinstance(file_name, str) or not file_name:
        shown = "bytes or a mapping" if isinstance(file_name, bytes | dict) else repr(file_name)
        return f"{options.image} is {shown}, expected the name of an image file", image
    image["file_name"] = file_name
    for side in ("width", "height"):
        column = getattr(options, side)
        if column:
            value = record.get(column)
            if type(value) is not int or not 0 < value < 2**31:
                return f"{column} is {value!r}, expected a size in pixels", image
            image[side] = value
    if options.url:
        image["url"] = str(record.get(options.url) or "")
    return _read_regions(record, options, image)


def _read_regions(record: dict[str, Any], options: Options, image: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
    phrases = record.get(options.phrases)
    if isinstance(phrases, str):
        phrases = [phrases]
    if not isinstance(phrases, list):
        return f"{options.phrases} is {phrases!r}, expected a text or a list", image
    texts = [[one] if isinstance(one, str) else one for one in phrases]
    if any(not isinstance(some, list) or not all(isinstance(one, str) for one in some) for some in texts):
        return f"{options.phrases} holds something else than texts and lists of texts", image
    boxes: list[list[float]] = []
    if options.boxes:
        found = record.get(options.boxes)
        if not isinstance(found, list) or len(found) != len(texts):
            count = f"{len(found)} boxes" if isinstance(found, list) else repr(found)
            return f"expected a box for each of the {len(texts)} entries of {options.phrases}, found {count}", image
        for box in found:
            if not _is_box(box):
                return f"a box is {box!r}, expected four numbers", image
        boxes = [_xywh(box, options.box_format) for box in found]
    image.update(phrases=texts, boxes=boxes)
    return None, image


def _is_box(box: object) -> bool:
    return isinstance(box, list) and len(box) == 4 and all(type(side) is float or _is_int64(side) for side in box)  # noqa: PLR2004


def _is_int64(value: object) -> bool:
    """Whether a value is an integer that Arrow can hold; JSON's may be of any length, and Python takes ``true`` for one."""
    return type(value) is int and value in _INT64


def _xywh(box: list[float], box_format: str) -> list[float]:
    x, y, third, fourth = map(float, box)
    return [x, y, third, fourth] if box_format == "xywh" else [x, y, third - x, fourth - y]


def _usable_regions(image: dict[str, Any], report: Report) -> dict[str, Any]:
    """Leave out regions without a phrase and those whose box is not finite."""
    keep = []
    for k, (region_id, texts) in enumerate(zip(image["region_id"], image["phrases"], strict=True)):
        if not texts:
            problem = "phrase_missing", "its list of phrases is empty"
        elif image["boxes"] and not all(map(math.isfinite, image["boxes"][k])):
            problem = "box_invalid", f"its box is {image['boxes'][k]}"
        else:
            keep.append(k)
            continue
        report.reject(Reject(image["image_id"], image["file_name"], *problem, region_id))
    return {**image, **{key: [image[key][k] for k in keep] for key in ("region_id", "phrases", "boxes") if image[key]}}


def _unique(rows: list[dict[str, Any]], report: Report) -> list[dict[str, Any]]:
    times = Counter(row["image_id"] for row in rows)
    for row in rows:
        if times[row["image_id"]] > 1:
            detail = f"{times[row['image_id']]} rows have the image id {row['image_id']}"
            report.reject(Reject(row["image_id"], row["file_name"], "image_id_duplicate", detail))
    return sorted((row for row in rows if times[row["image_id"]] == 1), key=lambda row: row["image_id"])


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    places: list[Place] = [row["place"] for row in rows]
    return pa.table(
        {
            **{name: [row[name] for row in rows] for name in ("image_id", "file_name", "width", "height", "url")},
            **place_columns("images", places),
            "region_id": [row["region_id"] for row in rows],
            "box_xywh": [row["boxes"] for row in rows],
            "phrases": [row["phrases"] for row in rows],
        },
        schema=TABLE,
    )


def regions_of(
    row: Mapping[str, Any], _read: Callable[[str], bytes], _categories: Mapping[int, Category], _report: Report
) -> Regions:
    """See ``Source.regions_of``."""
    count = len(row["region_id"])
    return make_regions(
        (row["height"], row["width"]),
        region_id=row["region_id"],
        published_box_xywh=row["box_xywh"] or [(0, 0, row["width"], row["height"])] * count,
        phrases=row["phrases"],
    )
