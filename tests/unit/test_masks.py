from __future__ import annotations

import json
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from pycocotools import mask as pycoco

from regioncache.errors import BadRecordError
from regioncache.geometry import FRAMES
from regioncache.masks import decode_rles, low_res_masks, mask_areas, mask_boxes, nearest_index, resample_rles, to_rle
from regioncache.rle import MaskRuns, decode_runs, encode_rle, encode_runs, mask_edges, rle_runs, runs_between

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SIZES_HW = st.tuples(st.integers(1, 14), st.integers(1, 14))
MASK_STACKS = st.tuples(st.integers(1, 5), SIZES_HW).flatmap(
    lambda size: arrays(np.uint8, (size[0], *size[1]), elements=st.integers(0, 1))
)


def encode(mask: NDArray[np.uint8]) -> bytes:
    counts: bytes = pycoco.encode(np.asfortranarray(mask))["counts"]
    return counts


def runs_by_hand(mask: NDArray[np.uint8]) -> list[int]:
    """Run lengths of a column-major scan, in plain Python."""
    lengths, value = [0], 0
    for pixel in mask.ravel(order="F").tolist():
        if pixel != value:
            lengths.append(0)
            value = pixel
        lengths[-1] += 1
    return lengths


def blobs(count: int, height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """Masks of overlapping discs with specks, uint8 (count, height, width)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    masks = rng.random((count, height, width)) < 0.01
    for index in range(count):
        for centre_y, centre_x, radius in rng.random((3, 3)) * [height, width, max(height, width) / 4]:
            masks[index] ^= (y - centre_y) ** 2 + (x - centre_x) ** 2 < radius**2
    return masks.astype(np.uint8)


@given(MASK_STACKS)
@settings(max_examples=200, deadline=None)
def test_strings_decode_to_the_runs_that_pycocotools_encoded_and_back(masks: NDArray[np.uint8]) -> None:
    counts = [encode(mask) for mask in masks]
    expected = [runs_by_hand(mask) for mask in masks]
    runs = decode_runs(counts)
    assert runs.lengths.tolist() == list(chain(*expected))
    assert np.diff(runs.offsets).tolist() == [len(lengths) for lengths in expected]
    assert encode_runs(runs) == counts
    assert [rle_runs(one).tolist() for one in counts] == expected
    assert [encode_rle(np.array(lengths)) for lengths in expected] == counts
    assert np.array_equal(runs_between(mask_edges(runs), runs.offsets), runs.lengths)


@given(st.lists(st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=9), min_size=1, max_size=4))
@settings(deadline=None)
def test_runs_of_any_length_survive_their_string_and_equal_that_of_pycocotools(stacks: list[list[int]]) -> None:
    offsets = np.cumsum([0, *map(len, stacks)])
    counts = encode_runs(MaskRuns(np.array(list(chain(*stacks))), offsets))
    back = decode_runs(counts)
    assert back.lengths.tolist() == list(chain(*stacks))
    assert back.offsets.tolist() == offsets.tolist()
    for lengths, one in zip(stacks, counts, strict=True):
        total = sum(lengths)
        if total < 2**31:
            assert pycoco.frPyObjects({"size": [1, total], "counts": lengths}, 1, total)["counts"] == one


@pytest.mark.parametrize("counts", [b"5/", b"5p", b"5\xff", b"P", b"ZZZZ1o", b"oooooooooooo0"])
def test_a_string_that_is_no_rle_is_refused(counts: bytes) -> None:
    with pytest.raises(BadRecordError, match="compressed RLE") as caught:
        decode_runs([b"51", counts])
    assert caught.value.reason == "segmentation_invalid"


def test_no_masks_and_masks_without_runs_are_no_special_case() -> None:
    assert decode_runs([]).lengths.shape == (0,)
    assert encode_runs(decode_runs([])) == []
    assert encode_runs(decode_runs([b"", b""])) == [b"", b""]
    assert encode_runs(decode_runs([b"", b"51", b""])) == [b"", b"51", b""]
    assert decode_rles([], 3, 4).shape == (0, 3, 4)
    assert resample_rles([], (9, 9), (4, 4), (4, 4)) == []
    assert mask_areas([]).shape == (0,)


@given(MASK_STACKS)
@settings(deadline=None)
def test_decoded_masks_and_areas_are_those_that_were_encoded(masks: NDArray[np.uint8]) -> None:
    counts = [encode(mask) for mask in masks]
    decoded = decode_rles(counts, *masks.shape[1:])
    assert decoded.dtype == np.bool_
    assert decoded.flags.c_contiguous
    assert np.array_equal(decoded, masks)
    assert mask_areas(counts).tolist() == masks.sum(axis=(1, 2)).tolist()


def test_masks_of_another_image_size_are_refused_instead_of_sheared() -> None:
    counts = encode(np.eye(6, 5, dtype=np.uint8))
    with pytest.raises(BadRecordError, match="5 x 5 = 25 pixels, found \\[30\\]"):
        decode_rles([counts], 5, 5)


def test_nearest_picks_the_pixels_that_pillow_picks() -> None:
    for source in [*range(1, 700), 1023, 1024, 1365, 1500, 2250, 4000]:
        pixels = np.arange(source, dtype=np.int32)[None]
        for target in {FRAMES["sam"].low_res_hw(source, longest)[0] for longest in (source, 333, 500, 640, 2250)} - {0}:
            expected = np.asarray(Image.fromarray(pixels).resize((target, 1), Image.Resampling.NEAREST))[0]
            assert np.array_equal(nearest_index(source, target), expected), (source, target)


@pytest.mark.parametrize(
    "size_hw", [(480, 640), (427, 640), (640, 480), (333, 500), (300, 300), (257, 1000), (90, 120), (256, 200)]
)
def test_masks_in_the_low_resolution_frame_equal_decoded_masks_resized_by_pillow(size_hw: tuple[int, int]) -> None:
    masks = blobs(12, *size_hw, seed=sum(size_hw))
    masks[0] = 0
    masks[1] = 1
    resized_hw = FRAMES["sam"].low_res_hw(*size_hw)
    counts = [encode(mask) for mask in masks]
    found = resample_rles(counts, size_hw, resized_hw, (256, 256))
    pixels = low_res_masks(counts, *size_hw, FRAMES["sam"])
    for mask, one, decoded in zip(masks, found, pixels, strict=True):
        expected = np.zeros((256, 256), np.uint8)
        resized = Image.fromarray(mask).resize(resized_hw[::-1], Image.Resampling.NEAREST)
        expected[: resized_hw[0], : resized_hw[1]] = np.asarray(resized)
        assert one == encode(expected)
        assert np.array_equal(decoded, expected)


@given(MASK_STACKS, st.data())
@settings(max_examples=200, deadline=None)
def test_any_small_mask_shrinks_and_pads_like_its_pixels(masks: NDArray[np.uint8], data: st.DataObject) -> None:
    height, width = masks.shape[1:]
    resized_hw = data.draw(st.integers(0, height + 2)), data.draw(st.integers(0, width + 2))
    padded_hw = (
        max(resized_hw[0], 1) + data.draw(st.integers(0, 2)),
        max(resized_hw[1], 1) + data.draw(st.integers(0, 2)),
    )
    found = resample_rles([encode(mask) for mask in masks], (height, width), resized_hw, padded_hw)
    for mask, one in zip(masks, found, strict=True):
        expected = np.zeros(padded_hw, np.uint8)
        if 0 not in resized_hw:
            resized = Image.fromarray(mask).resize(resized_hw[::-1], Image.Resampling.NEAREST)
            expected[: resized_hw[0], : resized_hw[1]] = np.asarray(resized)
        assert one == encode(expected)


def test_every_form_of_a_coco_segmentation_gives_the_same_string() -> None:
    mask = blobs(1, 40, 50, seed=3)[0]
    compressed = encode(mask)
    size = [40, 50]
    assert to_rle({"size": size, "counts": runs_by_hand(mask)}, 40, 50) == compressed
    assert to_rle({"size": size, "counts": compressed}, 40, 50) == compressed
    assert to_rle({"size": size, "counts": compressed.decode()}, 40, 50) == compressed
    polygons = [[3, 3, 20, 4, 11, 30], [18.5, 10.25, 40, 10, 44, 30, 20, 28.75]]
    union = pycoco.merge(pycoco.frPyObjects(polygons, 40, 50))
    assert to_rle(polygons, 40, 50) == union["counts"]
    rectangle = decode_rles([to_rle([[5, 7, 15, 7, 15, 10, 5, 10]], 40, 50)], 40, 50)[0]
    assert np.array_equal(np.argwhere(rectangle), np.argwhere(np.pad(np.ones((3, 10)), ((7, 30), (5, 35)))))


def test_parts_of_two_corners_are_left_out_and_not_taken_for_boxes() -> None:
    triangle = [3, 3, 20, 4, 11, 30]
    assert to_rle([[1, 1, 30, 30], triangle], 40, 50) == to_rle([triangle], 40, 50)
    with pytest.raises(BadRecordError) as caught:
        to_rle([[1, 1, 30, 30]], 40, 50)
    assert caught.value.reason == "polygon_too_short"


def test_published_coco_segmentations_equal_pycocotools(shared: Path) -> None:
    path = shared / "samples/coco_panoptic/panopticapi_sample/panoptic_coco_detection_format.json"
    published = json.loads(path.read_text())
    sizes = {one["id"]: (one["height"], one["width"]) for one in published["images"]}
    annotations = published["annotations"]
    assert len(annotations) > 10
    for one in annotations:
        height, width = sizes[one["image_id"]]
        counts = to_rle(one["segmentation"], height, width)
        assert counts == one["segmentation"]["counts"].encode()
        assert mask_areas([counts])[0] == one["area"]


def test_polygons_of_coco_instances_equal_the_recorded_masks(shared: Path) -> None:
    recorded = json.loads((shared / "goldens/pycocotools_instances/tinycoco_train.json").read_text())["annotations"]
    path = shared / "samples/coco_instance/tinycoco/annotations/instances_train2017.json"
    segmentations = {one["id"]: one["segmentation"] for one in json.loads(path.read_text())["annotations"]}
    assert len(recorded) > 200
    for one in recorded:
        counts = to_rle(segmentations[one["id"]], *one["rle"]["size"])
        assert counts == one["rle"]["counts"].encode()
        assert mask_areas([counts])[0] == one["mask_area"]


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        (None, "mask_empty"),
        ([], "mask_empty"),
        ({}, "mask_empty"),
        ([[]], "polygon_too_short"),
        ([[1, 1, 2, 2]], "polygon_too_short"),
        ([[1, 1, 2, 2, 3]], "segmentation_invalid"),
        ([1, 1, 2, 2, 3, 3], "segmentation_invalid"),
        ([["a", "b", "c", "d", "e", "f"]], "segmentation_invalid"),
        ([[1, 1, 2, float("nan"), 3, 3]], "segmentation_invalid"),
        ([[1, 1, 2, 1e12, 3, 3]], "segmentation_invalid"),
        ([[30, 30, 40, 30, 40, 40]], "mask_empty"),
        ("0", "segmentation_invalid"),
        ({"size": [4, 5]}, "segmentation_invalid"),
        ({"size": [5, 4], "counts": [20]}, "segmentation_invalid"),
        ({"counts": [20]}, "segmentation_invalid"),
        ({"size": 20, "counts": [20]}, "segmentation_invalid"),
        ({"size": [4, 5], "counts": [20]}, "mask_empty"),
        ({"size": [4, 5], "counts": []}, "segmentation_invalid"),
        ({"size": [4, 5], "counts": [10, 11]}, "segmentation_invalid"),
        ({"size": [4, 5], "counts": [30, -10]}, "segmentation_invalid"),
        ({"size": [4, 5], "counts": ["x"]}, "segmentation_invalid"),
        ({"size": [4, 5], "counts": [[1, 19]]}, "segmentation_invalid"),
        ({"size": [4, 5], "counts": [9.5, 10.5]}, "segmentation_invalid"),
        ({"size": [4, 5], "counts": "d0"}, "mask_empty"),
        ({"size": [4, 5], "counts": "11"}, "segmentation_invalid"),
        ({"size": [4, 5], "counts": "é"}, "segmentation_invalid"),
        ({"size": [4, 5], "counts": 20}, "segmentation_invalid"),
    ],
)
def test_a_segmentation_without_a_usable_mask_is_refused_with_its_reason(segmentation: Any, reason: str) -> None:
    with pytest.raises(BadRecordError) as caught:
        to_rle(segmentation, 4, 5)
    assert caught.value.reason == reason


@given(MASK_STACKS)
@settings(max_examples=200, deadline=None)
def test_boxes_hold_all_pixels_of_a_mask_and_end_past_the_last(masks: NDArray[np.uint8]) -> None:
    found = mask_boxes([encode(mask) for mask in masks], *masks.shape[1:])
    assert found.dtype == np.float32
    for mask, box in zip(masks, found.tolist(), strict=True):
        y, x = np.nonzero(mask)
        assert box == ([x.min(), y.min(), x.max() + 1, y.max() + 1] if len(x) else [0, 0, 0, 0])


def test_no_masks_have_no_boxes() -> None:
    assert mask_boxes([], 3, 4).shape == (0, 4)
