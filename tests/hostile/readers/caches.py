"""Finished caches: Parquet files with their offsets, the index, and what opens them."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import warnings
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from pycocotools import mask as pycoco

from hostile.mutation import EDGES, damaged, damaged_json
from hostile.readers.annotations import judge
from regioncache.cache.index import CacheIndex, ShardEntry, SidecarEntry, read_index, write_index
from regioncache.cache.offsets import build_offsets, offsets_path, open_offsets, record_names
from regioncache.cache.open_rows import open_rows
from regioncache.cache.rows import MappedRows
from regioncache.cache.verify import verify_cache
from regioncache.data.dataset import ParquetRegionDataset
from regioncache.errors import RegioncacheError
from regioncache.schema import SAMPLES
from regioncache.sources import table
from regioncache.sources.record import AnnotationFile
from small_cache import sample_row, write_samples

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from random import Random

HEIGHT, WIDTH, ROWS = 9, 12, 3


def _rows() -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    buffer = io.BytesIO()
    Image.new("RGB", (WIDTH, HEIGHT), (9, 8, 7)).save(buffer, "JPEG")
    rows = []
    for image_id in range(ROWS):
        count = image_id % 3
        mask = np.asfortranarray(rng.integers(0, 2, (HEIGHT, WIDTH), np.uint8))
        text = pycoco.encode(mask)["counts"].decode()
        boxes = [[1, 2, 5 + k, 8] for k in range(count)]
        fields = {"phrases": [["a cup", "è"], ["x"]][:count], "segmentation": [text] * count, "is_crowd": np.arange(count) == 1}
        rows.append(sample_row(image_id, height=HEIGHT, width=WIDTH, image=buffer.getvalue(), box_xyxy=boxes, **fields))
    return rows


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _use(path: Path, random: Random) -> None:
    """Every row in one of the ways that training reads it."""
    image, masks, io_ = (
        random.choice(("uint8", "bytes", None)),
        random.choice(("rle", "rle", "rle", None, None, "dense", "dense", "lowres")),
        random.choice(("mmap", "pread")),
    )
    dataset = ParquetRegionDataset(path, image=image, masks=masks, io=io_)
    assert len(dataset) < 1 << 40
    for row in range(min(len(dataset), ROWS + 1)):
        with contextlib.suppress(RegioncacheError):
            sample = dataset[row]
            list(sample["metadata_captions"])
            list(sample.get("segmentation", ()))
            assert sample["input_boxes"].shape[1:] == (4,)


def shards(folder: Path) -> Callable[[Random], None]:
    """A damaged Parquet file without offsets, mapped, read through row groups, and opened as a dataset."""
    mapped = write_samples(folder / "samples" / "part-00000-of-00001.parquet", _rows()).read_bytes()
    pq.write_table(
        pq.read_table(folder / "samples/part-00000-of-00001.parquet"), folder / "rewritten.parquet", compression="zstd"
    )
    rewritten = (folder / "rewritten.parquet").read_bytes()
    path = folder / "samples" / "part-00000-of-00001.parquet"
    offsets_path(path).unlink()

    def attempt(random: Random) -> None:
        data = damaged_parquet(random.choice((mapped, mapped, rewritten)), random)
        path.unlink(missing_ok=True)  # a new file: maps of the last one may still be alive
        path.write_bytes(data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # SlowShardWarning
            _use(path, random)

    return attempt


def damaged_parquet(data: bytes, random: Random) -> bytes:
    """Damage in the pages, or in the footer with its length put right again."""
    size = int.from_bytes(data[-8:-4], "little")
    pages, footer = data[: len(data) - 8 - size], data[len(data) - 8 - size : -8]
    match random.randrange(3):
        case 0:
            pages = pages[:4] + damaged(pages[4:], random)
        case 1:
            footer = damaged(footer, random)
        case _:
            return damaged(data, random)
    return pages + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def stale_offsets(folder: Path) -> Callable[[Random], None]:
    """Damaged pages under offsets that still fit the file's size and footer."""
    path = write_samples(folder / "samples" / "part-00000-of-00001.parquet", _rows())
    data = path.read_bytes()
    size = int.from_bytes(data[-8:-4], "little") + 8

    def attempt(random: Random) -> None:
        pages = bytearray(data[:-size])
        for _ in range(random.choice((1, 1, 3, 10))):
            at = random.randrange(len(pages) - 8)
            pages[at : at + 4] = random.choice((random.randbytes(4), (random.choice(EDGES) % 2**32).to_bytes(4, "little")))
        path.unlink()
        path.write_bytes(bytes(pages) + data[-size:])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _use(path, random)

    return attempt


