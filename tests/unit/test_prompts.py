from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from pycocotools import mask as pycoco
from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil

from regioncache.encode.prompts import low_res_ordinals, low_res_rles, region_points
from regioncache.errors import BadRecordError
from regioncache.geometry import FRAMES

SAM = FRAMES["sam"]
NO_BOX = (0, 0, 0, 0)  # where there is a mask, the box does not matter
MASKS = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(lambda hw: arrays(np.uint8, hw, elements=st.integers(0, 1)))


def encode(mask: np.ndarray) -> bytes:
    counts: bytes = pycoco.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"]
    return counts


def points_of(mask: np.ndarray, *, points: int = 1, seed: int = 0, image_id: int = 1, region_id: int = 1) -> np.ndarray:
    return region_points(
        [encode(mask)], [NO_BOX], *mask.shape, points_per_region=points, seed=seed, image_id=image_id, region_ids=[region_id]
    )[0]


def most_interior_by_search(mask: np.ndarray) -> tuple[int, int]:
    """All distances to all outside pixels, those around the image included, in plain integers."""
    padded = np.pad(mask, 1)
    outside = [tuple(place) for place in np.argwhere(padded == 0).tolist()]
    best, found = -1, (-1, -1)
    for y, x in np.argwhere(padded).tolist():
        square = min((y - oy) ** 2 + (x - ox) ** 2 for oy, ox in outside)
        if square > best:
            best, found = square, (x - 1, y - 1)
    return found


@given(MASKS)
@settings(max_examples=200, deadline=None)
def test_the_first_point_is_the_first_pixel_farthest_from_outside(mask: np.ndarray) -> None:
    if mask.any():
        assert tuple(points_of(mask)[0].tolist()) == most_interior_by_search(mask)


def test_the_middle_of_a_disc_and_of_a_whole_image_are_their_most_interior_pixels() -> None:
    y, x = np.mgrid[:101, :141]
    disc = ((y - 40) ** 2 + (x - 90) ** 2 <= 30**2).astype(np.uint8)
    assert points_of(disc)[0].tolist() == [90, 40]
    # 101 rows: the middle row is farthest from the image's border; the first column that far from the left border.
    assert points_of(np.ones((101, 141), np.uint8))[0].tolist() == [50, 50]


@given(MASKS, st.integers(1, 6), st.integers(-(2**63), 2**63 - 1))
@settings(deadline=None)
def test_every_point_lies_in_its_mask(mask: np.ndarray, points: int, number: int) -> None:
    if not mask.any():
        return
    found = points_of(mask, points=points, seed=number, image_id=number, region_id=number)
    assert found.shape == (points, 2)
    assert found.dtype == np.int32
    assert mask[found[:, 1], found[:, 0]].all()


def test_draws_are_uniform_over_the_pixels_of_the_mask() -> None:
    mask = np.array([[0, 1, 1, 0], [1, 0, 1, 1], [0, 1, 0, 1]], np.uint8)
    drawn = Counter(map(tuple, points_of(mask, points=70_001, seed=5)[1:].tolist()))
    assert set(drawn) == {(x, y) for y, x in np.argwhere(mask).tolist()}
    expected = 70_000 / 7
    chi_square = sum((count - expected) ** 2 / expected for count in drawn.values())
    assert chi_square < 22.5  # 0.999 quantile of chi-square with 6 degrees of freedom


def test_draws_depend_on_seed_image_and_region_and_not_on_the_other_regions() -> None:
    rng = np.random.default_rng(0)
    counts = [encode(rng.random((30, 40)) < 0.5) for _ in range(4)]

    def draw(order: list[int], seed: int = 3, image_id: int = 8) -> dict[int, list[list[int]]]:
        found = region_points(
            [counts[k] for k in order],
            [NO_BOX] * len(order),
            30,
            40,
            points_per_region=5,
            seed=seed,
            image_id=image_id,
            region_ids=[100 + k for k in order],
        )
        return {k: points.tolist() for k, points in zip(order, found, strict=True)}

    usual = draw([0, 1, 2, 3])
    assert draw([3, 1]) == {3: usual[3], 1: usual[1]}
    for other in (draw([0, 1, 2, 3], seed=4), draw([0, 1, 2, 3], image_id=9)):
        assert [points[0] for points in other.values()] == [points[0] for points in usual.values()]
        assert other != usual
    same_mask = region_points(
        [counts[0]] * 2, [NO_BOX] * 2, 30, 40, points_per_region=5, seed=3, image_id=8, region_ids=[900100184613, 2]
    )
    assert same_mask[0].tolist() != same_mask[1].tolist()


def test_draws_are_those_of_numpys_philox_words() -> None:
    mask = np.ones((7, 11), np.uint8)
    words = np.random.Philox(key=[5, 6], counter=[0, 0, 0, 7]).random_raw(4)
    pixels = [math.floor((int(word) >> 11) * 2.0**-53 * 77) for word in words]
    expected = [[pixel // 7, pixel % 7] for pixel in pixels]
    assert points_of(mask, points=5, seed=5, image_id=6, region_id=7)[1:].tolist() == expected


def test_no_points_and_no_regions_are_no_special_case() -> None:
    assert points_of(np.ones((3, 3), np.uint8), points=0).shape == (0, 2)
    none = region_points([], [], 3, 3, points_per_region=2, seed=0, image_id=0, region_ids=[])
    assert none.shape == (0, 2, 2)


def test_an_empty_mask_and_one_of_another_size_are_refused_with_their_region() -> None:
    with pytest.raises(BadRecordError, match="region 77 of image 1") as caught:
        points_of(np.zeros((4, 4), np.uint8), region_id=77)
    assert caught.value.reason == "mask_empty"
    with pytest.raises(BadRecordError) as caught:
        region_points([b"51"], [NO_BOX], 9, 9, points_per_region=1, seed=0, image_id=0, region_ids=[0])
    assert caught.value.reason == "segmentation_invalid"


SIZES_HW = [(480, 640), (427, 640), (333, 500), (500, 333), (612, 612), (90, 130), (1024, 600), (3, 700), (2, 1300)]


@pytest.mark.parametrize("size_hw", SIZES_HW)
def test_low_resolution_maps_equal_those_of_the_peer_library(size_hw: tuple[int, int]) -> None:
    rng = np.random.default_rng(sum(size_hw))
    ordinals = rng.integers(0, 200, size=size_hw, dtype=np.uint8)
    found = low_res_ordinals(ordinals, SAM)
    image = np.zeros((*size_hw, 3), np.uint8)
    if 0 not in SAM.low_res_hw(*size_hw):
        theirs = SamImageProcessorPil()(image, segmentation_maps=ordinals)["labels"][0]
        assert np.array_equal(found, theirs)
    else:
        assert not found.any()
    assert found.dtype == np.uint8

    wide = ordinals.astype(np.uint16) * 300
    assert np.array_equal(low_res_ordinals(wide, SAM), found.astype(np.uint16) * 300)
    counts = [encode(ordinals == label) for label in (1, 7, 199)]
    assert low_res_rles(counts, *size_hw, SAM) == [encode(found == label) for label in (1, 7, 199)]


def test_low_resolution_maps_of_the_square_frame_are_stretched() -> None:
    ordinals = np.arange(6, dtype=np.uint8).reshape(2, 3)
    expected = Image.fromarray(ordinals).resize((256, 256), Image.Resampling.NEAREST)
    assert np.array_equal(low_res_ordinals(ordinals, FRAMES["square"]), np.asarray(expected))
