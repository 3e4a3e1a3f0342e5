"""What the side-cars of a shard add to a sample: the tokens of the chosen phrases, the points of the chosen regions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from regioncache.data.flat_ranges import range_indices, starts_of
from regioncache.data.plain_rows import other_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from regioncache.cache.rows import Rows
    from regioncache.data.open_cache import OpenShard
    from regioncache.data.regions import RegionChoice

Record = tuple[int, ...]


def phrase_positions(rows: Rows, record: Record, choice: RegionChoice | None) -> NDArray[np.int64] | None:
    """Where each chosen region's phrase stands among the image's phrases; None when that is 0, 1, 2, ...

    Args:
        rows: the samples.
        record: the row's handle there.
        choice: of a policy, or None for all regions with their first phrase.
    """
    regions, phrases = rows.count(record, "region_id"), rows.count(record, "phrases")
    if regions == phrases:  # every region has at least one phrase, so each has exactly one
        return None if choice is None else choice.regions
    counts = rows.array(record, "phrase_count")
    first = starts_of(counts)
    return first if choice is None else first[choice.regions] + choice.phrases


def add_tokens(sample: dict[str, Any], shard: OpenShard, tokens: Rows, row: int, spoken: NDArray[np.int64] | None) -> None:
    """Add ``input_ids``, ``input_ids_length`` and ``tokenizer``.

    Args:
        sample: what is known of the image so far.
        shard: the open shard.
        tokens: its tokens side-car.
        row: the row in the shard.
        spoken: what ``phrase_positions`` gave.

    Raises:
        CacheError: the row of the side-car is of another image.
    """
    image_id, ids, lengths = shard.sequences(tokens.record(row))
    if image_id != sample["image_id"]:
        raise other_rows(tokens, row, sample["image_id"], image_id)
    if spoken is None:
        sample["input_ids"], sample["input_ids_length"] = ids, lengths
    else:
        chosen = lengths[spoken]
        sample["input_ids"] = ids[range_indices(starts_of(lengths)[spoken], chosen)]
        sample["input_ids_length"] = chosen
    sample["tokenizer"] = shard.origin.tokenizer


def add_points(
    sample: dict[str, Any], rows: Rows, record: Record, regions: int, choice: RegionChoice | None, scale: NDArray[np.float64]
) -> None:
    """Add ``input_points`` and ``input_labels``.

    Args:
        sample: what is known of the image so far.
        rows: the prompts side-car.
        record: the row's handle there.
        regions: how many regions the image has.
        choice: of a policy, or None for all regions.
        scale: float64 (4,), from source pixels to the frame.
    """
    points = rows.array(record, "point_xy").astype(np.float64)
    points = points.reshape(regions, -1, 2) if regions else points.reshape(0, 1, 2)
    points = points if choice is None else points[choice.regions]
    sample["input_points"] = points * scale[:2]
    sample["input_labels"] = np.ones(points.shape[:2], np.int64)
