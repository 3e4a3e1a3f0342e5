"""Caches made to harm: offsets that point elsewhere, names that lead out, sizes that no memory holds."""

from __future__ import annotations

import hashlib
import json
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hostile.readers.caches import HEIGHT, WIDTH, _rows
from hostile.readers.images import encoded
from regioncache.cache.index import read_index
from regioncache.cache.offsets import offsets_path, open_offsets, record_names
from regioncache.cache.open_rows import open_rows
from regioncache.cache.ragged import ByteStrings
from regioncache.cache.rows import MappedRows
from regioncache.cache.verify import verify_cache
from regioncache.data.captions import Captions
from regioncache.data.dataset import ParquetRegionDataset
from regioncache.data.pixels import EncodedImage
from regioncache.errors import CacheError
from regioncache.schema import SAMPLES
from small_cache import sample_row, write_samples

if TYPE_CHECKING:
    from pathlib import Path

INDEX: dict[str, Any] = {
    "format": "regioncache",
    "schema_version": 1,
    "dataset": "d",
    "split": "s",
    "key": "k",
    "shards": [],
    "tokens": {},
    "prompts": {},
    "counts": {},
    "licence": {},
    "provenance": {},
    "archives_dir": "",
    "small_files": {},
}
SHARD = {"name": "part-00000-of-00001.parquet", "rows": 1, "bytes": 1, "sha256": "0" * 64}


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    return write_samples(tmp_path / "samples" / "part-00000-of-00001.parquet", _rows())


def forge(shard: Path, changes: dict[str, int]) -> None:
    """Other numbers in the last row's offsets, under a true checksum."""
    path = offsets_path(shard)
    value = path.read_bytes()
    names = record_names(SAMPLES)
    records = np.frombuffer(value[128:], np.int64).reshape(-1, len(names)).copy()
    for name, number in changes.items():
        records[-1, names.index(name)] = number
    records[0, 4] = zlib.crc32(records.reshape(-1)[5:].view(np.uint8))
    path.unlink()
    path.write_bytes(value[:128] + records.tobytes())


@pytest.mark.parametrize("number", [-1, -(2**20), -(2**63), 2**20, 2**32, 2**62, 2**63 - 1, 2**63 - 40])
@pytest.mark.parametrize(
    "name", ["box_xyxy", "phrase_count", "is_crowd", "n:region_id", "n:phrases", "phrases", "end:phrases", "image.bytes"]
)
def test_offsets_that_point_out_of_the_file_are_derived_again(shard: Path, name: str, number: int) -> None:
    expected = open_offsets(shard, np.frombuffer(shard.read_bytes(), np.uint8), SAMPLES)
    forge(shard, {name: number})
    assert open_offsets(shard, np.frombuffer(shard.read_bytes(), np.uint8), SAMPLES) is None
    opened = open_rows(shard, SAMPLES)
    assert isinstance(opened, MappedRows)
    assert expected is not None
    assert [opened.record(row) for row in range(len(opened))] == [tuple(one) for one in expected[1:].tolist()]


@pytest.mark.parametrize(("height", "width"), [(2**31 - 1, 2**31 - 1), (2**20, 2**20), (1, 2**31 - 1), (0, 5), (-3, 5)])
def test_a_row_of_an_impossible_size_is_an_error_that_takes_no_memory(shard: Path, height: int, width: int) -> None:
    forge(shard, {"height": height, "width": width})
    with pytest.raises(CacheError, match=f"row 2 cannot be read.*{width} x {height}"):
        ParquetRegionDataset(shard, image=None, masks="dense")[2]


@pytest.mark.parametrize("name", ["../x.parquet", "/etc/passwd", "a/b.parquet", "..", ".", "", "x\x00", 7, None])
def test_a_shard_whose_name_leads_out_of_the_cache_is_refused(tmp_path: Path, name: Any) -> None:
    with pytest.raises(CacheError, match="its fields are not those of an index"):
        read_sealed(tmp_path, shards=[{**SHARD, "name": name}])