def offsets(folder: Path) -> Callable[[Random], None]:
    """Damaged offsets, half of them with true checksums; never other values than those of the file."""
    path = write_samples(folder / "samples" / "part-00000-of-00001.parquet", _rows())
    good = offsets_path(path).read_bytes()
    columns = len(record_names(SAMPLES))
    data = np.frombuffer(path.read_bytes(), np.uint8)
    derived = build_offsets(path)

    def attempt(random: Random) -> None:
        value = damaged(good, random)
        forged = random.random() < 0.5
        if forged:
            records = np.frombuffer(good[128:], np.int64).copy()
            for _ in range(random.choice((1, 2, 5))):
                number = random.choice((*EDGES, -1, len(data), len(data) - 3, -(2**63)))
                records[random.randrange(columns, len(records))] = (number + 2**63) % 2**64 - 2**63
            records[4] = zlib.crc32(records[5:].view(np.uint8))
            value = good[:128] + records.tobytes()
        offsets_path(path).unlink(missing_ok=True)
        offsets_path(path).write_bytes(value)
        found = open_offsets(path, data, SAMPLES)
        assert forged or found is None or np.array_equal(found, derived)
        if found is not None:  # else they are derived again, which the other targets do
            _use(path, random)

    return attempt


def index(folder: Path) -> Callable[[Random], None]:
    """A damaged index, half of them with a true seal."""
    path = write_samples(folder / "samples" / "part-00000-of-00001.parquet", _rows())
    entry = ShardEntry(path.name, ROWS, path.stat().st_size, _sha256(path.read_bytes()))
    (folder / "stats.json").write_bytes(b"{}")
    small = {"stats.json": _sha256(b"{}")}
    made = CacheIndex(
        "made", "train", "k", [entry], counts={"images": 3}, licence={"images": "x"}, archives_dir="../a", small_files=small
    )
    write_index(folder, made)
    whole = (folder / "index.json").read_bytes()
    body = whole[: whole.rindex(b',\n "~sha256"')]
    with_sidecar = (
        json.dumps({**json.loads(body + b"}"), "tokens": {"byt5": {"key": "k", "shards": []}}}, indent=1)
        .encode()
        .removesuffix(b"\n}")
    )

    def attempt(random: Random) -> None:
        data = damaged(whole, random)
        if random.random() < 0.7:
            some = damaged_json(random.choice((body, with_sidecar)) + b"}", random)
            some = some.rstrip().removesuffix(b"}")
            data = some + b',\n "~sha256": "%s"\n}\n' % _sha256(some).encode()
        (folder / "index.json").write_bytes(data)
        found = read_index(folder)
        assert all(isinstance(one, SidecarEntry) for one in (*found.tokens.values(), *found.prompts.values()))
        assert all(isinstance(shard.rows, int) and shard.rows >= 0 for _, shard in found.files())
        verify_cache(folder, full=True)
        _use(folder, random)

    return attempt


def verify(folder: Path) -> Callable[[Random], None]:
    """``regioncache verify`` of a shard whose bytes are damaged and whose index says that they are right."""
    path = write_samples(folder / "samples" / "part-00000-of-00001.parquet", _rows())
    data = path.read_bytes()

    def attempt(random: Random) -> None:
        value = damaged_parquet(data, random)
        path.unlink()
        path.write_bytes(value)
        write_index(folder, CacheIndex("made", "train", "k", [ShardEntry(path.name, ROWS, len(value), _sha256(value))]))
        verify_cache(folder, full=True)

    return attempt


def rows(folder: Path) -> Callable[[Random], None]:
    """What is read in place is what pyarrow decodes."""
    whole = write_samples(folder / "whole.parquet", _rows()).read_bytes()
    path = folder / "a.parquet"

    def attempt(random: Random) -> None:
        path.unlink(missing_ok=True)
        path.write_bytes(damaged_parquet(whole, random))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # SlowShardWarning
            opened = open_rows(path, SAMPLES)
        if isinstance(opened, MappedRows):
            try:
                peers = pq.read_table(path).to_pylist()
            except UnicodeDecodeError:  # a text that is none; what stands before it is mapped all the same
                return
            for row, peer in enumerate(peers):
                record = opened.record(row)
                assert opened.integer(record, "image_id") == peer["image_id"]
                assert opened.array(record, "box_xyxy").astype("<f4").tobytes() == np.array(peer["box_xyxy"], "<f4").tobytes()
                assert opened.text(record, "file_name") == peer["file_name"]
                assert opened.byte_strings(record, "segmentation").items == [one.encode() for one in peer["segmentation"]]

    return attempt


def table_parquet(_: Path) -> Callable[[Random], None]:
    """The user's own table."""
    columns = {
        "image": ["1.jpg", "2.jpg"],
        "boxes": pa.array([[[1, 2, 9, 8]], []], pa.list_(pa.list_(pa.float32()))),
        "phrases": [["a cup"], []],
        "id": [1, 2],
    }
    valid = []
    for options in ({"compression": "snappy"}, {"compression": "none", "use_dictionary": False}, {"data_page_version": "2.0"}):
        stream = io.BytesIO()
        pq.write_table(pa.table(columns), stream, **options)
        valid.append(stream.getvalue())
    chosen = table.Options(image_id="id")

    def attempt(random: Random) -> None:
        data = damaged_parquet(random.choice(valid), random)
        judge(table, {"table": AnnotationFile("table.parquet", memoryview(data))}, chosen)

    return attempt
