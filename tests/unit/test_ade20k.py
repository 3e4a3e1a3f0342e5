"""What ADE20K's maps may hold that they should not, and what becomes of it: made maps, with the answer worked out by hand."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as pycoco

from ade20k_archives import folders_of, made_tree, png, rows_of
from regioncache.cache.label_map import decode_label_map
from regioncache.errors import BadRecordError
from regioncache.schema import ON_PURPOSE, REJECT_REASONS
from regioncache.sources.ade20k_panoptic import parse, regions_of
from regioncache.sources.places import MemberFolder
from regioncache.sources.record import NoOptions
from regioncache.sources.reports import Report

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from regioncache.sources.record import Parsed
    from regioncache.sources.regions import Regions

# Values of the semantic map, and values of R in the instance map.
WALL, SKY, BED, PERSON = 1, 3, 8, 13
BED_INSTANCE, PERSON_INSTANCE = 1, 4

CATEGORIES = {one.category_id: one for one in parse({}, {"images": MemberFolder([])}, NoOptions()).categories}


def maps(*rows: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Maps drawn in text, ``semantic/category,number`` per pixel; a bare number is one without instance."""
    cells = [[cell.partition("/") for cell in row.split()] for row in rows]
    semantic = np.array([[int(cell[0]) for cell in row] for row in cells], np.uint8)
    pairs = [[[int(one) for one in (cell[2] or "0,0").split(",")] + [0] for cell in row] for row in cells]
    return semantic, np.array(pairs, np.uint8)


def regions_from(semantic: bytes, instances: bytes, size_hw: tuple[int, int]) -> tuple[Regions, Report]:
    row = {"image_id": 7, "file_name": "ADE_val_00000007.jpg", "height": size_hw[0], "width": size_hw[1]}
    report = Report()
    files = {"semantic": semantic, "instances": instances}
    return regions_of(row, files.__getitem__, CATEGORIES, report), report


def drawn(*rows: str) -> tuple[Regions, Report]:
    semantic, instances = maps(*rows)
    return regions_from(png(semantic), png(instances), semantic.shape)


def owner_map(regions: Regions) -> list[list[int]]:
    """The region id of each pixel, 0 = none."""
    assert regions.ordinals is not None
    return np.insert(regions.region_id, 0, 0)[regions.ordinals()].tolist()


def rejected(report: Report) -> list[tuple[int, str]]:
    return [(one.region_id, one.reason) for one in report.rejects]


def test_an_instance_takes_its_pixels_from_whatever_lies_there() -> None:
    regions, report = drawn("1 1 1/4,2", "3 3 13/4,2", "3 8 8/1,9")
    assert owner_map(regions) == [[1000, 1000, 13002], [3000, 3000, 13002], [3000, 8000, 8009]]
    assert regions.region_id.tolist() == [1000, 3000, 8000, 8009, 13002]
    assert [one for [one] in regions.phrases] == ["wall", "sky", "bed", "bed", "person"]
    assert regions.category_id.tolist() == regions.category_index.tolist() == [0, 2, 7, 7, 12]
    assert regions.is_thing.tolist() == [False, False, True, True, True]
    assert regions.area.tolist() == [2, 3, 1, 1, 2]
    assert regions.box_xyxy.tolist() == [[0, 0, 2, 1], [0, 1, 2, 3], [1, 2, 2, 3], [2, 2, 3, 3], [2, 0, 3, 2]]
    assert regions.published_box_xywh.tolist() == [[0, 0, 2, 1], [0, 1, 2, 2], [1, 2, 1, 1], [2, 2, 1, 1], [2, 0, 1, 2]]
    np.testing.assert_array_equal(regions.mask_box_xyxy, regions.box_xyxy)
    assert report.rejects == []


def test_pixels_of_a_thing_without_an_instance_are_one_unassigned_crowd() -> None:
    regions, report = drawn("8 1 8", "8/1,3 1 13")
    assert regions.region_id.tolist() == [1000, 8000, 8003, 13000]
    assert regions.flags.tolist() == [0, 32, 0, 32]
    assert regions.is_crowd.tolist() == [False, True, False, True]
    assert report.counts == {"unassigned_regions": 2}
    assert report.rejects == []


def test_an_instance_without_a_category_is_rejected_and_its_pixels_are_void() -> None:
    regions, report = drawn("1 1/0,5", "8/1,6 8/0,5")
    assert owner_map(regions) == [[1000, 0], [8006, 0]]
    assert rejected(report) == [(5, "instance_category_none")]


