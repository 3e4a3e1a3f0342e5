"""mmdetection's results dicts: the keys and types that its LoadAnnotations documents, boxes and masks in pixels of ``img``."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as pycoco

from built_cache import sample_rows
from regioncache import ParquetRegionDataset
from regioncache.data.selected_regions import SelectedRegions
from regioncache.errors import ConfigError
from regioncache.interop.mmdetection import to_mmdetection
from small_cache import sample_row, write_samples

if TYPE_CHECKING:
    from pathlib import Path

MASK = np.zeros((20, 30), np.uint8, order="F")
MASK[4:12, 6:18] = 1
COUNTS = pycoco.encode(MASK)["counts"].decode()


@pytest.fixture
def smaller(tmp_path: Path) -> Path:
    """An image of 30 x 20 pixels that is stored at 15 x 10, a target and a crowd."""
    file = io.BytesIO()
    Image.new("RGB", (15, 10), (200, 100, 50)).save(file, "PNG")
    row = sample_row(
        3,
        height=20,
        width=30,
        image=file.getvalue(),
        image_width=15,
        image_height=10,
        box_xyxy=[[6, 4, 18, 12], [0, 0, 30, 20]],
        category_index=np.array([4, 2]),
        is_crowd=np.array([False, True]),
        segmentation=[COUNTS, COUNTS],
    )
    return write_samples(tmp_path / "cache" / "samples" / "part.parquet", [row])


def test_results_have_the_documented_keys_and_types(made: Path) -> None:
    row = sample_rows(made)[0]
    results = to_mmdetection(ParquetRegionDataset(made, masks="rle")[0])
    n = len(row["region_id"])
    assert results["img"].dtype == np.uint8
    assert results["img_shape"] == results["ori_shape"] == results["img"].shape[:2] == (row["height"], row["width"])
    assert (results["img_id"], results["img_path"], results["scale_factor"]) == (row["image_id"], None, (1.0, 1.0))
    assert (results["gt_bboxes"].dtype, results["gt_bboxes"].shape) == (np.float32, (n, 4))
    np.testing.assert_allclose(results["gt_bboxes"], row["box_xyxy"], rtol=1e-6)
    assert results["gt_bboxes_labels"].dtype == np.int64
    assert results["gt_bboxes_labels"].tolist() == row["category_index"]
    assert results["gt_ignore_flags"].dtype == np.bool_
    assert [one["counts"] for one in results["gt_masks"]] == row["segmentation"]
    for k, instance in enumerate(results["instances"]):
        assert set(instance) == {"bbox", "bbox_label", "ignore_flag", "mask"}
        assert isinstance(instance["mask"]["counts"], str)  # bytes make LoadAnnotations ignore the instance
        np.testing.assert_array_equal(np.float32(instance["bbox"]), results["gt_bboxes"][k])


def test_pixels_are_bgr_as_mmdetection_reads_them_or_rgb(smaller: Path) -> None:
    sample = ParquetRegionDataset(smaller)[0]
    assert to_mmdetection(sample)["img"][0, 0].tolist() == [50, 100, 200]
    assert to_mmdetection(sample, channel_order="rgb")["img"][0, 0].tolist() == [200, 100, 50]
    with pytest.raises(ConfigError, match="channel_order='gbr' is none of bgr, rgb"):
        to_mmdetection(sample, channel_order="gbr")  # type: ignore[arg-type]


def test_boxes_and_masks_are_in_pixels_of_the_stored_image(smaller: Path) -> None:
    results = to_mmdetection(ParquetRegionDataset(smaller, masks="rle")[0])
    assert (results["img_shape"], results["ori_shape"], results["scale_factor"]) == ((10, 15), (20, 30), (0.5, 0.5))
    np.testing.assert_allclose(results["gt_bboxes"], [[3, 2, 9, 6], [0, 0, 15, 10]], rtol=1e-6)
    mask = pycoco.decode(results["gt_masks"][0])
    expected = np.zeros((10, 15), np.uint8)
    expected[2:6, 3:9] = 1
    np.testing.assert_array_equal(mask, expected)
    assert results["gt_ignore_flags"].tolist() == [False, True]


def test_ignored_regions_of_a_policy_keep_their_flag(smaller: Path) -> None:
    sample = ParquetRegionDataset(smaller, masks="rle", regions=SelectedRegions())[0]
    assert len(sample["input_boxes"]) == 1
    results = to_mmdetection(sample)
    np.testing.assert_allclose(results["gt_bboxes"], [[3, 2, 9, 6], [0, 0, 15, 10]], rtol=1e-6)
    assert results["gt_bboxes_labels"].tolist() == [4, -1]
    assert results["gt_ignore_flags"].tolist() == [False, True]
    assert len(results["gt_masks"]) == 2


def test_without_an_image_boxes_are_in_source_pixels(smaller: Path) -> None:
    results = to_mmdetection(ParquetRegionDataset(smaller, image=None)[0])
    assert "img" not in results
    assert "gt_masks" not in results
    np.testing.assert_allclose(results["gt_bboxes"][0], [6, 4, 18, 12], rtol=1e-6)
