"""Boxes without masks, and images without regions, from the table through prompts and tokens to a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as pycoco

from built_cache import build, sample_rows
from own_table import table_paths
from regioncache import ParquetRegionDataset, RegionCollator
from regioncache.cache.verify import verify_cache
from regioncache.encode.prompts import region_points
from regioncache.masks import with_background
from regioncache.steps.row_maker import ConvertOptions

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

WIDTH, HEIGHT = 40, 30


def points_in(
    box: tuple[float, ...], *, points: int = 1, seed: int = 0, image_id: int = 1, region_id: int = 1
) -> NDArray[np.int32]:
    (found,) = region_points(
        [b""], [box], HEIGHT, WIDTH, points_per_region=points, seed=seed, image_id=image_id, region_ids=[region_id]
    )
    points_xy: NDArray[np.int32] = found
    return points_xy


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((0, 0, 1, 1), (0, 0)),
        ((0, 0, 40, 30), (19, 14)),  # of an even number of pixels, the one before the middle
        ((10, 10, 13, 15), (11, 12)),
        ((10.2, 10.9, 12.1, 11.1), (11, 10)),  # touches columns 10 to 12, rows 10 and 11
        ((39, 29, 40, 30), (39, 29)),
        ((5.4, 5.4, 5.6, 5.6), (5, 5)),
        ((5, 5, 5, 5), (5, 5)),  # a box of no area stands for the pixel that it begins in
        ((40, 3, 40, 9), (39, 5)),  # on the right border: the last column
        ((7, 30, 11, 30), (8, 29)),  # on the lower border: the last row
        ((40, 30, 40, 30), (39, 29)),
        ((0, 0, 0, 30), (0, 14)),
        ((8, 8, 6, 6), (8, 8)),  # inverted, as the raw preset leaves it
    ],
)
def test_the_first_point_is_the_middle_of_the_pixels_that_the_box_touches(
    box: tuple[float, ...], expected: tuple[int, int]
) -> None:
    assert tuple(points_in(box)[0]) == expected


BOXES = st.tuples(*(st.floats(0, limit, width=32) for limit in (WIDTH, HEIGHT, WIDTH, HEIGHT)))


@settings(deadline=None, max_examples=200)
@given(box=BOXES, seed=st.integers(0, 2**64), image_id=st.integers(-(2**63), 2**63 - 1), region_id=st.integers(0, 2**63 - 1))
def test_every_point_is_in_the_image_and_in_a_pixel_that_the_box_touches(
    box: tuple[float, ...], seed: int, image_id: int, region_id: int
) -> None:
    x1, x2 = sorted(box[::2])
    y1, y2 = sorted(box[1::2])
    points = points_in((x1, y1, x2, y2), points=6, seed=seed, image_id=image_id, region_id=region_id)
    assert points.shape == (6, 2)
    assert points.dtype == np.int32
    x, y = points.T
    assert ((x >= 0) & (x < WIDTH) & (y >= 0) & (y < HEIGHT)).all()
    # A pixel k covers k to k + 1; a border of the box that lies on the image's own stands for the pixel inside.
    assert ((x <= x2) & (x + 1 >= x1) & (y <= y2) & (y + 1 >= y1)).all()
    again = points_in((x1, y1, x2, y2), points=6, seed=seed, image_id=image_id, region_id=region_id)
    np.testing.assert_array_equal(points, again)


def test_draws_cover_the_box_evenly_and_depend_on_each_id_alone() -> None:
    box = (10.0, 10.0, 14.0, 13.0)
    points = points_in(box, points=6001)[1:]
    pixels, times = np.unique(points, axis=0, return_counts=True)
    assert pixels.tolist() == [[x, y] for x in range(10, 14) for y in range(10, 13)]
    # 6000 draws of 12 pixels: 500 each, and five standard deviations are 107.
    assert np.abs(times - 500).max() < 107
    several = {tuple(points_in(box, points=9, **ids).ravel()) for ids in ({}, {"seed": 1}, {"image_id": 2}, {"region_id": 2})}
    assert len(several) == 4
    pair = region_points([b"", b""], [box, box], HEIGHT, WIDTH, points_per_region=9, seed=0, image_id=1, region_ids=[7, 1])
    np.testing.assert_array_equal(pair[1], points_in(box, points=9))


def test_regions_with_and_without_a_mask_stand_side_by_side() -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
    mask[3:6, 20:23] = 1
    counts: bytes = pycoco.encode(mask)["counts"]
    boxes = [(0, 0, 3, 3), (20, 3, 23, 6), (5, 5, 8, 8)]
    points = region_points(
        [b"", counts, b""], boxes, HEIGHT, WIDTH, points_per_region=1, seed=0, image_id=1, region_ids=[1, 2, 3]
    )
    assert points[:, 0].tolist() == [[1, 1], [21, 4], [6, 6]]


@given(st.integers(1, 40), st.integers(1, 40))
def test_a_background_has_no_pixel_and_masks_stay_as_they_are(height: int, width: int) -> None:
    full: bytes = pycoco.encode(np.ones((height, width), np.uint8, order="F"))["counts"]
    first, second, third = with_background([b"", full, b""], height, width)
    assert (second, third) == (full, first)
    assert first == pycoco.encode(np.zeros((height, width), np.uint8, order="F"))["counts"]
    assert with_background([], height, width) == []


# A cache of boxes: its first image has every awkward one, the second none, the third is larger than the frame's masks.

SIZES = {"a.png": (40, 30), "b.png": (33, 21), "c.png": (600, 300)}
AWKWARD = [[1, 2, 9, 8], [40, 0, 40, 30], [-5, -5, 50, 50], [45, 3, 60, 9], [8, 8, 6, 6], [3, 30, 9, 30]]
ROWS: list[dict[str, Any]] = [
    {"image": "a.png", "boxes": AWKWARD, "phrases": [["a Cup.", "left of it"], "b", "c", "d", "e", "f"]},
    {"image": "b.png", "boxes": [], "phrases": []},
    {"image": "c.png", "boxes": [[100, 50, 600, 300]], "phrases": ["wide"]},
]


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    paths = table_paths(tmp_path_factory.mktemp("raw"), ROWS, SIZES)
    return build(paths, options=ConvertOptions(preset="raw"), frames=("sam", "square"), points_per_region=3)


def test_rows_of_the_raw_preset_are_as_published_and_verify(raw: Path) -> None:
    assert verify_cache(raw, full=True)["rows"] == 3
    rows = sample_rows(raw)
    assert [(row["width"], row["height"]) for row in rows] == list(SIZES.values())
    assert rows[0]["published_box_xywh"] == [[x1, y1, x2 - x1, y2 - y1] for x1, y1, x2, y2 in AWKWARD]
    # Cut to the image, and no more than that.
    assert rows[0]["box_xyxy"] == [[1, 2, 9, 8], [40, 0, 40, 30], [0, 0, 40, 30], [40, 3, 40, 9], [8, 8, 6, 6], [3, 30, 9, 30]]
    assert rows[0]["segmentation"] == [""] * 6
    assert rows[0]["mask_box_xyxy"] == [[0, 0, 0, 0]] * 6
    assert [row["label_map"] for row in rows] == [b""] * 3
    assert rows[1]["region_id"] == rows[1]["phrases"] == rows[1]["box_xyxy"] == []
    assert rows[0]["has_side_word"] == [True, False, False, False, False, False]


@pytest.mark.parametrize("prompts", [None, "sam", "square"])
@pytest.mark.parametrize("masks", ["dense", "lowres"])
def test_masks_of_boxes_have_no_pixel(raw: Path, masks: Any, prompts: str | None) -> None:
    dataset = ParquetRegionDataset(raw, masks=masks, prompts=prompts)
    for sample, (width, height), count in zip((dataset[k] for k in range(3)), SIZES.values(), (6, 0, 1), strict=True):
        assert sample["masks"].shape == (count, *((height, width) if masks == "dense" else (256, 256)))
        assert sample["masks"].dtype == np.bool_
        assert not sample["masks"].any()


def test_rles_of_boxes_have_no_pixel(raw: Path) -> None:
    dataset = ParquetRegionDataset(raw, masks="rle")
    for k, count in enumerate((6, 0, 1)):
        rles = list(dataset[k]["segmentation"])
        assert len(rles) == count
        assert not any(pycoco.area(one) for one in rles)
        assert not any(pycoco.decode(one).any() for one in rles)


def test_points_of_boxes_are_scaled_with_the_image(raw: Path) -> None:
    stretched = ParquetRegionDataset(raw, prompts="square")[2]
    assert stretched["input_points"].shape == (1, 3, 2)
    # The middle of 500 x 250 pixels from (100, 50): 249 and 124 pixels on, in a frame of 1024 x 1024.
    np.testing.assert_allclose(stretched["input_points"][0, 0], [349 * 1024 / 600, 174 * 1024 / 300])
    assert stretched["input_labels"].tolist() == [[1, 1, 1]]


@pytest.mark.parametrize("regions", ["pad", "flat", "min"])
@pytest.mark.parametrize("some", [(0, 1, 2), (1, 0), (1,), (1, 1)])
def test_images_without_regions_pass_through_every_kind_of_batch(raw: Path, regions: Any, some: tuple[int, ...]) -> None:
    dataset = ParquetRegionDataset(raw, tokens="byt5-sca-20", prompts="sam", masks="lowres")
    batch = RegionCollator(regions, tensors="numpy")([dataset[k] for k in some])
    counts = [(6, 0, 1)[k] for k in some]
    if regions == "min":  # the original's: images without regions are left out
        counts = [count for count in counts if count]
        counts = [min(counts)] * len(counts) if counts else []
    if regions == "flat":
        assert batch["image_index"].tolist() == [k for k, count in enumerate(counts) for _ in range(count)]
        shape: tuple[int, ...] = (sum(counts),)
    else:
        shape = (len(counts), max(counts, default=0))
    if regions == "pad":
        assert batch["region_mask"].sum(1).tolist() == counts
    assert batch["original_sizes"].shape == (len(counts), 2)
    assert (batch["metadata_image_id"] >= 0).sum() == sum(counts)
    if not counts:  # nothing is left, and there is a batch all the same
        assert regions == "min"
        return
    for name in ("input_ids", "labels", "input_boxes", "input_points", "masks", "metadata_region_id"):
        assert batch[name].shape[: len(shape)] == shape, name
    assert batch["input_points"].shape[-1] == 2
    assert (batch["metadata_region_id"] >= 0).sum() == sum(counts)
    assert not batch["masks"].any()
    assert len(batch["pixel_values"]) == len(counts)


def test_tokens_of_an_image_without_regions_are_none(raw: Path) -> None:
    dataset = ParquetRegionDataset(raw, tokens="byt5-sca-20", prompts="sam")
    sample = dataset[1]
    assert len(sample["input_ids"]) == len(sample["input_ids_length"]) == len(sample["metadata_captions"]) == 0
    assert sample["input_points"].shape[0] == sample["input_labels"].shape[0] == 0
    # A phrase is its UTF-8 bytes, shifted by the three special tokens, then the tokenizer's end and the template's.
    first = dataset[2]
    assert first["input_ids"].tolist() == [*(byte + 3 for byte in b"wide"), 1, 1]
