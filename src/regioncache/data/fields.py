"""Samples of sources that have different things: some masks, some captions' tokens, some neither."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from regioncache.masks import with_background

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from regioncache.data.open_cache import TokenizerInfo

LOW_RES_PX = 256
HAS = ("has_tokens", "has_masks", "has_points", "has_image")
_KEYS = {
    "has_tokens": ("input_ids",),
    "has_masks": ("masks", "segmentation"),
    "has_points": ("input_points",),
    "has_image": ("image",),
}


class Fields(NamedTuple):
    """What every sample of a mix is to have, by itself or filled in.

    Attributes:
        tokenizer: of the tokens, or None for no tokens.
        masks: their kind, or None; ``unknown`` where only the samples of a batch tell.
        points: whether there are points.
        image: whether there are images.
    """

    tokenizer: TokenizerInfo | None
    masks: Literal["rle", "lowres", "dense", "unknown"] | None
    points: bool
    image: bool


def completed(samples: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Samples that all have the same fields.

    Filled in are: no token for any region, no pixel in any mask, points at 0 with label 0, a black pixel for an image. Where
    something may be filled in, each sample says what is its own: ``has_tokens``, ``has_masks``, ``has_points``, ``has_image``.

    Args:
        samples: with a ``Fields`` under ``fields``, if they come from a mix; else what any of them has, all get.

    Returns:
        New dicts where something was added; the samples are left as they are.
    """
    fields = next((sample["fields"] for sample in samples if "fields" in sample), None)
    if fields is None:
        if all(sample.keys() == samples[0].keys() for sample in samples):  # as from one dataset
            return samples
        fields = _fields_of(samples)
        if all(all(_owned(sample, fields).values()) for sample in samples):
            return samples
    points = next((sample["input_points"].shape[1] for sample in samples if len(sample.get("input_points", ()))), 1)
    return [_complete(sample, fields, points) for sample in samples]


def _fields_of(samples: Sequence[Mapping[str, Any]]) -> Fields:
    """What any of the samples has."""
    tokenizer = next((sample["tokenizer"] for sample in samples if "input_ids" in sample), None)
    masks: Literal["rle", "unknown"] | None = None
    if any("segmentation" in sample for sample in samples):
        masks = "rle"
    elif any("masks" in sample for sample in samples):
        masks = "unknown"
    points, image = (any(name in sample for sample in samples) for name in ("input_points", "image"))
    return Fields(tokenizer, masks, points, image)


def _owned(sample: Mapping[str, Any], fields: Fields) -> dict[str, bool]:
    """Of each thing that all are to have, whether the sample has its own."""
    wanted = (fields.tokenizer is not None, fields.masks is not None, fields.points, fields.image)
    return {name: any(key in sample for key in _KEYS[name]) for name, is_wanted in zip(HAS, wanted, strict=True) if is_wanted}


def _complete(sample: Mapping[str, Any], fields: Fields, points: int) -> dict[str, Any]:
    own = _owned(sample, fields)
    count = len(sample["metadata_region_id"])
    found = {**sample, **own}
    if not own.get("has_tokens", True):
        none = np.zeros(0, np.int32)
        found.update(input_ids=none, input_ids_length=np.zeros(count, np.int32), tokenizer=fields.tokenizer)
    if not own.get("has_masks", True):
        height, width = (int(side) for side in sample["original_sizes"])
        if fields.masks == "rle":
            counts = with_background([b""] * count, height, width)
            found["segmentation"] = [{"size": [height, width], "counts": one} for one in counts]
        else:
            # The collator puts masks at the top left of the largest of a batch, so these may be smaller than any.
            size_hw = {"dense": (height, width), "lowres": (LOW_RES_PX, LOW_RES_PX)}.get(fields.masks or "", (0, 0))
            found["masks"] = np.zeros((count, *size_hw), np.bool_)
    if not own.get("has_points", True):
        found.update(input_points=np.zeros((count, points, 2)), input_labels=np.zeros((count, points), np.int64))
    if not own.get("has_image", True):
        found["image"] = np.zeros((1, 1, 3), np.uint8)
    return found
