"""COCO detection JSON to columns, window by window."""

from __future__ import annotations

import json
import mmap
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coco_files import annotation_file, coco, region, zip_of
from regioncache.archive import OpenArchive
from regioncache.errors import AnnotationError
from regioncache.sources.coco_json import RegionRecord, decode, raw_json
from regioncache.sources.json_windows import JsonWindows
from regioncache.sources.record import AnnotationFile

if TYPE_CHECKING:
    from pathlib import Path

WINDOWS = (1, 2, 17, 64, 200, 1000, 1 << 20)
NASTY = ("},{", "}, {", '"},{"', "\\", '\\"},{\\"', "[{},{}]", "é},{", "")
BOXES = ("region_id", "image_id", "category_id", "box_xywh", "area", "is_crowd")

texts = st.sampled_from(NASTY) | st.text(max_size=12)
ints64 = st.integers(-(2**63), 2**63 - 1)
numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
nested = st.recursive(
    st.none() | texts | st.integers(-9, 9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3) | st.just([{"a": [{}, {}]}, {"b": 1}]),
    max_leaves=6,
)
extras = st.dictionaries(st.text("xyz},{[", min_size=1, max_size=4).map("extra_".__add__), nested, max_size=2)
images = st.builds(lambda more, one, name: {**more, "id": one, "file_name": name, "width": 3, "height": 2}, extras, ints64, texts)
annotations = st.builds(
    lambda more, ids, category, box, masks: {
        **more,
        "bbox": box,
        "id": ids[0],
        "image_id": ids[1],
        "category_id": category,
        "iscrowd": ids[0] % 2,
        "segmentation": masks,
        "area": abs(box[2]),
    },
    extras,
    st.tuples(ints64, ints64),
    st.integers(-(2**31), 2**31 - 1),
    st.lists(numbers, min_size=4, max_size=4),
    nested,
)
files = st.fixed_dictionaries(
    {
        "info": nested,
        "images": st.lists(images, max_size=8),
        "annotations": st.lists(annotations, max_size=8),
        "categories": st.lists(st.integers(0, 99), unique=True, max_size=4).map(
            lambda ids: [{"id": one, "name": "},{" * one, "keypoints": [{}, {}]} for one in ids]
        ),
    }
)


@given(files, st.sampled_from(WINDOWS), st.sampled_from([None, 1]), st.booleans(), st.randoms(use_true_random=False))
def test_columns_are_those_of_json_loads(
    value: dict[str, Any],
    window_bytes: int,
    indent: int | None,
    ascii_only: bool,
    random: Any,
) -> None:
    keys = list(value)
    random.shuffle(keys)
    data = json.dumps({key: value[key] for key in keys}, indent=indent, ensure_ascii=ascii_only).encode()
    expected = json.loads(data)
    found = decode(AnnotationFile("x", data), with_masks=True, window_bytes=window_bytes)
    assert found.images.image_id.tolist() == [one["id"] for one in expected["images"]]
    assert found.images.file_name == [one["file_name"] for one in expected["images"]]
    assert found.images.size_wh.tolist() == [[3, 2]] * len(expected["images"])
    assert [(one.category_id, one.name, one.index) for one in found.categories] == [
        (one["id"], one["name"], k) for k, one in enumerate(expected["categories"])
    ]
    listed = expected["annotations"]
    for column, key in zip(BOXES, ("id", "image_id", "category_id", "bbox", "area", "iscrowd"), strict=True):
        assert found.regions[column].tolist() == [one[key] for one in listed], column
    masks = raw_json(data, found.regions["mask_start"], found.regions["mask_bytes"])
    assert [json.loads(one) for one in masks.to_pylist()] == [one["segmentation"] for one in listed]


