"""An augmentation that changes every pixel and every box; in a module of its own, so that spawned workers find it."""

from __future__ import annotations

from typing import Any

import numpy as np


def noisy(sample: dict[str, Any], generator: np.random.Generator) -> dict[str, Any]:
    """Roll the pixels' values and shift the boxes."""
    image = sample["image"][::4, ::4] + generator.integers(0, 256, 3, dtype=np.uint8)
    return {**sample, "image": image, "input_boxes": sample["input_boxes"] + generator.random()}
