"""Step ``convert``: one shard's images and annotations to rows of ``samples``."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from regioncache.archive import OpenArchive
from regioncache.cache.label_map import encode_label_map
from regioncache.cache.layout import shard_rows
from regioncache.cache.writer import ROW_GROUP_ROWS, ShardWriter
from regioncache.encode.images import store_image
from regioncache.errors import BadRecordError, ConfigError
from regioncache.geometry import FRAMES
from regioncache.hashing import content_key
from regioncache.schema import SAMPLES, SCHEMA_VERSION, has_side_word, huggingface_metadata
from regioncache.sources.record import Category, Regions, Reject, Report, member_of
from regioncache.steps.parse import annotations_key, open_annotations, source_of
from regioncache.steps.shard_report import KEY, is_done, write_shard_report

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from regioncache.sources.record import Source
    from regioncache.steps.inputs import SplitInputs

VERSION = 1
Storage = Literal["auto", "original", "fit", "raw", "reference", "none"]
_DECODING_STORAGES = ("auto", "original", "fit")


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
    """

    storage: Storage = "auto"
    frame_px: int = FRAMES["sam"].size_px
    check: Literal["header", "decode"] = "header"
    max_pixels: int = 178_956_970
    label_map: bool = True
    row_group_rows: int = ROW_GROUP_ROWS


def convert_shard(
    inputs: SplitInputs,
    shard: int,
    *,
    annotations: Path,
    out: Path,
    report_path: Path,
    options: ConvertOptions,
    progress: Callable[[int, int], None] | None = None,
) -> bool:
    """Write one shard of samples, its offsets, and the report of what was left out.

    Args:
        inputs: the split's archives.
        shard: which shard, from 0.
        annotations: the parsed table of step ``parse``.
        out: the Parquet file.
        report_path: the shard's report.
        options: how rows are made.
        progress: called with (images done, images of the shard).

    Returns:
        Whether anything was done; False where ``out`` stands already.

    Raises:
        ConfigError: images in a compressed inner archive cannot be referenced.
        ArchiveError: an archive cannot be read, or a member's checksum is wrong.
    """
    dataset, split, source = inputs.dataset, inputs.split, source_of(inputs)
    table_key = annotations_key(annotations)
    if table_key is None:
        raise ConfigError(f"{annotations} is not the output of `regioncache parse`; run that step first")
    key = content_key(
        "convert",
        VERSION,
        annotations=table_key,
        dataset=[dataset.name, dataset.task_type, dataset.exif, dataset.coco_image_ids],
        shard=[inputs.split_name, shard, split.shards],
        options=asdict(options),
    )
    if is_done(report_path, out, key):
        return False
    table, categories, _ = open_annotations(annotations)
    folders = {name: inputs.folder(name) for name in ("images", *source.FOLDERS)}
    files = {name: inputs.folder_file(folder)[0] for name, folder in folders.items()}
    mine = shard_rows(len(table), split.shards, shard)
    rows = table.slice(mine.start, len(mine))
    if options.storage == "reference" and files["images"] != inputs.path(folders["images"].archive):
        raise ConfigError(
            f"{dataset.name}: image.storage reference needs images in an archive that is not compressed inside another;"
            " choose auto"
        )
    written = 0
    with ExitStack() as stack:
        archives = {name: stack.enter_context(OpenArchive(path)) for name, path in files.items()}
        metadata = _metadata(inputs, key, categories, options)
        writer = stack.enter_context(ShardWriter(out, SAMPLES, metadata, row_group_rows=options.row_group_rows))
        maker = _RowMaker(inputs, source, options, categories, archives)
        for done, row in enumerate(rows.to_pylist(), 1):
            made = maker.row(row)
            if made is not None:
                writer.append(made)
                written += 1
            if progress is not None:
                progress(done, len(mine))
    write_shard_report(report_path, out, key, written, maker.report)
    return True


