"""A sample as a picture: masks, boxes, points and captions on the photo, and a list of what the model would read."""

from __future__ import annotations

import colorsys
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

_LINE_PX, _MARGIN_PX, _PANEL_PX, _TEXT_PX = 18, 10, 520, 13
_MASK_OPACITY = 0.45
_GOLDEN_RATIO = 0.618033988749895
_MIN_HEIGHT_PX = 640


def region_colors(count: int) -> NDArray[np.uint8]:
    """Colours that differ from their neighbours in the list: hues a golden ratio apart; uint8 (count, 3)."""
    hues = (np.arange(count) * _GOLDEN_RATIO) % 1.0
    return np.array([[255 * one for one in colorsys.hsv_to_rgb(hue, 0.85, 1.0)] for hue in hues], np.uint8).reshape(-1, 3)


def draw_overlay(sample: Mapping[str, Any], decoded_tokens: Sequence[str] | None = None) -> Image.Image:
    """Draw a sample of ``ParquetRegionDataset(image="uint8", masks="dense")``.

    Args:
        sample: with ``image``, ``masks``, ``metadata_input_boxes``, ``metadata_captions``, and ``input_points`` (frame
            pixels) where it was opened with prompts.
        decoded_tokens: the text of each region's tokens, or None.

    Returns:
        RGB: the photo with everything on it at the left, a list of the regions at the right.
    """
    height, width = (int(side) for side in sample["original_sizes"])
    photo = Image.fromarray(np.ascontiguousarray(sample["image"])).resize((width, height))
    zoom = max(1.0, _MIN_HEIGHT_PX / height)
    colors = region_colors(len(sample["metadata_region_id"]))
    picture = _paint_masks(photo, sample["masks"], colors)
    picture = picture.resize((round(width * zoom), round(height * zoom)), Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(_TEXT_PX)
    boxes = np.asarray(sample["metadata_input_boxes"], np.float64) * zoom
    for region, (box, color) in enumerate(zip(boxes, colors, strict=True)):
        draw.rectangle(box.tolist(), outline=tuple(color.tolist()), width=2)
        _label(draw, font, (box[0] + 2, box[1] + 2), f"{region} {sample['metadata_captions'][region]}", color)
    if "input_points" in sample:
        frame_hw = np.asarray(sample["reshaped_input_sizes"], np.float64)
        # A point is a pixel's index; its centre is half a pixel further.
        source = sample["input_points"] * (np.array([width, height]) / frame_hw[::-1]) + 0.5
        for region, points in enumerate(source * zoom):
            for x, y in points:
                draw.ellipse((x - 4, y - 4, x + 4, y + 4), fill=tuple(colors[region].tolist()), outline="black", width=2)
    return _with_list(picture, _lines(sample, decoded_tokens), colors, font)


def _paint_masks(photo: Image.Image, masks: NDArray[np.bool_], colors: NDArray[np.uint8]) -> Image.Image:
    pixels = np.asarray(photo, np.float32).copy()
    for mask, color in zip(masks, colors, strict=True):
        where = np.asarray(mask, np.bool_)
        pixels[where] = pixels[where] * (1 - _MASK_OPACITY) + color.astype(np.float32) * _MASK_OPACITY
    return Image.fromarray(pixels.astype(np.uint8))


def _label(
    draw: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    at: tuple[float, float],
    text: str,
    color: NDArray[np.uint8],
) -> None:
    draw.rectangle(draw.textbbox(at, text, font=font), fill=(0, 0, 0))
    draw.text(at, text, fill=tuple(color.tolist()), font=font)


def _lines(sample: Mapping[str, Any], decoded_tokens: Sequence[str] | None) -> list[str]:
    lines = []
    for region, caption in enumerate(sample["metadata_captions"]):
        crowd = " (crowd)" if sample["is_crowd"][region] else ""
        tokens = "" if decoded_tokens is None else f"  ->  {decoded_tokens[region]!r}"
        lines.append(f"{region}{crowd} {caption}{tokens}")
    return lines


def _with_list(
    picture: Image.Image,
    lines: Sequence[str],
    colors: NDArray[np.uint8],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> Image.Image:
    height = max(picture.height, _LINE_PX * len(lines) + 2 * _MARGIN_PX)
    page = Image.new("RGB", (picture.width + _PANEL_PX, height), (24, 24, 24))
    page.paste(picture, (0, 0))
    draw = ImageDraw.Draw(page)
    for at, line in enumerate(lines):
        color = tuple(colors[at].tolist())
        draw.text((picture.width + _MARGIN_PX, _MARGIN_PX + at * _LINE_PX), line, fill=color, font=font)
    return page
