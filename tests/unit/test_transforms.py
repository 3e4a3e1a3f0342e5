"""Each transform against its formula written out, and against Pillow, OpenCV and Segment Anything's processor."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from drawn_samples import drawn_sample, image_boxes
from regioncache import ParquetRegionDataset, RegionCollator, ShuffledRegions
from regioncache.data.rng import sample_generator
from regioncache.data.sample_dicts import sample_from_dict
from regioncache.data.transforms.compose import Compose
from regioncache.data.transforms.crop import MinIoURandomCrop, RandomCrop, Window, min_iou
from regioncache.data.transforms.filter import FilterAnnotations, LimitRegions
from regioncache.data.transforms.flip import RandomFlip
from regioncache.data.transforms.jitter import JitterDraws, LargeScaleJitter, jitter_geometry, truncated_pixels
from regioncache.data.transforms.normalize import Normalize
from regioncache.data.transforms.pad import Pad
from regioncache.data.transforms.photometric import Distortion, PhotoMetricDistortion, distorted
from regioncache.data.transforms.resize import RandomChoiceResize, RandomResize, Resize, fitted_hw
from regioncache.data.transforms.sam import LowResMasks, SamInput
from regioncache.data.transforms.side_words import swap_side_words
from regioncache.encode.tokens import load_tokenizer
from regioncache.errors import ConfigError
from regioncache.schema import has_side_word

if TYPE_CHECKING:
    from pathlib import Path

    from regioncache.data.region_sample import RegionSample

SIZE_HW = (48, 64)


def generator(seed: int = 0) -> np.random.Generator:
    return sample_generator(seed, 0, 0)


def done(step: Any, sample: dict[str, Any], seed: int = 0) -> dict[str, Any]:
    return Compose((step,), frame="image")(sample, generator(seed))


# Resize


@pytest.mark.parametrize(
    ("image_hw", "scale_wh", "expected_hw"),
    [
        ((480, 640), (1333, 800), (800, 1067)),  # the short side decides: 640 * 800 / 480 = 1066.67
        ((500, 1500), (1333, 800), (444, 1333)),  # the long side decides: 500 * 1333 / 1500 = 444.3
        ((640, 480), (800, 1333), (1067, 800)),  # which of the two numbers is larger is all that counts
        ((3, 3000), (600, 400), (1, 600)),  # 0.6 rounds up
        ((1, 3000), (600, 400), (1, 600)),  # a side never vanishes
    ],
)
def test_the_ratio_is_kept_as_mmcv_keeps_it(
    image_hw: tuple[int, int], scale_wh: tuple[int, int], expected_hw: tuple[int, int]
) -> None:
    assert fitted_hw(image_hw, scale_wh, keep_ratio=True) == expected_hw


def test_a_resize_is_pillows_for_pixels_and_masks_and_a_product_for_boxes() -> None:
    sample = drawn_sample(SIZE_HW, 5)
    made = done(Resize((90, 31)), sample)
    want = Image.fromarray(sample["image"]).resize((90, 31), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(made["image"], np.asarray(want))
    for mask, source in zip(made["masks"], sample["masks"], strict=True):
        np.testing.assert_array_equal(mask, np.asarray(Image.fromarray(source).resize((90, 31), Image.Resampling.NEAREST)))
    np.testing.assert_allclose(made["input_boxes"], image_boxes(sample) * np.tile([90 / 64, 31 / 48], 2), rtol=1e-12)


def test_a_fast_resize_is_at_most_one_grey_level_off() -> None:
    sample = drawn_sample(SIZE_HW, 1)
    exact, fast = (done(Resize((31, 23), quality=quality), sample)["image"].astype(int) for quality in ("exact", "fast"))
    assert np.abs(exact - fast).max() <= 1


def test_random_sizes_are_those_that_were_allowed() -> None:
    sample = sample_from_dict(drawn_sample(SIZE_HW, 0))
    rng = generator()
    chosen = {RandomChoiceResize(((40, 30), (20, 10)))(sample, rng).image_hw for _ in range(40)}
    assert chosen == {(30, 40), (10, 20)}
    sizes = [RandomResize(((40, 20), (44, 22)))(sample, rng).image_hw for _ in range(120)]
    assert {width for _, width in sizes} == set(range(40, 45))
    assert {height for height, _ in sizes} == {20, 21, 22}
    ratios = [RandomResize((100, 50), ratio_range=(0.5, 1.0))(sample, rng).image_hw for _ in range(60)]
    assert all(50 <= width <= 100 and width // 2 - height in (0, 1) for height, width in ratios)


# Flip


@pytest.mark.parametrize("direction", ["horizontal", "vertical", "diagonal"])
def test_a_flip_done_twice_is_nothing(direction: Any) -> None:
    sample = drawn_sample(SIZE_HW, 4, ignored=2)
    flip = RandomFlip(1.0, direction)
    made = Compose((flip, flip))(sample, generator())
    for key in ("image", "masks", "ignore_masks", "input_boxes"):
        np.testing.assert_array_equal(made[key], sample[key])
    np.testing.assert_allclose(made["input_points"], sample["input_points"], rtol=1e-12)
    np.testing.assert_allclose(made["ignore_boxes"], sample["ignore_boxes"], rtol=1e-12)
    assert made["original_sizes"].tolist() == list(SIZE_HW)


def test_flips_are_numpys_and_boxes_are_those_of_the_masks() -> None:
    sample = drawn_sample(SIZE_HW, 6)
    flips = {"horizontal": np.fliplr, "vertical": np.flipud, "diagonal": partial(np.rot90, k=2)}
    for direction, flip in flips.items():
        made = done(RandomFlip(1.0, direction), sample)
        np.testing.assert_array_equal(made["image"], flip(sample["image"]))
        for mask, source, box in zip(made["masks"], sample["masks"], made["input_boxes"], strict=True):
            np.testing.assert_array_equal(mask, flip(source))
            rows, columns = np.nonzero(mask)
            assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_the_rate_of_flips_is_the_one_asked_for() -> None:
    sample = sample_from_dict(drawn_sample((2, 3), 0))
    flip = RandomFlip((0.5, 0.25), ("horizontal", "vertical"))
    rng = generator()
    images = [flip(sample, rng).image for _ in range(2000)]
    across, down = (sum(np.array_equal(image, np.flip(sample.image, axis)) for image in images) for axis in (1, 0))
    assert abs(across - 1000) < 100
    assert abs(down - 500) < 90


REFCOCO = [
    "the cup on the left",
    "right-hand woman",
    "leftmost zebra",
    "Left elephant, right side",
    "LEFT",
    "man in the rightmost chair facing left",
    "bright leftover rights",
    "a red car",
]


def test_swapping_turns_left_into_right_and_nothing_else() -> None:
    assert [swap_side_words(phrase) for phrase in REFCOCO] == [
        "the cup on the right",
        "left-hand woman",
        "rightmost zebra",
        "Right elephant, left side",
        "RIGHT",
        "man in the leftmost chair facing right",
        "bright leftover rights",
        "a red car",
    ]
    for phrase in REFCOCO:
        assert swap_side_words(swap_side_words(phrase)) == phrase
        assert (swap_side_words(phrase) != phrase) == has_side_word(phrase)


def test_a_caption_with_a_side_keeps_its_image_from_being_mirrored_by_default() -> None:
    for phrase in REFCOCO:
        sample = drawn_sample(SIZE_HW, 2, captions=["a dog", phrase])
        made = done(RandomFlip(1.0), sample)
        mirrored = not has_side_word(phrase)
        np.testing.assert_array_equal(made["image"], sample["image"][:, ::-1] if mirrored else sample["image"])
        assert list(made["metadata_captions"]) == ["a dog", phrase]
        down = done(RandomFlip(1.0, "vertical"), sample)
        np.testing.assert_array_equal(down["image"], sample["image"][::-1])  # left stays left


@pytest.mark.parametrize("phrase", ["cat on top of the bed", "the lower one", "sign above the door"])
def test_words_of_up_and_down_stop_a_vertical_flip_also_when_sides_are_swapped(phrase: str) -> None:
    sample = drawn_sample(SIZE_HW, 1, captions=[phrase])
    for side_words in ("skip", "swap"):
        flip = RandomFlip(1.0, "vertical", side_words=side_words)
        made = done(flip, {key: value for key, value in sample.items() if key not in ("input_ids", "input_ids_length")})
        np.testing.assert_array_equal(made["image"], sample["image"])


def test_ignoring_words_mirrors_whatever_they_say() -> None:
    sample = drawn_sample(SIZE_HW, 1, captions=["the left one"])
    made = done(RandomFlip(1.0, side_words="ignore"), sample)
    np.testing.assert_array_equal(made["image"], sample["image"][:, ::-1])
    assert list(made["metadata_captions"]) == ["the left one"]


def test_swapped_captions_get_their_own_tokens() -> None:
    tokenizer = load_tokenizer("byt5")
    encode = partial(tokenizer.encode, template="sca", max_length=20)
    captions = ["a dog", "the left one", "cup", "right"]
    sample = drawn_sample(SIZE_HW, 4, captions=captions)
    sample["input_ids"], sample["input_ids_length"] = encode(captions)
    made = done(RandomFlip(1.0, side_words="swap", tokenize=encode), sample)
    swapped = ["a dog", "the right one", "cup", "left"]
    assert list(made["metadata_captions"]) == swapped
    ids, lengths = encode(swapped)
    np.testing.assert_array_equal(made["input_ids"], ids)
    np.testing.assert_array_equal(made["input_ids_length"], lengths)
    np.testing.assert_array_equal(made["image"], sample["image"][:, ::-1])


def test_swapping_without_a_tokenizer_is_refused_where_there_are_tokens() -> None:
    with pytest.raises(ConfigError, match=r"transforms\[0\] \(RandomFlip\), image 7: .*token ids of the unchanged"):
        done(RandomFlip(1.0, side_words="swap"), drawn_sample(SIZE_HW, 1))


# Pad, Normalize


def test_padding_grows_right_and_below_only() -> None:
    sample = drawn_sample((30, 50), 3)
    made = done(Pad(size_divisor=32, pad_val=(1, 2, 3)), sample)
    assert made["image"].shape == (32, 64, 3)
    np.testing.assert_array_equal(made["image"][:30, :50], sample["image"])
    assert (made["image"][30:] == (1, 2, 3)).all()
    assert (made["image"][:, 50:] == (1, 2, 3)).all()
    np.testing.assert_array_equal(made["masks"], np.pad(sample["masks"], ((0, 0), (0, 2), (0, 14))))
    np.testing.assert_allclose(made["input_boxes"], image_boxes(sample), rtol=1e-12)
    assert done(Pad(size=(40, 40)), sample)["image"].shape == (40, 50, 3)
    assert done(Pad(pad_to_square=True, size_divisor=8), sample)["image"].shape == (56, 56, 3)


def test_normalising_is_segment_anythings_or_the_formula() -> None:
    sample = drawn_sample(SIZE_HW, 0)
    mean, std = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)
    want = ((sample["image"] * (1 / 255)).astype(np.float32) - mean) / std
    np.testing.assert_array_equal(done(Normalize(), sample)["image"], want)
    made = done(Normalize((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)), sample)["image"]
    want = ((sample["image"] - np.array([123.675, 116.28, 103.53])) / [58.395, 57.12, 57.375]).astype(np.float32)
    np.testing.assert_array_equal(made, want)


def test_normalised_images_are_batched_as_they_are() -> None:
    samples = [done(Normalize(), drawn_sample(size_hw, 1)) for size_hw in ((20, 30), (25, 10))]
    batch = RegionCollator("pad", tensors="numpy")(samples)
    assert batch["pixel_values"].shape == (2, 3, 25, 30)
    assert batch["pixel_values"].dtype == np.float32
    for slot, sample, size in zip(batch["pixel_values"], samples, batch["pixel_sizes"], strict=True):
        height, width = sample["image"].shape[:2]
        assert size.tolist() == [height, width]
        np.testing.assert_array_equal(slot[:, :height, :width], sample["image"].transpose(2, 0, 1))
        assert not slot[:, height:].any()
        assert not slot[:, :, width:].any()
    with pytest.raises(ConfigError, match="mixes images"):
        RegionCollator("pad")([samples[0], drawn_sample((20, 30), 1)])


def test_steps_on_grey_levels_refuse_a_normalised_image() -> None:
    for step in (Resize((9, 9)), PhotoMetricDistortion(), Normalize(), SamInput(), LargeScaleJitter()):
        with pytest.raises(ConfigError, match="put it before Normalize"):
            Compose((Normalize(), step))(drawn_sample(SIZE_HW, 1), generator())


# Crops


def test_a_crop_is_a_part_of_the_image_and_of_the_masks() -> None:
    sample = drawn_sample(SIZE_HW, 8)
    for seed in range(20):
        made = done(RandomCrop((20, 10)), sample, seed)
        views = np.lib.stride_tricks.sliding_window_view(sample["image"], (10, 20, 3))[:, :, 0]
        ((top, left),) = np.argwhere((views == made["image"]).all((-1, -2, -3)))
        windows = sample["masks"][:, top : top + 10, left : left + 20]
        kept = made["metadata_region_id"] - 100
        np.testing.assert_array_equal(kept, np.flatnonzero(windows.any((1, 2))))
        np.testing.assert_array_equal(made["masks"], windows[kept])
        want = np.clip(image_boxes(sample) - [left, top, left, top], 0, [20, 10, 20, 10])[kept]
        np.testing.assert_allclose(made["input_boxes"], want, atol=1e-9)


def test_a_region_whose_mask_was_cut_off_goes_although_a_corner_of_its_box_is_left() -> None:
    sample = drawn_sample((10, 10), 2)
    sample["masks"][:] = False
    sample["masks"][0, :9, :1] = True
    sample["masks"][0, :1, :9] = True  # an angle whose box is nearly the whole image; region 1 never had a mask
    boxes = np.array([[0, 0, 9, 9], [0, 0, 9, 9]], np.float32)
    sample["metadata_input_boxes"], sample["input_boxes"] = boxes, boxes.astype(np.float64) * 102.4
    cropped = sample_from_dict(sample).cropped(Window(4, 4, 6, 6))
    assert cropped.of_region["metadata_region_id"].tolist() == [101]
    assert cropped.box_xyxy.tolist() == [[0, 0, 5, 5]]


def test_a_point_that_was_cut_off_moves_to_the_nearest_pixel_of_its_mask() -> None:
    sample = drawn_sample((10, 10), 1)
    boxes = np.array([[1, 1, 9, 9]], np.float32)
    sample["metadata_input_boxes"], sample["input_boxes"] = boxes, boxes.astype(np.float64) * 102.4
    sample["masks"][:] = False
    sample["masks"][0, 1:9, 1:9] = True
    sample["input_points"] = np.array([[[1.0, 5.0]]]) * 102.4
    kept = sample_from_dict(sample).cropped(Window(3, 2, 5, 5)).regions
    assert kept.point_xy.tolist() == [[[0, 3]]]
    del sample["masks"]
    kept = sample_from_dict(sample).cropped(Window(3, 2, 5, 5)).regions
    assert kept.point_xy.tolist() == [[[2, 2]]]  # the middle of what is left of the box, 0..5


def test_crop_sizes_are_drawn_as_mmdetection_draws_them() -> None:
    sample = sample_from_dict(drawn_sample((40, 80), 0))
    rng = generator()
    assert RandomCrop((100, 20))(sample, rng).image_hw == (20, 80)
    assert RandomCrop((0.5, 0.3), "relative")(sample, rng).image_hw == (12, 40)
    ranged = [RandomCrop((30, 60), "absolute_range")(sample, rng).image_hw for _ in range(200)]
    assert {height for height, _ in ranged} == set(range(30, 41))
    assert {width for _, width in ranged} == set(range(30, 61))
    shares = [RandomCrop((0.5, 0.9), "relative_range")(sample, rng).image_hw for _ in range(200)]
    assert {height for height, _ in shares} == set(range(36, 41))
    assert min(width for _, width in shares) >= 40
    assert max(width for _, width in shares) > 76


def test_a_crop_that_would_leave_no_region_is_drawn_again_or_not_done() -> None:
    sample = drawn_sample((200, 200), 1)
    boxes = np.array([[0, 0, 1, 1]], np.float32)
    sample["metadata_input_boxes"], sample["input_boxes"] = boxes, boxes * 5.12
    del sample["masks"]
    never = Compose((RandomCrop((4, 4), attempts=3),))
    kept = [never(sample, generator(seed)) for seed in range(30)]
    assert all(len(made["input_boxes"]) == 1 for made in kept)
    assert any(made["image"].shape == (200, 200, 3) for made in kept)
    allowed = done(RandomCrop((4, 4), allow_negative_crop=True), sample)
    assert allowed["image"].shape == (4, 4, 3)
    assert len(allowed["input_boxes"]) == 0
    assert done(RandomCrop((4, 4)), drawn_sample((200, 200), 0))["image"].shape == (4, 4, 3)


def test_a_crops_boxes_come_from_the_masks_on_request() -> None:
    sample = drawn_sample((10, 10), 1)
    sample["masks"][:] = False
    sample["masks"][0, 0, :] = True
    sample["masks"][0, :, 0] = True
    boxes = np.array([[0, 0, 10, 10]], np.float32)
    sample["metadata_input_boxes"], sample["input_boxes"] = boxes, boxes * 102.4
    made = [done(RandomCrop((5, 5), recompute_bbox=True), sample, seed) for seed in range(40)]
    for one in made:
        if len(one["masks"]):
            rows, columns = np.nonzero(one["masks"][0])
            assert one["input_boxes"][0].tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_the_least_iou_is_the_formulas() -> None:
    boxes = np.array([[0.0, 0, 4, 4], [2, 2, 6, 6], [0, 0, 8, 8]])
    # Window 2..6: 4 / (16 + 16 - 4), 1, 16 / 64.
    assert min_iou(boxes, Window(2, 2, 4, 4)) == pytest.approx(4 / 28)
    assert min_iou(boxes[1:], Window(2, 2, 4, 4)) == pytest.approx(0.25)


def test_a_min_iou_crop_keeps_the_regions_whose_middle_it_holds() -> None:
    sample = drawn_sample((90, 60), 6)
    sizes = set()
    for seed in range(60):
        made = done(MinIoURandomCrop((0.2, 0.4)), sample, seed)
        height, width = made["image"].shape[:2]
        sizes.add((height, width))
        assert len(made["input_boxes"]) >= 1
        if (height, width) != (90, 60):
            assert 0.5 - 0.1 <= height / width <= 2.1
            assert height >= 0.3 * 90 - 1
            assert width >= 0.3 * 60 - 1
    assert len(sizes) > 10
    assert (90, 60) in sizes


# Filters


def test_small_regions_are_left_out_by_box_and_by_mask() -> None:
    sample = drawn_sample(SIZE_HW, 9)
    sides = image_boxes(sample)[:, 2:] - image_boxes(sample)[:, :2]
    made = done(FilterAnnotations((12, 9)), sample)
    np.testing.assert_array_equal(made["category_index"], np.flatnonzero((sides >= [12, 9]).all(1)))
    made = done(FilterAnnotations(min_gt_mask_area=200, by_box=False, by_mask=True), sample)
    np.testing.assert_array_equal(made["category_index"], np.flatnonzero(sample["masks"].sum((1, 2)) >= 200))
    assert done(LimitRegions(4), sample)["category_index"].tolist() == [0, 1, 2, 3]


# Photometric


def by_opencv(image: np.ndarray, distortion: Distortion) -> np.ndarray:
    """mmdetection's formula, on BGR float32 with OpenCV's HSV."""
    pixels = image[..., ::-1].astype(np.float32)
    if distortion.brightness is not None:
        pixels = pixels + np.float32(distortion.brightness)
    if distortion.contrast is not None and distortion.contrast_first:
        pixels = pixels * np.float32(distortion.contrast)
    hsv = cv2.cvtColor(pixels, cv2.COLOR_BGR2HSV)
    if distortion.saturation is not None:
        hsv[..., 1] = np.clip(hsv[..., 1] * distortion.saturation, 0, 1)
    if distortion.hue is not None:
        hsv[..., 0] = np.mod(hsv[..., 0] + distortion.hue, 360)
    pixels = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
    if distortion.contrast is not None and not distortion.contrast_first:
        pixels = pixels * np.float32(distortion.contrast)
    pixels = pixels[..., ::-1]
    if distortion.channels is not None:
        pixels = pixels[..., list(distortion.channels)]
    return np.clip(pixels, 0, 255)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    "distortion",
    [
        Distortion(brightness=21.5),
        Distortion(contrast=1.4),
        Distortion(saturation=0.6),
        Distortion(saturation=1.5),
        Distortion(hue=18.0),
        Distortion(hue=-17.0),
        Distortion(channels=(2, 0, 1)),
        Distortion(-20.0, 0.7, saturation=1.3, hue=9.0, channels=(1, 0, 2)),
    ],
)
def test_distortions_are_mmdetections(distortion: Distortion, *, first: bool) -> None:
    image = np.random.default_rng(3).integers(32, 256, (40, 50, 3), dtype=np.uint8)  # above 32 no brightness goes below black
    image[:4] = image[:4, :, :1]  # greys
    distortion = distortion._replace(contrast_first=first)
    made = distorted(image, distortion)
    assert made.dtype == np.uint8
    # OpenCV's saturation has a small number added below its fraction bar, so values differ a little before both are rounded.
    assert np.abs(made - by_opencv(image, distortion)).max() <= 0.52


def test_each_part_of_a_distortion_happens_half_the_time_within_its_range() -> None:
    rng = generator()
    drawn = [PhotoMetricDistortion().draw(rng) for _ in range(600)]
    for name, low, high in (("brightness", -32, 32), ("contrast", 0.5, 1.5), ("saturation", 0.5, 1.5), ("hue", -18, 18)):
        values = [getattr(one, name) for one in drawn if getattr(one, name) is not None]
        assert 220 < len(values) < 380
        assert low <= min(values) < low + (high - low) / 20
        assert high - (high - low) / 20 < max(values) <= high
    assert 220 < sum(one.contrast_first for one in drawn) < 380
    assert len({one.channels for one in drawn}) == 7  # six orders and none


def test_a_distortion_of_nothing_gives_the_pixels_themselves() -> None:
    image = drawn_sample(SIZE_HW, 0)["image"]
    assert distorted(image, Distortion()) is image


# Large-scale jitter


def test_truncated_pixels_do_not_depend_on_the_number_of_threads() -> None:
    image = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    image[:48] = 77
    geometry = jitter_geometry((96, 128), JitterDraws(0.9, 1.7, 0.4), 256)
    before = torch.get_num_threads()
    try:
        made = []
        for threads in (1, 3):
            torch.set_num_threads(threads)
            made.append(truncated_pixels(image, geometry, 256))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(*made)


@pytest.mark.parametrize("rounding", ["truncate", "exact"])
def test_jittered_masks_lie_where_their_boxes_do(rounding: Any) -> None:
    sample = drawn_sample((120, 160), 6, ignored=2)
    for seed in range(10):
        made = Compose((LargeScaleJitter(image_size=128, rounding=rounding),), frame="image")(sample, generator(seed))
        assert made["masks"].shape[1:] == made["image"].shape[:2] == made["ignore_masks"].shape[1:]
        for region, mask, box in zip(made["category_index"], made["masks"], made["input_boxes"], strict=True):
            rows, columns = np.nonzero(mask)
            if len(rows) and region % 2 == 0:  # no hole, so that nearest sampling cannot miss a thin side
                assert np.abs(box - [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]).max() <= 1.5


# Segment Anything's input


def test_the_exact_path_as_a_transform_equals_the_collators(made: Path) -> None:
    plain = ParquetRegionDataset(made, prompts="sam", masks="lowres")
    steps = Compose((SamInput(masks="lowres"),))
    through = ParquetRegionDataset(made, prompts="sam", masks="rle", transforms=steps)
    want = RegionCollator("pad", "float32", tensors="numpy")([plain[at] for at in range(3)])
    batch = RegionCollator("pad", "float32", tensors="numpy")([through[at] for at in range(3)])
    for key in ("pixel_values", "input_boxes", "masks", "original_sizes", "reshaped_input_sizes", "metadata_region_id"):
        np.testing.assert_array_equal(batch[key], want[key], err_msg=key)
    np.testing.assert_allclose(batch["input_points"], want["input_points"], rtol=1e-15)


@pytest.mark.parametrize("rle", [False, True])
def test_an_image_stored_smaller_than_its_source_keeps_the_sources_frame(*, rle: bool) -> None:
    sample = drawn_sample((97, 131), 4, rle=rle)
    stored = np.asarray(Image.fromarray(sample["image"]).resize((65, 48)))
    sample["image"] = stored
    want = RegionCollator("pad", "float32", tensors="numpy")([sample])
    made = Compose((SamInput(),))(sample, generator())
    batch = RegionCollator("pad", "float32", tensors="numpy")([made])
    np.testing.assert_array_equal(batch["pixel_values"], want["pixel_values"])
    np.testing.assert_allclose(batch["input_boxes"], want["input_boxes"], rtol=1e-12)
    assert made["original_sizes"].tolist() == [97, 131]
    mirrored = Compose((RandomFlip(1.0),))(sample, generator())
    assert mirrored["original_sizes"].tolist() == [97, 131]
    assert mirrored["image"].shape == (48, 65, 3)
    width = sample["reshaped_input_sizes"][1]
    np.testing.assert_allclose(mirrored["input_boxes"][:, 0], width - sample["input_boxes"][:, 2], rtol=1e-12, atol=1e-9)
    if not rle:
        assert mirrored["masks"].shape == (4, 48, 65)  # of the image's pixels from now on


def test_small_masks_of_a_dataset_cannot_follow_but_can_be_made_at_the_end(made: Path) -> None:
    small = ParquetRegionDataset(made, masks="lowres", transforms=RandomFlip(1.0, side_words="ignore"))
    with pytest.raises(ConfigError, match="LowResMasks"):
        small[0]
    want = ParquetRegionDataset(made, masks="lowres")[0]["masks"]
    np.testing.assert_array_equal(ParquetRegionDataset(made, masks="dense", transforms=LowResMasks())[0]["masks"], want)


# Compose and the dataset


def test_a_transform_alone_does_as_a_list_of_one() -> None:
    sample = drawn_sample(SIZE_HW, 3)
    alone, listed = (step(sample, generator(4)) for step in (RandomCrop((20, 20)), Compose((RandomCrop((20, 20)),))))
    np.testing.assert_array_equal(alone["image"], listed["image"])


def test_the_frame_of_the_result_is_that_of_the_transformed_image() -> None:
    sample = drawn_sample(SIZE_HW, 3)
    made = Compose((Resize((100, 50)),))(sample, generator())
    assert made["original_sizes"].tolist() == [50, 100]
    assert made["reshaped_input_sizes"].tolist() == [512, 1024]
    np.testing.assert_allclose(made["input_boxes"], image_boxes(sample) * np.tile([1024 / 64, 512 / 48], 2), rtol=1e-12)
    square = Compose((Resize((100, 50)),), frame="square")(drawn_sample(SIZE_HW, 3, frame="square"), generator())
    assert square["reshaped_input_sizes"].tolist() == [1024, 1024]
    with pytest.raises(ConfigError, match="not in the frame 'sam'"):
        Compose(())(drawn_sample(SIZE_HW, 3, frame="square"), generator())


def test_keys_of_your_own_follow_the_regions_when_they_are_named() -> None:
    sample = {**drawn_sample(SIZE_HW, 5), "score": np.arange(5.0), "names": list("abcde"), "camera": "front"}
    with pytest.raises(ConfigError, match=r"(score|names).*region_keys"):
        Compose(())(sample, generator())
    made = Compose((LimitRegions(2),), region_keys=("score", "names"))(sample, generator())
    assert made["score"].tolist() == [0, 1]
    assert list(made["names"]) == ["a", "b"]
    assert made["camera"] == "front"
    whole = Compose((LimitRegions(2),), region_keys=("names",), image_keys=("score",))(sample, generator())
    assert whole["score"] is sample["score"]


def test_errors_name_the_step_and_the_image() -> None:
    def broken(_sample: RegionSample, _generator: np.random.Generator) -> RegionSample:
        raise ZeroDivisionError("nothing there")

    with pytest.raises(Exception, match=r"transforms\[1\] \(broken\), image 7: ZeroDivisionError: nothing there") as caught:
        Compose((LimitRegions(2), broken))(drawn_sample(SIZE_HW, 1), generator())
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    with pytest.raises(ConfigError, match=r"transforms\[0\] \(<lambda>\): expected a RegionSample, found NoneType"):
        Compose((lambda _sample, _generator: None,))(drawn_sample(SIZE_HW, 1), generator())  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"transforms\[1\]: expected a transform, found 3"):
        Compose((LimitRegions(2), 3))  # type: ignore[arg-type]


def test_values_of_regions_cannot_differ_in_number() -> None:
    sample = drawn_sample(SIZE_HW, 3)
    sample["category_index"] = sample["category_index"][:2]
    with pytest.raises(ConfigError, match=r"3 regions, found \{'category_index': 2\}"):
        Compose(())(sample, generator())


def test_a_dataset_gives_transformed_samples_without_an_image_too(made: Path) -> None:
    steps = Compose((RandomFlip(1.0, side_words="ignore"), RandomCrop((0.8, 0.8), "relative"), PhotoMetricDistortion()))
    arguments = {"tokens": "byt5-sca-20", "prompts": "sam", "masks": "rle", "regions": ShuffledRegions(8), "seed": 3}
    with_image, without = (ParquetRegionDataset(made, image=image, transforms=steps, **arguments) for image in ("bytes", None))
    for at in range(4):
        one, other = with_image[at], without[at]
        assert set(one) - set(other) == {"image"}
        np.testing.assert_array_equal(one["input_boxes"], other["input_boxes"])
        assert one["image"].shape[:2] == tuple(one["original_sizes"])