def _metadata(inputs: SplitInputs, key: str, categories: list[Category], options: ConvertOptions) -> dict[str, str]:
    return {
        "huggingface": huggingface_metadata(SAMPLES, image_decodes=options.storage in _DECODING_STORAGES),
        KEY: key,
        "regioncache.schema_version": str(SCHEMA_VERSION),
        "regioncache.dataset": inputs.dataset.name,
        "regioncache.split": inputs.split_name,
        "regioncache.categories": json.dumps([asdict(one) for one in categories]),
    }


def _check_size(height: int, width: int) -> None:
    if min(height, width) < 1 or FRAMES["sam"].vanishes(height, width):
        raise BadRecordError("size_vanishes", f"{width} x {height} has no pixel in the SAM frame")


class _RowMaker:
    """Makes rows, and remembers what it had to leave out."""

    def __init__(
        self,
        inputs: SplitInputs,
        source: Source,
        options: ConvertOptions,
        categories: list[Category],
        archives: Mapping[str, OpenArchive],
    ) -> None:
        self.report = Report()
        self._inputs = inputs
        self._source = source
        self._options = options
        self._categories = {one.category_id: one for one in categories}
        self._archives = archives
        self._image_archive = inputs.dataset.archives[inputs.folder("images").archive].path

    def row(self, row: Mapping[str, Any]) -> dict[str, Any] | None:
        """One row of ``samples``, or None if the record was rejected."""
        attempt = Report()  # what a record counts must not stay if it is rejected in the end
        try:
            _check_size(row["height"], row["width"])
            regions = self._source.regions_of(row, partial(self._read, row), self._categories, attempt)
            stored = self._stored_image(row)
        except BadRecordError as error:
            self.report.reject(Reject(row["image_id"], row["file_name"], error.reason, error.detail))
            return None
        self.report.add(attempt)
        self._count(regions, stored["image_storage"])
        return {**stored, **self._annotation_fields(row, regions)}

    def _read(self, row: Mapping[str, Any], folder: str) -> bytes:
        return self._archives[folder].read(member_of(row, folder))

    def _count(self, regions: Regions, storage: str) -> None:
        self.report.count("images")
        self.report.count("regions", len(regions.region_id))
        self.report.count("crowd_regions", int(regions.is_crowd.sum()))
        self.report.count("phrases", sum(map(len, regions.phrases)))
        self.report.count(f"storage_{storage}")

    def _stored_image(self, row: Mapping[str, Any]) -> dict[str, Any]:
        member = member_of(row, "images")
        options = self._options
        policy = "none" if options.storage == "reference" else options.storage
        stored = store_image(
            self._archives["images"].read(member),
            policy=policy,
            frame_px=options.frame_px,
            check=options.check,
            max_pixels=options.max_pixels,
        )
        if (stored.height, stored.width) != (row["height"], row["width"]):
            raise BadRecordError(
                "image_size_mismatch",
                f"expected {row['width']} x {row['height']} as the JSON says, found {stored.width} x {stored.height}",
            )
        self.report.count("exif_orientation_ignored", stored.exif_orientation != 1)
        reference = options.storage == "reference"
        return {
            "image": {"bytes": stored.data, "path": row["file_name"]},
            "image_storage": "reference" if reference else stored.storage,
            "image_width": stored.width if reference else stored.stored_width,
            "image_height": stored.height if reference else stored.stored_height,
            "image_archive": self._image_archive if reference else "",
            "image_offset": member.offset if reference else 0,
            "image_length": member.compressed_bytes if reference else 0,
            "image_method": member.method if reference else 0,
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
            "coco_image_id": row["image_id"] if self._inputs.dataset.coco_image_ids else regions.coco_image_id,
            "task_type": self._inputs.dataset.task_type,
            "label_map": b"" if ordinals is None else encode_label_map(ordinals()),
            "region_id": regions.region_id,
            "box_xyxy": regions.box_xyxy,
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