def test_an_instance_of_two_categories_is_rejected_and_its_pixels_are_void() -> None:
    regions, report = drawn("8/1,5 13/4,5 1", "13/0,5 13/4,6 1")
    assert owner_map(regions) == [[0, 0, 1000], [0, 13006, 1000]]
    assert rejected(report) == [(5, "instance_categories_mixed")]
    assert "[0, 1, 4]" in report.rejects[0].detail


def test_an_instance_beyond_the_hundred_categories_is_rejected() -> None:
    regions, report = drawn("1 1/101,5 1/100,6")
    assert owner_map(regions) == [[1000, 0, 150006]]
    assert rejected(report) == [(5, "category_unknown")]


def test_stuff_that_instances_cover_is_rejected_on_purpose() -> None:
    regions, report = drawn("1 3/4,1 3/4,1", "1 13/4,1 8/4,1")
    assert regions.region_id.tolist() == [1000, 13001]
    assert rejected(report) == [(3000, "stuff_hidden")]
    assert "'sky'" in report.rejects[0].detail
    assert "stuff_hidden" in ON_PURPOSE


def test_the_semantic_map_keeps_what_instances_cover() -> None:
    regions, _ = drawn("0 3/4,1 13/0,2", "150 1 8")
    assert regions.semantic is not None
    found = regions.semantic()
    assert found.dtype == np.uint8
    assert found.tolist() == [[255, 2, 12], [149, 0, 7]]


def test_an_image_of_nothing_has_no_regions() -> None:
    regions, report = drawn("0 0", "0 0")
    assert len(regions.region_id) == 0
    assert owner_map(regions) == [[0, 0], [0, 0]]
    assert regions.box_xyxy.shape == regions.published_box_xywh.shape == (0, 4)
    assert report.rejects == []


def test_a_value_beyond_the_150_categories_rejects_the_image() -> None:
    with pytest.raises(BadRecordError, match="151") as error:
        drawn("1 151")
    assert error.value.reason == "category_unknown"


@pytest.mark.parametrize("which", ["semantic", "instance"])
def test_a_map_of_another_size_rejects_the_image(which: str) -> None:
    small, large = np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8)
    semantic, instances = (large, small) if which == "semantic" else (small, large)
    with pytest.raises(BadRecordError, match=f"expected 3 x 2 as the photo, found a.* {which} map of 2 x 3") as error:
        regions_from(png(semantic), png(np.stack([instances] * 3, axis=-1)), (2, 3))
    assert error.value.reason == "map_size_mismatch"


def encoded(mode: str, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (3, 2)).save(buffer, kind)
    return buffer.getvalue()


GREY, RGB = encoded("L"), encoded("RGB")
NOISE = png(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))


