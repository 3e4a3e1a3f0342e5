"""LMDB in its best form: one pickled tuple of byte strings per key, read without a copy of the value."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import lmdb
import numpy as np

from benchmarks.peers.floor import pixels

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from regioncache.encode.tokenizer import Tokenizer

    from benchmarks.peers import Encoded, Sample

TITLE = "LMDB, a pickled tuple per image"


def write(folder: Path, rows: Sequence[Encoded], kind: str, tokenizer: Tokenizer) -> None:
    """See ``Peer.write``."""
    del kind, tokenizer
    size = sum(len(row.image.data) + sum(map(len, row.example.counts)) for row in rows)
    with lmdb.open(str(folder), map_size=2 * size + (64 << 20), writemap=True) as env, env.begin(write=True) as store:
        for index, row in enumerate(rows):
            example = row.example
            value = (
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
            store.put(index.to_bytes(4, "big"), pickle.dumps(value, protocol=5))


def open_store(folder: Path, kind: str) -> Callable[[int], Sample]:
    """See ``Peer.open_store``."""
    env = lmdb.open(str(folder), readonly=True, lock=False, readahead=False)
    store = env.begin(buffers=True)

    def sample(index: int) -> Sample:
        image_id, height, width, region_id, boxes, input_ids, token_count, rle, rle_length, image = pickle.loads(  # noqa: S301  (written above)
            store.get(index.to_bytes(4, "big"))
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