@pytest.mark.parametrize("window_bytes", WINDOWS)
@pytest.mark.parametrize("spaces", ["", " ", "\n\t "])
def test_no_cut_is_made_inside_a_text_or_an_inner_array(window_bytes: int, spaces: str) -> None:
    record = (
        '{{"id":{0},"image_id":1,"category_id":1,"bbox":[0,0,1,1],"x":"}}{1},{1}{{","y":[{{"a":[{{}}{1},{1}{{}}]}}{1},{1}{{}}]}}'
    )
    records = f"{spaces},{spaces}".join(record.format(k, spaces if "\n" not in spaces else " ") for k in range(60))
    data = f'{{"annotations":[{spaces}{records}{spaces}],"images":[{spaces}],"categories":[]}}'.encode()
    assert len(json.loads(data)["annotations"]) == 60
    assert decode(AnnotationFile("x", data), window_bytes=window_bytes).regions["region_id"].tolist() == list(range(60))


def test_a_window_holds_no_more_records_than_its_bytes_do() -> None:
    file = annotation_file([region(k, 1) for k in range(500)])
    shortest = len(json.dumps(region(0, 1)))
    windows = list(JsonWindows(file, "list", 1000).records("all", msgspec.json.decode(file.data, type=msgspec.Raw), RegionRecord))
    assert sum(len(one.records) for one in windows) == 500
    assert max(len(one.records) for one in windows) <= 1000 // shortest
    assert len(windows) < 500 // 5


def test_records_longer_than_a_window_are_read_whole() -> None:
    value = coco([], [region(k, 1, note="x" * 5000) for k in range(7)])
    assert decode(annotation_file(value), window_bytes=100).regions["region_id"].tolist() == list(range(7))


def test_what_is_absent_or_null_has_a_default() -> None:
    bare = {"id": 2**40, "image_id": -(2**40), "category_id": 7, "bbox": [1, 2.5, 3, 4]}
    nulls = {**bare, "area": None, "iscrowd": None, "isfake": None, "isreflected": None, "segmentation": None}
    value = {
        "images": [
            {"id": 1, "file_name": "a", "coco_url": None},
            {"id": 2, "file_name": "b", "width": 5, "height": None, "url": "u"},
        ],
        "annotations": [bare, nulls, {**bare, "iscrowd": True, "area": 5}],
        "categories": [],
    }
    file = annotation_file(value)
    found = decode(file, with_masks=True, with_flags=True)
    assert found.images.size_wh.tolist() == [[-1, -1], [-1, -1]]
    assert found.images.url == ["", "u"]
    assert found.regions["area"].tolist() == [12.0, 12.0, 5.0]
    assert found.regions["is_crowd"].tolist() == [False, False, True]
    assert found.regions["flags"].tolist() == [0, 0, 0]
    masks = raw_json(file.data, found.regions["mask_start"], found.regions["mask_bytes"])
    assert masks.to_pylist() == [b"", b"null", b""]


@pytest.mark.parametrize("box", [None, [], [1, 2, 3], [1, 2, 3, 4, 5], [1, None, 3, 4]])
def test_a_box_that_is_not_four_numbers_is_nan(box: Any) -> None:
    value = coco([], [region(1, 1), {**region(2, 1), "bbox": box}, region(3, 1)])
    found = decode(annotation_file(value)).regions["box_xywh"]
    assert found[[0, 2]].tolist() == [[1, 2, 3, 4]] * 2
    assert np.isnan(found[1]).all()


def test_flags_are_looked_at_when_asked_for() -> None:
    file = annotation_file(coco([], [region(k, 1, isfake=k & 1, isreflected=k >> 1) for k in range(4)]))
    assert decode(file, with_flags=True).regions["flags"].tolist() == [0, 64, 128, 192]
    assert decode(file).regions["flags"].tolist() == [0, 0, 0, 0]


def test_a_mapped_file_gives_the_same_columns(tmp_path: Path) -> None:
    value = coco([(1, "a.jpg")], [region(k, 1, segmentation=[[k] * 6]) for k in range(99)])
    path = tmp_path / "x.json"
    path.write_text(json.dumps(value))
    with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        view = memoryview(mapped)
        found = decode(AnnotationFile("x", view), with_masks=True, window_bytes=300)
        masks = raw_json(view, found.regions["mask_start"], found.regions["mask_bytes"]).to_pylist()
        view.release()
    assert [json.loads(one) for one in masks] == [[[k] * 6] for k in range(99)]