@pytest.mark.parametrize(
    ("semantic", "instances", "reason"),
    [
        (encoded("RGB"), RGB, "map_mode"),
        (encoded("P"), RGB, "map_mode"),
        (encoded("1"), RGB, "map_mode"),
        (encoded("I;16"), RGB, "map_mode"),
        (encoded("L", "JPEG"), RGB, "map_mode"),
        (GREY, GREY, "map_mode"),
        (GREY, encoded("P"), "map_mode"),
        (b"", RGB, "map_undecodable"),
        (b"no picture at all", RGB, "map_undecodable"),
        (GREY[:40], RGB, "map_undecodable"),
        (GREY, RGB[:45], "map_undecodable"),
        (GREY, NOISE[:2000], "map_size_mismatch"),  # found before anything is decoded
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_map_that_is_not_what_it_should_be_rejects_the_image(semantic: bytes, instances: bytes, reason: str) -> None:
    with pytest.raises(BadRecordError) as error:
        regions_from(semantic, instances, (2, 3))
    assert error.value.reason == reason
    assert reason in REJECT_REASONS


def test_an_instance_map_with_an_opacity_is_read_the_same() -> None:
    semantic, instances = maps("1 8/1,3")
    rgba = np.dstack((instances, np.full(semantic.shape, 255, np.uint8)))
    regions, _ = regions_from(png(semantic), png(rgba), semantic.shape)
    assert regions.region_id.tolist() == [1000, 8003]


def parsed(tmp_path: Path, tree: dict[str, bytes]) -> Parsed:
    folders, _ = folders_of(tmp_path, tree, "validation")
    return parse({}, folders, NoOptions())


def image_tree(*numbers: int) -> dict[str, bytes]:
    semantic, instances = maps("1 8/1,3")
    return {name: data for number in numbers for name, data in made_tree(semantic, instances, number).items()}


def test_images_come_by_the_number_in_their_name(tmp_path: Path) -> None:
    found = parsed(tmp_path, image_tree(30, 4, 200))
    assert found.table["image_id"].to_pylist() == [4, 30, 200]
    assert found.table["file_name"].to_pylist() == [f"ADE_val_{number:08d}.jpg" for number in (4, 30, 200)]
    assert set(found.table["width"].to_pylist()) == set(found.table["height"].to_pylist()) == {-1}
    assert found.report.counts == {"images_listed": 3}
    assert found.report.rejects == []
    assert len(found.categories) == 150
    assert sum(one.is_thing for one in found.categories) == 100


@pytest.mark.parametrize("kind", ["annotations", "annotations_instance"])
def test_an_image_without_one_of_its_maps_is_rejected_by_the_name_looked_for(tmp_path: Path, kind: str) -> None:
    tree = image_tree(1, 2)
    del tree[f"{kind}/validation/ADE_val_00000001.png"]
    found = parsed(tmp_path, tree)
    assert found.table["image_id"].to_pylist() == [2]
    [reject] = found.report.rejects
    assert (reject.image_id, reject.file_name, reject.reason) == (1, "ADE_val_00000001.jpg", "map_missing")
    assert (
        f"no ADE_val_00000001.png below {'ADEChallengeData2016/' if kind == 'annotations' else ''}{kind}/validation/"
        in reject.detail
    )
    assert found.report.counts["images_listed"] == 2


def test_a_photo_without_a_number_and_a_second_one_with_the_same_are_rejected(tmp_path: Path) -> None:
    tree = image_tree(1)
    extra = {name.replace("ADE_val_00000001", "more_1"): data for name, data in tree.items()}
    found = parsed(tmp_path, {**tree, **extra, "images/validation/Thumbs.db": b""})
    assert found.table["file_name"].to_pylist() == ["ADE_val_00000001.jpg"]
    assert [(one.image_id, one.file_name, one.reason) for one in found.report.rejects] == [
        (-1, "Thumbs.db", "file_record_invalid"),
        (1, "more_1.jpg", "image_id_duplicate"),
    ]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_maps_are_cut_as_a_pixel_by_pixel_reading_cuts_them(data: st.DataObject, tmp_path: Path) -> None:
    height, width = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 5))
    pixels = height * width
    semantic = data.draw(st.lists(st.sampled_from([0, WALL, SKY, BED, PERSON]), min_size=pixels, max_size=pixels))
    number = data.draw(st.lists(st.sampled_from([0, 0, 1, 2, 3]), min_size=pixels, max_size=pixels))
    category_of = data.draw(st.tuples(*[st.sampled_from([0, BED_INSTANCE, PERSON_INSTANCE, 200])] * 3))
    category = [category_of[one - 1] if one else 0 for one in number]
    expected = []
    for value, one, kind in zip(semantic, number, category, strict=True):
        scene = {BED_INSTANCE: BED, PERSON_INSTANCE: PERSON}.get(kind)
        expected.append(value * 1000 if not one else 0 if scene is None else scene * 1000 + one)

    shape = (height, width)
    instances = np.dstack([np.array(one, np.uint8).reshape(shape) for one in (category, number, [0] * pixels)])
    _, [row], report = rows_of(tmp_path, made_tree(np.array(semantic, np.uint8).reshape(shape), instances), "validation")
    assert row["region_id"].tolist() == sorted(set(expected) - {0})
    ordinals = decode_label_map(np.frombuffer(row["label_map"], np.uint8), height, width, len(row["region_id"]))
    owner = np.insert(row["region_id"], 0, 0)[ordinals]
    assert owner.ravel().tolist() == expected
    for region_id, counts, area in zip(row["region_id"], row["segmentation"], row["area"], strict=True):
        mask = pycoco.decode({"size": list(shape), "counts": counts.encode()})
        np.testing.assert_array_equal(mask, owner == region_id)
        assert pycoco.encode(np.asfortranarray(mask))["counts"].decode() == counts
        assert area == mask.sum()
    gone = {one for one in number if one and category_of[one - 1] not in (BED_INSTANCE, PERSON_INSTANCE)}
    hidden = {value * 1000 for value in semantic if value in (WALL, SKY)} - set(expected)
    assert {one.region_id for one in report.rejects} == gone | hidden
