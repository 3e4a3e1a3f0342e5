"""ADE20K: a map of 150 categories and a map of instances per image, and the photos; no annotation file.

The semantic map is an 8-bit grey PNG: 0 = none, 1 to 150 = the categories of ``ade20k_categories.csv`` in order. The
instance map is an RGB PNG: R = one of the 100 categories of things, by a numbering of its own (``instance_category``), G =
the instance's number within the image, 0 = none.

The regions are disjoint. An instance has the pixels of its number, whatever the semantic map says there. Of the remaining
pixels, those of a stuff category are one region, and those of a thing's category are one region with the flag
``unassigned``, a group of whom nobody said which is which. Their ids say where they come from::

    (category_id + 1) * 1000 + instance number       0 for stuff and for unassigned pixels

An instance that cannot be used is rejected under its bare number, and its pixels belong to no region.
"""

from __future__ import annotations

import csv
import re
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from regioncache.errors import BadRecordError
from regioncache.panoptic_runs import VOID_LABEL, LabelRuns, label_runs
from regioncache.schema import REGION_FLAGS
from regioncache.sources.map_png import MapSize, grey_map, rgb_map
from regioncache.sources.places import MemberFolder, Place, place_columns, place_fields
from regioncache.sources.record import IMAGE_FIELDS, AnnotationFile, Needs, NoOptions, Parsed
from regioncache.sources.regions import Category, Regions
from regioncache.sources.reports import Reject, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

NEEDS = Needs(folders=("semantic", "instances"))
Options = NoOptions

TABLE = pa.schema([*IMAGE_FIELDS, *place_fields("images"), *place_fields("semantic"), *place_fields("instances")])
"""The parsed folders: one row per photo that has both maps, sorted by image id. The maps' size is the photo's."""

REGION_ID_STEP = 1000
_PHOTO = re.compile(r"(.*?)(\d{1,18})\.jpg")
_BYTE_VALUES = 256


class _Table(NamedTuple):
    """``ade20k_categories.csv``: the category ids of Mask2Former, which are the places in objectInfo150 counted from 0.

    ``names`` are those of its panoptic annotations, as published: one ends in a space. ``instance_names`` are those of its
    instance annotations, of the 100 things only, by category id. ``of_instance`` is the category id of each value of an
    instance map's R, -1 where there is none.
    """

    names: list[str]
    is_thing: NDArray[np.bool_]
    instance_names: dict[int, str]
    of_instance: NDArray[np.int64]


@cache
def _categories() -> _Table:
    with Path(__file__).with_name("ade20k_categories.csv").open(encoding="utf-8", newline="") as lines:
        records = list(csv.DictReader(lines))
    of_instance = np.full(_BYTE_VALUES, -1, np.int64)
    for one in records:
        if one["is_thing"] == "1":
            of_instance[int(one["instance_category"])] = int(one["category_id"])
    return _Table(
        [one["name"] for one in records],
        np.array([one["is_thing"] == "1" for one in records]),
        {int(one["category_id"]): one["instance_name"] for one in records if one["is_thing"] == "1"},
        of_instance,
    )


def instance_names() -> dict[int, str]:
    """The names of the 100 things in Mask2Former's instance annotations, by category id; some differ from the panoptic ones."""
    return dict(_categories().instance_names)


def parse(_files: Mapping[str, AnnotationFile], folders: Mapping[str, MemberFolder], _options: NoOptions) -> Parsed:
    """See ``Source.parse``; a photo's id is the number in its name, ``ADE_val_00000001.jpg`` has 1."""
    report = Report()
    rows: dict[int, tuple[str, Place, Place, Place]] = {}
    for name, photo in sorted(folders["images"].files(), key=lambda file: file[0]):
        report.count("images_listed")
        matched = _PHOTO.fullmatch(name)
        if matched is None:
            detail = "expected a name that ends in a number and .jpg, as in ADE_val_00000001.jpg"
            report.reject(Reject(-1, name, "file_record_invalid", detail))
            continue
        image_id = int(matched[2])
        map_name = f"{matched[1]}{matched[2]}.png"
        semantic, instances = folders["semantic"].find(map_name), folders["instances"].find(map_name)
        if image_id in rows:
            report.reject(Reject(image_id, name, "image_id_duplicate", f"{rows[image_id][0]} has the same number"))
        elif semantic is None or instances is None:
            missing = [kind for kind, place in (("semantic", semantic), ("instances", instances)) if place is None]
            looked_for = " and ".join(f"{map_name} below {folders[kind]}" for kind in missing)
            report.reject(Reject(image_id, name, "map_missing", f"there is no {looked_for}"))
        else:
            rows[image_id] = name, photo, semantic, instances
    table = _categories()
    categories = [Category(k, name, bool(table.is_thing[k]), k) for k, name in enumerate(table.names)]
    return Parsed(_table(rows), categories, report)


def _table(rows: Mapping[int, tuple[str, Place, Place, Place]]) -> pa.Table:
    image_ids = sorted(rows)
    in_order = [rows[image_id] for image_id in image_ids]
    return pa.table(
        {
            "image_id": image_ids,
            "file_name": [name for name, *_ in in_order],
            "width": [-1] * len(in_order),
            "height": [-1] * len(in_order),
            **place_columns("images", [photo for _, photo, _, _ in in_order]),
            **place_columns("semantic", [semantic for *_, semantic, _ in in_order]),
            **place_columns("instances", [instances for *_, instances in in_order]),
        },
        schema=TABLE,
    )


