"""The common row in one function: mapped files, all regions in stored order, one phrase each, no mask but RLE.

What ``ParquetRegionDataset`` does step by step for any row stands here once more without the steps, because calls between
them cost as much as the work: 1.5 times as fast. A test holds both to equal samples.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from regioncache.cache.ragged import ByteStrings
from regioncache.cache.rows import MappedRows
from regioncache.data.captions import Captions
from regioncache.data.masks import RegionRLEs
from regioncache.data.stored_images import image_reader
from regioncache.errors import CacheError

if TYPE_CHECKING:
    from regioncache.cache.rows import Rows
    from regioncache.data.open_cache import OpenShard
    from regioncache.data.row_geometry import FrameSizes

PlainReader = Callable[[int], "dict[str, Any] | None"]

_LENGTH = struct.Struct("<I").unpack_from
_F4, _F8, _I4, _I8 = np.dtype("<f4"), np.dtype(np.float64), np.dtype("<i4"), np.dtype("<i8")


def plain_reader(shard: OpenShard, sizes: FrameSizes, *, rle: bool, image: str | None) -> PlainReader | None:
    """A function from a row to its sample.

    Args:
        shard: an open shard.
        sizes: of the frame of the boxes.
        rle: whether to add ``segmentation``.
        image: ``uint8``, ``bytes``, or None for no image.

    Returns:
        The function, which itself returns None for a row that needs the general way; or None where the whole shard does.
    """
    rows, tokens = shard.samples, shard.tokens
    if not isinstance(rows, MappedRows) or not rows.boxes_inside or not (tokens is None or isinstance(tokens, MappedRows)):
        return None
    names = ("image_id", "height", "width", "task_type", "n:region_id", "box_xyxy", "region_id", "category_index", "is_crowd")
    k_id, k_height, k_width, k_task, k_regions, k_box, k_region, k_category, k_crowd = map(rows.place_of, names)
    k_phrases, k_phrase, k_phrase_end = map(rows.place_of, ("n:phrases", "phrases", "end:phrases"))
    k_mask, k_mask_end = map(rows.place_of, ("segmentation", "end:segmentation"))
    buffer, data, flags, view = rows.buffer, rows.data, rows.flags, np.ndarray
    unpack, records, record_bytes = rows.unpack, rows.records, rows.record_bytes
    image_of = None if image is None else image_reader(shard)
    add_tokens = None if tokens is None else _token_adder(shard, tokens)

    def read(row: int) -> dict[str, Any] | None:
        record = unpack(records, (row + 1) * record_bytes)
        regions = record[k_regions]
        if record[k_phrases] != regions:
            return None
        size_hw = record[k_height], record[k_width]
        geometry = sizes[size_hw]
        published = view((regions, 4), _F4, buffer, record[k_box])
        boxes = published.astype(_F8)
        boxes *= geometry.scale
        task = record[k_task]
        sample = {
            "image_id": record[k_id],
            "task_type": str(buffer[task + 4 : task + 4 + _LENGTH(buffer, task)[0]], "utf-8"),
            "original_sizes": geometry.original_hw,
            "reshaped_input_sizes": geometry.resized_hw,
            "input_boxes": boxes,
            "metadata_input_boxes": published,
            "metadata_region_id": view(regions, _I8, buffer, record[k_region]),
            "category_index": view(regions, _I4, buffer, record[k_category]),
            "is_crowd": flags(record[k_crowd], regions),
            "metadata_captions": Captions(ByteStrings(data[record[k_phrase] : record[k_phrase_end]], regions), None),
        }
        if rle:
            counts = ByteStrings(data[record[k_mask] : record[k_mask_end]], regions)
            sample["segmentation"] = RegionRLEs(counts, size_hw, None)
        if add_tokens is not None:
            add_tokens(row, sample)
        if image_of is not None:
            encoded = image_of(record)
            sample["image"] = encoded if image == "bytes" else encoded.decode()
        return sample

    return read


def _token_adder(shard: OpenShard, tokens: MappedRows) -> Callable[[int, dict[str, Any]], None]:
    names = ("image_id", "n:input_ids", "input_ids", "n:token_count", "token_count")
    k_id, k_ids, k_id_start, k_counts, k_count_start = map(tokens.place_of, names)
    buffer, view, tokenizer = tokens.buffer, np.ndarray, shard.origin.tokenizer
    unpack, records, record_bytes = tokens.unpack, tokens.records, tokens.record_bytes

    def add(row: int, sample: dict[str, Any]) -> None:
        record = unpack(records, (row + 1) * record_bytes)
        if record[k_id] != sample["image_id"]:
            raise other_rows(tokens, row, sample["image_id"], record[k_id])
        sample["input_ids"] = view(record[k_ids], _I4, buffer, record[k_id_start])
        sample["input_ids_length"] = view(record[k_counts], _I4, buffer, record[k_count_start])
        sample["tokenizer"] = tokenizer

    return add


def other_rows(tokens: Rows, row: int, expected: int, found: int) -> CacheError:
    """The error for a side-car whose row is of another image."""
    return CacheError(
        tokens.path,
        f"row {row} does not belong to the samples",
        expected=f"image {expected}",
        found=f"image {found}",
        remedy="Run the target that builds this cache again",
    )
