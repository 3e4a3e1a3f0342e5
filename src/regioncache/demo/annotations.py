"""COCO panoptic annotations of drawn pictures: categories, PNG ids, areas and boxes, exact to the pixel."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from regioncache.demo.scene import Picture

    Json = dict[str, Any]


class Category(NamedTuple):
    """One category, as COCO's panoptic JSON lists it."""

    id: int
    name: str
    supercategory: str
    isthing: int
    color: tuple[int, int, int]


CATEGORIES = (
    Category(1, "person", "person", 1, (220, 20, 60)),
    Category(2, "car", "vehicle", 1, (0, 0, 142)),
    Category(4, "boat", "vehicle", 1, (106, 0, 228)),
    Category(5, "balloon", "vehicle", 1, (165, 42, 42)),
    Category(9, "house", "structure", 1, (250, 170, 30)),
    Category(10, "street lamp", "structure", 1, (100, 170, 0)),
    Category(14, "tree", "plant", 1, (42, 112, 0)),
    Category(16, "bird", "animal", 1, (182, 182, 255)),
    Category(17, "sheep", "animal", 1, (209, 226, 140)),
    Category(21, "dog", "animal", 1, (92, 136, 125)),
    Category(27, "umbrella", "object", 1, (255, 77, 255)),
    Category(33, "ball", "object", 1, (255, 179, 0)),
    Category(34, "kite", "object", 1, (174, 57, 255)),
    Category(92, "flowers", "plant-stuff", 0, (217, 17, 120)),
    Category(95, "forest", "plant-stuff", 0, (104, 84, 0)),
    Category(96, "grass", "plant-stuff", 0, (74, 200, 0)),
    Category(101, "sky", "air", 0, (70, 130, 180)),
    Category(102, "cloud", "air", 0, (206, 186, 171)),
    Category(107, "sea", "water", 0, (0, 114, 143)),
    Category(108, "water", "water", 0, (9, 80, 61)),
    Category(112, "sand", "ground", 0, (244, 209, 122)),
    Category(113, "road", "ground", 0, (128, 64, 128)),
    Category(115, "pavement", "ground", 0, (244, 35, 232)),
    Category(118, "mountain", "ground", 0, (134, 124, 0)),
    Category(125, "building", "structure-stuff", 0, (70, 70, 72)),
    Category(131, "fence", "structure-stuff", 0, (190, 153, 0)),
)
"""Ids are our own, with holes, as COCO's are."""

_BY_NAME = {category.name: category for category in CATEGORIES}


class Annotation(NamedTuple):
    """The two halves of a panoptic annotation.

    Attributes:
        png: of the ids, RGB with id = R + 256 G + 65536 B, 0 for void.
        segments_info: of the visible segments, as the JSON has it.
    """

    png: bytes
    segments_info: list[Json]


def annotate(picture: Picture, rng: np.random.Generator) -> Annotation:
    """The panoptic annotation of a picture; ``rng`` varies the colours of its things."""
    ids = np.zeros(len(picture.segments) + 1, np.uint32)
    area_px = np.bincount(picture.label.ravel(), minlength=ids.size)
    segments_info: list[Json] = []
    for label, segment in enumerate(picture.segments, start=1):
        if area_px[label] == 0:
            continue
        category = _BY_NAME[segment.category]
        ids[label] = _unused_id(category, set(ids.tolist()), rng)
        segments_info.append(
            {
                "id": int(ids[label]),
                "category_id": category.id,
                "iscrowd": int(segment.is_crowd),
                "bbox": _box_xywh(picture.label == label),
                "area": int(area_px[label]),
            }
        )
    return Annotation(_encode_png(ids[picture.label]), segments_info)


def panoptic_json(split: str, images: list[Json], annotations: list[Json]) -> Json:
    """The whole JSON of one split, such as ``train2017``."""
    info = {
        "description": f"regioncache demonstration: {split}, drawn by procedure",
        "url": "",
        "version": "1.0",
        "year": 2017,
        "contributor": "regioncache",
        "date_created": "2017-09-01 00:00:00.0",
    }
    licence = {"url": "https://www.apache.org/licenses/LICENSE-2.0", "id": 1, "name": "Apache License 2.0"}
    categories = [{**category._asdict(), "color": list(category.color)} for category in CATEGORIES]
    return {"info": info, "licenses": [licence], "images": images, "annotations": annotations, "categories": categories}


def image_json(image_id: int, split: str, picture: Picture) -> Json:
    """One entry of ``images``."""
    height, width = picture.label.shape
    file_name = f"{image_id:012d}.jpg"
    return {
        "license": 1,
        "file_name": file_name,
        "coco_url": f"https://demo.invalid/{split}/{file_name}",
        "height": height,
        "width": width,
        "date_captured": "2017-09-01 00:00:00",
        "flickr_url": "",
        "id": image_id,
    }


def _unused_id(category: Category, used: set[int], rng: np.random.Generator) -> int:
    """Stuff has its category's colour, each thing one near it."""
    colour = np.array(category.color)
    while True:
        if category.isthing:
            colour = np.clip(np.array(category.color) + rng.integers(-40, 41, 3), 0, 255)
        value = int(colour @ (1, 256, 65536))
        if value not in used:
            return value


def _box_xywh(mask: NDArray[np.bool_]) -> list[int]:
    """COCO's box: the pixel of the upper left corner, and how many pixels wide and high."""
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    return [int(columns[0]), int(rows[0]), int(columns[-1] - columns[0]) + 1, int(rows[-1] - rows[0]) + 1]


def _encode_png(ids: NDArray[np.uint32]) -> bytes:
    rgb = np.stack([ids & 0xFF, ids >> 8 & 0xFF, ids >> 16], axis=-1).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(rgb).save(stream, "PNG")
    return stream.getvalue()
