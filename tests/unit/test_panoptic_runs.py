from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from pycocotools import mask as pycoco

from regioncache.errors import BadRecordError
from regioncache.panoptic_runs import Segments, label_runs
from regioncache.sources.panoptic_png import png_ids

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

COCO = "samples/coco_panoptic/panopticapi_sample"
LABELS = st.sampled_from([0, 1, 2, 255, 256, 0xFFFFFF, 0xFFFFFFFF])
ID_MAPS = st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(lambda hw: arrays(np.uint32, hw, elements=LABELS))


def assert_equal_to_one_mask_per_segment(ids: NDArray[np.uint32], segments: Segments) -> None:
    labels = [label for label in np.unique(ids) if label]
    assert segments.label.tolist() == labels
    for index, label in enumerate(labels):
        rle = pycoco.encode(np.asfortranarray(ids == label).astype(np.uint8))
        assert segments.counts[index] == rle["counts"]
        assert segments.area[index] == np.count_nonzero(ids == label)
        x, y, width, height = pycoco.toBbox(rle)
        assert segments.box_xyxy[index].tolist() == [x, y, x + width, y + height]


def png(pixels: NDArray[np.uint8], mode: str | None = None) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(buffer, "PNG")
    return buffer.getvalue()


@given(ID_MAPS)
@settings(max_examples=300, deadline=None)
def test_segments_of_any_map_equal_one_encoded_mask_each(ids: NDArray[np.uint32]) -> None:
    assert_equal_to_one_mask_per_segment(ids, label_runs(ids).segments())


@pytest.mark.parametrize("name", ["000000142238", "000000439180"])
def test_segments_of_published_coco_files_equal_the_published_boxes_and_areas(shared: Path, name: str) -> None:
    ids = png_ids((shared / COCO / f"panoptic_examples/{name}.png").read_bytes())
    segments = label_runs(ids).segments()
    assert_equal_to_one_mask_per_segment(ids, segments)
    published = json.loads((shared / COCO / "panoptic_examples.json").read_text())
    record = next(one for one in published["annotations"] if one["file_name"] == f"{name}.png")
    assert sorted(one["id"] for one in record["segments_info"]) == segments.label.tolist()
    for one in record["segments_info"]:
        row = segments.label.tolist().index(one["id"])
        x, y, width, height = one["bbox"]
        assert segments.area[row] == one["area"]
        assert segments.box_xyxy[row].tolist() == [x, y, x + width, y + height]


def test_a_large_map_with_many_segments_equals_one_mask_each() -> None:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 300, size=(37, 41), dtype=np.uint32)
    ids = np.kron(coarse, np.ones((13, 11), np.uint32))[:471, :443]
    noise = rng.random(ids.shape) < 0.02
    ids = np.where(noise, 7, ids).astype(np.uint32)
    assert_equal_to_one_mask_per_segment(ids, label_runs(ids).segments())


def test_a_map_of_nothing_but_void_has_no_segments() -> None:
    runs = label_runs(np.zeros((4, 5), np.uint32))
    segments = runs.segments()
    assert (segments.label.shape, segments.area.shape, segments.box_xyxy.shape) == ((0,), (0,), (0, 4))
    assert segments.counts == []
    assert runs.ordinal_map([]).tolist() == np.zeros((4, 5)).tolist()


@given(ID_MAPS, st.permutations([1, 2, 255, 256, 0xFFFFFF]))
@settings(deadline=None)
def test_ordinals_follow_the_given_order_and_leave_other_labels_at_0(ids: NDArray[np.uint32], labels: list[int]) -> None:
    runs = label_runs(ids)
    assert np.array_equal(np.repeat(runs.label, runs.length).reshape(ids.shape[::-1]).T, ids)
    ordinals = runs.ordinal_map(labels)
    expected = np.zeros(ids.shape, np.uint8)
    for place, label in enumerate(labels, start=1):
        expected[ids == label] = place
    assert ordinals.dtype == np.uint8
    assert ordinals.flags.c_contiguous
    assert np.array_equal(ordinals, expected)


@pytest.mark.parametrize(("count", "dtype"), [(255, np.uint8), (256, np.uint16), (700, np.uint16)])
def test_ordinals_widen_when_there_are_more_than_255_labels(count: int, dtype: type) -> None:
    ids = np.arange(1, 1001, dtype=np.uint32).reshape(20, 50)
    ordinals = label_runs(ids).ordinal_map(np.arange(count, 0, -1))
    assert ordinals.dtype == dtype
    assert np.array_equal(ordinals, np.where(ids <= count, count + 1 - ids.astype(np.int64), 0))


def test_ids_of_a_png_are_red_plus_256_green_plus_65536_blue() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, size=(31, 17, 3), dtype=np.uint8)
    ids = png_ids(png(pixels))
    expected = pixels.astype(np.int64) @ [1, 256, 65536]
    assert ids.dtype == np.uint32
    assert ids.flags.c_contiguous
    assert np.array_equal(ids, expected)


def test_ids_of_a_png_beyond_one_block_of_pillow_memory_are_the_same() -> None:
    pixels = np.zeros((1700, 3000, 3), np.uint8)
    pixels[::7, ::5] = [9, 8, 7]
    assert np.array_equal(png_ids(png(pixels)), pixels.astype(np.int64) @ [1, 256, 65536])


@pytest.mark.parametrize("mode", ["P", "L", "RGBA", "1"])
def test_a_png_that_is_not_rgb_is_refused(mode: str) -> None:
    pixels = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(BadRecordError, match=f"found PNG {mode}") as caught:
        png_ids(png(pixels, mode))
    assert caught.value.reason == "panoptic_png_mode"


def test_a_damaged_png_is_refused(shared: Path) -> None:
    whole = (shared / COCO / "panoptic_examples/000000142238.png").read_bytes()
    for data in (b"", b"no image", whole[:100], whole[: len(whole) // 2]):
        with pytest.raises(BadRecordError) as caught:
            png_ids(data)
        assert caught.value.reason == "panoptic_undecodable"
