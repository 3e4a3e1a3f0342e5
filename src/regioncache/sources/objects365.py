"""Objects365 v2: boxes of 365 categories, in one JSON of several GB a split and some fifty archives of photos.

The JSON names photos ``images/v1/patch8/objects365_v1_00420917.jpg``, while the archives of the patches hold
``patch8/objects365_v1_00420917.jpg``, and copies that were laid out anew bare names; all of these are found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from regioncache.sources.coco_json import decode
from regioncache.sources.coco_table import UsableRegions, regions_of_row, usable_images
from regioncache.sources.photo_names import PhotoFinder
from regioncache.sources.record import Needs, Parsed
from regioncache.sources.reports import Report

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from regioncache.sources.places import MemberFolder
    from regioncache.sources.record import AnnotationFile
    from regioncache.sources.regions import Category, Regions


class Objects365Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a catalog entry may choose.

    Attributes:
        dead_images: ends of the names of photos that the publisher lists as dead or broken.
    """

    dead_images: tuple[str, ...] = ()


NEEDS = Needs(files=("annotations",))
Options = Objects365Options


def parse(files: Mapping[str, AnnotationFile], folders: Mapping[str, MemberFolder], options: Objects365Options) -> Parsed:
    """See ``Source.parse``; a box that is annotated twice with one category in one image is taken once."""
    report = Report()
    coco = decode(files["annotations"], with_flags=True)
    finder = PhotoFinder(folders["images"], drops_folders=True)
    regions = UsableRegions(coco, usable_images(coco.images, finder, report, options.dead_images), report)
    regions.drop_doubles()
    return Parsed(regions.table(), coco.categories, report)


def regions_of(
    row: Mapping[str, Any], _read: Callable[[str], bytes], categories: Mapping[int, Category], _report: Report
) -> Regions:
    """See ``Source.regions_of``; the flags ``fake`` and ``reflected`` are those of the file."""
    return regions_of_row(row, categories)
