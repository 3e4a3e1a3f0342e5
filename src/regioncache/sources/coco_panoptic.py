"""COCO panoptic: a JSON of segments, a PNG of segment ids per image (id = R + 256 G + 65536 B, 0 = void), and the photos.

The JSON is decoded once, into a columnar table sorted by image id that also says where the photo and the PNG lie in their
archives. Each shard job maps that table and reads its own slice.
"""

from __future__ import annotations

import math
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa

from regioncache.errors import AnnotationError, BadRecordError
from regioncache.panoptic_runs import label_runs
from regioncache.sources.coco_records import CocoImage, Int32, Int64
from regioncache.sources.json_values import decode_file
from regioncache.sources.map_png import MapSize
from regioncache.sources.panoptic_png import png_ids
from regioncache.sources.places import MemberFolder, Place, place_columns, place_fields
from regioncache.sources.record import IMAGE_FIELDS, AnnotationFile, Needs, NoOptions, Parsed
from regioncache.sources.regions import Category, Regions
from regioncache.sources.reports import Reject, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray


class _Segment(msgspec.Struct, gc=False):
    id: Int64
    category_id: Int32
    iscrowd: int = 0
    area: float = -1
    bbox: tuple[float, float, float, float] | None = None


class _Annotation(msgspec.Struct, gc=False):
    image_id: Int64
    file_name: str
    segments_info: list[_Segment]


class _Category(msgspec.Struct, gc=False):
    id: Int32
    name: str
    isthing: int


class _File(msgspec.Struct):
    images: list[CocoImage]
    annotations: list[_Annotation]
    categories: list[_Category]


NEEDS = Needs(files=("annotations",), folders=("panoptic",))
Options = NoOptions

TABLE = pa.schema(
    [
        *IMAGE_FIELDS,
        pa.field("url", pa.string()),
        *place_fields("images"),
        *place_fields("panoptic"),
        ("segment_id", pa.list_(pa.int64())),
        ("category_id", pa.list_(pa.int32())),
        ("is_crowd", pa.list_(pa.bool_())),
        ("area", pa.list_(pa.float64())),
        ("box_xywh", pa.list_(pa.list_(pa.float64(), 4))),
    ]
)
"""The parsed annotations: one row per image that has everything it needs, sorted by image id."""


def parse(files: Mapping[str, AnnotationFile], folders: Mapping[str, MemberFolder], _options: NoOptions) -> Parsed:
    """See ``Source.parse``."""
    name = files["annotations"].name
    file = decode_file(files["annotations"], _File, what="a COCO panoptic annotation file", like="panoptic_val2017.json")
    report = Report()
    named = {image.id for image in file.images} | {annotation.image_id for annotation in file.annotations}
    report.count("images_listed", len(named))
    report.count("annotations_listed", len(file.annotations))
    report.count("regions_listed", sum(len(one.segments_info) for one in file.annotations))
    categories = [Category(one.id, one.name, bool(one.isthing), k) for k, one in enumerate(file.categories)]
    _check_categories(name, categories)
    listed = Counter(image.id for image in file.images)
    annotated = Counter(annotation.image_id for annotation in file.annotations)
    annotation_of = {annotation.image_id: annotation for annotation in file.annotations}
    rows = []
    for image in sorted({image.id: image for image in file.images}.values(), key=lambda image: image.id):
        annotation = annotation_of.get(image.id)
        photo = folders["images"].find(image.file_name)
        png = None if annotation is None else folders["panoptic"].find(annotation.file_name)
        if listed[image.id] > 1:
            problem = "image_id_duplicate", f"{listed[image.id]} image records have id {image.id}"
        elif annotation is None:
            problem = "annotation_missing", f"no annotation names image {image.id}"
        elif annotated[image.id] > 1:
            problem = "annotation_duplicate", f"{annotated[image.id]} annotations name image {image.id}"
        elif photo is None:
            problem = "image_missing", f"the images archive has no member {image.file_name} below {folders['images']}"
        elif png is None:
            looked_for = f"{annotation.file_name} below {folders['panoptic']}"
            problem = "panoptic_missing", f"the panoptic archive has no member {looked_for}"
        else:
            rows.append((image, photo, annotation, png))
            continue
        report.reject(Reject(image.id, image.file_name, *problem))
    for annotation in file.annotations:
        if annotation.image_id not in listed:
            detail = f"an annotation names image {annotation.image_id}, which the file does not list"
            report.reject(Reject(annotation.image_id, annotation.file_name, "image_record_missing", detail))
    return Parsed(_table(rows), categories, report)


