"""COCO instances: boxes with a category and, as polygons or run lengths, a mask. Also the format of many private datasets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from regioncache.errors import BadRecordError
from regioncache.masks import to_rle
from regioncache.sources.coco_json import decode
from regioncache.sources.coco_table import UsableRegions, regions_of_row, usable_images
from regioncache.sources.json_values import segmentation_of
from regioncache.sources.photo_names import PhotoFinder
from regioncache.sources.record import Needs, Parsed
from regioncache.sources.reports import Reject, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from regioncache.sources.places import MemberFolder
    from regioncache.sources.record import AnnotationFile
    from regioncache.sources.regions import Category, Regions


class InstanceOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a catalog entry may choose.

    Attributes:
        with_mask: whether the masks are taken too.
    """

    with_mask: bool = True


NEEDS = Needs(files=("annotations",))
Options = InstanceOptions


def parse(files: Mapping[str, AnnotationFile], folders: Mapping[str, MemberFolder], options: InstanceOptions) -> Parsed:
    """See ``Source.parse``.

    A photo is looked for by its name, sub-folders included, and then by its base name, if one photo only has it.
    """
    report = Report()
    file = files["annotations"]
    coco = decode(file, with_masks=options.with_mask)
    images = usable_images(coco.images, PhotoFinder(folders["images"], drops_folders=False), report)
    return Parsed(UsableRegions(coco, images, report).table(file.data), coco.categories, report)


def regions_of(
    row: Mapping[str, Any], _read: Callable[[str], bytes], categories: Mapping[int, Category], report: Report
) -> Regions:
    """See ``Source.regions_of``.

    A region without a segmentation (absent, null or empty) stays, without a mask, and is counted in ``masks_absent``; one
    whose segmentation cannot be used is rejected.
    """
    if "segmentation" not in row:
        return regions_of_row(row, categories)
    usable = np.ones(len(row["region_id"]), np.bool_)
    counts = [b""] * len(usable)
    for k, text in enumerate(row["segmentation"]):
        try:
            segmentation = segmentation_of(text)
            if segmentation:
                counts[k] = to_rle(segmentation, row["height"], row["width"])
            else:
                report.count("masks_absent")
        except BadRecordError as error:
            report.reject(Reject(row["image_id"], row["file_name"], error.reason, error.detail, row["region_id"][k]))
            usable[k] = False
    return regions_of_row(row, categories, counts=counts).chosen(usable)
