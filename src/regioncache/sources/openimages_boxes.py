"""The boxes of Open Images: one pass over a CSV of some GB into compact columns, sorted by image."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from regioncache.errors import AnnotationError
from regioncache.schema import REGION_FLAGS
from regioncache.sources.openimages_csv import (
    CHOICE,
    TEXT,
    choices,
    class_numbers,
    id_values,
    numbers,
    read_lines,
    text_at,
)
from regioncache.sources.reports import Reject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from regioncache.sources.openimages_csv import Lines
    from regioncache.sources.record import AnnotationFile
    from regioncache.sources.regions import Category
    from regioncache.sources.reports import Report

SIDES = ("XMin", "XMax", "YMin", "YMax")
_REQUIRED = {"ImageID": TEXT, "LabelName": CHOICE, **dict.fromkeys(SIDES, TEXT)}
_FLAG_COLUMNS = {
    "IsOccluded": "occluded",
    "IsTruncated": "truncated",
    "IsGroupOf": "group_of",
    "IsDepiction": "depiction",
    "IsInside": "inside",
}
_OPTIONAL = {"Source": CHOICE, "Confidence": CHOICE, **dict.fromkeys(_FLAG_COLUMNS, CHOICE)}
_NO_CLASS, _NO_FLAG = -1, -1
_MOST_REJECTS = 1_000_000


class Boxes(NamedTuple):
    """Usable boxes, n of them, sorted by image and then by line.

    Attributes:
        image_id: int64 (n,), as ``openimages_csv.id_values`` reads ids.
        row: place of the box's line in the file, from 0; int32 (n,).
        category: place of the class; int16 (n,).
        sides: XMin, XMax, YMin, YMax as published, as shares of the image's sides; float64 (n, 4).
        flags: bits of ``schema.REGION_FLAGS``; int16 (n,).
        named: ids of images whose box could not be used; int64 (m,).
        rows_read: lines of the file, usable or not.
    """

    image_id: NDArray[np.int64]
    row: NDArray[np.int32]
    category: NDArray[np.int16]
    sides: NDArray[np.float64]
    flags: NDArray[np.int16]
    named: NDArray[np.int64]
    rows_read: int

    def chosen(self, keep: NDArray[np.bool_]) -> Boxes:
        """The boxes that ``keep``, bool (n,), names."""
        return Boxes(
            self.image_id[keep],
            self.row[keep],
            self.category[keep],
            self.sides[keep],
            self.flags[keep],
            self.named,
            self.rows_read,
        )

    def image_ids(self) -> NDArray[np.int64]:
        """Ids of all images that the file names, each once, sorted."""
        is_first = np.diff(self.image_id, prepend=~self.image_id[:1]) != 0
        return np.union1d(self.image_id[is_first], self.named)


def read_boxes(file: AnnotationFile, categories: Sequence[Category], report: Report) -> Boxes:
    """All boxes of a file.

    Args:
        file: ``*-annotations-bbox.csv``; columns are found by name. A file without a column of flags does not know them.
        categories: the classes.
        report: gets the lines that cannot be used, ``regions_listed``, ``confidence_not_1`` (the publisher calls it a dummy:
            it is 1 for every box, and not kept) and ``source/<Source>``.

    Raises:
        AnnotationError: the file is no CSV, lacks a column, or more than a million of its lines cannot be used.
    """
    numbers_of_classes = class_numbers(categories)
    parts: list[Boxes] = []
    for lines in read_lines(file, _REQUIRED, _OPTIONAL):
        parts.append(_usable(file.name, lines, numbers_of_classes, report))
        if len(report.rejects) > _MOST_REJECTS:
            raise AnnotationError(
                file.name,
                f"more than {_MOST_REJECTS} lines cannot be used, the last because of {report.rejects[-1].reason}:"
                f" {report.rejects[-1].detail}",
                remedy="Look whether `boxes` and `classes` belong together",
            )
    report.count("regions_listed", 0)
    return sorted_boxes(parts)


def _usable(name: str, lines: Lines, numbers_of_classes: dict[str, int], report: Report) -> Boxes:
    """The usable boxes of some lines, in order."""
    columns = lines.columns
    image_id, is_id = id_values(columns["ImageID"])
    category = choices(columns["LabelName"], numbers_of_classes, _NO_CLASS)
    sides = np.stack([numbers(columns[side]) for side in SIDES], axis=1)
    flags = _flags(lines)
    is_finite = np.isfinite(sides).all(axis=1)
    with np.errstate(invalid="ignore"):
        is_box = is_finite & (sides[:, 0] <= sides[:, 1]) & (sides[:, 2] <= sides[:, 3])
    usable = is_id & (category != _NO_CLASS) & is_box & (flags != _NO_FLAG)
    blank = 0
    for k in np.flatnonzero(~usable).tolist():
        texts = {column: text_at(values, k) for column, values in columns.items()}
        if not any(texts.values()):  # an empty line, which editors leave at the end
            blank += 1
            continue
        if not is_id[k]:
            reason, problem = "file_record_invalid", f"ImageID is {texts['ImageID']!r}, expected 16 hexadecimal digits"
        elif category[k] == _NO_CLASS:
            reason, problem = "category_unknown", f"LabelName is {texts['LabelName']!r}, which the classes do not have"
        elif not is_box[k]:
            found = ", ".join(f"{side} {texts[side]!r}" for side in SIDES)
            reason, problem = "box_invalid", f"{found}: expected finite numbers, XMin <= XMax and YMin <= YMax"
        else:
            found = ", ".join(f"{flag} {texts[flag]!r}" for flag in _FLAG_COLUMNS if flag in texts)
            reason, problem = "file_record_invalid", f"{found}: expected 0, 1 or -1 each"
        file_name = f"{texts['ImageID']}.jpg" if is_id[k] else texts["ImageID"]
        row = int(lines.row[k])
        report.reject(
            Reject(int(image_id[k]) if is_id[k] else -1, file_name, reason, f"line {row + 2} of {name}: {problem}", row)
        )
    for row, problem in lines.misfits:
        report.reject(Reject(-1, "", "file_record_invalid", f"line {row + 2} of {name} has {problem}", row))
    report.count("regions_listed", len(usable) - blank + len(lines.misfits))
    _count_sources(lines, usable, report)
    named = np.unique(image_id[is_id & ~usable])
    boxes = Boxes(image_id, lines.row.astype(np.int32), category, sides, flags, named, len(usable) + len(lines.misfits))
    return boxes if usable.all() else boxes.chosen(usable)


def _flags(lines: Lines) -> NDArray[np.int16]:
    """The flags of some lines; -1 where one is none of 0, 1 and -1."""
    flags = np.zeros(len(lines.row), np.int16)
    is_bad = np.zeros(len(lines.row), np.bool_)
    for column, flag in _FLAG_COLUMNS.items():
        bit, unknown = REGION_FLAGS[flag], REGION_FLAGS[f"{flag}_unknown"]
        if column in lines.columns:
            found = choices(lines.columns[column], {"0": 0, "1": bit, "-1": unknown}, _NO_FLAG)
            is_bad |= found == _NO_FLAG
            flags |= found
        else:
            flags |= np.int16(unknown)
    if "Source" in lines.columns:
        flags |= choices(lines.columns["Source"], {"activemil": REGION_FLAGS["machine_box"]}, 0)
    flags[is_bad] = _NO_FLAG
    return flags


def _count_sources(lines: Lines, usable: NDArray[np.bool_], report: Report) -> None:
    """What is counted of usable lines' Source and Confidence, as neither has a field of its own in a cache."""
    if "Confidence" in lines.columns:
        report.count("confidence_not_1", int((usable & (choices(lines.columns["Confidence"], {"1": 1}, 0) == 0)).sum()))
    if "Source" in lines.columns:
        column = lines.columns["Source"]
        times = np.bincount(column.indices.to_numpy()[usable], minlength=len(column.dictionary))
        for text, count in zip(column.dictionary.to_pylist(), times.tolist(), strict=True):
            if count:
                report.count(f"source/{text[:32]}", count)


def sorted_boxes(parts: list[Boxes]) -> Boxes:
    """All parts as one, sorted; they are taken from the list one by one, so that little is held twice."""
    named = np.unique(np.concatenate([one.named for one in parts] or [np.zeros(0, np.int64)]))
    unsorted = np.concatenate([one.image_id for one in parts] or [np.zeros(0, np.int64)])
    rows_read = sum(one.rows_read for one in parts)
    order = np.argsort(unsorted, kind="stable")  # quick where images come in runs, as they do in the published files
    image_id = unsorted[order]
    place = np.empty(len(order), np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    del unsorted, order
    row = np.empty(len(place), np.int32)
    category, flags = np.empty(len(place), np.int16), np.empty(len(place), np.int16)
    sides = np.empty((len(place), len(SIDES)), np.float64)
    end = len(place)
    while parts:
        part = parts.pop()
        here = place[end - len(part.row) : end]
        row[here], category[here], sides[here], flags[here] = part.row, part.category, part.sides, part.flags
        end -= len(part.row)
    return Boxes(image_id, row, category, sides, flags, named, rows_read)