def regions_of(
    row: Mapping[str, Any], read: Callable[[str], bytes], categories: Mapping[int, Category], report: Report
) -> Regions:
    """See ``Source.regions_of``; regions come by ascending id.

    Rejects ``instance_category_none``, ``instance_categories_mixed`` and ``category_unknown`` (an instance's pixels have no
    category, several, or one beyond the 100), ``stuff_hidden`` (instances cover all of a stuff category). Counts
    ``unassigned_regions``.
    """
    size = MapSize(row["height"], row["width"], "the photo", "map_size_mismatch")
    semantic = grey_map(read("semantic"), "a semantic map", size)
    instances = rgb_map(read("instances"), "an instance map", size)
    table = _categories()
    if semantic.max(initial=0) > len(table.names):
        raise BadRecordError(
            "category_unknown", f"the semantic map goes to {semantic.max()}, there are {len(table.names)} categories"
        )

    # One pass over the pixels: all that follows works on runs in which neither map changes.
    both = label_runs(instances & np.uint32(0xFFFF) | semantic.astype(np.uint32) << np.uint32(16))
    instance_ids = _instance_ids(row, np.unique(both.label & 0xFFFF), report)
    number, semantic_ids = both.label >> 8 & 0xFF, (both.label >> 16) * REGION_ID_STEP
    runs = _merged(both, np.where(number > 0, instance_ids[number], semantic_ids).astype(np.uint32))
    segments = runs.segments()
    region_ids = segments.label.astype(np.int64)
    _report_hidden(row, np.setdiff1d(semantic_ids, segments.label).tolist(), report)

    category_ids = region_ids // REGION_ID_STEP - 1
    is_thing = table.is_thing[category_ids]
    is_unassigned = is_thing & (region_ids % REGION_ID_STEP == 0)
    report.count("unassigned_regions", int(is_unassigned.sum()))
    box_xyxy = segments.box_xyxy.astype(np.float32)
    chosen = [categories[one] for one in category_ids.tolist()]
    return Regions(
        region_id=region_ids,
        box_xyxy=box_xyxy,
        published_box_xywh=np.hstack((box_xyxy[:, :2], box_xyxy[:, 2:] - box_xyxy[:, :2])).astype(np.float64),
        mask_box_xyxy=box_xyxy,
        category_id=category_ids.astype(np.int32),
        category_index=np.array([one.index for one in chosen], np.int32),
        phrases=[[one.name] for one in chosen],
        counts=segments.counts,
        area=segments.area.astype(np.float64),
        is_crowd=is_unassigned,
        is_thing=is_thing,
        flags=np.where(is_unassigned, REGION_FLAGS["unassigned"], 0).astype(np.int32),
        ordinals=partial(runs.ordinal_map, segments.label),
        semantic=partial(np.subtract, semantic, np.uint8(1)),  # category ids are indices, and 0 wraps to 255 = none
    )


def _instance_ids(row: Mapping[str, Any], pairs: NDArray[np.uint32], report: Report) -> NDArray[np.int64]:
    """The region id of each instance number, int64 (256,); ``VOID_LABEL`` for those that cannot be used.

    Args:
        row: the image, for rejects.
        pairs: all that occur, ``category + 256 * number``.
        report: gets the rejects.
    """
    of_number: dict[int, list[int]] = {}
    for pair in pairs.tolist():
        of_number.setdefault(pair >> 8, []).append(pair & 0xFF)
    of_number.pop(0, None)
    found = np.full(_BYTE_VALUES, VOID_LABEL, np.int64)
    of_instance = _categories().of_instance
    for number, listed in of_number.items():
        if len(listed) > 1:
            problem = "instance_categories_mixed", f"instance {number} has pixels of the instance categories {listed}"
        elif listed == [0]:
            problem = "instance_category_none", f"instance {number} has the instance category 0"
        elif of_instance[listed[0]] < 0:
            problem = "category_unknown", f"instance {number} has the instance category {listed[0]}, which there is not"
        else:
            found[number] = (of_instance[listed[0]] + 1) * REGION_ID_STEP + number
            continue
        report.reject(Reject(row["image_id"], row["file_name"], *problem, region_id=number))
    return found


def _merged(runs: LabelRuns, label: NDArray[np.uint32]) -> LabelRuns:
    """The runs with other labels; neighbours that became equal are one run."""
    first = np.flatnonzero(np.concatenate(([True], label[1:] != label[:-1])))
    return LabelRuns(runs.height, runs.width, runs.start[first], label[first])


def _report_hidden(row: Mapping[str, Any], gone: list[int], report: Report) -> None:
    """Reject what the semantic map names and no pixel is left of, if it is stuff; of a thing, the instances are its regions."""
    table = _categories()
    for region_id in gone:
        category_id = region_id // REGION_ID_STEP - 1
        if region_id != VOID_LABEL and not table.is_thing[category_id]:
            detail = f"instances cover all pixels of {table.names[category_id]!r}"
            report.reject(Reject(row["image_id"], row["file_name"], "stuff_hidden", detail, region_id))
