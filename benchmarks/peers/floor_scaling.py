"""The floor with the work that a cache of source boxes leaves to the reader: clip and scale boxes, give both, copy the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from regioncache.geometry import FRAMES

from benchmarks.peers.floor import open_flat, pixels, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.peers import Sample

__all__ = ["TITLE", "open_store", "write"]

TITLE = "floor, boxes clipped and scaled when read, arrays copied"


def open_store(folder: Path, kind: str) -> Callable[[int], Sample]:
    """See ``Peer.open_store``."""
    table, _, source_boxes, region_id, input_ids, token_count, rle, rle_length, image = open_flat(folder)
    scales: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}

    def geometry(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        known = scales.get((height, width))
        if known is None:
            corner = np.array([width, height, width, height], np.float64)
            known = scales[height, width] = corner, FRAMES["sam"].scale_xyxy(height, width)
        return known

    def sample(index: int) -> Sample:
        r0, r1, t0, t1, m0, m1, i0, i1, height, width, image_id = table[index].tolist()
        corner, scale = geometry(height, width)
        published = source_boxes[r0:r1]
        boxes = published.astype(np.float64)
        np.maximum(boxes, 0.0, out=boxes)
        np.minimum(boxes, corner, out=boxes)
        boxes *= scale
        found = {
            "image_id": image_id,
            "size_hw": (height, width),
            "region_id": region_id[r0:r1].copy(),
            "boxes": boxes,
            "source_boxes": published.copy(),
            "input_ids": input_ids[t0:t1].copy(),
            "token_count": token_count[r0:r1].copy(),
            "rle": rle[m0:m1],
            "rle_length": rle_length[r0:r1].copy(),
        }
        if kind != "none":
            found["image"] = pixels(image[i0:i1], height, width, kind)
        return found

    return sample
