"""A COCO export, imported again: the same regions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pycocotools import mask as pycoco
from pycocotools.coco import COCO

from built_cache import sample_rows
from coco_files import photos, regions_by_image
from regioncache.errors import CacheError
from regioncache.interop.coco import export_coco
from regioncache.sources import coco_instance
from regioncache.sources.record import AnnotationFile
from regioncache.sources.regions import Category
from small_cache import region_fields, sample_row, write_samples

if TYPE_CHECKING:
    from pathlib import Path

    from regioncache.sources.record import Parsed

CATEGORIES = [Category(20, "grass", False, 0), Category(11, "cat", True, 1), Category(12, "dog", True, 2)]
SAME = ("box_xyxy", "published_box_xywh", "mask_box_xyxy", "category_id", "category_index", "area", "is_crowd")


def imported(tmp_path: Path, path: Path, names: list[str]) -> Parsed:
    files = {"annotations": AnnotationFile(path.name, path.read_bytes())}
    return coco_instance.parse(files, photos(tmp_path, names), coco_instance.Options())


def mask(rows: slice, columns: slice) -> str:
    pixels = np.zeros((10, 20), np.uint8, order="F")
    pixels[rows, columns] = 1
    counts: bytes = pycoco.encode(pixels)["counts"]
    return counts.decode()


def rich_rows() -> list[dict[str, Any]]:
    """Crowds, stuff, regions without a mask, boxes out of the image, halves of pixels, ids beyond 32 bits."""
    return [
        sample_row(
            5,
            height=10,
            width=20,
            box_xyxy=[[1, 2, 7, 9], [0, 0, 20, 10], [0.25, 0.5, 3, 4], [12, 3, 20, 9]],
            published_box_xywh=np.array([[1, 2, 6, 7], [0, 0, 20, 10], [0.25, 0.5, 2.75, 3.5], [12, 3, 30, 6]]),
            mask_box_xyxy=np.array([[1, 2, 7, 9], [0, 0, 20, 10], [0, 0, 0, 0], [12, 3, 18, 9]], np.float32),
            region_id=np.array([900_000_000_001, 3, 77, 12]),
            category_id=np.array([11, 20, 12, 12]),
            category_index=np.array([1, 0, 2, 2]),
            is_thing=np.array([True, False, True, True]),
            is_crowd=np.array([True, False, False, False]),
            phrases=[["cat"], ["grass"], ["dog"], ["dog"]],
            segmentation=[mask(slice(2, 9), slice(1, 7)), mask(slice(0, 10), slice(0, 20)), "", mask(slice(3, 9), slice(12, 18))],
            area=np.array([42.0, 200, 7.75, 36]),
        ),
        sample_row(6, height=10, width=20),
    ]


@pytest.fixture
def rich(tmp_path: Path) -> Path:
    return write_samples(tmp_path / "cache" / "samples" / "part.parquet", rich_rows(), categories=CATEGORIES)


def test_an_import_of_an_export_gives_the_same_regions(rich: Path, tmp_path: Path) -> None:
    counts = export_coco(rich, tmp_path / "out")
    assert counts == {"images": 2, "annotations": 4, "regions_without_mask": 1, "regions_renumbered": 0}
    parsed = imported(tmp_path, tmp_path / "out" / "coco.json", ["5.jpg", "6.jpg"])
    found, report = regions_by_image(coco_instance, parsed)
    assert report.rejects == parsed.report.rejects == []
    assert sorted(found) == [5, 6]
    row, regions = rich_rows()[0], found[5]
    assert regions.region_id.tolist() == row["region_id"].tolist()
    for name in SAME:
        np.testing.assert_array_equal(getattr(regions, name), row[name], err_msg=name)
    assert [one.decode() for one in regions.counts] == row["segmentation"]
    assert regions.phrases == row["phrases"]
    assert [(one.category_id, one.name, one.index) for one in parsed.categories] == [
        (one.category_id, one.name, one.index) for one in CATEGORIES
    ]
    assert len(found[6].region_id) == 0


def test_a_second_export_of_the_import_is_the_same_but_for_stuff(rich: Path, tmp_path: Path) -> None:
    export_coco(rich, tmp_path / "out")
    parsed = imported(tmp_path, tmp_path / "out" / "coco.json", ["5.jpg", "6.jpg"])
    found, _ = regions_by_image(coco_instance, parsed)
    rows = [sample_row(image_id, height=10, width=20, **region_fields(regions)) for image_id, regions in found.items()]
    again = write_samples(tmp_path / "again" / "samples" / "part.parquet", rows, categories=parsed.categories)
    export_coco(again, tmp_path / "out2")
    first, second = (json.loads((tmp_path / name / "coco.json").read_bytes()) for name in ("out", "out2"))
    assert first["annotations"] == second["annotations"]
    assert first["images"] == second["images"]
    # The reader of COCO instances takes every category for a thing.
    assert [one.pop("isthing") for one in first["categories"]] == [0, 1, 1]
    assert [one.pop("isthing") for one in second["categories"]] == [1, 1, 1]
    assert first["categories"] == second["categories"]


def test_a_built_cache_comes_back_region_by_region(made: Path, tmp_path: Path) -> None:
    counts = export_coco(made, tmp_path / "out")
    rows = sample_rows(made)
    ids = [region_id for row in rows for region_id in row["region_id"]]
    assert counts["annotations"] == len(ids)
    unique = len(set(ids)) == len(ids)
    assert counts["regions_renumbered"] == (0 if unique else len(ids))
    found, report = regions_by_image(
        coco_instance, imported(tmp_path, tmp_path / "out" / "coco.json", [row["file_name"] for row in rows])
    )
    assert report.rejects == []
    for row in rows:
        regions = found[row["image_id"]]
        if unique:
            assert regions.region_id.tolist() == row["region_id"]
        for name in SAME:
            np.testing.assert_array_equal(getattr(regions, name), np.array(row[name]), err_msg=name)
        assert [one.decode() for one in regions.counts] == row["segmentation"]
        assert regions.phrases == row["phrases"]


def test_the_library_of_coco_reads_the_file(rich: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export_coco(rich, tmp_path / "out")
    coco = COCO(str(tmp_path / "out" / "coco.json"))
    capsys.readouterr()
    assert coco.getAnnIds(imgIds=[5], iscrowd=True) == [900_000_000_001]
    expected = np.zeros((10, 20), np.uint8)
    expected[3:9, 12:18] = 1
    np.testing.assert_array_equal(coco.annToMask(coco.loadAnns([12])[0]), expected)


def test_ids_that_repeat_give_way_to_numbers_and_what_coco_cannot_say_stands_under_our_names(tmp_path: Path) -> None:
    said = {"phrases": [["a cat", "the cat"], ["grass"], ["dog"], ["dog"]], "phrase_count": np.array([2, 1, 1, 1], np.int32)}
    row = {**rich_rows()[0], **said, "flags": np.array([0, 0, 3, 0])}
    cache = write_samples(tmp_path / "cache" / "samples" / "part.parquet", [row, {**row, "image_id": 8}], categories=CATEGORIES)
    assert export_coco(cache, tmp_path / "out")["regions_renumbered"] == 8
    annotations = json.loads((tmp_path / "out" / "coco.json").read_bytes())["annotations"]
    assert [one["id"] for one in annotations] == list(range(1, 9))
    assert annotations[0]["phrases"] == ["a cat", "the cat"]
    assert [one.get("flags") for one in annotations[:4]] == [None, None, ["group_of", "occluded"], None]


def test_regions_without_a_category_are_refused(tmp_path: Path) -> None:
    row = {**rich_rows()[0], "category_id": np.array([11, -1, 12, 12])}
    cache = write_samples(tmp_path / "cache" / "samples" / "part.parquet", [row], categories=CATEGORIES)
    with pytest.raises(CacheError, match="region 3 of image 5 has no category"):
        export_coco(cache, tmp_path / "out")
    assert not (tmp_path / "out").exists()
