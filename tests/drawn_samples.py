"""Samples made by hand, as ``ParquetRegionDataset`` gives them, for tests of transforms."""

from __future__ import annotations

from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from regioncache.data.open_cache import TokenizerInfo
from regioncache.geometry import FRAMES


def drawn_sample(
    size_hw: tuple[int, int],
    regions: int,
    *,
    seed: int = 0,
    frame: str = "sam",
    rle: bool = False,
    captions: list[str] | None = None,
    ignored: int = 0,
) -> dict[str, Any]:
    """An image of noise with rectangular regions, some with a hole, a mask, a point, a phrase and tokens each.

    Every box is the box of its mask's pixels, every point one of them, and the ids of region k are k, k, ... (k + 1 of them).
    """
    generator = np.random.default_rng([seed, *size_hw, regions])
    height, width = size_hw
    masks = np.zeros((regions + ignored, height, width), np.bool_)
    boxes = np.zeros((regions + ignored, 4), np.float32)
    points = np.zeros((regions + ignored, 1, 2))
    for at, mask in enumerate(masks):
        x1, x2 = np.sort(generator.choice(width + 1, 2, replace=False))
        y1, y2 = np.sort(generator.choice(height + 1, 2, replace=False))
        mask[y1:y2, x1:x2] = True
        if at % 2 and x2 - x1 > 2 and y2 - y1 > 2:
            mask[y1 + 1 : y2 - 1, x1 + 1 : x2 - 1] = False
        boxes[at], points[at] = (x1, y1, x2, y2), (x1, y1)
    scale = FRAMES[frame].scale_xyxy(*size_hw)
    lengths = np.arange(1, regions + 1, dtype=np.int32)
    sample = {
        "image_id": 7,
        "task_type": "caption",
        "original_sizes": np.array(size_hw),
        "reshaped_input_sizes": np.array(FRAMES[frame].resized_hw(*size_hw)),
        "input_boxes": boxes[:regions].astype(np.float64) * scale,
        "metadata_input_boxes": boxes[:regions],
        "metadata_region_id": np.arange(100, 100 + regions),
        "category_index": np.arange(regions, dtype=np.int32),
        "is_crowd": np.zeros(regions, np.bool_),
        "metadata_captions": captions or [f"thing {at}" for at in range(regions)],
        "image": generator.integers(0, 256, (*size_hw, 3), dtype=np.uint8),
        "input_ids": np.repeat(np.arange(regions, dtype=np.int32), lengths),
        "input_ids_length": lengths,
        "tokenizer": TokenizerInfo("made", 0, 1, "right"),
        "input_points": points[:regions] * scale[:2],
        "input_labels": np.ones((regions, 1), np.int64),
    }
    if rle:
        columns = np.asfortranarray(masks.transpose(1, 2, 0).astype(np.uint8))
        encoded = coco_mask.encode(columns) if len(masks) else []
        sample["segmentation"] = encoded[:regions]
    else:
        sample["masks"] = masks[:regions]
    if ignored:
        sample["ignore_boxes"] = boxes[regions:].astype(np.float64) * scale
        sample["ignore_segmentation" if rle else "ignore_masks"] = encoded[regions:] if rle else masks[regions:]
    return sample


def image_boxes(sample: dict[str, Any], frame: str = "sam") -> np.ndarray:
    """The boxes of a sample's regions in its image's pixels, float64 (n, 4)."""
    height, width = sample["original_sizes"].tolist()
    boxes: np.ndarray = sample["input_boxes"] / FRAMES[frame].scale_xyxy(height, width)
    return boxes
