"""The batch that users of a plain store write: as many regions as the poorest image has, padded region by region."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from benchmarks.peers.ragged import split
from regioncache.geometry import FRAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from benchmarks.peers import Sample

_IGNORED, _FRAME_PX = -100, 1024


def collate(samples: Sequence[Sample], pad_token_id: int, pixels: str) -> dict[str, Any]:
    """Make one batch of tensors.

    Args:
        samples: of any peer; ``input_ids`` flat with ``token_count``, or a list of one array or tensor per region.
        pad_token_id: fills token sequences.
        pixels: ``none``; ``native``: uint8 (B, max H, max W, 3); ``frame``: uint8 (B, 3, 1024, 1024) of images that have
            the frame's size already; ``resized``: the same, resized here by Pillow; ``stacked``: arrays of one shape.
    """
    width = min(len(sample["region_id"]) for sample in samples)
    ids = [_token_lists(sample)[:width] for sample in samples]
    longest = max(len(one) for some in ids for one in some)
    input_ids = np.full((len(samples), width, longest), pad_token_id, np.int64)
    attention_mask = np.zeros((len(samples), width, longest), np.int64)
    labels = np.full((len(samples), width, longest + 1), _IGNORED, np.int64)
    for image, some in enumerate(ids):
        for region, one in enumerate(some):
            input_ids[image, region, : len(one)] = one
            attention_mask[image, region, : len(one)] = 1
            labels[image, region, 1 : len(one) + 1] = one
    batch = {
        "input_ids": input_ids,
        "attention_mask": attention_mask,
        "labels": labels,
        "input_boxes": np.stack([np.asarray(sample["boxes"][:width], np.float64) for sample in samples]),
        "metadata_region_id": np.stack([np.asarray(sample["region_id"][:width], np.int64) for sample in samples]),
        "metadata_image_id": np.array([[int(sample["image_id"])] * width for sample in samples]),
        "original_sizes": np.array([sample["size_hw"] for sample in samples]),
    }
    if pixels == "native":
        batch["pixel_values"] = _native([sample["image"] for sample in samples])
    elif pixels == "stacked":
        batch["pixel_values"] = np.stack([sample["image"] for sample in samples])
    elif pixels != "none":
        images = [sample["image"] for sample in samples]
        batch["pixel_values"] = _framed([_resized(one) for one in images] if pixels == "resized" else images)
    found: dict[str, Any] = {key: torch.from_numpy(value) for key, value in batch.items()}
    found["segmentation"] = [sample.get("rle", sample.get("segmentation")) for sample in samples]
    return found


def _token_lists(sample: Sample) -> list[Any]:
    ids = sample["input_ids"]
    return ids if isinstance(ids, list) else split(ids, sample["token_count"])


def _native(images: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    height, width = max(len(one) for one in images), max(one.shape[1] for one in images)
    batch = np.zeros((len(images), height, width, 3), np.uint8)
    for slot, one in zip(batch, images, strict=True):
        slot[: len(one), : one.shape[1]] = one
    return batch


def _framed(images: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    batch = np.zeros((len(images), 3, _FRAME_PX, _FRAME_PX), np.uint8)
    for slot, one in zip(batch, images, strict=True):
        slot[:, : len(one), : one.shape[1]] = one.transpose(2, 0, 1)
    return batch


def _resized(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = FRAMES["sam"].resized_hw(*image.shape[:2])
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
