"""What every transform keeps true, with 0, 1, 2 and many regions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from drawn_samples import drawn_sample
from regioncache import RegionCollator
from regioncache.data.rng import sample_generator
from regioncache.data.sample_dicts import sample_from_dict
from regioncache.data.transforms.compose import Compose
from regioncache.data.transforms.config import transforms_from_config
from regioncache.data.transforms.jitter import LargeScaleJitter
from regioncache.data.transforms.sam import SamInput

STEPS: dict[str, Any] = {
    "resize": {"Resize": {"scale": [37, 23]}},
    "resize_ratio": {"Resize": {"scale": [60, 40], "keep_ratio": True}},
    "choice": {"RandomChoiceResize": {"scales": [[20, 30], [50, 30]], "keep_ratio": True}},
    "range": {"RandomResize": {"scale": [[30, 20], [60, 40]], "keep_ratio": True}},
    "ratio_range": {"RandomResize": {"scale": [40, 40], "ratio_range": [0.2, 2]}},
    "flip": {"RandomFlip": {"prob": 0.9, "direction": ["horizontal", "vertical", "diagonal"]}},
    "pad": {"Pad": {"size_divisor": 16, "pad_val": [1, 2, 3]}},
    "square": {"Pad": {"pad_to_square": True}},
    "crop": {"RandomCrop": {"crop_size": [12, 9]}},
    "crop_empty": {"RandomCrop": {"crop_size": [4, 30], "crop_type": "absolute_range", "allow_negative_crop": True}},
    "crop_share": {"RandomCrop": {"crop_size": [0.3, 0.6], "crop_type": "relative", "recompute_bbox": True}},
    "crop_range": {"RandomCrop": {"crop_size": [0.3, 0.3], "crop_type": "relative_range"}},
    "iou": {"MinIoURandomCrop": {}},
    "photometric": "PhotoMetricDistortion",
    "normalize": "Normalize",
    "filter": {"FilterAnnotations": {"min_gt_bbox_wh": [4, 4], "min_gt_mask_area": 20, "by_mask": True}},
    "limit": {"LimitRegions": {"max_regions": 2}},
    "jitter": {"LargeScaleJitter": {"image_size": 48}},
    "jitter_exact": {"LargeScaleJitter": {"image_size": 48, "rounding": "exact"}},
}
# How far the box of a mask's pixels may reach out of the box: nearest sampling takes pixels by their middles, within half a
# pixel; the original's jitter truncates boxes on top of that, by less than one.
REACH_PX = {"jitter": 1.5 + 1e-9}
ALIKE_PX = 0.5 + 1e-9

SIZES = st.tuples(st.integers(1, 60), st.integers(1, 60))
COUNTS = st.sampled_from([0, 1, 2, 9])
SEEDS = st.integers(0, 2**32)

each_step = pytest.mark.parametrize("name", STEPS)
some_examples = settings(max_examples=25, deadline=None)


def per_region_lengths(sample: dict[str, Any]) -> set[int]:
    names = (
        "input_boxes",
        "metadata_input_boxes",
        "metadata_region_id",
        "category_index",
        "is_crowd",
        "metadata_captions",
        "input_ids_length",
        "input_points",
        "input_labels",
    )
    return {len(sample[name]) for name in names} | {len(sample[name]) for name in ("masks", "segmentation") if name in sample}


def transformed(name: str, sample: dict[str, Any], seed: int) -> dict[str, Any]:
    return transforms_from_config([STEPS[name]], frame="image")(sample, sample_generator(seed, 0, 0))


@each_step
@some_examples
@given(SIZES, COUNTS, SEEDS)
def test_everything_of_a_region_stays_together(name: str, size_hw: tuple[int, int], count: int, seed: int) -> None:
    made = transformed(name, drawn_sample(size_hw, count, seed=seed), seed)
    assert per_region_lengths(made) == {len(made["metadata_region_id"])}
    region = made["metadata_region_id"] - 100
    np.testing.assert_array_equal(made["category_index"], region)
    assert list(made["metadata_captions"]) == [f"thing {at}" for at in region]
    np.testing.assert_array_equal(made["input_ids_length"], region + 1)
    np.testing.assert_array_equal(made["input_ids"], np.repeat(region, region + 1))
    assert made["metadata_input_boxes"].dtype == np.float32
    assert made["input_boxes"].shape == (len(region), 4)
    assert made["input_points"].shape == (len(region), 1, 2)


@each_step
@some_examples
@given(SIZES, COUNTS, SEEDS)
def test_masks_and_boxes_agree_with_the_image(name: str, size_hw: tuple[int, int], count: int, seed: int) -> None:
    made = transformed(name, drawn_sample(size_hw, count, seed=seed), seed)
    height, width = made["image"].shape[:2]
    assert made["masks"].shape == (len(made["input_boxes"]), height, width)
    assert (made["input_boxes"][:, 2:] >= made["input_boxes"][:, :2]).all()
    assert (made["input_boxes"] >= 0).all()
    assert (made["input_boxes"] <= [width, height, width, height]).all()
    reach = REACH_PX.get(name, ALIKE_PX)
    for mask, (x1, y1, x2, y2) in zip(made["masks"], made["input_boxes"], strict=True):
        rows, columns = np.nonzero(mask)
        if len(rows):
            assert columns.min() >= x1 - reach
            assert rows.min() >= y1 - reach
            assert columns.max() + 1 <= x2 + reach
            assert rows.max() + 1 <= y2 + reach
    assert (made["input_points"] >= 0).all()
    assert (made["input_points"] < [width, height]).all()


@pytest.mark.parametrize("name", ["flip", "pad", "square", "crop", "crop_empty", "crop_share", "crop_range", "iou"])
@some_examples
@given(SIZES, COUNTS, SEEDS)
def test_boxes_stay_tight_and_points_on_their_masks_where_nothing_is_scaled(
    name: str, size_hw: tuple[int, int], count: int, seed: int
) -> None:
    made = transformed(name, drawn_sample(size_hw, count, seed=seed), seed)
    for mask, point in zip(made["masks"], made["input_points"][:, 0].astype(int), strict=True):
        assert mask[point[1], point[0]]
    if name in ("flip", "pad", "square", "crop_share"):
        for mask, box in zip(made["masks"], made["input_boxes"], strict=True):
            rows, columns = np.nonzero(mask)
            assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


@each_step
@some_examples
@given(SIZES, COUNTS, SEEDS)
def test_the_same_generator_gives_the_same_and_the_input_stays_as_it_was(
    name: str, size_hw: tuple[int, int], count: int, seed: int
) -> None:
    sample, untouched = (drawn_sample(size_hw, count, seed=seed) for _ in range(2))
    for value in sample.values():
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
    first, second = (transformed(name, sample, seed) for _ in range(2))
    assert first.keys() == second.keys()
    for key, value in first.items():
        np.testing.assert_array_equal(list(value) if key == "metadata_captions" else value, second[key])
    for key, value in untouched.items():
        np.testing.assert_array_equal(sample[key], value)


@each_step
@some_examples
@given(SIZES, COUNTS, SEEDS)
def test_masks_as_run_lengths_give_the_same_as_masks_in_pixels(
    name: str, size_hw: tuple[int, int], count: int, seed: int
) -> None:
    pixels = transformed(name, drawn_sample(size_hw, count, seed=seed, ignored=2), seed)
    coded = transformed(name, drawn_sample(size_hw, count, seed=seed, ignored=2, rle=True), seed)
    for key in ("", "ignore_"):
        masks = pixels[f"{key}masks"]
        found = [coco_mask.decode(rle).astype(bool) for rle in coded[f"{key}segmentation"]]
        assert len(found) == len(masks)
        for one, mask in zip(found, masks, strict=True):
            np.testing.assert_array_equal(one, mask)
    assert len(pixels["ignore_boxes"]) == len(pixels["ignore_masks"])


@some_examples
@given(SIZES, COUNTS, SEEDS, st.lists(st.sampled_from(sorted(STEPS.keys() - {"normalize"})), max_size=4))
def test_any_steps_in_a_row_end_in_a_batch(size_hw: tuple[int, int], count: int, seed: int, names: list[str]) -> None:
    steps = Compose((*transforms_from_config([STEPS[name] for name in names]).steps,))
    samples = [steps(drawn_sample(size_hw, some, seed=seed, rle=True), sample_generator(seed, 0, some)) for some in (count, 1)]
    batch = RegionCollator("pad", tensors="numpy")(samples)
    regions = [len(sample["metadata_region_id"]) for sample in samples]
    assert batch["region_mask"].sum(1).tolist() == regions
    for sample, boxes in zip(samples, batch["input_boxes"], strict=True):
        height, width = sample["reshaped_input_sizes"].tolist()
        assert max(height, width) <= 1024
        assert (boxes <= np.array([width, height, width, height]) + 1e-9).all()


@some_examples
@given(SIZES, COUNTS, SEEDS)
def test_no_step_at_all_changes_nothing(size_hw: tuple[int, int], count: int, seed: int) -> None:
    sample = drawn_sample(size_hw, count, seed=seed, ignored=1)
    made = Compose(())(sample, np.random.default_rng(0))
    assert made.keys() == sample.keys()
    for key, value in sample.items():
        if key in ("input_points", "ignore_boxes"):  # to image pixels and back
            np.testing.assert_allclose(made[key], value, rtol=1e-15, atol=0)
        else:
            np.testing.assert_array_equal(made[key], value)


@some_examples
@given(SIZES, COUNTS, SEEDS, st.sampled_from(["truncate", "exact"]))
def test_both_jitters_draw_the_same_geometry(size_hw: tuple[int, int], count: int, seed: int, rounding: Any) -> None:
    sample = sample_from_dict(drawn_sample(size_hw, count, seed=seed))
    made = LargeScaleJitter(image_size=64, rounding=rounding)(sample, sample_generator(seed, 0, 0))
    other = LargeScaleJitter(image_size=64)(sample, sample_generator(seed, 0, 0))
    ids = set(np.asarray(made.of_region["metadata_region_id"]).tolist())
    for region, box in zip(other.of_region["metadata_region_id"], other.box_xyxy, strict=True):
        if region in ids:
            at = np.asarray(made.of_region["metadata_region_id"]).tolist().index(region)
            assert np.abs(made.box_xyxy[at] - box).max() < 1 + 1e-9


@settings(max_examples=5, deadline=None)
@given(SIZES, COUNTS, SEEDS)
def test_segment_anythings_input_has_its_size_for_any_image(size_hw: tuple[int, int], count: int, seed: int) -> None:
    sample = drawn_sample(size_hw, count, seed=seed)
    if 0 in sample["reshaped_input_sizes"]:
        return
    made = Compose((SamInput(masks="lowres"),))(sample, np.random.default_rng(0))
    assert made["image"].shape == (1024, 1024, 3)
    assert made["image"].dtype == np.float32
    assert made["masks"].shape == (count, 256, 256)
    np.testing.assert_array_equal(made["input_boxes"], sample["input_boxes"])
    np.testing.assert_array_equal(made["original_sizes"], sample["original_sizes"])
    np.testing.assert_array_equal(made["reshaped_input_sizes"], sample["reshaped_input_sizes"])
