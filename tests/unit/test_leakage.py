from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from regioncache.errors import AnnotationError
from regioncache.sources.leakage import guarded_images, leave_out
from regioncache.sources.record import AnnotationFile
from regioncache.sources.reports import Report


def refs_file(*image_and_split: tuple[int, str]) -> AnnotationFile:
    records: list[dict[str, Any]] = [
        {"ref_id": k, "ann_id": k, "image_id": image_id, "split": split, "sentences": []}
        for k, (image_id, split) in enumerate(image_and_split)
    ]
    return AnnotationFile("refs(unc).p", pickle.dumps(records, 2))


FILES = {
    "refcoco/unc": refs_file((9, "val"), (9, "val"), (1, "train"), (4, "testA"), (4, "train")),
    "refcocog/google": refs_file((9, "val"), (2, "train"), (3, "testB")),
}


def test_every_photo_of_a_ref_outside_of_train_is_guarded_once_per_holder() -> None:
    assert list(zip(*guarded_images(FILES).to_pydict().values(), strict=True)) == [
        (3, "refcocog/google/testB"),
        (4, "refcoco/unc/testA"),
        (9, "refcoco/unc/val"),
        (9, "refcocog/google/val"),
    ]


def test_no_files_guard_nothing() -> None:
    guarded = guarded_images({})
    assert (guarded.num_rows, guarded.schema.names) == (0, ["coco_image_id", "held_by"])


def test_a_file_that_is_no_refs_file_is_an_error() -> None:
    with pytest.raises(AnnotationError, match="more than plain values"):
        guarded_images({"refcoco/unc": AnnotationFile("refs(unc).p", b"cos\nsystem\n.")})


def test_guarded_rows_are_left_out_listed_and_counted_by_holder() -> None:
    table = pa.table({"image_id": [10, 20, 30, 40], "file_name": ["a", "b", "c", "d"], "x": [[1], [], [2, 3], [4]]})
    report = Report()
    left = leave_out(table, np.array([9, -1, 1, 4]), guarded_images(FILES), report)
    assert left.to_pylist() == table.to_pylist()[1:3]
    assert [(one.image_id, one.region_id, one.file_name, one.reason) for one in report.rejects] == [
        (10, -1, "a", "leakage_guard"),
        (40, -1, "d", "leakage_guard"),
    ]
    assert report.rejects[0].detail == "COCO image 9 is in refcoco/unc/val, refcocog/google/val"
    assert report.counts == {
        "leakage_guard_images": 2,
        "leakage_guard/refcoco/unc/val": 1,
        "leakage_guard/refcocog/google/val": 1,
        "leakage_guard/refcoco/unc/testA": 1,
    }


def test_rows_without_a_coco_id_are_never_guarded() -> None:
    table = pa.table({"image_id": [10], "file_name": ["a"]})
    guarded = pa.table({"coco_image_id": [-1], "held_by": ["x"]})
    report = Report()
    assert leave_out(table, np.array([-1]), guarded, report) is table
    assert not report.rejects
    assert report.counts == {"leakage_guard_images": 0}
