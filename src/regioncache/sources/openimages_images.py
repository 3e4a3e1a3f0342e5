"""The list of a split's images, with what is known of how they should stand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from regioncache.sources.openimages_csv import CHOICE, TEXT, choices, id_file_names, id_values, read_lines, text_at
from regioncache.sources.reports import Reject

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from regioncache.sources.record import AnnotationFile
    from regioncache.sources.reports import Report

_UNKNOWN, _INVALID = -1, -2
_QUARTER, _WHOLE = 90, 360


class Images(NamedTuple):
    """Listed images, n of them, sorted by id.

    Attributes:
        image_id: int64 (n,), as ``openimages_csv.id_values`` reads ids.
        rotation_ccw: degrees to turn each counter-clockwise, as its author meant it to stand: 0, 90, 180 or 270; int32 (n,).
        url: of the photo as its author published it, n texts.
        rejected: ids of images whose record cannot be used; int64 (m,).
    """

    image_id: NDArray[np.int64]
    rotation_ccw: NDArray[np.int32]
    url: pa.Array
    rejected: NDArray[np.int64]


def read_images(file: AnnotationFile, report: Report, *, with_rotation: bool) -> Images:
    """All images of a file.

    Args:
        file: ``*-images-with-rotation.csv``.
        report: gets the lines that cannot be used, ``images_listed``, ``images_listed_again`` (the first line counts), and with
            rotation ``rotation_unknown`` and ``rotation/<degrees>``.
        with_rotation: whether the column ``Rotation`` is needed; else nothing is turned.

    Raises:
        AnnotationError: the file is no CSV, or lacks a column.
    """
    required = {"ImageID": TEXT, **({"Rotation": CHOICE} if with_rotation else {})}
    ids, rotations, urls = [np.zeros(0, np.int64)], [np.zeros(0, np.int16)], [pa.array([], pa.string())]
    for lines in read_lines(file, required, {"OriginalURL": TEXT}, has_line_breaks=True):
        columns = lines.columns
        image_id, is_id = id_values(columns["ImageID"])
        for k in np.flatnonzero(~is_id).tolist():
            texts = {name: text_at(column, k) for name, column in columns.items()}
            if any(texts.values()):
                found = f"ImageID is {texts['ImageID']!r}, expected 16 hexadecimal digits"
                _reject(report, texts["ImageID"], f"record {lines.row[k] + 1} of {file.name}: {found}")
        for row, problem in lines.misfits:
            _reject(report, "", f"record {row + 1} of {file.name} has {problem}")
        rotation = _rotations(columns["Rotation"]) if with_rotation else np.zeros(len(image_id), np.int16)
        url = columns.get("OriginalURL")
        text = pa.array([""] * len(image_id), pa.string()) if url is None else url
        ids.append(image_id[is_id])
        rotations.append(rotation[is_id])
        urls.append(text.filter(pa.array(is_id)))
    every = np.concatenate(ids)
    image_id, first = np.unique(every, return_index=True)
    rotation = np.concatenate(rotations)[first]
    report.count("images_listed", len(image_id))
    report.count("images_listed_again", len(every) - len(image_id))
    is_invalid = rotation == _INVALID
    rejected = image_id[is_invalid]
    for one, file_name in zip(rejected.tolist(), id_file_names(rejected).to_pylist(), strict=True):
        detail = f"{file.name}: Rotation is no multiple of 90 degrees"
        report.reject(Reject(one, file_name, "file_record_invalid", detail))
    if with_rotation:
        report.count("rotation_unknown", int((rotation == _UNKNOWN).sum()))
        for degrees in range(_QUARTER, _WHOLE, _QUARTER):
            report.count(f"rotation/{degrees}", int((rotation == degrees).sum()))
    url = pa.chunked_array(urls).combine_chunks().take(pa.array(first[~is_invalid]))
    turned = np.maximum(rotation[~is_invalid], 0).astype(np.int32)
    return Images(image_id[~is_invalid], turned, url, rejected)


def _reject(report: Report, file_name: str, detail: str) -> None:
    report.count("images_listed")
    report.reject(Reject(-1, file_name, "file_record_invalid", detail))


def _rotations(column: pa.Array) -> NDArray[np.int16]:
    """Degrees, ``_UNKNOWN`` where nothing or nan stands, ``_INVALID`` where something else does; int16 (n,)."""
    values = {}
    for text in column.dictionary.to_pylist():
        try:
            degrees = float(text or "nan")
        except ValueError:
            values[text] = _INVALID
            continue
        if math.isnan(degrees):
            values[text] = _UNKNOWN
        else:
            values[text] = int(degrees) % _WHOLE if degrees % _QUARTER == 0 else _INVALID
    return choices(column, values, _INVALID)
