"""Objects365 and V3Det: rows of the original scripts, and records of the published files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from coco_files import photos, regions_by_image, rejected
from regioncache.sources import objects365, v3det
from regioncache.sources.record import AnnotationFile, Parsed

if TYPE_CHECKING:
    from pathlib import Path

    from regioncache.sources.places import MemberFolder
    from regioncache.sources.record import Source

FILES = {
    ("objects365", "train"): "objects365v2_train_fixann.json",
    ("objects365", "validation"): "objects365v2_val.json",
    ("v3det", "train"): "v3det_2023_v1_train.json",
    ("v3det", "validation"): "v3det_2023_v1_val.json",
}
SOURCES: dict[str, Source] = {"objects365": objects365, "v3det": v3det}
# Those that the original leaves out by name.
DEAD = (
    "n11708857/9_80_2421297739_7c2a68f404_c.jpg",
    "n11794139/10_47_5109432138_4201649ce4_c.jpg",
    "a00012462/11_256_9645439415_6f50f1599f_c.jpg",
    "Q494417/34_1125_10108827626_78b07f281b_c.jpg",
    "Q3216816/10_1372_8165953126_129e378cc2_c.jpg",
    "a00006662/34_145_18056000502_e12645da0a_c.jpg",
)


def archive_of(root: Path, tmp_path: Path) -> dict[str, MemberFolder]:
    """The toy archive's photos as one zip, by the names that the original's folders give them."""
    names = [path.relative_to(root).as_posix() for path in sorted(root.rglob("*.jpg"))]
    return photos(tmp_path, names)


@pytest.mark.parametrize(
    ("dataset", "split", "variant"),
    [
        *((*one, "with_mask=false") for one in FILES),
        ("objects365", "train", "with_mask=false,task_type=caption"),
        ("objects365", "validation", "with_mask=false,task_type=caption"),
    ],
)
def test_rows_are_those_of_the_original(shared: Path, tmp_path: Path, dataset: str, split: str, variant: str) -> None:
    sca = shared / "goldens" / "sca"
    golden = json.loads((sca / "expected" / f"{dataset}.json").read_text())["expected"][variant][split]
    root = sca / "inputs" / "archives" / dataset
    file = AnnotationFile("x", (root / FILES[dataset, split]).read_bytes())
    source = SOURCES[dataset]
    parsed = source.parse({"annotations": file}, archive_of(root, tmp_path), source.Options(dead_images=DEAD))
    found, report = regions_by_image(source, parsed)
    rows = {row["image_id"]: row for row in parsed.table.to_pylist()}
    expected = {row["image_id"]: row for row in golden}
    assert {one for one, regions in found.items() if len(regions.region_id)} == set(expected)
    assert report.rejects == []
    for image_id, one in expected.items():
        regions, row = found[image_id], rows[image_id]
        assert one["image"]["exists"]
        assert row["url"] == one["coco_url"]
        assert row["images.name"] == one["image"]["file"]
        assert [row[key] for key in ("file_name", "width", "height")] == [one[key] for key in ("file_name", "width", "height")]
        boxes = np.trunc(regions.published_box_xywh).astype(int).tolist()
        assert boxes == [[box[key] for key in ("x", "y", "width", "height")] for box in one["regions"]]
        assert regions.region_id.tolist() == [box["region_id"] for box in one["regions"]]
        assert regions.phrases == [box["phrases"] for box in one["regions"]]


def test_dead_images_are_named(shared: Path, tmp_path: Path) -> None:
    root = shared / "goldens" / "sca" / "inputs" / "archives" / "v3det"
    file = AnnotationFile("x", (root / "v3det_2023_v1_train.json").read_bytes())
    parsed = v3det.parse({"annotations": file}, archive_of(root, tmp_path), v3det.Options(dead_images=DEAD))
    assert rejected(parsed.report) == [(5, -1, "dead_upstream")]


@pytest.mark.parametrize("member", ["patch8/objects365_v1_00420917.jpg", "images/v1/patch8/objects365_v1_00420917.jpg"])
def test_published_records_are_read(shared: Path, tmp_path: Path, member: str) -> None:
    data = (shared / "samples" / "objects365" / "zhiyuan_objv2_fragment.json").read_bytes()
    folders = photos(tmp_path, ["patch0/x.jpg"], [member])
    parsed: Parsed = objects365.parse({"annotations": AnnotationFile("x", data)}, folders, objects365.Options())
    names = (shared / "samples" / "metadata" / "objects365_names.txt").read_text().splitlines()
    assert [one.name for one in parsed.categories] == names
    (row,) = parsed.table.to_pylist()
    assert (row["images.part"], row["images.name"], row["width"], row["height"]) == (1, member, 769, 512)
    found, _ = regions_by_image(objects365, parsed)
    regions = found[420917]
    assert regions.published_box_xywh.tolist() == [[491.3955078011, 88.1856689664, 35.65588379410002, 44.442382796800004]]
    assert regions.area.tolist() == [1584.6324365356109]
    assert regions.phrases == [[names[83]]]


def test_categories_keep_the_files_order_whatever_their_ids(shared: Path, tmp_path: Path) -> None:
    data = (shared / "samples" / "objects365" / "mmdet_fake" / "unsorted_obj365_sample.json").read_bytes()
    folders = photos(tmp_path, [f"fake{k}.jpg" for k in range(1, 5)])
    parsed = objects365.parse({"annotations": AnnotationFile("x", data)}, folders, objects365.Options())
    assert [(one.category_id, one.name, one.index) for one in parsed.categories] == [(2, "car", 0), (1, "bus", 1)]
    found, _ = regions_by_image(objects365, parsed)
    assert {one: regions.region_id.tolist() for one, regions in found.items()} == {0: [1, 2], 1: [3, 5], 2: [], 3: [7, 9]}
    assert found[0].category_index.tolist() == [1, 0]
    assert rejected(parsed.report) == [(1, 6, "category_unknown"), (1, 4, "duplicate_region")]
