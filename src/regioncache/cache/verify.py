"""Is a cache what its index says? Sizes at once; with ``full`` also every hash and every row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from regioncache.cache.damage import named_damage
from regioncache.cache.index import CacheIndex, check_sizes, read_index
from regioncache.cache.layout import PROMPTS, SAMPLES, TOKENS
from regioncache.cache.open_rows import read_schema
from regioncache.errors import BadRecordError, CacheError
from regioncache.hashing import sha256_file
from regioncache.masks import check_runs
from regioncache.rle import decode_runs
from regioncache.schema import PROMPTS as PROMPTS_SCHEMA
from regioncache.schema import SAMPLES as SAMPLES_SCHEMA
from regioncache.schema import TOKENS as TOKENS_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

STORAGES = ("original", "fit", "raw", "reference", "none")
_REMEDY = "Delete it and run the target that builds this cache again"
_REGION_LISTS = [field.name for field in SAMPLES_SCHEMA if pa.types.is_list(field.type)]


def verify_cache(cache: Path, *, full: bool = False, progress: Callable[[int, int], None] | None = None) -> dict[str, int]:
    """Check a cache.

    Args:
        cache: the folder with ``index.json``.
        full: also hash every file, and check every row against the schema and its side-cars.
        progress: called with (files done, files).

    Returns:
        How many files, bytes and rows were checked.

    Raises:
        CacheError: the first thing that is wrong: which file and row, what was expected and found.
    """
    index = read_index(cache)
    files = index.files()
    for folder in dict.fromkeys(folder for folder, _ in files):
        check_sizes(cache, folder, [entry for where, entry in files if where == folder])
    if full:
        for path, sha256 in index.small_files.items():
            _check_hash(cache / path, sha256)
        for done, (folder, entry) in enumerate(files, 1):
            _check_hash(cache / folder / entry.name, entry.sha256)
            if progress is not None:
                progress(done, len(files))
        for entry in index.shards:
            _check_shard(cache, index, cache / SAMPLES / entry.name, entry.rows)
    return {
        "files": len(files),
        "bytes": sum(entry.bytes for _, entry in files),
        "rows": sum(entry.rows for entry in index.shards),
    }


def _check_hash(path: Path, sha256: str) -> None:
    if not path.exists():
        raise CacheError(path, "listed in index.json, but missing", remedy=_REMEDY)
    with named_damage(path, "listed in index.json, but cannot be read"):
        found = sha256_file(path)
    if found != sha256:
        raise CacheError(
            path,
            "its bytes are not the published ones",
            expected=f"sha256 {sha256}",
            found=f"sha256 {found}",
            remedy=_REMEDY,
        )


def _check_shard(cache: Path, index: CacheIndex, path: Path, rows: int) -> None:
    sidecars = [(TOKENS, name, TOKENS_SCHEMA) for name in index.tokens]
    sidecars += [(PROMPTS, name, PROMPTS_SCHEMA) for name in index.prompts]
    files = {path: SAMPLES_SCHEMA} | {cache / kind / name / path.name: schema for kind, name, schema in sidecars}
    for one, schema in files.items():
        found = read_schema(one)
        if [(field.name, field.type) for field in found] != [(field.name, field.type) for field in schema]:
            raise CacheError(one, "other columns than the schema's", expected=schema.names, found=found.names, remedy=_REMEDY)
    seen = 0
    with named_damage(path, "it or a side-car of it cannot be checked"):
        for tables in zip(*(_row_groups(one) for one in files), strict=True):
            samples = tables[0]
            _check_samples(path, samples, seen)
            for (kind, name, _), side in zip(sidecars, tables[1:], strict=True):
                _check_sidecar(cache / kind / name / path.name, kind, side, samples, seen)
            seen += len(samples)
    if seen != rows:
        raise CacheError(path, "another number of rows than published", expected=rows, found=seen, remedy=_REMEDY)


def _row_groups(path: Path) -> Iterator[pa.Table]:
    with named_damage(path, "does not read"):
        file = pq.ParquetFile(path, pre_buffer=False, page_checksum_verification=True)
    with file:
        for group in range(file.metadata.num_row_groups):
            with named_damage(path, f"row group {group} does not read"):
                table = file.read_row_group(group, use_threads=False)
            yield table


def _lengths(table: pa.Table, name: str) -> list[int]:
    found: list[int] = pc.list_value_length(table.column(name)).to_pylist()
    return found


def _check_samples(path: Path, table: pa.Table, first_row: int) -> None:
    for name in table.column_names:
        if table.column(name).null_count:
            raise CacheError(path, f"column {name} holds a null", remedy=_REMEDY)
    regions = _lengths(table, "region_id")
    for name in _REGION_LISTS:
        if _lengths(table, name) != regions:
            raise CacheError(
                path,
                f"column {name} has another number of regions than region_id in some row from {first_row}",
                remedy=_REMEDY,
            )
    columns = [
        "width", "height", "image_storage", "phrase_count", "phrases", "segmentation", "area", "box_xyxy", "image_id",
    ]  # fmt: skip
    for at, row in enumerate(table.select(columns).to_pylist(), first_row):
        problem = _row_problem(row)
        if problem is not None:
            raise CacheError(path, f"row {at} (image {row['image_id']}): {problem}", remedy=_REMEDY)


def _row_problem(row: dict[str, Any]) -> str | None:
    if row["image_storage"] not in STORAGES:
        return f"image_storage {row['image_storage']!r} is none of {', '.join(STORAGES)}"
    if row["phrase_count"] != [len(some) for some in row["phrases"]] or 0 in row["phrase_count"]:
        return "phrase_count does not count the phrases, or a region has none"
    boxes = np.array(row["box_xyxy"], np.float32).reshape(-1, 4)
    if not np.isfinite(boxes).all():
        return "a box is not finite"
    # Corners may be in the wrong order: that is how some boxes are published, and the presets decide whether they stay.
    if (boxes < 0).any() or (boxes > (row["width"], row["height"]) * 2).any():
        return f"a box does not lie in the image of {row['width']} x {row['height']}"
    counts = [text.encode("ascii") for text in row["segmentation"]]
    masked = [k for k, one in enumerate(counts) if one]
    try:
        runs = decode_runs([counts[k] for k in masked])
        check_runs(runs, row["height"], row["width"])
    except BadRecordError as error:
        return f"a mask is not a mask of {row['width']} x {row['height']}: {error.detail}"
    return None


def _check_sidecar(path: Path, kind: str, side: pa.Table, samples: pa.Table, first_row: int) -> None:
    if side.column("image_id") != samples.column("image_id"):
        raise CacheError(path, f"rows from {first_row} are of other images than the samples'", remedy=_REMEDY)
    if kind == TOKENS:
        if side.column("phrase_count") != samples.column("phrase_count"):
            raise CacheError(path, f"rows from {first_row} have other phrases than the samples'", remedy=_REMEDY)
        for at, row in enumerate(side.select(["token_count", "phrase_count", "input_ids"]).to_pylist(), first_row):
            if len(row["token_count"]) != sum(row["phrase_count"]) or len(row["input_ids"]) != sum(row["token_count"]):
                raise CacheError(path, f"row {at}: token counts do not add up", remedy=_REMEDY)
    else:
        regions = _lengths(samples, "region_id")
        points, masks = _lengths(side, "point_xy"), _lengths(side, "low_res_segmentation")
        maps = pc.binary_length(side.column("low_res_map")).to_pylist()
        for at, (count, numbers, rles, size) in enumerate(zip(regions, points, masks, maps, strict=True), first_row):
            if (count and numbers % (2 * count)) or (not size and rles != count) or (not count and numbers):
                raise CacheError(path, f"row {at}: points or masks do not match its {count} regions", remedy=_REMEDY)
