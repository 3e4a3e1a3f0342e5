"""Open Images v6 and v7: boxes of 601 classes with flags, and masks of some of them.

Everything is CSV: boxes (``boxes``), names of classes (``classes``), and, where the split has them, the list of its images
(``images``) and which mask belongs to which box (``masks``, with the PNG files in the folder ``masks``).

An image id is 16 hexadecimal digits: the 64-bit number that they write, read as a signed one, is the row's ``image_id``, and
``<ImageID>.jpg`` its ``file_name``. A region's id is the place of its line in the file of boxes, from 0; masks without a box
are counted on from there. Boxes are shares of the image's sides, and the size of an image is known when it is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np
import pyarrow as pa

from regioncache.errors import AnnotationError
from regioncache.schema import REGION_FLAGS
from regioncache.sources.openimages_boxes import read_boxes
from regioncache.sources.openimages_csv import id_file_names, read_classes
from regioncache.sources.openimages_images import Images, read_images
from regioncache.sources.openimages_masks import join_masks, mask_columns, mask_counts, read_masks
from regioncache.sources.record import Needs, Parsed
from regioncache.sources.regions import make_regions
from regioncache.sources.reports import Reject, Report

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from regioncache.sources.openimages_boxes import Boxes
    from regioncache.sources.places import MemberFolder
    from regioncache.sources.record import AnnotationFile, ReadMember
    from regioncache.sources.regions import Category, Regions


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a catalog entry may choose.

    Attributes:
        rotation: whether images of the list ``images`` are turned as its ``Rotation`` says, with their boxes and masks.
        group_of: whether boxes of more than five instances stay; those that are left out are listed as ``filtered``.
        depictions: whether drawings, statues and the like stay; as ``group_of``.
    """

    rotation: Literal["apply", "ignore"] = "apply"
    group_of: Literal["keep", "leave_out"] = "keep"
    depictions: Literal["keep", "leave_out"] = "keep"


NEEDS = Needs(files=("boxes", "classes"), optional_folders=("masks",))


def parse(files: Mapping[str, AnnotationFile], folders: Mapping[str, MemberFolder], options: Options) -> Parsed:
    """See ``Source.parse``; where images lie is not looked at."""
    report = Report()
    categories = read_classes(files["classes"])
    boxes = read_boxes(files["boxes"], categories, report)
    masks, mask_of = None, np.zeros(0, np.int32)
    if "masks" in files:
        if "masks" not in folders:
            raise AnnotationError(
                files["masks"].name, "names masks, but the split has no folder of them", remedy="Give it `masks` under `folders`"
            )
        masks = read_masks(files["masks"], categories, boxes.rows_read, report)
        boxes, mask_of = join_masks(boxes, masks, report)
    images = _images(files, boxes, options, report)
    usable = _of_images(boxes, images.image_id)
    if not usable.all():
        boxes, mask_of = boxes.chosen(usable), mask_of[usable[: len(mask_of)]]
    ends = np.append(np.searchsorted(boxes.image_id, images.image_id), len(boxes.row)).astype(np.int32)
    columns = _columns(boxes, images, ends, options)
    if masks is not None:
        columns |= mask_columns(boxes, mask_of, masks, ends, folders["masks"], report)
    return Parsed(pa.table(columns), categories, report)


def _images(files: Mapping[str, AnnotationFile], boxes: Boxes, options: Options, report: Report) -> Images:
    """The usable images: those of the list, or without one those of the boxes."""
    named = boxes.image_ids()
    if "images" not in files:
        report.count("images_listed", len(named))
        nothing = pa.nulls(len(named), pa.string()).fill_null("")
        return Images(named, np.zeros(len(named), np.int32), nothing, np.zeros(0, np.int64))
    images = read_images(files["images"], report, with_rotation=options.rotation == "apply")
    unlisted = np.setdiff1d(named, np.union1d(images.image_id, images.rejected), assume_unique=True)
    report.count("images_listed", len(unlisted))
    for image_id, file_name in zip(unlisted.tolist(), id_file_names(unlisted).to_pylist(), strict=True):
        detail = f"{files['boxes'].name} has boxes of it, but {files['images'].name} does not list it"
        report.reject(Reject(image_id, file_name, "image_record_missing", detail))
    return images


