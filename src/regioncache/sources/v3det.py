"""V3Det: boxes of 13,204 categories that are nodes of a tree.

A category's phrase is its name. An entry may ask for the names of the nodes above it as further phrases of the same
region ("abacus", "calculator", "instrument"): each of them is true of the region, and what trains on phrases needs no tree.
Nothing else of the tree is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np
import pyarrow as pa

from regioncache.errors import AnnotationError, ConfigError
from regioncache.sources.coco_json import decode
from regioncache.sources.coco_table import UsableRegions, regions_of_row, usable_images
from regioncache.sources.json_windows import JsonWindows
from regioncache.sources.photo_names import PhotoFinder
from regioncache.sources.record import Needs, Parsed
from regioncache.sources.reports import Report

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from regioncache.sources.places import MemberFolder
    from regioncache.sources.record import AnnotationFile
    from regioncache.sources.regions import Category, Regions


class V3DetOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a catalog entry may choose.

    Attributes:
        dead_images: ends of the names of photos that the publisher lists as dead or broken.
        phrases: the category's name, or with it those of the nodes above it, the nearest first; that needs the file
            ``tree``.
    """

    dead_images: tuple[str, ...] = ()
    phrases: Literal["name", "name_and_ancestors"] = "name"


NEEDS = Needs(files=("annotations",))  # and `tree`, which may be left out
Options = V3DetOptions


class _Tree(msgspec.Struct):
    """What is used of the category tree: nodes by the category's id, names and parents by node."""

    categoryid2treeid: dict[str, str]
    id2name: dict[str, str | list[str]]
    child2father: dict[str, str | list[str]]

    def phrases(self, category: Category) -> list[str]:
        """The category's name, then those of the nodes above it, level by level; each name once, nodes without one left out."""
        nodes = [self.categoryid2treeid[str(category.category_id)]]
        names = [category.name]
        for node in nodes:  # grows while it is gone through
            nodes += [one for one in _listed(self.child2father.get(node)) if one not in nodes]
            if node != nodes[0]:
                names += [one for one in _listed(self.id2name.get(node))[:1] if one not in names]
        return names


def _listed(value: str | list[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else value or []


def parse(files: Mapping[str, AnnotationFile], folders: Mapping[str, MemberFolder], options: V3DetOptions) -> Parsed:
    """See ``Source.parse``.

    Where the split has the file ``tree``, every category must be in it. The names are those of the annotations.

    Raises:
        ConfigError: names of ancestors are wanted, and there is no ``tree``.
    """
    coco = decode(files["annotations"])
    nodes = _nodes(files["tree"], coco.categories) if "tree" in files else None
    if options.phrases == "name_and_ancestors" and nodes is None:
        raise ConfigError(
            "the option `phrases: name_and_ancestors` needs the category tree; give the split a file `tree`, which is"
            " v3det_2023_v1_category_tree.json"
        )
    report = Report()
    finder = PhotoFinder(folders["images"], drops_folders=True)
    images = usable_images(coco.images, finder, report, options.dead_images)
    table = UsableRegions(coco, images, report).table()
    if options.phrases == "name_and_ancestors" and nodes is not None:
        phrases = [nodes.phrases(one) for one in coco.categories]
        table = table.append_column("phrases", _of_regions(table["category_id"], coco.categories, phrases))
    return Parsed(table, coco.categories, report)


def regions_of(
    row: Mapping[str, Any], _read: Callable[[str], bytes], categories: Mapping[int, Category], _report: Report
) -> Regions:
    """See ``Source.regions_of``."""
    return regions_of_row(row, categories, phrases=row.get("phrases"))


def _nodes(file: AnnotationFile, categories: Sequence[Category]) -> _Tree:
    tree = JsonWindows(file, "V3Det category tree").top(_Tree)
    missing = [one.category_id for one in categories if str(one.category_id) not in tree.categoryid2treeid]
    if missing:
        raise AnnotationError(
            file.name,
            f"{len(missing)} categories of the annotations are not in the tree",
            expected="all category ids in categoryid2treeid",
            found=f"none for {missing[:8]}",
            remedy="Take the tree and the annotations of the same release",
        )
    return tree


def _of_regions(category_ids: pa.ChunkedArray, categories: Sequence[Category], phrases: list[list[str]]) -> pa.ListArray:
    """The phrases of each region's category, in the lists of the regions."""
    regions = category_ids.combine_chunks()
    ids = np.array([one.category_id for one in categories], np.int32)
    by_id = np.argsort(ids)
    places = by_id[np.searchsorted(ids[by_id], regions.values.to_numpy())]
    return pa.ListArray.from_arrays(regions.offsets, pa.array(phrases, pa.list_(pa.string())).take(pa.array(places)))
