"""Caches made by hand for tests: rows in, a Parquet file with side-cars out, through the package's own writer."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from regioncache.cache.label_map import encode_label_map
from regioncache.cache.writer import ShardWriter
from regioncache.schema import PROMPTS, SAMPLES, SCHEMA_VERSION, TOKENS, huggingface_metadata

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from regioncache.encode.tokens import Tokenizer
    from regioncache.sources.regions import Category, Regions


def sample_row(image_id: int, *, height: int, width: int, image: bytes = b"", **fields: Any) -> dict[str, Any]:
    """A row of samples; per-region fields default to n regions of ``box_xyxy``."""
    boxes = np.asarray(fields.pop("box_xyxy", np.zeros((0, 4))), np.float32).reshape(-1, 4)
    count = len(boxes)
    phrases = fields.pop("phrases", [["thing"]] * count)
    row = {
        "image_id": image_id,
        "source": "made",
        "split": "train",
        "file_name": f"{image_id}.jpg",
        "width": width,
        "height": height,
        "image": {"bytes": image, "path": f"{image_id}.jpg"},
        "image_storage": "original",
        "image_width": width,
        "image_height": height,
        "image_archive": "",
        "image_offset": 0,
        "image_length": 0,
        "image_method": 0,
        "coco_image_id": -1,
        "url": "",
        "task_type": "caption",
        "label_map": b"",
        "semantic_map": b"",
        "region_id": np.arange(count),
        "box_xyxy": boxes,
        "published_box_xywh": np.concatenate((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]), axis=1, dtype=np.float64),
        "mask_box_xyxy": np.zeros_like(boxes),
        "category_id": np.zeros(count, np.int32),
        "category_index": np.zeros(count, np.int32),
        "phrase_count": np.array([len(some) for some in phrases], np.int32),
        "phrases": phrases,
        "segmentation": [""] * count,
        "area": np.zeros(count),
        "is_crowd": np.zeros(count, np.bool_),
        "is_thing": np.ones(count, np.bool_),
        "has_side_word": np.zeros(count, np.bool_),
        "flags": np.zeros(count, np.int32),
    }
    return {**row, **fields}


def write_samples(
    path: Path, rows: Sequence[dict[str, Any]], *, row_group_rows: int = 64, categories: Sequence[Category] = ()
) -> Path:
    """One Parquet file of samples."""
    metadata = {
        "huggingface": huggingface_metadata(SAMPLES, image_decodes=True),
        "regioncache.key": "made-by-hand",
        "regioncache.schema_version": str(SCHEMA_VERSION),
        "regioncache.categories": json.dumps([asdict(one) for one in categories]),
    }
    with ShardWriter(path, SAMPLES, metadata, row_group_rows=row_group_rows) as writer:
        for row in rows:
            writer.append(row)
    return path


def region_fields(regions: Regions) -> dict[str, Any]:
    """What a source says of an image's regions, as fields of ``sample_row``."""
    return {
        "label_map": b"" if regions.ordinals is None else encode_label_map(regions.ordinals()),
        "semantic_map": b"" if regions.semantic is None else encode_label_map(regions.semantic()),
        "region_id": regions.region_id,
        "box_xyxy": regions.box_xyxy,
        "published_box_xywh": regions.published_box_xywh,
        "mask_box_xyxy": regions.mask_box_xyxy,
        "category_id": regions.category_id,
        "category_index": regions.category_index,
        "phrases": regions.phrases,
        "segmentation": [counts.decode() for counts in regions.counts],
        "area": regions.area,
        "is_crowd": regions.is_crowd,
        "is_thing": regions.is_thing,
        "flags": regions.flags,
    }


def write_tokens(samples: Path, rows: Sequence[dict[str, Any]], name: str, tokenizer: Tokenizer, *, max_length: int) -> None:
    """The tokens side-car of a file in a folder ``samples``."""
    folder = samples.parent.parent / "tokens" / name
    key = tokenizer.fingerprint("sca", max_length)
    folder.mkdir(parents=True, exist_ok=True)
    meta = {
        "key": key,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "padding_side": tokenizer.padding_side,
    }
    (folder / "meta.json").write_text(json.dumps(meta))
    with ShardWriter(folder / samples.name, TOKENS, {"regioncache.tokenizer_key": key}) as writer:
        for row in rows:
            texts = [phrase for region in row["phrases"] for phrase in region]
            ids, lengths = tokenizer.encode(texts, template="sca", max_length=max_length)
            counts = row["phrase_count"]
            writer.append({"image_id": row["image_id"], "phrase_count": counts, "token_count": lengths, "input_ids": ids})


def write_prompts(samples: Path, rows: Sequence[dict[str, Any]], frame: str, points: Sequence[np.ndarray]) -> None:
    """A prompts side-car with given points (n, k, 2) in source pixels and empty masks."""
    folder = samples.parent.parent / "prompts" / frame
    with ShardWriter(folder / samples.name, PROMPTS, {}) as writer:
        for row, some in zip(rows, points, strict=True):
            writer.append(
                {
                    "image_id": row["image_id"],
                    "point_xy": np.asarray(some, np.int32).reshape(-1),
                    "low_res_map": b"",
                    "low_res_segmentation": [""] * len(row["region_id"]),
                }
            )
