"""LMDB as in ``lmdb_pickle``, with every field of our samples; boxes in both frames are stored."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.peers import lmdb_pickle
from benchmarks.peers.floor import pixels
from regioncache.geometry import FRAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from benchmarks.peers import Encoded, Sample
    from regioncache.encode.tokenizer import Tokenizer

TITLE = "LMDB, a pickled tuple per image, with all our fields"


def write(folder: Path, rows: Sequence[Encoded], kind: str, tokenizer: Tokenizer) -> None:
    """See ``Peer.write``."""
    del kind, tokenizer
    values = []
    for row in rows:
        example, count = row.example, len(row.token_count)
        values.append(
            (
                *lmdb_pickle.value_of(row),
                "caption",
                FRAMES["sam"].resized_hw(*example.size_hw),
                example.box_xyxy.tobytes(),
                np.zeros(count, np.int32).tobytes(),
                np.zeros(count, np.bool_).tobytes(),
                "".join(example.phrases).encode(),
                np.array([len(phrase.encode()) for phrase in example.phrases], np.int32).tobytes(),
            )
        )
    lmdb_pickle.put_all(folder, values)


def open_store(folder: Path, kind: str) -> Callable[[int], Sample]:
    """See ``Peer.open_store``."""
    get = lmdb_pickle.open_get(folder)

    def sample(index: int) -> Sample:
        value = pickle.loads(get(index.to_bytes(4, "big")))  # noqa: S301  (written above)
        image_id, height, width, region_id, boxes, input_ids, token_count, rle, rle_length, image, *more = value
        task_type, resized_hw, source_boxes, category_index, is_crowd, caption, caption_length = more
        found = {
            "image_id": image_id,
            "task_type": task_type,
            "size_hw": (height, width),
            "resized_hw": resized_hw,
            "region_id": np.frombuffer(region_id, np.int64),
            "boxes": np.frombuffer(boxes, np.float64).reshape(-1, 4),
            "source_boxes": np.frombuffer(source_boxes, np.float32).reshape(-1, 4),
            "category_index": np.frombuffer(category_index, np.int32),
            "is_crowd": np.frombuffer(is_crowd, np.bool_),
            "input_ids": np.frombuffer(input_ids, np.int32),
            "token_count": np.frombuffer(token_count, np.int32),
            "captions": (caption, np.frombuffer(caption_length, np.int32)),
            "rle": rle,
            "rle_length": np.frombuffer(rle_length, np.int32),
        }
        if kind != "none":
            found["image"] = pixels(np.frombuffer(image, np.uint8), height, width, kind)
        return found

    return sample
