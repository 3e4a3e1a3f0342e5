"""The segmentation masks of Open Images: which mask belongs to which box, and PNG files to run lengths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from regioncache.errors import BadRecordError
from regioncache.masks import nearest_index
from regioncache.rle import encode_rle
from regioncache.schema import REGION_FLAGS
from regioncache.sources.map_png import decoded_png
from regioncache.sources.openimages_boxes import Boxes, sorted_boxes
from regioncache.sources.openimages_csv import (
    CHOICE,
    TEXT,
    choices,
    class_numbers,
    id_file_names,
    id_values,
    numbers,
    read_lines,
    text_at,
)
from regioncache.sources.places import place_list_columns
from regioncache.sources.reports import Reject

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from regioncache.sources.places import MemberFolder, Place
    from regioncache.sources.record import AnnotationFile, ReadMember
    from regioncache.sources.regions import Category
    from regioncache.sources.reports import Report

_SIDES = ("BoxXMin", "BoxXMax", "BoxYMin", "BoxYMax")
_REQUIRED = {"MaskPath": TEXT, "ImageID": TEXT, "LabelName": CHOICE, **dict.fromkeys(_SIDES, TEXT)}
_ROUNDING = 1.01e-6  # the files of masks write six decimals of what the files of boxes write more of
_MASKS_AT_A_TIME = 1 << 16
_UNKNOWN_FLAGS = sum(bit for name, bit in REGION_FLAGS.items() if name.endswith("_unknown"))
_MODES = ("1", "L", "LA", "P", "I", "I;16", "RGB", "RGBA")
_UNDECODABLE = "mask_undecodable"


class Masks(NamedTuple):
    """Masks, n of them, in the order of their file.

    Attributes:
        image_id: int64 (n,).
        row: place of the mask's line in the file, counted on from the lines of the file of boxes; int32 (n,).
        category: place of the class; int16 (n,).
        sides: of the mask's box, as those of ``Boxes``; float64 (n, 4).
        path: name of each PNG, n texts.
    """

    image_id: NDArray[np.int64]
    row: NDArray[np.int32]
    category: NDArray[np.int16]
    sides: NDArray[np.float64]
    path: pa.Array


def read_masks(file: AnnotationFile, categories: Sequence[Category], first_row: int, report: Report) -> Masks:
    """All usable masks of ``*-annotations-object-segmentation.csv``.

    Args:
        file: the file.
        categories: the classes.
        first_row: what the first mask's ``row`` is.
        report: gets the lines that cannot be used, and ``masks_listed``.

    Raises:
        AnnotationError: the file is no CSV, or lacks a column.
    """
    numbers_of_classes = class_numbers(categories)
    parts: list[Masks] = []
    for lines in read_lines(file, _REQUIRED):
        columns = lines.columns
        image_id, is_id = id_values(columns["ImageID"])
        category = choices(columns["LabelName"], numbers_of_classes, -1)
        sides = np.stack([numbers(columns[side]) for side in _SIDES], axis=1)
        usable = is_id & (category >= 0) & np.isfinite(sides).all(axis=1)
        bad = list(lines.misfits)
        for k in np.flatnonzero(~usable).tolist():
            texts = {name: text_at(column, k) for name, column in columns.items()}
            if any(texts.values()):
                found = ", ".join(f"{name} {text!r}" for name, text in texts.items())
                bad.append((int(lines.row[k]), f"no image id, known class or box: {found}"))
        for place, problem in bad:
            detail = f"line {place + 2} of {file.name} has {problem}"
            report.reject(Reject(-1, "", "file_record_invalid", detail, first_row + place))
        row = (lines.row[usable] + first_row).astype(np.int32)
        path = columns["MaskPath"].filter(pa.array(usable))
        parts.append(Masks(image_id[usable], row, category[usable], sides[usable], path))
        report.count("masks_listed", len(path) + len(bad))
        report.count("regions_listed", len(bad))
    if not parts:
        return Masks(
            np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int16), np.zeros((0, 4)), pa.array([], pa.string())
        )
    return Masks(
        np.concatenate([one.image_id for one in parts]),
        np.concatenate([one.row for one in parts]),
        np.concatenate([one.category for one in parts]),
        np.concatenate([one.sides for one in parts]),
        pa.chunked_array([one.path for one in parts]).combine_chunks(),
    )


def join_masks(boxes: Boxes, masks: Masks, report: Report) -> tuple[Boxes, NDArray[np.int32]]:
    """Give each mask to the box of its image, its class and its sides; a mask without one becomes a region of its own.

    Args:
        boxes: sorted.
        masks: any order; their rows follow those of the boxes.
        report: gets ``masks_without_box``, which are among ``regions_listed`` too.

    Returns:
        The boxes, those of masks without one among them, sorted; and the place of each box's mask, int32 (n,), -1 for none.
    """
    box_of = _boxes_of(masks, boxes)
    paired, alone = np.flatnonzero(box_of >= 0), np.flatnonzero(box_of < 0)
    report.count("masks_without_box", len(alone))
    report.count("regions_listed", len(alone))
    mask_of_row = np.full(max(boxes.rows_read, 1 + int(masks.row.max(initial=-1))), -1, np.int32)
    mask_of_row[boxes.row[box_of[paired]]] = paired
    mask_of_row[masks.row[alone]] = alone
    if len(alone):
        own = Boxes(
            masks.image_id[alone],
            masks.row[alone],
            masks.category[alone],
            masks.sides[alone],
            np.full(len(alone), _UNKNOWN_FLAGS, np.int16),
            np.zeros(0, np.int64),
            0,
        )
        boxes = sorted_boxes([boxes, own])
    return boxes, mask_of_row[boxes.row]


def _boxes_of(masks: Masks, boxes: Boxes) -> NDArray[np.int64]:
    """The place of the box that is nearest to each mask's own and equal but for rounding, -1 for none; no box twice."""
    found = np.full(len(masks.row), -1, np.int64)
    for start in range(0, len(found), _MASKS_AT_A_TIME):
        some = slice(start, start + _MASKS_AT_A_TIME)
        first = np.searchsorted(boxes.image_id, masks.image_id[some], "left")
        count = np.searchsorted(boxes.image_id, masks.image_id[some], "right") - first
        mask = np.repeat(np.arange(len(first)), count)
        box = np.arange(len(mask)) - np.repeat(np.cumsum(count) - count, count) + first[mask]
        distance = np.abs(masks.sides[some][mask] - boxes.sides[box]).max(axis=1, initial=0)
        near = np.flatnonzero((masks.category[some][mask] == boxes.category[box]) & (distance <= _ROUNDING))
        near = near[np.lexsort((distance[near], mask[near]))]
        which, at = np.unique(mask[near], return_index=True)
        found[start + which] = box[near[at]]
    paired = np.flatnonzero(found >= 0)
    _, at = np.unique(found[paired], return_index=True)
    found[np.delete(paired, at)] = -1
    return found


