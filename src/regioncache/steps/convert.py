"""Step ``convert``: one shard's images and annotations to rows of ``samples``."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from regioncache.archive import OpenArchive
from regioncache.cache.layout import shard_rows
from regioncache.cache.writer import ShardWriter
from regioncache.errors import ConfigError
from regioncache.hashing import content_key
from regioncache.schema import SAMPLES, SCHEMA_VERSION, huggingface_metadata
from regioncache.sources.placing import is_placed, place_images
from regioncache.sources.reports import Report
from regioncache.steps.parse import open_annotations
from regioncache.steps.row_maker import RowMaker
from regioncache.steps.shard_report import KEY, is_done, write_shard_report
from regioncache.steps.tables import table_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pyarrow as pa

    from regioncache.sources.regions import Category
    from regioncache.steps.inputs import SplitInputs
    from regioncache.steps.row_maker import ConvertOptions

VERSION = 3
_ROWS_AT_A_TIME = 64
_DECODING_STORAGES = ("auto", "original", "fit")
_IMAGES = (".jpg", ".jpeg", ".png")


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
    inputs = inputs.of_shard(shard)
    dataset, split = inputs.dataset, inputs.split
    options = replace(options, task_type=options.task_type or dataset.task_type)
    annotations_key = table_key(annotations)
    if annotations_key is None:
        raise ConfigError(f"{annotations} is not the output of `regioncache parse`; run that step first")
    key = content_key(
        "convert",
        VERSION,
        annotations=annotations_key,
        dataset=[
            dataset.name,
            dataset.exif,
            dataset.coco_image_ids,
            dataset.images_without_regions,
            dataset.size_mismatch,
        ],
        shard=[inputs.split_name, shard, split.shard_count],
        options=asdict(options),
        archives=inputs.sha256s() if inputs.is_streamed else {},
        referenced=_image_paths(inputs) if options.storage == "reference" else [],
    )
    if is_done(report_path, out, key):
        return False
    rows, categories, report = _rows_of_shard(inputs, shard, annotations)
    files = {name: [inputs.folder_file(part)[0] for part in parts] for name, parts in inputs.folders().items()}
    if options.storage == "reference":
        _check_reference(inputs, files["images"])
    files |= {name: [path] for name, path in inputs.window_files().items()}
    written = 0
    with ExitStack() as stack:
        archives = {name: [stack.enter_context(OpenArchive(path)) for path in paths] for name, paths in files.items()}
        metadata = _metadata(inputs, key, categories, options)
        writer = stack.enter_context(ShardWriter(out, SAMPLES, metadata, row_group_rows=options.row_group_rows))
        maker = RowMaker(inputs, options, categories, archives, report)
        for done, row in enumerate(_dicts(rows), 1):
            made = maker.row(row)
            if made is not None:
                writer.append(made)
                written += 1
            if progress is not None:
                progress(done, len(rows))
    write_shard_report(report_path, out, key, written, report, _own_archives(inputs))
    return True


def _dicts(rows: pa.Table) -> Iterator[dict[str, Any]]:
    """The rows one after the other, a few at a time: as Python values they take many times the memory."""
    for start in range(0, len(rows), _ROWS_AT_A_TIME):
        yield from rows.slice(start, _ROWS_AT_A_TIME).to_pylist()


def _metadata(inputs: SplitInputs, key: str, categories: list[Category], options: ConvertOptions) -> dict[str, str]:
    return {
        "huggingface": huggingface_metadata(SAMPLES, image_decodes=options.storage in _DECODING_STORAGES),
        KEY: key,
        "regioncache.schema_version": str(SCHEMA_VERSION),
        "regioncache.dataset": inputs.dataset.name,
        "regioncache.split": inputs.split_name,
        "regioncache.categories": json.dumps([asdict(one) for one in categories]),
    }


def _rows_of_shard(inputs: SplitInputs, shard: int, annotations: Path) -> tuple[pa.Table, list[Category], Report]:
    """The rows of the parsed table that the shard is made from, with a report to go on with."""
    table, categories, _ = open_annotations(annotations)
    report = Report()
    if not inputs.is_streamed:
        mine = shard_rows(len(table), inputs.split.shard_count, shard)
        return table.slice(mine.start, len(mine)), categories, report
    if not is_placed(table):  # one table for all shards: the rows whose images this one holds
        folder = inputs.member_folder(inputs.folders()["images"])
        table = place_images(table, folder)
        report.count("images_without_record", sum(name.lower().endswith(_IMAGES) for name, _ in folder.files()) - len(table))
    return table, categories, report


def _own_archives(inputs: SplitInputs) -> dict[str, str]:
    """The sha256 by key of the archives that a streamed shard has for itself."""
    if not inputs.is_streamed:
        return {}
    shared = set(replace(inputs, shard=None).split.archive_keys())
    return {key: sha256 for key, sha256 in inputs.sha256s().items() if key not in shared}


def _image_paths(inputs: SplitInputs) -> list[str]:
    """The archives of the images, relative to the folder of archives, part by part."""
    return [inputs.dataset.archives[part.archive].path for part in inputs.folders()["images"]]


def _check_reference(inputs: SplitInputs, files: list[Path]) -> None:
    name = inputs.dataset.name
    if inputs.is_streamed:
        raise ConfigError(f"{name}: image.storage reference needs archives that stay, and those of a stream go; choose auto")
    if files != [inputs.archives_dir / path for path in _image_paths(inputs)]:
        raise ConfigError(
            f"{name}: image.storage reference needs images in archives that are not compressed as a whole or inside"
            " another; choose auto"
        )