def _check_categories(name: str, categories: list[Category]) -> None:
    doubled = [one for one, times in Counter(one.category_id for one in categories).items() if times > 1]
    if doubled:
        raise AnnotationError(name, "category ids appear twice", expected="unique ids", found=doubled)


_NOT_PUBLISHED = (math.nan,) * 4


def _table(rows: list[tuple[CocoImage, Place, _Annotation, Place]]) -> pa.Table:
    segments = [annotation.segments_info for _, _, annotation, _ in rows]
    return pa.table(
        {
            "image_id": [image.id for image, *_ in rows],
            "file_name": [image.file_name for image, *_ in rows],
            "width": [image.width for image, *_ in rows],
            "height": [image.height for image, *_ in rows],
            "url": [image.coco_url for image, *_ in rows],
            **place_columns("images", [photo for _, photo, _, _ in rows]),
            **place_columns("panoptic", [png for *_, png in rows]),
            "segment_id": [[one.id for one in some] for some in segments],
            "category_id": [[one.category_id for one in some] for some in segments],
            "is_crowd": [[bool(one.iscrowd) for one in some] for some in segments],
            "area": [[one.area for one in some] for some in segments],
            "box_xywh": [[one.bbox or _NOT_PUBLISHED for one in some] for some in segments],
        },
        schema=TABLE,
    )


def regions_of(
    row: Mapping[str, Any], read: Callable[[str], bytes], categories: Mapping[int, Category], report: Report
) -> Regions:
    """See ``Source.regions_of``; regions come in the order of the JSON, their boxes are those of the PNG.

    Counts ``area_differs``: segments whose published area is more than a pixel from the PNG's.
    """
    ids = png_ids(read("panoptic"), MapSize(row["height"], row["width"], "the JSON says", "panoptic_size_mismatch"))
    segment_ids = np.array(row["segment_id"], np.int64)
    _check_listed(row, segment_ids, categories)
    runs = label_runs(ids)
    segments = runs.segments()
    found_ids = segments.label.astype(np.int64)
    if not len(found_ids):
        raise BadRecordError("all_void", f"all pixels are void; the JSON lists {len(segment_ids)} segments")
    if not np.array_equal(np.sort(segment_ids), found_ids):
        raise _different_ids(segment_ids, found_ids)
    order = np.searchsorted(found_ids, segment_ids)
    area = segments.area[order]
    published = np.array(row["area"], np.float64)
    report.count("area_differs", int(((published >= 0) & (np.abs(published - area) > 1)).sum()))
    chosen = [categories[one] for one in row["category_id"]]
    box_xyxy = segments.box_xyxy[order].astype(np.float32)
    measured_xywh = np.concatenate((box_xyxy[:, :2], box_xyxy[:, 2:] - box_xyxy[:, :2]), axis=1, dtype=np.float64)
    published_xywh = np.array(row["box_xywh"], np.float64).reshape(-1, 4)
    return Regions(
        region_id=segment_ids,
        box_xyxy=box_xyxy,
        published_box_xywh=np.where(np.isnan(published_xywh), measured_xywh, published_xywh),
        mask_box_xyxy=box_xyxy,
        category_id=np.array(row["category_id"], np.int32),
        category_index=np.array([one.index for one in chosen], np.int32),
        phrases=[[one.name] for one in chosen],
        counts=[segments.counts[k] for k in order],
        area=area.astype(np.float64),
        is_crowd=np.array(row["is_crowd"], np.bool_),
        is_thing=np.array([one.is_thing for one in chosen], np.bool_),
        flags=np.zeros(len(chosen), np.int32),
        ordinals=partial(runs.ordinal_map, segment_ids),
    )


def _check_listed(row: Mapping[str, Any], segment_ids: NDArray[np.int64], categories: Mapping[int, Category]) -> None:
    if len(set(row["segment_id"])) != len(segment_ids):
        doubled = [one for one, times in Counter(row["segment_id"]).items() if times > 1]
        raise BadRecordError("segment_id_duplicate", f"segment ids {doubled} are listed more than once")
    unknown = sorted(set(row["category_id"]) - set(categories))
    if unknown:
        raise BadRecordError("category_unknown", f"category ids {unknown} are not among the file's categories")


def _different_ids(listed: NDArray[np.int64], found: NDArray[np.int64]) -> BadRecordError:
    only_json, only_png = np.setdiff1d(listed, found), np.setdiff1d(found, listed)
    if len(only_json):
        return BadRecordError("segment_missing_in_png", f"no pixel has the listed segment ids {only_json[:8].tolist()}")
    detail = f"pixels have the segment ids {only_png[:8].tolist()}, which the JSON does not list"
    return BadRecordError("segment_missing_in_json", detail)
