"""A cache that was changed after it was built: found and named, or derived again, and never read as other data."""

from __future__ import annotations

import hashlib
import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from regioncache import ParquetRegionDataset
from regioncache.cache.verify import verify_cache
from regioncache.errors import CacheError
from regioncache.schema import SCHEMA_VERSION
from small_cache import sample_row, write_samples

if TYPE_CHECKING:
    from pathlib import Path

TOKENS = "byt5-sca-20"
PARTS = {"samples": "samples", "tokens": f"tokens/{TOKENS}", "prompts": "prompts/sam"}
PART = "part-00001-of-00003"
SMALL_FILES = (
    "rejects.parquet",
    "stats.json",
    f"tokens/{TOKENS}/meta.json",
    f"tokens/{TOKENS}/tokenizer.zip",
)


@pytest.fixture
def cache(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return shutil.copytree(made, tmp_path / "cache")


def flip(path: Path, byte: int, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[byte] ^= 1 << bit
    path.write_bytes(data)


def some_bits(path: Path, count: int) -> list[tuple[int, int]]:
    """Places all over a file, the same in each run, with its first and last byte."""
    size = path.stat().st_size
    rng = np.random.default_rng(size)
    places = [(0, 0), (size - 1, 7), *zip(rng.integers(0, size, count), rng.integers(0, 8, count), strict=True)]
    return [(int(byte), int(bit)) for byte, bit in places]


def open_dataset(cache: Path) -> ParquetRegionDataset:
    return ParquetRegionDataset(cache, tokens=TOKENS, prompts="sam", masks="dense")


def contents(cache: Path) -> list[dict[str, Any]]:
    """All that a dataset gives, as plain values."""
    dataset = open_dataset(cache)

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return value.dtype.str, value.shape, value.tobytes()
        return list(value) if hasattr(value, "__iter__") and not isinstance(value, str) else str(value)

    return [{key: plain(value) for key, value in dataset[k].items()} for k in range(len(dataset))]


@pytest.mark.parametrize("kind", PARTS)
def test_verify_names_the_file_with_a_flipped_bit_and_both_hashes(cache: Path, kind: str) -> None:
    path = cache / PARTS[kind] / f"{PART}.parquet"
    whole = path.read_bytes()
    verify_cache(cache, full=True)
    for byte, bit in some_bits(path, 6):
        flip(path, byte, bit)
        with pytest.raises(CacheError) as caught:
            verify_cache(cache, full=True)
        assert caught.value.path == str(path)
        assert hashlib.sha256(whole).hexdigest() in str(caught.value.expected)
        assert hashlib.sha256(path.read_bytes()).hexdigest() in str(caught.value.found)
        path.write_bytes(whole)


@pytest.mark.parametrize("name", SMALL_FILES)
def test_verify_names_a_small_file_with_a_flipped_bit(cache: Path, name: str) -> None:
    path = cache / name
    whole = path.read_bytes()
    for byte, bit in some_bits(path, 4):
        flip(path, byte, bit)
        with pytest.raises(CacheError) as caught:
            verify_cache(cache, full=True)
        assert caught.value.path == str(path)
        path.write_bytes(whole)


def test_no_flipped_bit_of_the_index_goes_unnoticed(cache: Path) -> None:
    path = cache / "index.json"
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for byte in range(len(whole)):
        flip(path, byte, int(rng.integers(8)))
        with pytest.raises(CacheError) as caught:
            open_dataset(cache)
        assert caught.value.path == str(path)
        path.write_bytes(whole)
    open_dataset(cache)


@pytest.mark.parametrize("kind", PARTS)
def test_flipped_offsets_are_derived_again_and_never_give_other_data(cache: Path, made: Path, kind: str) -> None:
    path = cache / PARTS[kind] / f"{PART}.offsets"
    whole = path.read_bytes()
    expected = contents(made)
    header = len(whole) % 8 or 128
    places = some_bits(path, 24) + [(byte, byte % 8) for byte in range(0, header, 3)]
    for byte, bit in places:
        flip(path, byte, bit)
        assert contents(cache) == expected, (byte, bit)
        path.write_bytes(whole)


def test_a_flipped_flag_of_the_offsets_does_not_let_boxes_out_of_the_image(tmp_path: Path) -> None:
    """The offsets say whether boxes need to be cut; this one reaches out of an image of 10 x 10."""
    path = write_samples(
        tmp_path / "samples" / "part-00000-of-00001.parquet",
        [sample_row(1, height=10, width=10, box_xyxy=[[-5, 0, 20, 5]])],
    )
    offsets = path.with_suffix(".offsets")
    whole = offsets.read_bytes()
    for number in range(8):  # of the record that is not a row
        flip(offsets, 128 + 8 * number, 0)
        assert ParquetRegionDataset(path, image=None)[0]["input_boxes"].tolist() == [[0, 0, 1024, 512]]
        offsets.write_bytes(whole)


@pytest.mark.parametrize("kind", PARTS)
@pytest.mark.parametrize("state", ["missing", "empty", "cut short", "of another shard"])
def test_offsets_are_safe_to_lose(cache: Path, made: Path, kind: str, state: str) -> None:
    path = cache / PARTS[kind] / f"{PART}.offsets"
    if state == "missing":
        path.unlink()
    elif state == "empty":
        path.write_bytes(b"")
    elif state == "cut short":
        path.write_bytes(path.read_bytes()[:-8])
    else:
        shutil.copy(path.with_name(path.name.replace("00001-of", "00002-of")), path)
    assert contents(cache) == contents(made)


@pytest.mark.parametrize("kind", PARTS)
def test_a_shard_cut_short_is_named_at_opening_with_both_sizes(cache: Path, kind: str) -> None:
    path = cache / PARTS[kind] / f"{PART}.parquet"
    size = path.stat().st_size
    for kept in (size - 1, size // 2, 0):
        path.write_bytes(path.read_bytes()[:kept])
        for check in (open_dataset, verify_cache):
            with pytest.raises(CacheError) as caught:
                check(cache)
            assert caught.value.path == str(path)
            assert (caught.value.expected, caught.value.found) == (f"{size} bytes", f"{kept} bytes")
            assert "cut short" in str(caught.value)


@pytest.mark.parametrize("kind", PARTS)
def test_a_missing_shard_is_named_at_opening(cache: Path, kind: str) -> None:
    path = cache / PARTS[kind] / f"{PART}.parquet"
    path.unlink()
    for check in (open_dataset, verify_cache):
        with pytest.raises(CacheError, match=f"{path}: listed in index.json, but missing"):
            check(cache)


def test_a_lone_file_cut_short_is_named(cache: Path) -> None:
    path = cache / "samples" / f"{PART}.parquet"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(CacheError) as caught:
        ParquetRegionDataset(path)[0]
    assert caught.value.path == str(path)


def test_a_shard_exchanged_for_another_of_the_same_size_is_named_by_verify(cache: Path) -> None:
    path = cache / "samples" / f"{PART}.parquet"
    data = path.read_bytes()
    path.write_bytes(data[::-1])
    with pytest.raises(CacheError) as caught:
        verify_cache(cache, full=True)
    assert caught.value.path == str(path)


def test_a_newer_schema_is_refused_with_both_versions(cache: Path) -> None:
    path = cache / "index.json"
    index = json.loads(path.read_bytes())
    index["schema_version"] = SCHEMA_VERSION + 1
    path.write_text(json.dumps(index))
    for check in (open_dataset, verify_cache):
        with pytest.raises(CacheError) as caught:
            check(cache)
        assert caught.value.path == str(path)
        assert (caught.value.expected, caught.value.found) == (f"schema version {SCHEMA_VERSION}", SCHEMA_VERSION + 1)
        assert "Upgrade regioncache" in str(caught.value)


def test_a_lone_file_of_a_newer_schema_is_refused_with_both_versions(cache: Path) -> None:
    path = cache / "samples" / f"{PART}.parquet"
    table = pq.read_table(path)
    newer = str(SCHEMA_VERSION + 1).encode()
    pq.write_table(table.replace_schema_metadata({**table.schema.metadata, b"regioncache.schema_version": newer}), path)
    with pytest.raises(CacheError) as caught:
        ParquetRegionDataset(path)
    assert caught.value.path == str(path)
    assert (caught.value.expected, caught.value.found) == (f"schema version {SCHEMA_VERSION}", SCHEMA_VERSION + 1)


def test_an_unfinished_cache_is_refused(cache: Path) -> None:
    (cache / "index.json").unlink()
    for check in (open_dataset, verify_cache):
        with pytest.raises(CacheError, match=r"there is no finished cache here: index.json, which is written last"):
            check(cache)


def test_tokens_of_other_samples_are_named(cache: Path) -> None:
    """Two shards' tokens in each other's place, read without an index that would notice."""
    tokens = cache / PARTS["tokens"]
    names = [f"part-0000{k}-of-00003.parquet" for k in (0, 2)]
    first, second = (tokens / name for name in names)
    exchanged = first.read_bytes(), second.read_bytes()
    second.write_bytes(exchanged[0])
    first.write_bytes(exchanged[1])
    with pytest.raises(CacheError) as caught:
        ParquetRegionDataset(cache / "samples" / names[0], tokens=TOKENS)[0]
    assert caught.value.path == str(first)
