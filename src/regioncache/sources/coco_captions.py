"""COCO captions as regions: each caption is one region whose box is the whole image.

The file has an image list and one annotation per caption: ``{"id", "image_id", "caption"}``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa

from regioncache.sources.coco_records import CocoImage, Int64
from regioncache.sources.json_values import decode_file
from regioncache.sources.places import MemberFolder, place_columns, place_fields
from regioncache.sources.record import IMAGE_FIELDS, AnnotationFile, Needs, NoOptions, Parsed
from regioncache.sources.regions import Category, Regions, make_regions
from regioncache.sources.reports import Reject, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class _Caption(msgspec.Struct, gc=False):
    id: Int64
    image_id: Int64
    caption: str


class _File(msgspec.Struct):
    images: list[CocoImage]
    annotations: list[_Caption]


NEEDS = Needs(files=("annotations",))
Options = NoOptions

TABLE = pa.schema(
    [
        *IMAGE_FIELDS,
        pa.field("url", pa.string()),
        *place_fields("images"),
        ("caption_id", pa.list_(pa.int64())),
        ("caption", pa.list_(pa.string())),
    ]
)
"""The parsed annotations: one row per image that the archive has, sorted by image id."""


def parse(files: Mapping[str, AnnotationFile], folders: Mapping[str, MemberFolder], _options: NoOptions) -> Parsed:
    """See ``Source.parse``."""
    file = decode_file(files["annotations"], _File, what="a COCO caption file", like="captions_val2017.json")
    report = Report()
    report.count("images_listed", len({image.id for image in file.images}))
    report.count("regions_listed", len(file.annotations))
    captions_of = _by_image(file, report)
    listed = Counter(image.id for image in file.images)
    rows = []
    for image in sorted({image.id: image for image in file.images}.values(), key=lambda image: image.id):
        place = folders["images"].find(image.file_name)
        if listed[image.id] > 1:
            problem = "image_id_duplicate", f"{listed[image.id]} image records have id {image.id}"
        elif place is None:
            problem = "image_missing", f"the images archive has no member {image.file_name} below {folders['images']}"
        else:
            rows.append((image, place, captions_of[image.id]))
            continue
        report.reject(Reject(image.id, image.file_name, *problem))
    table = {
        "image_id": [image.id for image, *_ in rows],
        "file_name": [image.file_name for image, *_ in rows],
        "width": [image.width for image, *_ in rows],
        "height": [image.height for image, *_ in rows],
        "url": [image.coco_url for image, *_ in rows],
        **place_columns("images", [place for _, place, _ in rows]),
        "caption_id": [[one.id for one in some] for *_, some in rows],
        "caption": [[one.caption for one in some] for *_, some in rows],
    }
    return Parsed(pa.table(table, schema=TABLE), [], report)


def _by_image(file: _File, report: Report) -> dict[int, list[_Caption]]:
    names = {image.id: image.file_name for image in file.images}
    seen: set[int] = set()
    captions_of: dict[int, list[_Caption]] = defaultdict(list)
    for one in file.annotations:
        if one.image_id not in names:
            problem = "region_without_image", f"caption {one.id} names image {one.image_id}, which the file does not list"
        elif one.id in seen:
            problem = "region_id_duplicate", f"another caption has id {one.id} too; the first stays"
        else:
            seen.add(one.id)
            captions_of[one.image_id].append(one)
            continue
        report.reject(Reject(one.image_id, names.get(one.image_id, ""), *problem, one.id))
    return captions_of


def regions_of(
    row: Mapping[str, Any], _read: Callable[[str], bytes], _categories: Mapping[int, Category], _report: Report
) -> Regions:
    """See ``Source.regions_of``."""
    count = len(row["caption_id"])
    return make_regions(
        (row["height"], row["width"]),
        region_id=row["caption_id"],
        published_box_xywh=[(0, 0, row["width"], row["height"])] * count,
        phrases=[[one] for one in row["caption"]],
    )
