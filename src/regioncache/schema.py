"""The one truth about what a cache holds: the Arrow schemas, their version, the reasons for a reject.

One row of ``samples`` is one image with its regions; all per-region lists of a row have equal length. Every field is
nullable in the schema and null in no row: Hugging Face ``datasets`` drops its metadata otherwise.

=================  ==========================================  ======================================================
field              meaning                                     in a real row (COCO panoptic val2017, 142238)
=================  ==========================================  ======================================================
image_id           id in the source's own space                142238
source, split      catalog entry and its split                 "coco_panoptic", "val"
file_name          the member's name inside its folder         "000000142238.jpg"
width, height      source pixels, as published                 640, 427
image              {bytes, path}: the stored image             {JPEG bytes, "000000142238.jpg"}
image_storage      original, fit, raw, reference or none       "original"
image_width,       size of the stored pixels                   640, 427
image_height
image_archive      archive (relative) of a reference           ""
image_offset,      where its bytes lie in that archive, how    0, 0, 0
image_length,      many, and zip's compression method
image_method
coco_image_id      COCO id of the same photo, -1 if unknown    142238
url                where the image was published, "" unknown   "http://images.cocodataset.org/..."
task_type          recognition or caption                      "recognition"
label_map          zstd of the (height, width) ordinal map of  b"..." (k = k-th region + 1, 0 = none; uint8, or
                   disjoint regions; empty if they overlap     little-endian uint16 beyond 255 regions)
semantic_map       zstd of the uint8 (height, width) map of    b"" (ADE20K: b"...")
                   category indices, 255 = none; empty where
                   the regions say it all
region_id          id in the source's own space                [3226956, ...]
box_xyxy           float32 [x1, y1, x2, y2], source pixels,    [[414.0, 206.0, 638.0, 427.0], ...]
                   absolute, whatever the storage: the
                   published box, cut to the image
published_box_xywh float64 [x, y, width, height] as it was     [[414.0, 206.0, 224.0, 221.0], ...]
                   published, wherever it lies
mask_box_xyxy      float32 box of the mask's pixels; zeros if  [[414.0, 206.0, 638.0, 427.0], ...]
                   there is no mask
category_id        the source's id, -1 for regions without     [1, ...]
category_index     dense, 0-based, by the source's order, or   [0, ...]
                   -1
phrase_count       phrases of each region                      [1, ...]
phrases            the region's texts, never cleaned           [["person"], ...]
segmentation       COCO compressed RLE counts, column major,   ["nd`52...", ...]
                   at (height, width); "" if there is no mask
area               pixels of the mask, else as published       [3528.0, ...]
is_crowd           one annotation for a group                  [False, ...]
is_thing           countable object, not stuff                 [True, ...]
has_side_word      a phrase speaks of left or right            [False, ...]
flags              bit field of the source's own flags,        [0, ...]
                   ``REGION_FLAGS``
=================  ==========================================  ======================================================
"""

from __future__ import annotations

import json
import re
from typing import Any

import pyarrow as pa

SCHEMA_VERSION = 1

REGION_FLAGS = {
    "group_of": 1,  # Open Images: more than five instances in one box
    "occluded": 2,
    "truncated": 4,
    "depiction": 8,
    "inside": 16,
    "unassigned": 32,  # ADE20K: pixels of a thing's category that belong to no instance
    "fake": 64,  # Objects365: a picture or a model of the object
    "reflected": 128,  # Objects365: seen in a mirror
    "group_of_unknown": 256,  # Open Images: nobody looked whether it is so, here and in the next four
    "occluded_unknown": 512,
    "truncated_unknown": 1024,
    "depiction_unknown": 2048,
    "inside_unknown": 4096,
    "machine_box": 8192,  # Open Images: a machine drew the box and people accepted it (source activemil)
}

_BOX = pa.list_(pa.field("element", pa.float32()), 4)
_PUBLISHED_BOX = pa.list_(pa.field("element", pa.float64()), 4)


def _lists(kind: pa.DataType) -> pa.DataType:
    return pa.list_(pa.field("element", kind))