@pytest.mark.parametrize("window_bytes", [50, 1 << 20])
@pytest.mark.parametrize(
    ("array", "change", "said"),
    [
        ("annotations", {"id": "7"}, "annotations[41].id: Expected `int`, got `str`"),
        ("annotations", {"image_id": "7"}, "annotations[41].image_id: Expected `int`, got `str`"),
        ("annotations", {"category_id": None}, "annotations[41].category_id: Expected `int`, got `null`"),
        ("annotations", {"category_id": 2**31}, "annotations[41].category_id"),
        ("annotations", {"id": 2**63}, "annotations[41].id"),
        ("annotations", {"bbox": [1, 2, 3, "4"]}, "annotations[41].bbox[3]: Expected `float | null`, got `str`"),
        ("images", {"file_name": 5}, "images[41].file_name: Expected `str`, got `int`"),
        ("images", {"id": "a"}, "images[41].id: Expected `int`, got `str`"),
        ("images", {"width": 2**40}, "images[41].width"),
    ],
)
def test_a_bad_record_is_named(array: str, change: dict[str, Any], said: str, window_bytes: int) -> None:
    value = coco([(k, "a.jpg") for k in range(50)], [region(k, 1, note="},{") for k in range(50)])
    value[array][41] |= change
    with pytest.raises(AnnotationError, match=r"^train\.json: no COCO detection file: ") as caught:
        decode(annotation_file(value, "train.json"), window_bytes=window_bytes)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"images": [], "annotations": [{"id": NaN}], "categories": []}', "invalid character (byte 38)"),
        ('{"images": [], "annotations": [-Infinity], "categories": []}', "NaN and Infinity are no JSON"),
        ('{"images": [], "annotations": [], "categories": [', "truncated"),
        ('{"images": [], "annotations": []}', "missing required field `categories`"),
        ('{"images": null, "annotations": [], "categories": []}', "images: Expected `array`, got `null`"),
        ('{"images": {"id": 1}, "annotations": [], "categories": []}', "images: Expected `array`, got `object`"),
        ('{"images": [3], "annotations": [], "categories": []}', "images[0]: Expected `object`, got `int`"),
        ("[]", "Expected `object`, got `array`"),
        ("", "truncated"),
        ('{"images": ' + "[" * 100_000, "recursion"),
    ],
)
def test_a_file_that_is_none_is_refused(text: str, said: str) -> None:
    with pytest.raises(AnnotationError) as caught:
        decode(AnnotationFile("x", text.encode()))
    assert said in str(caught.value)


@pytest.mark.parametrize("window_bytes", [30, 1 << 20])
def test_a_text_that_is_not_utf8_is_refused_with_its_place(window_bytes: int) -> None:
    data = json.dumps(coco([(k, f"{k}.jpg") for k in range(9)], [])).encode().replace(b"6.jpg", b"6\xff.jpg")
    with pytest.raises(AnnotationError, match=rf"not UTF-8 \(byte {data.index(0xFF)}\)"):
        decode(AnnotationFile("x", data), window_bytes=window_bytes)


def test_category_ids_are_unique() -> None:
    with pytest.raises(AnnotationError, match=r"category ids appear twice \(expected unique ids, found \[3\]\)"):
        decode(annotation_file(coco([], [], [(3, "a"), (4, "b"), (3, "c")])))


def test_an_error_lets_go_of_the_archive(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "a.zip", [])
    path.write_bytes(json.dumps(coco([], [{"id": "x"}])).encode())
    with pytest.raises(AnnotationError), OpenArchive(path) as archive:
        decode(AnnotationFile(str(path), archive.buffer))


def test_a_file_without_anything_has_empty_columns() -> None:
    found = decode(annotation_file({"images": [], "annotations": [], "categories": []}), with_masks=True)
    assert {len(column) for column in found.regions.values()} == {0}
    assert found.regions["box_xywh"].shape == (0, 4)
    assert len(raw_json(b"", found.regions["mask_start"], found.regions["mask_bytes"])) == 0
