"""Rows read in place are the rows that were written, and every Parquet tool reads the same file."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from regioncache.cache.group_rows import GroupRows
from regioncache.cache.mapping import MappedFile
from regioncache.cache.offsets import build_offsets, offsets_path
from regioncache.cache.open_rows import SlowShardWarning, open_rows
from regioncache.cache.pages import NotMappableError
from regioncache.cache.rows import MappedRows, Rows
from regioncache.errors import CacheError
from regioncache.schema import SAMPLES
from small_cache import sample_row, write_samples

INTEGERS = [field.name for field in SAMPLES if pa.types.is_integer(field.type)]
TEXTS = [field.name for field in SAMPLES if pa.types.is_string(field.type)]
NUMERIC_LISTS = [
    field.name
    for field in SAMPLES
    if pa.types.is_list(field.type)
    and not pa.types.is_list(field.type.value_type)
    and not pa.types.is_string(field.type.value_type)
]


def jpeg(width: int, height: int, seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


def random_rows(count: int, *, most_regions: int = 7, seed: int = 0) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    rows = []
    for image_id in range(count):
        regions = int(rng.integers(0, most_regions + 1))
        words = ["", "a", "naïve café", "猫", "left of it", "x" * 200]
        phrases = [[words[k] for k in rng.integers(0, len(words), rng.integers(1, 4))] for _ in range(regions)]
        rows.append(
            sample_row(
                int(rng.integers(-(2**62), 2**62)) if image_id else 0,
                height=8,
                width=16,
                image=jpeg(16, 8, image_id) if image_id % 5 else b"",
                box_xyxy=rng.uniform(-5, 30, (regions, 4)),
                region_id=rng.integers(0, 2**62, regions),
                phrases=phrases,
                segmentation=["0" * int(k) for k in rng.integers(0, 9, regions)],
                area=rng.random(regions),
                is_crowd=rng.random(regions) < 0.3,
                is_thing=rng.random(regions) < 0.5,
                label_map=rng.bytes(int(rng.integers(0, 20))),
            )
        )
    return rows


def assert_same_row(rows: Rows, at: int, row: dict[str, Any]) -> None:
    record = rows.record(at)
    for name in INTEGERS:
        assert rows.integer(record, name) == row[name], name
    for name in TEXTS:
        assert rows.text(record, name) == row[name], name
    assert rows.binary(record, "image.bytes").tobytes() == row["image"]["bytes"]
    assert rows.text(record, "image.path") == row["image"]["path"]
    assert rows.binary(record, "label_map").tobytes() == row["label_map"]
    assert rows.count(record, "region_id") == len(row["region_id"])
    for name in NUMERIC_LISTS:
        np.testing.assert_array_equal(rows.array(record, name), row[name], err_msg=name)
    for fast, name in zip(rows.reader(["box_xyxy", "area"])(record), ("box_xyxy", "area"), strict=True):
        np.testing.assert_array_equal(fast, row[name])
    assert rows.byte_strings(record, "segmentation").items == [text.encode() for text in row["segmentation"]]
    assert rows.byte_strings(record, "phrases").items == [text.encode() for some in row["phrases"] for text in some]
    assert rows.count(record, "phrases") == sum(map(len, row["phrases"]))


@pytest.mark.parametrize("row_group_rows", [1, 3, 64])
def test_both_readers_give_every_value_that_was_written(tmp_path: Path, row_group_rows: int) -> None:
    rows = random_rows(70)
    path = write_samples(tmp_path / "part.parquet", rows, row_group_rows=row_group_rows)
    mapped, grouped = open_rows(path, SAMPLES), GroupRows(path, SAMPLES)
    assert isinstance(mapped, MappedRows)
    assert len(mapped) == len(grouped) == len(rows)
    for at in np.random.default_rng(1).permutation(len(rows)):
        assert_same_row(mapped, int(at), rows[at])
        assert_same_row(grouped, int(at), rows[at])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(count=st.integers(1, 12), group=st.integers(1, 5), seed=st.integers(0, 10**6))
def test_any_shape_of_rows_survives(tmp_path: Path, count: int, group: int, seed: int) -> None:
    rows = random_rows(count, most_regions=3, seed=seed)
    mapped = open_rows(write_samples(tmp_path / "part.parquet", rows, row_group_rows=group), SAMPLES)
    assert isinstance(mapped, MappedRows)
    for at, row in enumerate(rows):
        assert_same_row(mapped, at, row)


def test_pyarrow_decodes_the_same_values(tmp_path: Path) -> None:
    rows = random_rows(20)
    table = pq.read_table(write_samples(tmp_path / "part.parquet", rows), page_checksum_verification=True)
    for got, row in zip(table.to_pylist(), rows, strict=True):
        assert got["image"] == row["image"]
        assert got["phrases"] == row["phrases"]
        assert got["is_crowd"] == row["is_crowd"].tolist()
        assert got["box_xyxy"] == row["box_xyxy"].tolist()


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "zstd"},
        {"use_dictionary": True, "compression": "NONE"},
        {"use_dictionary": False, "compression": "NONE", "data_page_version": "2.0"},
        {"use_dictionary": False, "compression": "NONE", "data_page_size": 64, "write_batch_size": 2},
    ],
    ids=["compressed", "dictionary", "version 2 pages", "many pages"],
)
def test_a_rewritten_file_reads_the_same_and_says_why_it_is_slow(tmp_path: Path, options: dict[str, Any]) -> None:
    rows = random_rows(40)
    path = write_samples(tmp_path / "part.parquet", rows)
    table = pq.read_table(path)
    pq.write_table(table, path, **options)
    with pytest.warns(SlowShardWarning, match="part.parquet"):
        reader = open_rows(path, SAMPLES)
    assert isinstance(reader, GroupRows)
    for at, row in enumerate(rows):
        assert_same_row(reader, at, row)


def test_missing_offsets_are_derived_again(tmp_path: Path) -> None:
    rows = random_rows(10)
    path = write_samples(tmp_path / "part.parquet", rows)
    offsets_path(path).unlink()
    reader = open_rows(path, SAMPLES)
    assert isinstance(reader, MappedRows)
    assert_same_row(reader, 3, rows[3])


def test_offsets_of_another_file_are_not_trusted(tmp_path: Path) -> None:
    rows, others = random_rows(10), random_rows(10, seed=9)
    path = write_samples(tmp_path / "part.parquet", rows)
    other = write_samples(tmp_path / "other.parquet", others)
    shutil.copy(offsets_path(other), offsets_path(path))
    reader = open_rows(path, SAMPLES)
    for at, row in enumerate(rows):
        assert_same_row(reader, at, row)


def test_a_truncated_file_is_named_with_what_was_found(tmp_path: Path) -> None:
    path = write_samples(tmp_path / "part.parquet", random_rows(10))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CacheError, match=r"part\.parquet: not a whole Parquet file.*expected PAR1.*found"):
        open_rows(path, SAMPLES)


def test_a_file_without_a_column_is_refused(tmp_path: Path) -> None:
    path = write_samples(tmp_path / "part.parquet", random_rows(3))
    pq.write_table(pq.read_table(path).drop_columns(["area"]), path)
    with pytest.raises(CacheError, match="lacks the columns area"):
        open_rows(path, SAMPLES)


def test_nulls_are_refused_for_mapping(tmp_path: Path) -> None:
    path = write_samples(tmp_path / "part.parquet", random_rows(3))
    table = pq.read_table(path)
    nulls = table.set_column(4, SAMPLES.field(4), pa.nulls(len(table), pa.int32()))
    pq.write_table(nulls, path, compression="NONE", use_dictionary=False)
    with pytest.raises(NotMappableError, match="null"):
        build_offsets(path)


def test_row_groups_do_not_depend_on_how_rows_arrive(tmp_path: Path) -> None:
    rows = random_rows(50)
    first = write_samples(tmp_path / "a.parquet", rows, row_group_rows=16)
    assert [pq.read_metadata(first).row_group(k).num_rows for k in range(4)] == [16, 16, 16, 2]
    second = write_samples(tmp_path / "b.parquet", rows, row_group_rows=16)
    assert first.read_bytes() == second.read_bytes()
    assert offsets_path(first).read_bytes() == offsets_path(second).read_bytes()


def test_a_shard_of_rejected_images_only_has_no_rows_and_opens(tmp_path: Path) -> None:
    path = write_samples(tmp_path / "part.parquet", [])
    assert len(pq.read_table(path)) == 0
    assert len(open_rows(path, SAMPLES)) == 0
    offsets_path(path).unlink()
    assert len(open_rows(path, SAMPLES)) == 0


def test_a_view_outlives_its_mapping(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 64)
    mapped = MappedFile(path)
    view = mapped.data[1000:1010]
    del mapped
    path.unlink()
    assert view.tolist() == [k % 256 for k in range(1000, 1010)]
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 1


def test_mapping_holds_no_file_descriptor(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100)
    before = len(list(Path("/proc/self/fd").iterdir()))
    kept = [MappedFile(path) for _ in range(50)]
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert kept[49].data[0] == ord("x")


@pytest.mark.parametrize("tool", ["datasets", "duckdb", "polars", "pandas"])
def test_other_tools_open_the_samples_unchanged(made: Path, tool: str, tmp_path: Path) -> None:
    files = sorted(str(path) for path in (made / "samples").glob("*.parquet"))
    ids = [row["image_id"] for file in files for row in pq.read_table(file, columns=["image_id"]).to_pylist()]
    regions = sum(len(row) for file in files for row in pq.read_table(file).column("region_id").to_pylist())
    if tool == "datasets":
        import datasets  # noqa: PLC0415

        datasets.disable_progress_bars()
        loaded = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path))
        assert isinstance(loaded.features["image"], datasets.Image)
        assert loaded["image_id"][:] == ids
        first = loaded[0]
        assert isinstance(first["image"], Image.Image)
        assert first["image"].size == (first["width"], first["height"])
    elif tool == "duckdb":
        import duckdb  # noqa: PLC0415

        with duckdb.connect() as connection:
            query = "select list(image_id order by image_id), sum(len(region_id)) from read_parquet(?)"
            assert connection.execute(query, [files]).fetchone() == (sorted(ids), regions)
    elif tool == "polars":
        import polars as pl  # noqa: PLC0415

        frame = pl.read_parquet(files)
        assert frame["image_id"].to_list() == ids
        assert frame["region_id"].list.len().sum() == regions
        assert frame["box_xyxy"].dtype == pl.List(pl.Array(pl.Float32, 4))
    else:
        import pandas as pd  # noqa: PLC0415

        frame = pd.concat([pd.read_parquet(file) for file in files])
        assert frame["image_id"].tolist() == ids
        assert frame["region_id"].map(len).sum() == regions