SAMPLES = pa.schema(
    [
        ("image_id", pa.int64()),
        ("source", pa.string()),
        ("split", pa.string()),
        ("file_name", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        ("image_storage", pa.string()),
        ("image_width", pa.int32()),
        ("image_height", pa.int32()),
        ("image_archive", pa.string()),
        ("image_offset", pa.int64()),
        ("image_length", pa.int64()),
        ("image_method", pa.int32()),
        ("coco_image_id", pa.int64()),
        ("url", pa.string()),
        ("task_type", pa.string()),
        ("label_map", pa.binary()),
        ("semantic_map", pa.binary()),
        ("region_id", _lists(pa.int64())),
        ("box_xyxy", _lists(_BOX)),
        ("published_box_xywh", _lists(_PUBLISHED_BOX)),
        ("mask_box_xyxy", _lists(_BOX)),
        ("category_id", _lists(pa.int32())),
        ("category_index", _lists(pa.int32())),
        ("phrase_count", _lists(pa.int32())),
        ("phrases", _lists(_lists(pa.string()))),
        ("segmentation", _lists(pa.string())),
        ("area", _lists(pa.float64())),
        ("is_crowd", _lists(pa.bool_())),
        ("is_thing", _lists(pa.bool_())),
        ("has_side_word", _lists(pa.bool_())),
        ("flags", _lists(pa.int32())),
    ]
)
"""One row = one image with its regions."""

TOKENS = pa.schema(
    [
        ("image_id", pa.int64()),
        ("phrase_count", _lists(pa.int32())),
        ("token_count", _lists(pa.int32())),
        ("input_ids", _lists(pa.int32())),
    ]
)
"""Side-car of one tokenizer, same rows in the same order: ``phrase_count`` per region, ``token_count`` per phrase (regions
in order, their phrases in order), ``input_ids`` of all phrases one after the other, special tokens included, no padding."""

PROMPTS = pa.schema(
    [
        ("image_id", pa.int64()),
        ("point_xy", _lists(pa.int32())),
        ("low_res_map", pa.binary()),
        ("low_res_segmentation", _lists(pa.string())),
    ]
)
"""Side-car of one SAM frame, same rows in the same order. ``point_xy``: k points per region as x, y pixel indices of the
source image (the reader scales them). ``low_res_map``: zstd of the (256, 256) ordinal map, for disjoint regions;
``low_res_segmentation``: for overlapping ones, an RLE at (256, 256) per region. One of the two is empty."""

REJECTS = pa.schema(
    [
        ("split", pa.string()),
        ("image_id", pa.int64()),
        ("region_id", pa.int64()),
        ("file_name", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
    ]
)
"""What was left out, one row per record; ``region_id`` is -1 where the whole image was."""

REJECT_REASONS = {
    "all_void": "no pixel of the panoptic PNG belongs to a segment",
    "annotation_duplicate": "two annotation records name the same image",
    "annotation_missing": "the image has no annotation record",
    "box_degenerate": "nothing of the box lies in the image, or a side of it has no length",
    "box_invalid": "a box is not four finite numbers, or its sides are the wrong way round",
    "captions_missing": "no caption names the image",
    "category_unknown": "a region names a category that the file does not define",
    "dead_upstream": "the publisher lists the image as dead or broken",
    "duplicate_region": "the same box of the same category is annotated twice in one image",
    "file_record_invalid": "a record of the annotation file cannot be read",
    "filtered": "a filter of the chosen preset left the region out",
    "image_id_duplicate": "two image records have the same id",
    "image_missing": "the images archive has no such member",
    "image_record_missing": "an annotation names an image that the file does not list",
    "image_size_mismatch": "the decoded image has another size than its record",
    "image_too_large": "the image has more pixels than image.max_pixels",
    "image_undecodable": "the image bytes do not decode",
    "instance_category_none": "an instance has pixels without a category",
    "instance_categories_mixed": "one instance id covers two categories",
    "instance_not_a_thing": "an instance is of a category that is not a thing",
    "leakage_guard": "the photo is in a validation or test split of a guarded dataset",
    "map_missing": "the archive has no such annotation map",
    "map_mode": "an annotation map has another pixel format than expected",
    "map_size_mismatch": "an annotation map has another size than the image",
    "map_undecodable": "an annotation map does not decode",
    "mask_empty": "a region has no pixel",
    "mask_missing": "the archives have no such mask; its region stays, without it",
    "mask_undecodable": "a mask does not decode; its region stays, without it",
    "no_regions": "the image has no region, and the entry leaves such images out",
    "panoptic_missing": "the panoptic archive has no such member",
    "panoptic_png_mode": "the panoptic PNG is not 8-bit RGB",
    "panoptic_size_mismatch": "the panoptic PNG has another size than its record",
    "panoptic_undecodable": "the panoptic PNG does not decode",
    "phrase_missing": "a region has no phrase",
    "polygon_too_short": "a polygon has fewer than three points",
    "region_annotation_missing": "a region names an annotation that the file does not have for its image",
    "region_id_duplicate": "two regions have the same id",
    "region_without_image": "a region names an image that the file does not list",
    "score_missing": "a region has no score in a file of scores",
    "segment_id_duplicate": "two segments of one image have the same id",
    "segment_missing_in_json": "the PNG holds a segment id that the JSON does not list",
    "segment_missing_in_png": "the JSON lists a segment id that no pixel has",
    "segmentation_invalid": "a segmentation is none of COCO's four forms, or of another size",
    "stuff_hidden": "instances cover all pixels of a stuff category",
    "size_vanishes": "a side of the image becomes 0 in the SAM frame",
}

ON_PURPOSE = frozenset({"dead_upstream", "duplicate_region", "filtered", "leakage_guard", "no_regions", "stuff_hidden"})
"""Reasons that are no fault of the files as fetched: these rejects are listed, and count against no budget."""

_SIDE_WORD = re.compile(r"\b(?:left|right)(?:most|hand|side|wards?)?\b", re.IGNORECASE)


def has_side_word(phrase: str) -> bool:
    """Whether a horizontal flip could make the phrase false."""
    return _SIDE_WORD.search(phrase) is not None


def _hf_feature(kind: pa.DataType) -> dict[str, Any]:
    if pa.types.is_fixed_size_list(kind):
        return {"feature": _hf_feature(kind.value_type), "length": kind.list_size, "_type": "List"}
    if pa.types.is_list(kind):
        return {"feature": _hf_feature(kind.value_type), "_type": "List"}
    if pa.types.is_struct(kind):
        return {field.name: _hf_feature(field.type) for field in kind}
    name = {"double": "float64", "float": "float32"}.get(str(kind), str(kind))
    return {"dtype": name, "_type": "Value"}


def huggingface_metadata(schema: pa.Schema, *, image_decodes: bool) -> str:
    """The ``huggingface`` metadata of a Parquet file, as ``datasets`` writes it.

    Args:
        schema: the file's schema.
        image_decodes: whether the ``image`` column holds encoded images, to be shown as such.
    """
    features = {field.name: _hf_feature(field.type) for field in schema}
    if image_decodes and "image" in features:
        features["image"] = {"_type": "Image"}
    return json.dumps({"info": {"features": features}}, separators=(",", ":"))
