"""COCO instances: masks that cannot be used, and masks that are not there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
from pycocotools import mask as pycoco

from coco_files import annotation_file, coco, photos, region, regions_by_image, rejected
from regioncache.sources import coco_instance

if TYPE_CHECKING:
    from pathlib import Path

    from regioncache.sources.record import Parsed

SQUARE = [[2, 1, 6, 1, 6, 5, 2, 5]]
PIXELS = np.zeros((10, 20), np.uint8, order="F")
PIXELS[1:5, 2:6] = 1
COMPRESSED = pycoco.encode(PIXELS)["counts"].decode()


def parse(tmp_path: Path, segmentations: list[dict[str, Any]], **options: bool) -> Parsed:
    records = [region(k, 1, **one) for k, one in enumerate(segmentations)]
    value = coco([(1, "a.jpg")], records)
    return coco_instance.parse(
        {"annotations": annotation_file(value)}, photos(tmp_path, ["a.jpg"]), coco_instance.Options(**options)
    )


def test_all_forms_of_a_mask_give_one_rle(tmp_path: Path) -> None:
    runs = [21, 4, 6, 4, 6, 4, 6, 4, 145]
    forms: list[Any] = [SQUARE, {"size": [10, 20], "counts": runs}, {"size": [10, 20], "counts": COMPRESSED}]
    found, report = regions_by_image(coco_instance, parse(tmp_path, [{"segmentation": one} for one in forms]))
    assert found[1].counts == [COMPRESSED.encode()] * 3
    assert found[1].area.tolist() == [16] * 3
    assert found[1].mask_box_xyxy.tolist() == [[2, 1, 6, 5]] * 3
    assert found[1].published_box_xywh.tolist() == [[1, 2, 3, 4]] * 3
    assert report.rejects == []


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        ([[1, 1, 2, 2]], "polygon_too_short"),
        ([[1, 1, 2, 2, "x", 3]], "segmentation_invalid"),
        ([[30, 30, 31, 30, 31, 31]], "mask_empty"),
        ({"size": [20, 10], "counts": [200]}, "segmentation_invalid"),
        ({"size": [10, 20], "counts": [200]}, "mask_empty"),
        ({"size": [10, 20], "counts": [1, 2]}, "segmentation_invalid"),
        ("text },{", "segmentation_invalid"),
        (7, "segmentation_invalid"),
    ],
)
def test_a_bad_mask_rejects_its_region_only(tmp_path: Path, segmentation: Any, reason: str) -> None:
    parsed = parse(
        tmp_path, [{"segmentation": SQUARE}, {"segmentation": segmentation, "category_id": 2}, {"segmentation": SQUARE}]
    )
    found, report = regions_by_image(coco_instance, parsed)
    assert rejected(report) == [(1, 1, reason)]
    assert found[1].region_id.tolist() == [0, 2]
    assert found[1].phrases == [["cat"], ["cat"]]
    assert len(found[1].counts) == 2


def test_an_image_whose_masks_are_all_bad_is_left_without_regions(tmp_path: Path) -> None:
    found, report = regions_by_image(coco_instance, parse(tmp_path, [{"segmentation": [[1]]}]))
    assert found[1].region_id.tolist() == []
    assert rejected(report) == [(1, 0, "segmentation_invalid")]


def test_a_region_without_a_mask_stays_and_is_counted(tmp_path: Path) -> None:
    absent: list[dict[str, Any]] = [{}, {"segmentation": None}, {"segmentation": []}, {"segmentation": {}}]
    found, report = regions_by_image(coco_instance, parse(tmp_path, [*absent, {"segmentation": SQUARE}]))
    assert found[1].counts == [b""] * 4 + [COMPRESSED.encode()]
    assert found[1].area.tolist() == [12, 12, 12, 12, 16]
    assert found[1].mask_box_xyxy[:4].tolist() == [[0, 0, 0, 0]] * 4
    assert report.counts == {"masks_absent": 4}


def test_without_masks_none_is_read(tmp_path: Path) -> None:
    parsed = parse(tmp_path, [{"segmentation": [[1]]}, {"segmentation": SQUARE}], with_mask=False)
    found, report = regions_by_image(coco_instance, parsed)
    assert found[1].counts == [b"", b""]
    assert "segmentation" not in parsed.table.schema.names
    assert report.rejects == []
    assert report.counts == {}


def test_unknown_options_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="with_masks"):
        msgspec.convert({"with_masks": True}, coco_instance.Options)
