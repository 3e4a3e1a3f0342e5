"""The floor with every field of our samples: source boxes kept, clipped and scaled when read, small arrays copied."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.peers.floor import open_flat, pixels, write
from regioncache.geometry import FRAMES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmarks.peers import Sample

__all__ = ["TITLE", "open_store", "write"]

TITLE = "floor with all our fields, boxes clipped and scaled when read, arrays copied"


@lru_cache(maxsize=4096)
def _geometry(height: int, width: int) -> tuple[NDArray[Any], ...]:
    frame = FRAMES["sam"]
    corner = np.array([width, height, width, height], np.float64)
    return corner, frame.scale_xyxy(height, width), np.array([height, width]), np.array(frame.resized_hw(height, width))


def open_store(folder: Path, kind: str) -> Callable[[int], Sample]:
    """See ``Peer.open_store``."""
    flat = open_flat(folder)
    table, source_boxes, image, input_ids, rle = (flat[name] for name in ("table", "source_boxes", "image", "input_ids", "rle"))
    region_id, token_count, rle_length = flat["region_id"], flat["token_count"], flat["rle_length"]
    category_index, is_crowd = flat["category_index"], flat["is_crowd"]
    caption, caption_length = flat["caption"], flat["caption_length"]

    def sample(index: int) -> Sample:
        r0, r1, t0, t1, m0, m1, i0, i1, c0, c1, height, width, image_id = table[index].tolist()
        corner, scale, original_hw, resized_hw = _geometry(height, width)
        published = source_boxes[r0:r1]
        boxes = published.astype(np.float64)
        np.maximum(boxes, 0.0, out=boxes)
        np.minimum(boxes, corner, out=boxes)
        boxes *= scale
        found = {
            "image_id": image_id,
            "task_type": "caption",
            "size_hw": original_hw,
            "resized_hw": resized_hw,
            "region_id": region_id[r0:r1].copy(),
            "boxes": boxes,
            "source_boxes": published.copy(),
            "category_index": category_index[r0:r1].copy(),
            "is_crowd": is_crowd[r0:r1].copy(),
            "input_ids": input_ids[t0:t1].copy(),
            "token_count": token_count[r0:r1].copy(),
            "captions": (caption[c0:c1], caption_length[r0:r1]),
            "rle": rle[m0:m1],
            "rle_length": rle_length[r0:r1],
        }
        if kind != "none":
            found["image"] = pixels(image[i0:i1], height, width, kind)
        return found

    return sample