def mask_columns(
    boxes: Boxes, mask_of: NDArray[np.int32], masks: Masks, ends: NDArray[np.int32], folder: MemberFolder, report: Report
) -> dict[str, pa.Array]:
    """Columns of a parsed table: ``mask``, for each region which of the row's members it has or -1, and where those lie.

    Args:
        boxes: all regions.
        mask_of: of each region, the place of its mask or -1.
        masks: the masks.
        ends: int32 (rows + 1,), which regions each row has.
        folder: where the PNG files lie.
        report: gets a reject ``mask_missing`` for each that the archives lack.
    """
    regions = np.flatnonzero(mask_of >= 0)
    places: list[Place] = []
    is_held = np.zeros(len(mask_of), np.bool_)
    for k, name in zip(regions.tolist(), masks.path.take(pa.array(mask_of[regions])).to_pylist(), strict=True):
        place = folder.find(name)
        if place is not None:
            places.append(place)
            is_held[k] = True
        else:
            file_name = id_file_names(boxes.image_id[k : k + 1])[0].as_py()
            detail = f"the masks archives have no member {name} below {folder}; the region stays, without a mask"
            report.reject(Reject(int(boxes.image_id[k]), file_name, "mask_missing", detail, int(boxes.row[k])))
    held_before = np.concatenate(([0], np.cumsum(is_held))).astype(np.int32)
    first_of_row = np.repeat(held_before[ends[:-1]], np.diff(ends))
    nth = np.where(is_held, held_before[:-1] - first_of_row, -1).astype(np.int32)
    return {"mask": pa.ListArray.from_arrays(ends, nth), **place_list_columns("masks", places, held_before[ends])}


def mask_counts(row: Mapping[str, Any], read: ReadMember, report: Report) -> list[bytes]:
    """The run lengths of each region's mask, in the frame of the image as it stands; empty for regions without.

    Args:
        row: of a table with ``mask_columns``.
        read: gives the PNG files.
        report: gets a reject for each mask that cannot be used (``mask_undecodable``, ``mask_empty``); its region stays.
    """
    counts = []
    for region_id, nth in zip(row["region_id"], row["mask"], strict=True):
        found = b""
        if nth >= 0:
            try:
                found = _run_lengths(read("masks", nth), (row["height"], row["width"]), row["rotation_ccw"])
            except BadRecordError as error:
                detail = f"{error.detail}; the region stays, without a mask"
                report.reject(Reject(row["image_id"], row["file_name"], error.reason, detail, region_id))
        counts.append(found)
    return counts


def _run_lengths(data: bytes, size_hw: tuple[int, int], rotation_ccw: int) -> bytes:
    """A mask's PNG, whatever its resolution, turned and brought to the image's size by nearest pixel; any value but 0 is in."""
    with decoded_png(data, "a mask", _MODES, (_UNDECODABLE, _UNDECODABLE)) as image:
        colours = image.convert("RGB") if image.mode in ("LA", "RGBA") else image  # how opaque a pixel is says nothing
        pixels = np.asarray(colours) != 0
    if pixels.ndim > len(size_hw):
        pixels = pixels.any(axis=2)
    mask = np.rot90(pixels, rotation_ccw // 90)
    rows, columns = (nearest_index(source, target) for source, target in zip(mask.shape, size_hw, strict=True))
    scaled = mask[rows[:, None], columns].ravel(order="F")
    if not scaled.any():
        raise BadRecordError("mask_empty", "no pixel of the mask is set")
    changes = np.flatnonzero(scaled[1:] != scaled[:-1]) + 1
    return encode_rle(np.diff(np.concatenate(([0] * (1 + bool(scaled[0])), changes, [len(scaled)]))))
