"""What a split must become: its rows in order, what is left out and why. Told by the source's records, not by the package."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from pycocotools import mask as pycoco

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

Json = dict[str, Any]
BYT5_OFFSET, EOS, MAX_LENGTH = 3, 1, 20


@dataclass(frozen=True)
class Region:
    """One region of a row; ``category`` is its place in the file's list, ``counts`` a compressed RLE or nothing."""

    region_id: int
    box_xywh: tuple[float, float, float, float]
    phrases: list[str]
    category: int = -1
    counts: str = ""
    is_crowd: bool = False
    flags: int = 0

    def box_xyxy(self, size_hw: tuple[int, int]) -> NDArray[np.float32]:
        """The box, cut to the image."""
        x, y, width, height = self.box_xywh
        corners = np.array([x, y, x + width, y + height])
        limits = np.array([size_hw[1], size_hw[0]] * 2)
        return np.clip(corners, 0, limits).astype(np.float32)


@dataclass(frozen=True)
class Row:
    """One row of the cache."""

    image_id: int
    file_name: str
    photo: bytes
    size_hw: tuple[int, int]
    regions: list[Region]
    coco_image_id: int = -1


@dataclass
class Split:
    """What a split gives without the leakage guard.

    Attributes:
        rows: in order.
        rejects: (image id, region id or -1, reason).
        images_listed: by the annotation files.
        regions_listed: by the annotation files; None where they do not say.
        regions_lost: listed regions of images that are rejected as a whole, less those that are rejected themselves.
        shards: of the entry that is built.
        categories: names in the file's order.
    """

    rows: list[Row]
    images_listed: int
    regions_listed: int | None
    rejects: list[tuple[int, int, str]] = field(default_factory=list)
    regions_lost: int = 0
    shards: int = 1
    categories: list[str] = field(default_factory=list)

    def guarded(self, held_by: Mapping[int, Sequence[str]]) -> Split:
        """What it gives with the guard; ``held_by`` names the holders of each guarded photo of COCO's."""
        kept = [row for row in self.rows if row.coco_image_id not in held_by]
        dropped = [row for row in self.rows if row.coco_image_id in held_by]
        return Split(
            kept,
            self.images_listed,
            self.regions_listed,
            [*self.rejects, *((row.image_id, -1, "leakage_guard") for row in dropped)],
            self.regions_lost + sum(len(row.regions) for row in dropped),
            self.shards,
            self.categories,
        )


@dataclass
class OfficialSet:
    """One catalog entry and what its archives give.

    Attributes:
        splits: those that are built; others of the entry have no files here.
        numbers: first and last of each series of archives that is here.
    """

    name: str
    splits: dict[str, Split]
    numbers: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def has_masks(self) -> bool:
        """Whether any region has one."""
        return any(one.counts for split in self.splits.values() for row in split.rows for one in row.regions)


def rle(segmentation: Any, size_hw: tuple[int, int]) -> str:
    """A COCO segmentation as pycocotools compresses it; nothing for none."""
    if not segmentation:
        return ""
    if isinstance(segmentation, list) and isinstance(segmentation[0], dict):  # RefCLEF's list of run lengths
        return str(pycoco.merge(segmentation)["counts"], "ascii")
    if isinstance(segmentation, list):
        return str(pycoco.merge(pycoco.frPyObjects(segmentation, *size_hw))["counts"], "ascii")
    counts = segmentation["counts"]
    if isinstance(counts, list):
        counts = pycoco.frPyObjects(segmentation, *size_hw)["counts"]
    return counts if isinstance(counts, str) else str(counts, "ascii")


def byt5_ids(phrase: str) -> list[int]:
    """A phrase by the definition of ByT5 and the template of the originals: cut with its end, and ended once more."""
    ids = [byte + BYT5_OFFSET for byte in phrase.encode()]
    return [*ids[: MAX_LENGTH - 3], EOS, EOS]


def coco_split(
    document: Json,
    photos: Mapping[str, bytes],
    *,
    bad_regions: Mapping[int, str],
    bad_images: Mapping[int, str],
    is_coco: bool = False,
    shards: int = 1,
) -> Split:
    """What a COCO file gives whose images without regions are left out.

    Args:
        document: the file.
        photos: by file name.
        bad_regions: reason by place in the file's list of annotations.
        bad_images: reason by image id.
        is_coco: whether image ids are COCO's.
        shards: of the entry.
    """
    places = {one["id"]: k for k, one in enumerate(document["categories"])}
    names = [one["name"] for one in document["categories"]]
    rows, lost = [], 0
    rejects = [
        (one["image_id"], one["id"], bad_regions[k])
        for k, one in enumerate(document["annotations"])
        if k in bad_regions and one["image_id"] not in bad_images
    ]
    for image in sorted(document["images"], key=lambda image: image["id"]):
        of_image = [(k, one) for k, one in enumerate(document["annotations"]) if one["image_id"] == image["id"]]
        if image["id"] in bad_images:
            rejects.append((image["id"], -1, bad_images[image["id"]]))
            lost += len(of_image)
            continue
        size_hw = image["height"], image["width"]
        regions = [
            Region(
                one["id"],
                tuple(one["bbox"]),
                [names[places[one["category_id"]]]],
                places[one["category_id"]],
                rle(one.get("segmentation"), size_hw),
                bool(one["iscrowd"]),
                64 * one.get("isfake", 0) + 128 * one.get("isreflected", 0),
            )
            for k, one in of_image
            if k not in bad_regions
        ]
        if regions:
            coco_id = image["id"] if is_coco else -1
            rows.append(Row(image["id"], image["file_name"], photos[image["file_name"]], size_hw, regions, coco_id))
        else:
            rejects.append((image["id"], -1, "no_regions"))
    return Split(rows, len(document["images"]), len(document["annotations"]), rejects, lost, shards, names)
