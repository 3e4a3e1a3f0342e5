"""LMDB in its best form: one pickled tuple of byte strings per key, read without a copy of the value."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import lmdb
import numpy as np

from benchmarks.peers.floor import pixels

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from benchmarks.peers import Encoded, Sample
    from regioncache.encode.tokenizer import Tokenizer

TITLE = "LMDB, a pickled tuple per image"


def value_of(row: Encoded) -> tuple[Any, ...]:
    """What is pickled for one image."""
    example = row.example
    return (
        example.image_id,
        *row.image.size_hw,
        example.region_id.tobytes(),
        example.box_in_frame.tobytes(),
        row.input_ids.tobytes(),
        row.token_count.tobytes(),
        b"".join(example.counts),
        np.array([len(counts) for counts in example.counts], np.int32).tobytes(),
        row.image.data,
    )


def put_all(folder: Path, values: Sequence[tuple[Any, ...]]) -> None:
    """Write values under their positions."""
    pickled = [pickle.dumps(value, protocol=5) for value in values]
    size = 2 * sum(map(len, pickled)) + (64 << 20)
    with lmdb.open(str(folder), map_size=size) as env, env.begin(write=True) as store:
        for index, value in enumerate(pickled):
            store.put(index.to_bytes(4, "big"), value)


def open_get(folder: Path) -> Callable[[bytes], Any]:
    """A function from key to value, which is not copied."""
    env = lmdb.open(str(folder), readonly=True, lock=False, readahead=False)
    store = env.begin(buffers=True)
    get: Callable[[bytes], Any] = store.get
    return get


def write(folder: Path, rows: Sequence[Encoded], kind: str, tokenizer: Tokenizer) -> None:
    """See ``Peer.write``."""
    del kind, tokenizer
    put_all(folder, [value_of(row) for row in rows])


def open_store(folder: Path, kind: str) -> Callable[[int], Sample]:
    """See ``Peer.open_store``."""
    get = open_get(folder)

    def sample(index: int) -> Sample:
        image_id, height, width, region_id, boxes, input_ids, token_count, rle, rle_length, image = pickle.loads(  # noqa: S301  (written above)
            get(index.to_bytes(4, "big"))
        )
        found = {
            "image_id": image_id,
            "size_hw": (height, width),
            "region_id": np.frombuffer(region_id, np.int64),
            "boxes": np.frombuffer(boxes, np.float64).reshape(-1, 4),
            "input_ids": np.frombuffer(input_ids, np.int32),
            "token_count": np.frombuffer(token_count, np.int32),
            "rle": rle,
            "rle_length": np.frombuffer(rle_length, np.int32),
        }
        if kind != "none":
            found["image"] = pixels(np.frombuffer(image, np.uint8), height, width, kind)
        return found

    return sample
