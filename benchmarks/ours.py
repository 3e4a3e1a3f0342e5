"""The cache under test, written by its own writer from the same examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.vocabulary import MAX_LENGTH
from regioncache.atomic import write_json
from regioncache.cache.index import CacheIndex, ShardEntry, SidecarEntry, write_index
from regioncache.cache.label_map import encode_label_map
from regioncache.cache.layout import META_NAME, SAMPLES, TOKENS, part_name, sidecar_folder
from regioncache.cache.writer import ShardWriter
from regioncache.hashing import sha256_file
from regioncache.panoptic_runs import label_runs
from regioncache.schema import SAMPLES as SAMPLES_SCHEMA
from regioncache.schema import SCHEMA_VERSION, has_side_word, huggingface_metadata
from regioncache.schema import TOKENS as TOKENS_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.peers import Encoded
    from regioncache.encode.tokenizer import Tokenizer

TOKENS_NAME = "bench"
TITLE = "regioncache"


def write(folder: Path, rows: Sequence[Encoded], kind: str, tokenizer: Tokenizer) -> None:
    """One shard with its tokens side-car, published."""
    name = part_name(0, 1)
    samples, tokens = folder / SAMPLES / name, sidecar_folder(folder, TOKENS, TOKENS_NAME) / name
    key = tokenizer.fingerprint("sca", MAX_LENGTH)
    metadata = {
        "huggingface": huggingface_metadata(SAMPLES_SCHEMA, image_decodes=kind == "jpeg"),
        "regioncache.key": "benchmark",
        "regioncache.schema_version": str(SCHEMA_VERSION),
    }
    with (
        ShardWriter(samples, SAMPLES_SCHEMA, metadata) as sample_writer,
        ShardWriter(tokens, TOKENS_SCHEMA, {"regioncache.tokenizer_key": key}) as token_writer,
    ):
        for row in rows:
            sample_writer.append(_sample_row(row, kind))
            token_writer.append(
                {
                    "image_id": row.example.image_id,
                    "phrase_count": np.ones(len(row.token_count), np.int32),
                    "token_count": row.token_count,
                    "input_ids": row.input_ids,
                }
            )
    meta = {
        "key": key,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "padding_side": tokenizer.padding_side,
    }
    write_json(tokens.parent / META_NAME, meta)
    shards = [shard_entry(samples, len(rows))]
    sidecar = SidecarEntry(key, [shard_entry(tokens, len(rows))])
    write_index(folder, CacheIndex("bench", "train", "benchmark", shards, {TOKENS_NAME: sidecar}))


def shard_entry(path: Path, rows: int) -> ShardEntry:
    """A file's line in the index."""
    return ShardEntry(path.name, rows, path.stat().st_size, sha256_file(path))


def _sample_row(row: Encoded, kind: str) -> dict[str, Any]:
    example = row.example
    height, width = example.size_hw
    count = len(example.region_id)
    return {
        "image_id": example.image_id,
        "source": "bench",
        "split": "train",
        "file_name": f"{example.image_id:012d}.jpg",
        "width": width,
        "height": height,
        "image": {"bytes": row.image.data, "path": f"{example.image_id:012d}.jpg"},
        "image_storage": {"jpeg": "original"}.get(kind, kind),
        "image_width": row.image.size_hw[1],
        "image_height": row.image.size_hw[0],
        "image_archive": "",
        "image_offset": 0,
        "image_length": 0,
        "image_method": 0,
        "coco_image_id": -1,
        "url": "",
        "task_type": "caption",
        "label_map": encode_label_map(label_runs(example.ids).ordinal_map(example.region_id)),
        "semantic_map": b"",
        "region_id": example.region_id,
        "box_xyxy": example.box_xyxy,
        "published_box_xywh": np.concatenate(
            (example.box_xyxy[:, :2], example.box_xyxy[:, 2:] - example.box_xyxy[:, :2]), axis=1, dtype=np.float64
        ),
        "mask_box_xyxy": example.box_xyxy,
        "category_id": np.zeros(count, np.int32),
        "category_index": np.zeros(count, np.int32),
        "phrase_count": np.ones(count, np.int32),
        "phrases": [[phrase] for phrase in example.phrases],
        "segmentation": [counts.decode("ascii") for counts in example.counts],
        "area": example.area,
        "is_crowd": np.zeros(count, np.bool_),
        "is_thing": np.ones(count, np.bool_),
        "has_side_word": np.array([has_side_word(phrase) for phrase in example.phrases], np.bool_),
        "flags": np.zeros(count, np.int32),
    }
