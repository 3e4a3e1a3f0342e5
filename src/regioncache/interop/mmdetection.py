"""Samples as mmdetection's results dicts, as they are behind ``LoadImageFromFile`` and ``LoadAnnotations``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from regioncache.data.batch_images import pixels_of
from regioncache.errors import ConfigError
from regioncache.masks import resample_rles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from regioncache.data.masks import RLE

IGNORED_LABEL = -1


def to_mmdetection(sample: Mapping[str, Any], *, channel_order: Literal["bgr", "rgb"] = "bgr") -> dict[str, Any]:
    """A sample of ``ParquetRegionDataset(image=..., masks="rle")``, with or without masks, as a results dict.

    ==================== ===================== ==============================================================
    img                  uint8 (H, W, 3)       pixels as stored, where the sample has an image
    img_path             None                  there is no file
    img_id               int                   id in the source's space
    img_shape            (H, W)                of ``img``
    ori_shape            (height, width)       of the source
    height, width        int                   of the source
    scale_factor         (x, y)                from the source to ``img``, which may be stored smaller
    gt_bboxes            float32 (n, 4)        xyxy in pixels of ``img``, cut to it
    gt_bboxes_labels     int64 (n,)            dense category; -1 for the sample's ignored regions
    gt_ignore_flags      bool (n,)             crowds, and the sample's ignored regions
    gt_masks             n dicts               COCO compressed RLE at the size of ``img``, counts as text
    instances            n dicts               the same, one by one: bbox, bbox_label, ignore_flag, mask
    ==================== ===================== ==============================================================

    mmdetection wraps boxes and masks in classes of its own: ``HorizontalBoxes(gt_bboxes)`` and ``BitmapMasks`` of decoded
    masks, which ``LoadAnnotations(with_mask=True)`` makes from ``instances``, where img_shape is ori_shape.

    Args:
        sample: as the dataset gives it; left as it is.
        channel_order: ``bgr``, as mmdetection reads images, or ``rgb``.

    Raises:
        ConfigError: the channel order is neither.
    """
    if channel_order not in ("bgr", "rgb"):
        raise ConfigError(f"channel_order={channel_order!r} is none of bgr, rgb")
    height, width = (int(side) for side in sample["original_sizes"])
    frame_hw = np.asarray(sample["reshaped_input_sizes"], np.float64)
    found: dict[str, Any] = {"img_path": None, "img_id": sample["image_id"], "height": height, "width": width}
    image_hw = (height, width)
    if "image" in sample:
        pixels = pixels_of(sample["image"])
        found["img"] = np.ascontiguousarray(pixels[..., ::-1] if channel_order == "bgr" else pixels)
        image_hw = pixels.shape[0], pixels.shape[1]
    found |= {"img_shape": image_hw, "ori_shape": (height, width), "scale_factor": (image_hw[1] / width, image_hw[0] / height)}
    to_image = np.tile([image_hw[1] / frame_hw[1], image_hw[0] / frame_hw[0]], 2)
    ignored = sample.get("ignore_boxes", np.zeros((0, 4)))
    boxes = (np.concatenate((sample["input_boxes"], ignored)) * to_image).astype(np.float32)
    labels = np.concatenate((sample["category_index"], np.full(len(ignored), IGNORED_LABEL))).astype(np.int64)
    flags = np.concatenate((sample["is_crowd"], np.ones(len(ignored), np.bool_)))
    found |= {"gt_bboxes": boxes, "gt_bboxes_labels": labels, "gt_ignore_flags": flags}
    if "segmentation" in sample:
        rles = [*sample["segmentation"], *sample.get("ignore_segmentation", [])]
        found["gt_masks"] = _text_rles(rles, (height, width), image_hw)
    found["instances"] = _instances(found)
    return found


def _text_rles(rles: Sequence[RLE], size_hw: tuple[int, int], image_hw: tuple[int, int]) -> list[dict[str, Any]]:
    counts = [one["counts"] for one in rles]
    if image_hw != size_hw:
        counts = resample_rles(counts, size_hw, image_hw, image_hw)
    return [{"size": list(image_hw), "counts": one.decode("ascii")} for one in counts]


def _instances(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    boxes: NDArray[np.float32] = found["gt_bboxes"]
    instances: list[dict[str, Any]] = [
        {"bbox": box, "bbox_label": label, "ignore_flag": int(flag)}
        for box, label, flag in zip(
            boxes.tolist(), found["gt_bboxes_labels"].tolist(), found["gt_ignore_flags"].tolist(), strict=True
        )
    ]
    for instance, mask in zip(instances, found.get("gt_masks", []), strict=False):
        instance["mask"] = mask
    return instances
