"""COCO captions: rows of the original script, in its order of regions, from archives named and nested as the official ones."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from built_cache import build, sample_rows
from coco_files import annotation_file, photos, regions_by_image, rejected
from pack_archives import REPOSITORY, fetched_paths
from regioncache import ParquetRegionDataset
from regioncache.archive import OpenArchive, list_members
from regioncache.errors import AnnotationError
from regioncache.sources import coco_captions
from regioncache.sources.places import FolderPart, MemberFolder
from regioncache.sources.record import AnnotationFile, NoOptions

if TYPE_CHECKING:
    from pathlib import Path

YEARS = {"train": "train2017", "validation": "val2017"}
NAMES = {"train": "train", "validation": "val"}


def golden_rows(shared: Path, split: str) -> list[dict[str, Any]]:
    golden = json.loads((shared / "goldens" / "sca" / "expected" / "coco_captions.json").read_text())
    rows: list[dict[str, Any]] = golden["expected"]["with_mask=false"][split]
    return rows


def archives(shared: Path) -> Path:
    return shared / "goldens" / "sca" / "inputs" / "archives" / "coco_captions"


@pytest.mark.parametrize("split", YEARS)
def test_rows_are_those_of_the_original(shared: Path, split: str) -> None:
    path, year = archives(shared) / "annotations_trainval2017.zip", YEARS[split]
    with OpenArchive(path) as archive:
        data = archive.read(list_members(path)[f"annotations/captions_{year}.json"])
    folder = MemberFolder([FolderPart(list_members(archives(shared) / f"{year}.zip"), f"{year}/")])
    parsed = coco_captions.parse({"annotations": AnnotationFile("x", data)}, {"images": folder}, NoOptions())
    found, _ = regions_by_image(coco_captions, parsed)
    rows = {row["image_id"]: row for row in parsed.table.to_pylist()}
    golden = golden_rows(shared, split)
    present = {row["image_id"]: row for row in golden if row["image"]["exists"]}
    # Q7: the original looks for the files at the root of the archive, and finds none of them.
    assert {image_id: rows[image_id]["images.name"] for image_id in present} == {
        image_id: row["image"]["member"] for image_id, row in present.items()
    }
    # The original drops images that no caption names; here they are rows without regions until they are built.
    assert {image_id for image_id, regions in found.items() if len(regions.region_id)} == set(present)
    for image_id, expected in present.items():
        assert [rows[image_id][key] for key in ("file_name", "width", "height", "url")] == [
            expected[key] for key in ("file_name", "width", "height", "coco_url")
        ]
        regions = found[image_id]
        assert regions.region_id.tolist() == [one["region_id"] for one in expected["regions"]]
        assert regions.phrases == [one["phrases"] for one in expected["regions"]]
        boxes = [[one[key] for key in ("x", "y", "width", "height")] for one in expected["regions"]]
        assert regions.published_box_xywh.tolist() == boxes
    # Q13: an image that is annotated, but not in the archive, is known now and not in the middle of an epoch.
    absent = [row["image_id"] for row in golden if not row["image"]["exists"]]
    assert rejected(parsed.report) == [(one, -1, "image_missing") for one in absent]
    assert [one.file_name for one in parsed.report.rejects] == [row["file_name"] for row in golden if not row["image"]["exists"]]
    listed = json.loads(data)
    assert parsed.report.counts == {"images_listed": len(listed["images"]), "regions_listed": len(listed["annotations"])}


@pytest.mark.parametrize("split", YEARS)
def test_the_projects_entry_builds_a_cache_of_the_same_rows(shared: Path, tmp_path: Path, split: str) -> None:
    entry = yaml.safe_load((REPOSITORY / "workflow" / "catalog" / "coco_caption.yaml").read_text())
    for archive in entry["archives"].values():
        for key in ("bytes", "sha256", "urls"):
            del archive[key]
        archive["local"] = str(archives(shared) / archive["path"].removeprefix("coco/"))
    for one in entry["splits"].values():
        for key in ("expected_images", "expected_regions"):
            del one[key]
        one["shards"] = 1
    paths = fetched_paths(tmp_path, entry, NAMES[split])
    cache = build(paths, reject_budget=1.0)
    golden = golden_rows(shared, split)
    present = sorted((row for row in golden if row["image"]["exists"]), key=lambda row: row["image_id"])
    rows = sample_rows(cache)
    assert [row["image_id"] for row in rows] == [row["coco_image_id"] for row in rows] == [row["image_id"] for row in present]
    for row, expected in zip(rows, present, strict=True):
        assert row["task_type"] == expected["task_type"] == "caption"
        assert row["phrases"] == [one["phrases"] for one in expected["regions"]]
        assert row["box_xyxy"] == [[0, 0, expected["width"], expected["height"]]] * len(expected["regions"])
        assert Image.open(io.BytesIO(row["image"]["bytes"])).size == (expected["width"], expected["height"])
    dataset = ParquetRegionDataset(cache, tokens="byt5-sca-20", prompts="sam")
    assert [list(dataset[k]["metadata_captions"]) for k in range(len(dataset))] == [
        [one["phrases"][0] for one in row["regions"]] for row in present
    ]
    rejects = {row["image_id"]: row["reason"] for row in pq.read_table(cache / "rejects.parquet").to_pylist()}
    missing = {row["image_id"]: "image_missing" for row in golden if not row["image"]["exists"]}
    assert {key: value for key, value in rejects.items() if value != "no_regions"} == missing
    # Whoever is neither a row nor missing has no caption.
    assert not set(rejects) & {row["image_id"] for row in present}
    assert len(rejects) + len(rows) == json.loads((cache / "stats.json").read_text())["counts"]["images_listed"]


def image(image_id: int, name: str) -> dict[str, Any]:
    return {"id": image_id, "file_name": name, "width": 20, "height": 10, "coco_url": "http://x"}


def test_each_fault_of_a_record_is_listed_and_its_neighbours_stay(tmp_path: Path) -> None:
    document = {
        "images": [image(9, "b.jpg"), image(3, "a.jpg"), image(5, "c.jpg"), image(5, "c.jpg"), image(4, "gone.jpg")],
        "annotations": [
            {"id": 2**33, "image_id": 9, "caption": " As it is.\n"},
            {"id": 1, "image_id": 9, "caption": ""},
            {"id": 1, "image_id": 3, "caption": "an id that is taken"},
            {"id": 7, "image_id": 77, "caption": "no such image"},
            {"id": 8, "image_id": 5, "caption": "an image that is listed twice"},
            {"id": 6, "image_id": 4, "caption": "an image that is not there"},
        ],
    }
    parsed = coco_captions.parse(
        {"annotations": annotation_file(document)}, photos(tmp_path, ["a.jpg", "b.jpg", "c.jpg"]), NoOptions()
    )
    rows = parsed.table.to_pylist()
    assert [(row["image_id"], row["caption_id"], row["caption"]) for row in rows] == [
        (3, [], []),
        (9, [2**33, 1], [" As it is.\n", ""]),
    ]
    assert sorted(rejected(parsed.report)) == [
        (3, 1, "region_id_duplicate"),
        (4, -1, "image_missing"),
        (5, -1, "image_id_duplicate"),
        (77, 7, "region_without_image"),
    ]
    assert parsed.report.counts == {"images_listed": 4, "regions_listed": 6}


@pytest.mark.parametrize(
    "text", [b"{", b"[]", b'{"images": []}', b'{"images": [], "annotations": [{"id": 1, "image_id": 1, "caption": null}]}']
)
def test_a_file_that_holds_no_captions_is_an_error(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(AnnotationError, match=r"captions\.json: not a COCO caption file: .*Compare it with"):
        coco_captions.parse({"annotations": AnnotationFile("captions.json", text)}, photos(tmp_path, []), NoOptions())
