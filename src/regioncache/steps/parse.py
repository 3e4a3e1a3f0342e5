"""Step ``parse``: an annotation file to a columnar table, once."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING

import msgspec

from regioncache.errors import AnnotationError, ConfigError
from regioncache.hashing import content_key
from regioncache.sources.leakage import leave_out
from regioncache.sources.placing import is_placed, place_images
from regioncache.sources.record import Parsed
from regioncache.sources.regions import Category
from regioncache.sources.reports import Report
from regioncache.steps.guard import open_guard
from regioncache.steps.tables import map_table, table_key, write_table

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from regioncache.steps.inputs import SplitInputs

VERSION = 3
_CATEGORIES, _REPORT, _ARCHIVES = b"categories", b"report", b"archives"


def parse_annotations(inputs: SplitInputs, out: Path, *, guard: Path | None = None) -> bool:
    """Decode the split's annotation files into ``out``, an Arrow IPC file sorted by image id.

    Args:
        inputs: the split's archives, or those of one shard of a streamed split.
        out: the table.
        guard: the list of guarded photos (step ``guard``), used where the split asks for it; None guards nothing.

    Returns:
        Whether anything was done; False where ``out`` already holds the result of the same inputs.

    Raises:
        AnnotationError: a file cannot be used, or its counts are not the catalog's.
        ArchiveError: an archive cannot be read.
        ConfigError: the catalog entry lacks a file, folder or option that the format needs.
    """
    dataset, split, options = inputs.dataset, inputs.split, inputs.options()
    sha256s = inputs.sha256s()
    guarded = open_guard(guard) if guard is not None and split.leakage_guard else None
    key = content_key(
        "parse",
        VERSION,
        split=msgspec.to_builtins(split),
        format=[dataset.format, msgspec.to_builtins(options), dataset.coco_image_ids, dataset.expected_categories],
        archives=sha256s,
        guard=None if guarded is None else guarded.key,
    )
    if out.exists() and table_key(out) == key:
        return False
    folders = {name: inputs.member_folder(parts) for name, parts in inputs.folders().items()}
    with ExitStack() as stack:
        files = inputs.files(stack)
        table, categories, report = inputs.source.parse(files, folders, options)
    if "images" in folders and not is_placed(table):
        table = place_images(table, folders["images"], report)
    if inputs.shard is None:
        _check_counts(inputs, report, len(categories))
    if guarded is not None:
        table = leave_out(table, _coco_image_ids(inputs, table), guarded.table, report)
    metadata = {
        _CATEGORIES: json.dumps([asdict(one) for one in categories]),
        _REPORT: json.dumps(report.to_json(), sort_keys=True),
        _ARCHIVES: json.dumps(sha256s),
    }
    write_table(out, table, key, metadata)
    return True


def _coco_image_ids(inputs: SplitInputs, table: pa.Table) -> NDArray[np.int64]:
    column = "coco_image_id" if "coco_image_id" in table.schema.names else "image_id"
    if column == "coco_image_id" or inputs.dataset.coco_image_ids:
        ids: NDArray[np.int64] = table[column].to_numpy()
        return ids
    raise ConfigError(
        f"{inputs.dataset.name}, split {inputs.split_name}: leakage_guard needs COCO's image ids, but the format"
        f" {inputs.dataset.format} gives none and the entry does not say `coco_image_ids: true`"
    )


def _check_counts(inputs: SplitInputs, report: Report, categories: int) -> None:
    split, counts = inputs.split, report.counts
    for what, expected, found in (
        ("images", split.expected_images, counts["images_listed"]),
        ("regions", split.expected_regions, counts.get("regions_listed")),
        ("categories", inputs.dataset.expected_categories, categories),
    ):
        if expected is not None and expected != found:
            raise AnnotationError(
                f"{inputs.dataset.name}, split {inputs.split_name}",
                f"the annotations list another number of {what} than the catalog entry says",
                expected=expected,
                found=found,
                remedy="Fetch the archives again, or correct the catalog entry if the publisher changed them",
            )


def open_annotations(path: Path) -> Parsed:
    """Map a parsed table; nothing is read until a slice of it is used."""
    table = map_table(path)
    metadata = table.schema.metadata
    categories = [Category(**one) for one in json.loads(metadata[_CATEGORIES])]
    return Parsed(table, categories, Report.from_json(json.loads(metadata[_REPORT])))


def parsed_archives(path: Path) -> dict[str, str]:
    """The sha256 of each archive that a parsed table was made from, by its key; they may be gone by now."""
    found: dict[str, str] = json.loads(map_table(path).schema.metadata[_ARCHIVES])
    return found
