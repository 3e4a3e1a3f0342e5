"""Photos that must not be trained on, because the validation or test splits of referring expressions have them.

RefCOCO, RefCOCO+, RefCOCOg and Visual Genome share photos with COCO train2014: a model trained on all of COCO or Visual
Genome has seen the images that the referring expressions are tested on. https://github.com/lichengunc/refer
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from regioncache.sources.refcoco import read_refs
from regioncache.sources.reports import Reject, Report

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from regioncache.sources.record import AnnotationFile

GUARDED = pa.schema([("coco_image_id", pa.int64()), ("held_by", pa.string())])
"""One row per photo and split that holds it."""


def guarded_images(files: Mapping[str, AnnotationFile]) -> pa.Table:
    """The photos of every ref that is not of the split ``train``.

    Args:
        files: refs files by label, such as ``refcoco/unc``; their image ids are COCO's.

    Returns:
        ``GUARDED``, unique rows sorted by photo and holder; a holder is a label and the ref's own split,
        ``refcoco/unc/val``.

    Raises:
        AnnotationError: a file is no refs file.
    """
    held = {
        (ref.image_id, f"{label}/{ref.split}") for label, file in files.items() for ref in read_refs(file) if ref.split != "train"
    }
    rows = sorted(held)
    return pa.table({"coco_image_id": [one for one, _ in rows], "held_by": [holder for _, holder in rows]}, schema=GUARDED)


def leave_out(table: pa.Table, image_ids: NDArray[np.int64], guarded: pa.Table, report: Report) -> pa.Table:
    """The rows of a parsed table whose photo is not guarded.

    Args:
        table: as ``Source.parse`` gives it, n rows.
        image_ids: COCO id of each row's photo, int64 (n,); negative where it has none.
        guarded: as ``guarded_images`` gives it.
        report: gets a reject ``leakage_guard`` for each row that is left out, and the counts
            ``leakage_guard_images`` and ``leakage_guard/<holder>``.
    """
    is_guarded = np.isin(image_ids, guarded["coco_image_id"].to_numpy()) & (image_ids >= 0)
    report.count("leakage_guard_images", int(is_guarded.sum()))  # also of none: it says that the guard was on
    if not is_guarded.any():
        return table
    holders: defaultdict[int, list[str]] = defaultdict(list)
    for photo, holder in zip(guarded["coco_image_id"].to_pylist(), guarded["held_by"].to_pylist(), strict=True):
        holders[photo].append(holder)
    dropped = table.select(["image_id", "file_name"]).filter(pa.array(is_guarded))
    for photo, row in zip(image_ids[is_guarded].tolist(), dropped.to_pylist(), strict=True):
        for holder in holders[photo]:
            report.count(f"leakage_guard/{holder}")
        detail = f"COCO image {photo} is in {', '.join(holders[photo])}"
        report.reject(Reject(row["image_id"], row["file_name"], "leakage_guard", detail))
    return table.filter(pa.array(~is_guarded))
