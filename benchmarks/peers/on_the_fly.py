"""The way without a cache: decode, resize, normalise, scale and tokenize each sample when it is asked for."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import datasets
import numpy as np
import torch
from PIL import Image
from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil

from benchmarks.vocabulary import MAX_LENGTH

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from benchmarks.peers import Encoded
    from regioncache.encode.tokenizer import Tokenizer

TITLE = "on the fly: Pillow, SamImageProcessorPil, tokenizer"


def write(folder: Path, rows: Sequence[Encoded]) -> None:
    """Images and regions as a dataset script gives them: x, y, width, height and phrases of each region."""
    regions = [
        [
            {"region_id": int(one), "x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1, "phrases": [phrase]}
            for one, (x1, y1, x2, y2), phrase in zip(
                row.example.region_id, row.example.box_xyxy.astype(int).tolist(), row.example.phrases, strict=True
            )
        ]
        for row in rows
    ]
    columns = {
        "image_id": [row.example.image_id for row in rows],
        "image": [row.example.jpeg for row in rows],
        "regions": regions,
    }
    datasets.Dataset.from_dict(columns).save_to_disk(str(folder))


def open_store(folder: Path, tokenizer: Tokenizer, *, as_float: bool) -> Callable[[int], dict[str, Any]]:
    """A function from index to a sample whose image is (3, 1024, 1024), normalised float32 or uint8.

    Args:
        folder: what ``write`` made.
        tokenizer: run on the phrases of each sample.
        as_float: SAM's float32 input; else its resized and padded uint8 pixels.
    """
    dataset = datasets.load_from_disk(str(folder))
    processor = SamImageProcessorPil() if as_float else SamImageProcessorPil(do_rescale=False, do_normalize=False)
    library, end_of_text = tokenizer.library, tokenizer.eos_token_id

    def sample(index: int) -> dict[str, Any]:
        row = dataset[index]
        image = Image.open(io.BytesIO(row["image"])).convert("RGB")
        inputs = processor(images=[image], return_tensors="np")
        (old_height, old_width), (height, width) = inputs["original_sizes"][0], inputs["reshaped_input_sizes"][0]
        boxes = []
        for region in row["regions"]:
            x, y = region["x"], region["y"]
            box = torch.tensor([x, y, x + region["width"], y + region["height"]])
            box = torch.min(box.clamp(min=0), torch.tensor([old_width, old_height, old_width, old_height]))
            boxes.append(box)
        scaled = torch.stack(boxes).to(torch.float64).numpy().copy()
        scaled[:, 0::2] *= width / old_width
        scaled[:, 1::2] *= height / old_height
        captions = [region["phrases"][0] for region in row["regions"]]
        ids = library(captions, truncation=True, max_length=MAX_LENGTH - 2)["input_ids"]
        return {
            "image_id": row["image_id"],
            "size_hw": (int(height), int(width)),
            "region_id": [region["region_id"] for region in row["regions"]],
            "boxes": scaled,
            "input_ids": [np.array([*some, end_of_text]) for some in ids],
            "image": inputs["pixel_values"][0],
        }

    return sample