def _of_images(boxes: Boxes, image_id: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which boxes are of these images, bool (n,)."""
    in_boxes = boxes.image_ids()
    if len(in_boxes) <= len(image_id) and np.isin(in_boxes, image_id).all():
        return np.ones(len(boxes.row), np.bool_)
    return np.isin(boxes.image_id, image_id)


def _columns(boxes: Boxes, images: Images, ends: NDArray[np.int32], options: Options) -> dict[str, pa.Array]:
    """The parsed table: one row per image; lists have one value per region."""
    count = len(images.image_id)
    left_out = REGION_FLAGS["group_of"] * (options.group_of == "leave_out")
    left_out |= REGION_FLAGS["depiction"] * (options.depictions == "leave_out")
    per_region = {
        "region_id": pa.array(boxes.row),
        "category_id": pa.array(boxes.category),
        "sides": pa.FixedSizeListArray.from_arrays(pa.array(boxes.sides.reshape(-1)), 4),
        "flags": pa.array(boxes.flags),
    }
    return {
        "image_id": pa.array(images.image_id),
        "file_name": id_file_names(images.image_id),
        "width": pa.array(np.full(count, -1, np.int32)),
        "height": pa.array(np.full(count, -1, np.int32)),
        "url": images.url,
        "rotation_ccw": pa.array(images.rotation_ccw),
        "left_out": pa.array(np.full(count, left_out, np.int32)),
        **{name: pa.ListArray.from_arrays(ends, values) for name, values in per_region.items()},
    }


def regions_of(row: Mapping[str, Any], read: ReadMember, categories: Mapping[int, Category], report: Report) -> Regions:
    """See ``Source.regions_of``; a group is a crowd, and a mask that cannot be used leaves its region without one."""
    flags = np.array(row["flags"], np.int32)
    chosen = [categories[one] for one in row["category_id"]]
    x_min, x_max, y_min, y_max = _turned(np.array(row["sides"], np.float64).reshape(-1, 4), row["rotation_ccw"]).T
    width, height = row["width"], row["height"]
    regions = make_regions(
        (height, width),
        region_id=row["region_id"],
        published_box_xywh=np.stack([x_min * width, y_min * height, (x_max - x_min) * width, (y_max - y_min) * height], axis=1),
        phrases=[[one.name] for one in chosen],
        categories=chosen,
        counts=mask_counts(row, read, report) if "mask" in row else None,
        is_crowd=(flags & REGION_FLAGS["group_of"]) > 0,
        flags=flags,
    )
    is_left_out = (flags & row["left_out"]) > 0
    for k in np.flatnonzero(is_left_out).tolist():
        names = [name for name, bit in REGION_FLAGS.items() if bit & flags[k] & row["left_out"]]
        detail = f"the entry leaves out regions with the flag {' or '.join(names)}"
        report.reject(Reject(row["image_id"], row["file_name"], "filtered", detail, row["region_id"][k]))
    return regions.chosen(~is_left_out) if is_left_out.any() else regions


def _turned(sides: NDArray[np.float64], rotation_ccw: int) -> NDArray[np.float64]:
    """XMin, XMax, YMin, YMax (n, 4) as shares of the sides of the image that was turned counter-clockwise by these degrees."""
    x_min, x_max, y_min, y_max = sides.T
    turned = {
        0: (x_min, x_max, y_min, y_max),
        90: (y_min, y_max, 1 - x_max, 1 - x_min),
        180: (1 - x_max, 1 - x_min, 1 - y_max, 1 - y_min),
        270: (1 - y_max, 1 - y_min, x_min, x_max),
    }
    return np.stack(turned[rotation_ccw], axis=1)
