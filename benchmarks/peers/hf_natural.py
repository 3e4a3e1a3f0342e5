"""Hugging Face ``datasets`` as its guide shows it: nested lists, torch format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import datasets
import numpy as np
import pyarrow as pa
import simplejpeg
import torch

from benchmarks.peers.ragged import split

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from benchmarks.peers import Encoded
    from regioncache.encode.tokenizer import Tokenizer

TITLE = "Hugging Face datasets, natural: nested lists, torch format"


def columns(rows: Sequence[Encoded]) -> dict[str, Any]:
    """What ``Dataset.from_dict`` takes, without images."""
    examples = [row.example for row in rows]
    return {
        "image_id": [example.image_id for example in examples],
        "height": [row.image.size_hw[0] for row in rows],
        "width": [row.image.size_hw[1] for row in rows],
        "region_id": [example.region_id.tolist() for example in examples],
        "boxes": [example.box_in_frame.tolist() for example in examples],
        "input_ids": [[ids.tolist() for ids in split(row.input_ids, row.token_count)] for row in rows],
        "segmentation": [[counts.decode() for counts in example.counts] for example in examples],
    }


def write(folder: Path, rows: Sequence[Encoded], kind: str, tokenizer: Tokenizer) -> None:
    """See ``Peer.write``; a JPEG is a binary value, raw pixels are a list of uint8, which the torch format gives as int64."""
    del tokenizer
    dataset = datasets.Dataset.from_dict(columns(rows))
    if kind.startswith("raw"):
        parts = [_pixel_lists(rows[start : start + 100]) for start in range(0, len(rows), 100)]
        dataset = datasets.concatenate_datasets([dataset, datasets.Dataset(pa.concat_tables(parts))], axis=1)
    elif kind != "none":
        dataset = dataset.add_column("image", pa.array([row.image.data for row in rows]))
    dataset.save_to_disk(str(folder))


def _pixel_lists(rows: Sequence[Encoded]) -> pa.Table:
    return pa.table({"image": pa.array([np.frombuffer(row.image.data, np.uint8) for row in rows], pa.list_(pa.uint8()))})


def open_store(folder: Path, kind: str) -> Callable[[int], dict[str, Any]]:
    """See ``Peer.open_store``; ``input_ids`` is a list of one tensor per region, ``segmentation`` of one string."""
    dataset = datasets.load_from_disk(str(folder)).with_format("torch")

    def sample(index: int) -> dict[str, Any]:
        found: dict[str, Any] = dataset[index]
        found["size_hw"] = int(found["height"]), int(found["width"])
        if kind.startswith("raw"):
            found["image"] = found["image"].to(torch.uint8).numpy().reshape(*found["size_hw"], 3)
        elif kind != "none":
            found["image"] = simplejpeg.decode_jpeg(found["image"], "RGB")
        return found

    return sample
