"""detectron2's standard dicts: the fields of its documentation (tutorials, "Use Custom Datasets"), of samples and of caches."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as pycoco

from built_cache import sample_rows
from regioncache import ParquetRegionDataset
from regioncache.data.selected_regions import SelectedRegions
from regioncache.errors import CacheError, ConfigError
from regioncache.interop.detectron2 import (
    Exports,
    detectron2_dicts,
    detectron2_sets,
    read_image,
    register_all,
    to_detectron2,
)
from regioncache.interop.panoptic import export_panoptic
from regioncache.interop.semantic import export_semantic
from regioncache.sources.regions import Category
from small_cache import sample_row, write_samples

if TYPE_CHECKING:
    from pathlib import Path

XYXY_ABS = 0  # detectron2.structures.BoxMode
CATEGORIES = [Category(20, "grass", False, 0), Category(11, "cat", True, 1), Category(12, "dog", True, 2)]
MASK = np.zeros((4, 6), np.uint8, order="F")
MASK[1:3, 2:5] = 1
COUNTS = pycoco.encode(MASK)["counts"].decode()


def check_standard(record: dict[str, Any], categories: int) -> None:
    """What the documentation says of types and ranges."""
    assert isinstance(record["image_id"], int | str)
    assert (type(record["height"]), type(record["width"])) == (int, int)
    for one in record["annotations"]:
        assert set(one) <= {"bbox", "bbox_mode", "category_id", "segmentation", "iscrowd"}
        assert [type(value) for value in one["bbox"]] == [float] * 4
        assert one["bbox_mode"] == XYXY_ABS
        assert type(one["category_id"]) is int
        assert 0 <= one["category_id"] < categories
        assert one["iscrowd"] in (0, 1)
        if "segmentation" in one:
            assert set(one["segmentation"]) == {"size", "counts"}
            assert pycoco.decode(one["segmentation"]).shape == (record["height"], record["width"])


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    row = sample_row(
        7,
        height=4,
        width=6,
        file_name="sub/7.jpg",
        box_xyxy=[[0, 0, 6, 4], [2, 1, 5, 3], [2, 1, 5, 3.5], [1, 1, 2, 2]],
        category_id=np.array([20, 11, 12, 12]),
        category_index=np.array([0, 1, 2, 2]),
        is_thing=np.array([False, True, True, True]),
        is_crowd=np.array([False, False, True, False]),
        segmentation=[COUNTS, COUNTS, COUNTS, ""],
    )
    return write_samples(tmp_path / "cache" / "samples" / "part.parquet", [row], categories=CATEGORIES)


def test_things_are_annotations_whose_categories_count_things_only(cache: Path) -> None:
    [record] = detectron2_dicts(cache)
    check_standard(record, 2)
    mask = {"size": [4, 6], "counts": COUNTS.encode()}
    assert record == {
        "file_name": "sub/7.jpg",
        "image_id": 7,
        "height": 4,
        "width": 6,
        "cache": str(cache),
        "cache_row": 0,
        "annotations": [
            {"bbox": [2.0, 1.0, 5.0, 3.0], "bbox_mode": XYXY_ABS, "category_id": 0, "iscrowd": 0, "segmentation": mask},
            {"bbox": [2.0, 1.0, 5.0, 3.5], "bbox_mode": XYXY_ABS, "category_id": 1, "iscrowd": 1, "segmentation": mask},
            {"bbox": [1.0, 1.0, 2.0, 2.0], "bbox_mode": XYXY_ABS, "category_id": 1, "iscrowd": 0},
        ],
    }


def test_a_built_cache_has_one_dict_per_image_with_the_files_of_the_exports(made: Path, tmp_path: Path) -> None:
    export_panoptic(made, tmp_path / "panoptic")
    export_semantic(made, tmp_path / "semantic")
    exports = Exports(tmp_path / "photos", tmp_path / "semantic", tmp_path / "panoptic")
    records, rows = detectron2_dicts(made, exports), sample_rows(made)
    assert [one["image_id"] for one in records] == [row["image_id"] for row in rows]
    categories = len(detectron2_sets(made.parents[1])[0].metadata["stuff_classes"])
    for record, row in zip(records, rows, strict=True):
        check_standard(record, categories)
        assert record["file_name"] == str(tmp_path / "photos" / row["file_name"])
        assert len(record["annotations"]) == sum(row["is_thing"])
        ids = np.asarray(Image.open(record["pan_seg_file_name"])).astype(int) @ [1, 256, 65536]
        semantic = np.asarray(Image.open(record["sem_seg_file_name"]))
        assert {one["id"] for one in record["segments_info"]} == set(ids.ravel().tolist()) - {0}
        for segment in record["segments_info"]:
            assert set(semantic[ids == segment["id"]].tolist()) == {segment["category_id"]}


def test_pixels_come_from_the_cache(made: Path) -> None:
    for record, sample in zip(detectron2_dicts(made)[:3], ParquetRegionDataset(made), strict=False):
        np.testing.assert_array_equal(read_image(record), sample["image"])
        assert read_image(record).shape == (record["height"], record["width"], 3)


def test_a_sample_becomes_a_dict_with_its_pixels(made: Path) -> None:
    dataset = ParquetRegionDataset(made, masks="rle", regions=SelectedRegions(at_most=3, pick="largest", order="picked"))
    row, record = sample_rows(made)[0], to_detectron2(dataset[0])
    check_standard(record, 1 + max(row["category_index"]))
    assert record["image"].shape == (record["height"], record["width"], 3)
    largest = sorted(range(len(row["area"])), key=lambda k: -row["area"][k])[:3]
    assert [one["bbox"] for one in record["annotations"]] == [row["box_xyxy"][k] for k in largest]
    assert [one["segmentation"]["counts"].decode() for one in record["annotations"]] == [row["segmentation"][k] for k in largest]
    assert [one["category_id"] for one in record["annotations"]] == [row["category_index"][k] for k in largest]
    assert "segmentation" not in to_detectron2(ParquetRegionDataset(made, image=None)[0])["annotations"][0]


def test_every_published_split_with_categories_is_an_entry(made: Path, tmp_path: Path) -> None:
    [entry] = detectron2_sets(made.parents[1])
    assert entry.name == f"regioncache_{made.parent.name}_{made.name}"
    assert entry.load() == detectron2_dicts(made)
    metadata = entry.metadata
    assert sorted(metadata["thing_dataset_id_to_contiguous_id"].values()) == list(range(len(metadata["thing_classes"])))
    assert sorted(metadata["stuff_dataset_id_to_contiguous_id"].values()) == list(range(len(metadata["stuff_classes"])))
    rows = sample_rows(made)
    names = {one["category_id"]: metadata["thing_classes"][one["category_id"]] for one in entry.load()[0]["annotations"]}
    assert set(names.values()) == {text[0] for text, thing in zip(rows[0]["phrases"], rows[0]["is_thing"], strict=True) if thing}
    with pytest.raises(CacheError, match="holds no published cache"):
        detectron2_sets(tmp_path)


def test_an_export_of_another_cache_is_refused(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(CacheError, match=r"panoptic\.json: is no panoptic export of this cache"):
        detectron2_dicts(cache, Exports(panoptic=tmp_path))


def test_without_detectron2_registering_says_so(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "detectron2", None)
    with pytest.raises(ConfigError, match="detectron2 is not installed"):
        register_all(made.parents[1])
