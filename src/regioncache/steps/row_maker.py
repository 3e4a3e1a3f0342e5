"""Rows of ``samples``: one image, its regions, and what of it had to be left out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from regioncache.cache.label_map import encode_label_map
from regioncache.cache.writer import ROW_GROUP_ROWS
from regioncache.encode.images import store_image
from regioncache.errors import BadRecordError
from regioncache.geometry import FRAMES
from regioncache.schema import has_side_word
from regioncache.sources.places import Place, place_of
from regioncache.sources.presets import apply_preset, preset_named
from regioncache.sources.reports import Reject, Report

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from regioncache.archive import OpenArchive
    from regioncache.catalog import TaskType
    from regioncache.encode.images import StoredImage
    from regioncache.sources.regions import Category, Regions
    from regioncache.steps.inputs import SplitInputs

Storage = Literal["auto", "original", "fit", "raw", "reference", "none"]
SIZE_UNKNOWN = (-1, -1)


@dataclass(frozen=True, slots=True)
class ConvertOptions:
    """How rows are made.

    Attributes:
        storage: what is kept of an image; see the README.
        frame_px: longest side beyond which ``auto``, ``fit`` and ``raw`` shrink.
        check: ``header`` reads an image's structure, ``decode`` decodes every image once.
        max_pixels: larger images are rejected.
        label_map: whether to keep the map of disjoint regions, for fast masks.
        row_group_rows: rows of a row group.
        preset: the filters that regions pass, a name of ``sources.presets``.
        task_type: in place of the entry's own.
    """

    storage: Storage = "auto"
    frame_px: int = FRAMES["sam"].size_px
    check: Literal["header", "decode"] = "header"
    max_pixels: int = 178_956_970
    label_map: bool = True
    row_group_rows: int = ROW_GROUP_ROWS
    preset: str = "usable"
    task_type: TaskType | None = None


def _check_size(height: int, width: int) -> None:
    if min(height, width) < 1 or FRAMES["sam"].vanishes(height, width):
        raise BadRecordError("size_vanishes", f"{width} x {height} has no pixel in the SAM frame")


class RowMaker:
    """Makes rows, and remembers what it had to leave out.

    Args:
        inputs: the split, or the shard of a streamed one.
        options: how rows are made.
        categories: of the parsed table.
        archives: the open files of each folder, part by part, and of each annotation file that rows have windows in.
        report: gets what is counted and left out.
    """

    def __init__(
        self,
        inputs: SplitInputs,
        options: ConvertOptions,
        categories: list[Category],
        archives: Mapping[str, Sequence[OpenArchive]],
        report: Report,
    ) -> None:
        self.report = report
        self._inputs = inputs
        self._source = inputs.source
        self._options = options
        self._preset = preset_named(options.preset)
        self._categories = {one.category_id: one for one in categories}
        self._archives = archives
        self._image_archives = [inputs.dataset.archives[part.archive].path for part in inputs.folders()["images"]]

    def row(self, row: dict[str, Any]) -> dict[str, Any] | None:
        """One row of ``samples``, or None if the record was rejected."""
        attempt = Report()  # what a record counts must not stay if it is rejected in the end
        try:
            if (row["height"], row["width"]) != SIZE_UNKNOWN and self._inputs.dataset.size_mismatch == "reject":
                _check_size(row["height"], row["width"])  # without a look at the image
            place = place_of(row, "images")
            image = self._load_image(place, row.get("rotation_ccw", 0))
            self._settle_size(row, image, attempt)
            regions = self._source.regions_of(row, partial(self._read, row), self._categories, attempt)
        except BadRecordError as error:
            self.report.reject(Reject(row["image_id"], row["file_name"], error.reason, error.detail))
            return None
        regions = apply_preset(self._preset, regions, row, attempt)
        self.report.add(attempt)
        if not len(regions.region_id) and self._inputs.dataset.images_without_regions == "leave_out":
            detail = "no region is left of the image, or none was annotated"
            self.report.reject(Reject(row["image_id"], row["file_name"], "no_regions", detail))
            return None
        self._count(regions, image)
        return {**self._image_fields(row["file_name"], place, image), **self._annotation_fields(row, regions)}

    def _read(self, row: Mapping[str, Any], folder: str, nth: int | None = None) -> bytes:
        part, member = place_of(row, folder, nth)
        return self._archives[folder][part].read(member)

    def _load_image(self, place: Place, rotate_ccw: int) -> StoredImage:
        options = self._options
        policy = options.storage
        if policy == "reference":  # the archive's own bytes lie the wrong way round where the image is to be turned
            policy = "auto" if rotate_ccw else "none"
        return store_image(
            self._archives["images"][place.part].read(place.member),
            policy=policy,
            frame_px=options.frame_px,
            check=options.check,
            max_pixels=options.max_pixels,
            rotate_ccw=rotate_ccw,
        )

    def _settle_size(self, row: dict[str, Any], image: StoredImage, attempt: Report) -> None:
        """The record's size and the image's must agree; a record without a size takes the image's."""
        recorded = row["height"], row["width"]
        if recorded != (image.height, image.width):
            known = recorded != SIZE_UNKNOWN
            if known and self._inputs.dataset.size_mismatch == "reject":
                raise BadRecordError(
                    "image_size_mismatch",
                    f"expected {row['width']} x {row['height']} as the annotations say, found {image.width} x {image.height}",
                )
            attempt.count("sizes_taken_from_image", known)
            row["height"], row["width"] = image.height, image.width
        _check_size(image.height, image.width)

    def _count(self, regions: Regions, image: StoredImage) -> None:
        storage = "reference" if self._is_reference(image) else image.storage
        self.report.count("images")
        self.report.count("images_without_regions", not len(regions.region_id))
        self.report.count("regions", len(regions.region_id))
        self.report.count("regions_with_mask", sum(map(bool, regions.counts)))
        self.report.count("crowd_regions", int(regions.is_crowd.sum()))
        self.report.count("phrases", sum(map(len, regions.phrases)))
        self.report.count(f"storage_{storage}")
        self.report.count("exif_orientation_ignored", image.exif_orientation != 1)

    def _is_reference(self, image: StoredImage) -> bool:
        return self._options.storage == "reference" and image.storage == "none"

    def _image_fields(self, file_name: str, place: Place, image: StoredImage) -> dict[str, Any]:
        reference = self._is_reference(image)
        return {
            "image": {"bytes": image.data, "path": file_name},
            "image_storage": "reference" if reference else image.storage,
            "image_width": image.width if reference else image.stored_width,
            "image_height": image.height if reference else image.stored_height,
            "image_archive": self._image_archives[place.part] if reference else "",
            "image_offset": place.member.offset if reference else 0,
            "image_length": place.member.compressed_bytes if reference else 0,
            "image_method": place.member.method if reference else 0,
        }

    def _annotation_fields(self, row: Mapping[str, Any], regions: Regions) -> dict[str, Any]:
        ordinals = regions.ordinals if self._options.label_map else None
        return {
            "image_id": row["image_id"],
            "source": self._inputs.dataset.name,
            "split": self._inputs.split_name,
            "file_name": row["file_name"],
            "width": row["width"],
            "height": row["height"],
            "coco_image_id": row["image_id"] if self._inputs.dataset.coco_image_ids else row.get("coco_image_id", -1),
            "url": row.get("url") or "",
            "task_type": self._options.task_type,
            "label_map": b"" if ordinals is None else encode_label_map(ordinals()),
            "semantic_map": b"" if regions.semantic is None else encode_label_map(regions.semantic()),
            "region_id": regions.region_id,
            "box_xyxy": regions.box_xyxy,
            "published_box_xywh": regions.published_box_xywh,
            "mask_box_xyxy": regions.mask_box_xyxy,
            "category_id": regions.category_id,
            "category_index": regions.category_index,
            "phrase_count": np.array([len(some) for some in regions.phrases], np.int32),
            "phrases": regions.phrases,
            "segmentation": [counts.decode("ascii") for counts in regions.counts],
            "area": regions.area,
            "is_crowd": regions.is_crowd,
            "is_thing": regions.is_thing,
            "has_side_word": np.array([any(map(has_side_word, some)) for some in regions.phrases], np.bool_),
            "flags": regions.flags,
        }