@pytest.mark.parametrize(
    "change",
    [
        {"tokens": {"../../other": {"key": "k", "shards": []}}},
        {"prompts": {"/tmp": {"key": "k", "shards": []}}},  # noqa: S108  (a name, not a file)
        {"tokens": {"a": {"key": 1, "shards": []}}},
        {"tokens": []},
        {"small_files": {"../../../etc/passwd": "0" * 64}},
        {"small_files": {"/etc/passwd": "0" * 64}},
        {"small_files": {"stats.json": None}},
        {"shards": [{**SHARD, "rows": -1}]},
        {"shards": [{**SHARD, "rows": 10**30}]},
        {"shards": [{**SHARD, "rows": 1.0}]},
        {"shards": [{**SHARD, "bytes": "1"}]},
        {"shards": [{**SHARD, "bytes": True}]},
        {"shards": 3},
        {"archives_dir": ["/"]},
        {"archives_dir": "a\x00b"},
        {"counts": {"images": "many"}},
        {"licence": None},
        {"more": 1},
    ],
)
def test_an_index_of_other_values_is_refused_even_with_a_true_seal(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(CacheError, match="its fields are not those of an index"):
        read_sealed(tmp_path, **change)


def test_an_index_with_nothing_wrong_is_read(tmp_path: Path) -> None:
    assert read_sealed(tmp_path, shards=[SHARD]).shards[0].rows == 1


def test_an_index_of_a_million_brackets_is_refused(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_bytes(b"[" * 1_000_000)
    with pytest.raises(CacheError, match="not readable as JSON"):
        read_index(tmp_path)


def read_sealed(folder: Path, **change: Any) -> Any:
    body = json.dumps({**INDEX, **change}).encode().removesuffix(b"}")
    (folder / "index.json").write_bytes(body + b',\n "~sha256": "%s"\n}\n' % hashlib.sha256(body).hexdigest().encode())
    return read_index(folder)


def test_a_null_of_a_rewritten_shard_is_named(shard: Path) -> None:
    table = pq.read_table(shard)
    nulls = pa.array([None] * len(table), table.schema.field("phrase_count").type)
    table = table.set_column(table.column_names.index("phrase_count"), "phrase_count", nulls)
    shard.unlink()
    pq.write_table(table, shard)
    dataset = ParquetRegionDataset(shard, image=None)
    with pytest.warns(UserWarning, match="slower"), pytest.raises(CacheError, match="phrase_count holds a null"):
        dataset[1]


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_stored_image_that_declares_another_size_is_not_decoded(tmp_path: Path, kind: str) -> None:
    image = EncodedImage(np.frombuffer(encoded(kind), np.uint8), HEIGHT, WIDTH, raw=False, shard=tmp_path, image_id=7)
    with pytest.raises(CacheError, match=r"image 7: .*another size than recorded \(expected 12 x 9, found 40 x 30\)"):
        image.decode()


@pytest.mark.parametrize("raw", [True, False])
def test_stored_bytes_that_are_no_image_are_an_error_with_its_name(tmp_path: Path, raw: bool) -> None:
    image = EncodedImage(np.zeros(100, np.uint8), HEIGHT, WIDTH, raw=raw, shard=tmp_path, image_id=7)
    with pytest.raises(CacheError, match="image 7: "):
        image.decode()


@pytest.mark.parametrize(
    ("packed", "count"), [(b"", 2**62), (b"\xff\xff\xff\xffab", 1), (b"\x01\x00\x00\x00a", 2), (b"\x01\x00\x00\x00ab", 1)]
)
def test_texts_that_do_not_fill_their_bytes_are_an_error(packed: bytes, count: int) -> None:
    with pytest.raises(CacheError, match="do not have the lengths"):
        ByteStrings(packed, count)[0]


def test_a_caption_that_cannot_be_read_does_not_end_the_list_early() -> None:
    phrases = ByteStrings.of([b"a cup", b"\xff"])
    for captions in (Captions(phrases, None), Captions(phrases, np.array([0, 5]))):
        with pytest.raises(CacheError, match="caption 1 cannot be read"):
            list(captions)


def test_a_footer_of_impossible_rows_is_refused(shard: Path) -> None:
    data = shard.read_bytes()
    rows = pq.read_metadata(shard).num_rows
    assert rows == 3
    size = int.from_bytes(data[-8:-4], "little")
    footer = data[-8 - size : -8]
    # thrift's compact form: field 3 (num_rows, i64) after the schema; the varint 6 is zigzag for 3
    found = [at for at in range(len(footer)) if footer[at : at + 2] == b"\x16\x06"]
    said = []
    for at in found:
        forged = footer[: at + 1] + b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f" + footer[at + 2 :]
        shard.unlink()
        shard.write_bytes(data[: -8 - size] + forged + len(forged).to_bytes(4, "little") + b"PAR1")
        try:
            ParquetRegionDataset(shard, image=None)[0]
        except CacheError as error:  # where the number means something else, the file may be read all the same
            said.append(error.problem)
    assert "its footer declares an impossible number of rows" in said


def test_verify_names_a_mask_that_is_no_ascii(tmp_path: Path) -> None:
    path = tmp_path / "samples" / SHARD["name"]
    row = sample_row(1, height=HEIGHT, width=WIDTH, box_xyxy=[[1, 2, 5, 8]], segmentation=["é"])
    data = write_samples(path, [row]).read_bytes()
    entry = {**SHARD, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    read_sealed(tmp_path, shards=[entry])
    with pytest.raises(CacheError, match="ascii"):
        verify_cache(tmp_path, full=True)
