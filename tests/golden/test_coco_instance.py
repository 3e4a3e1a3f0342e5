"""COCO instances: rows of the original script, masks of pycocotools, and the faults of published fixtures."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from coco_files import photos, regions_by_image, rejected
from regioncache.archive import OpenArchive, list_members
from regioncache.sources import coco_instance
from regioncache.sources.places import FolderPart, MemberFolder
from regioncache.sources.record import AnnotationFile, Parsed

if TYPE_CHECKING:
    from pathlib import Path

YEARS = {"train": "train2017", "validation": "val2017"}


def golden_split(shared: Path, split: str, *, with_mask: bool) -> Parsed:
    """The split as its catalog entry would read it."""
    archives = shared / "goldens" / "sca" / "inputs" / "archives" / "coco_instance"
    year, path = YEARS[split], archives / "annotations_trainval2017.zip"
    with OpenArchive(path) as archive:
        data = archive.read(list_members(path)[f"annotations/instances_{year}.json"])
    folder = MemberFolder([FolderPart(list_members(archives / f"{year}.zip"), f"{year}/")])
    return coco_instance.parse(
        {"annotations": AnnotationFile(str(path), data)}, {"images": folder}, coco_instance.Options(with_mask=with_mask)
    )


@pytest.mark.parametrize("variant", ["with_mask=false", "with_mask=true", "with_mask=false,task_type=caption"])
@pytest.mark.parametrize("split", YEARS)
def test_rows_are_those_of_the_original(shared: Path, split: str, variant: str) -> None:
    golden = json.loads((shared / "goldens" / "sca" / "expected" / "coco_instance.json").read_text())["expected"][variant][split]
    with_mask = "with_mask=true" in variant
    parsed = golden_split(shared, split, with_mask=with_mask)
    found, report = regions_by_image(coco_instance, parsed)
    rows = {row["image_id"]: row for row in parsed.table.to_pylist()}
    present = {row["image_id"]: row for row in golden if row["image"]["exists"]}
    assert {one for one, regions in found.items() if len(regions.region_id)} == set(present)
    for image_id, expected in present.items():
        row, regions = rows[image_id], found[image_id]
        assert row["url"] == expected["coco_url"]
        assert row["images.name"] == expected["image"]["member"]
        assert [row[key] for key in ("file_name", "width", "height")] == [
            expected[key] for key in ("file_name", "width", "height")
        ]
        boxes = np.trunc(regions.published_box_xywh).astype(int).tolist()
        for k, one in enumerate(expected["regions"]):
            assert regions.region_id[k] == one["region_id"]
            assert boxes[k] == [one[key] for key in ("x", "y", "width", "height")]
            assert regions.phrases[k] == one["phrases"]
            assert regions.counts[k].decode() == (one["mask"]["counts"] if with_mask else "")
        assert len(regions.region_id) == len(expected["regions"])
    absent = [row["image_id"] for row in golden if not row["image"]["exists"]]
    assert rejected(parsed.report) == [(one, -1, "image_missing") for one in absent]
    assert report.rejects == []


@pytest.fixture(scope="module")
def tinycoco(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Parsed]:
    root = shared / "samples" / "coco_instance" / "tinycoco"
    data = (root / "annotations" / "instances_train2017.json").read_bytes()
    names = [f"train2017/{path.name}" for path in sorted((root / "images" / "train2017").iterdir())]
    folders = photos(tmp_path_factory.mktemp("tinycoco"), names, prefix="train2017/")
    return json.loads(data), coco_instance.parse({"annotations": AnnotationFile("x", data)}, folders, coco_instance.Options())


def test_masks_areas_and_boxes_are_those_of_pycocotools(shared: Path, tinycoco: tuple[dict[str, Any], Parsed]) -> None:
    listed, parsed = tinycoco
    golden = json.loads((shared / "goldens" / "pycocotools_instances" / "tinycoco_train.json").read_text())["annotations"]
    found, report = regions_by_image(coco_instance, parsed)
    assert parsed.report.rejects == report.rejects == []
    assert sum(len(one.region_id) for one in found.values()) == len(golden) == len(listed["annotations"])
    for one in golden:
        regions = found[one["image_id"]]
        (k,) = np.flatnonzero(regions.region_id == one["id"])
        assert regions.counts[k].decode() == one["rle"]["counts"]
        assert regions.area[k] == one["mask_area"]
        x, y, width, height = one["mask_bbox"]
        assert regions.mask_box_xyxy[k].tolist() == [x, y, x + width, y + height]
        assert regions.published_box_xywh[k].tolist() == one["json_bbox"]
        assert regions.is_crowd[k] == one["iscrowd"]
        assert regions.category_id[k] == one["category_id"]


def test_every_image_and_category_of_a_real_file_is_kept_in_order(tinycoco: tuple[dict[str, Any], Parsed]) -> None:
    listed, parsed = tinycoco
    assert [one.name for one in parsed.categories] == [one["name"] for one in listed["categories"]]
    assert parsed.table["image_id"].to_pylist() == sorted(one["id"] for one in listed["images"])
    by_image: dict[int, list[int]] = {one["id"]: [] for one in listed["images"]}
    for one in listed["annotations"]:
        by_image[one["image_id"]].append(one["id"])
    rows = parsed.table.select(["image_id", "region_id"]).to_pylist()
    assert {row["image_id"]: row["region_id"] for row in rows} == by_image
    sizes = {one["id"]: (one["width"], one["height"]) for one in listed["images"]}
    assert {row["image_id"]: (row["width"], row["height"]) for row in parsed.table.to_pylist()} == sizes


def test_a_fixture_with_faults_loses_those_regions_only(shared: Path, tmp_path: Path) -> None:
    data = (shared / "samples" / "coco_instance" / "mm_fake" / "coco_sample.json").read_bytes()
    listed = json.loads(data)
    defined = {one["id"] for one in listed["categories"]}
    undefined = [one for one in listed["annotations"] if one["category_id"] not in defined]
    folders = photos(tmp_path, [one["file_name"] for one in listed["images"]])
    parsed = coco_instance.parse({"annotations": AnnotationFile("x", data)}, folders, coco_instance.Options())
    assert rejected(parsed.report) == [(one["image_id"], one["id"], "category_unknown") for one in undefined]
    found, report = regions_by_image(coco_instance, parsed)
    assert report.rejects == []
    assert report.counts == {"masks_absent": len(listed["annotations"]) - len(undefined) - 1}
    by_id = {one["id"]: one for one in listed["annotations"]}
    for regions in found.values():
        for k, one in enumerate(regions.region_id.tolist()):
            assert regions.published_box_xywh[k].tolist() == by_id[one]["bbox"]
            assert regions.is_crowd[k] == by_id[one]["iscrowd"]
            assert regions.area[k] == (100 if "segmentation" in by_id[one] else by_id[one]["area"])
    assert len(found[2].region_id) == 0


@pytest.mark.parametrize(("split", "masks"), [("train", [0]), ("val", [2, 20])])
def test_regions_with_an_empty_segmentation_stay_without_a_mask(
    shared: Path, tmp_path: Path, split: str, masks: list[int]
) -> None:
    root = shared / "samples" / "coco_instance" / "datumaro_fake" / "coco_instances"
    data = (root / "annotations" / f"instances_{split}.json").read_bytes()
    names = [path.name for path in (root / "images" / split).iterdir()]
    parsed = coco_instance.parse({"annotations": AnnotationFile("x", data)}, photos(tmp_path, names), coco_instance.Options())
    found, report = regions_by_image(coco_instance, parsed)
    (regions,) = found.values()
    assert [int(one) for one, counts in zip(regions.area, regions.counts, strict=True) if counts] == [one for one in masks if one]
    assert len(regions.region_id) == len(json.loads(data)["annotations"])
    assert report.counts.get("masks_absent", 0) == masks.count(0)
