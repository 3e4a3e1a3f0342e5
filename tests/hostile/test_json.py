"""JSON made to harm: nesting without end, values of other types, texts that are none."""

from __future__ import annotations

import importlib
from typing import Any

import msgspec
import pytest

from hostile.readers.annotations import BOX, FOLDERS, HEIGHT, INSTANCE_FILE, PANOPTIC, WIDTH
from regioncache.errors import AnnotationError
from regioncache.sources.record import AnnotationFile
from regioncache.sources.reports import Report

DEEP = b"[" * 1_000_000
SOURCES: dict[str, tuple[dict[str, Any], str]] = {
    "coco_instance": ({}, "annotations"),
    "objects365": ({}, "annotations"),
    "v3det": ({}, "annotations"),
    "coco_panoptic": ({}, "annotations"),
    "coco_captions": ({}, "annotations"),
    "refcoco": ({"split": "train"}, "instances"),
    "visual_genome": ({}, "regions"),
    "table": ({}, "table"),
}
ARRAYS = [
    (source, key)
    for source in ("coco_instance", "objects365", "v3det", "coco_panoptic", "coco_captions", "refcoco")
    for key in ("images", "annotations", "categories")
    if (source, key) != ("coco_captions", "categories")  # captions have none
]
PHOTOS = b'[{"url": "https://x/VG_100K/1.jpg", "width": 30, "height": 20, "image_id": 1}]'
ANY_REFS = (
    b"\x80\x02]q\x00(}q\x01(X\x06\x00\x00\x00ref_idK\x01X\x06\x00\x00\x00ann_idK\x01X\x08\x00\x00\x00image_idK\x01"
    b"X\x05\x00\x00\x00splitX\x05\x00\x00\x00trainX\x09\x00\x00\x00sentences]ue."
)


def parse(source: str, data: bytes) -> Any:
    options, name = SOURCES[source]
    module = importlib.import_module(f"regioncache.sources.{source}")
    files = {"image_data": AnnotationFile("image_data.json", PHOTOS), name: AnnotationFile(f"{name}.json", data)}
    if source == "refcoco":
        files["refs"] = AnnotationFile("refs.p", ANY_REFS)
    return module.parse(files, FOLDERS, msgspec.convert(options, module.Options))


def wrapped(source: str, value: bytes) -> bytes:
    """A file whose regions are ``value``."""
    if source in ("visual_genome", "table"):
        return value
    return b'{"images": [], "categories": [], "annotations": ' + value + b"}"


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("closed", [True, False])
def test_a_million_brackets_are_an_error_of_the_file(source: str, closed: bool) -> None:
    with pytest.raises(AnnotationError, match=r"\.json: n"):
        parse(source, wrapped(source, DEEP + b"]" * len(DEEP) * closed))


@pytest.mark.parametrize("source", SOURCES)
def test_a_million_brackets_under_a_key_that_nobody_reads_are_an_error_too(source: str) -> None:
    nested = DEEP + b"]" * len(DEEP)
    with pytest.raises(AnnotationError, match=r"\.json: n"):
        parse(
            source, b'[{"nobody": ' + nested + b"}]" if source in ("visual_genome", "table") else b'{"nobody": ' + nested + b"}"
        )


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    "value", [b'[{"caption": "\xff"}]', b'[{"x": "\\ud800"}]', b"[NaN]", b"[1e999]", b"[", b"\xff", b"", b"\x00" * 100]
)
def test_what_is_no_json_is_an_error_of_the_file(source: str, value: bytes) -> None:
    if source == "table" and not value.startswith(b"["):
        assert len(parse(source, value).table) == 0  # lines, each of which is rejected alone
    else:
        with pytest.raises(AnnotationError, match=r"\.json: n"):
            parse(source, wrapped(source, value))


@pytest.mark.parametrize("mask", [b'"\xff"', b'{"counts": "\xc3"}', b"[" * 500 + b"]" * 500])
@pytest.mark.parametrize("source", ["coco_instance", "refcoco", "visual_genome"])
def test_a_mask_that_cannot_be_decoded_costs_its_region_alone(source: str, mask: bytes) -> None:
    module = importlib.import_module(f"regioncache.sources.{source}")
    row = {"image_id": 1, "file_name": "1.jpg", "height": HEIGHT, "width": WIDTH, "region_id": [5, 6], "category_id": [1, 1]}
    row |= {"box_xywh": [[1, 2, 3, 4]] * 2, "published_box_xywh": [[1, 2, 3, 4]] * 2, "phrases": [["a"]] * 2, "area": [1.0] * 2}
    good = msgspec.json.encode([[3, 3, 20, 3, 20, 15]])
    row |= {"is_crowd": [False] * 2, "flags": [0] * 2, "segmentation": [mask, good], "mask": [mask, good]}
    categories = {1: importlib.import_module("regioncache.sources.regions").Category(1, "cat", is_thing=True, index=0)}
    report = Report()
    regions = module.regions_of(row, lambda _: PANOPTIC, categories, report)
    assert regions.region_id.tolist() == [6]
    assert [(one.region_id, one.reason) for one in report.rejects] == [(5, "segmentation_invalid")]


@pytest.mark.parametrize("value", [None, True, 7, 1.5, "text", [], {}, [1], [[]], [None], {"a": 1}])
@pytest.mark.parametrize(("source", "key"), ARRAYS)
def test_an_array_of_another_type_is_an_error_of_the_file(source: str, key: str, value: Any) -> None:
    data = msgspec.json.encode({**INSTANCE_FILE, "annotations": [], key: value})
    if value == []:
        try:
            parse(source, data)
        except AnnotationError:
            assert source == "refcoco"
    else:
        with pytest.raises(AnnotationError, match=r"\.json: n"):
            parse(source, data)


def test_boxes_at_the_end_of_float64_are_cut_to_the_image_and_have_a_finite_area() -> None:
    huge = {**BOX, "x": 1e308, "y": -1e308, "width": 1e308, "height": 1.7e308}
    found = parse("visual_genome", msgspec.json.encode([{"image_id": 1, "regions": [{"region_id": 1, **huge, "phrase": "a"}]}]))
    module = importlib.import_module("regioncache.sources.visual_genome")
    row = {**found.table.to_pylist()[0], "height": HEIGHT, "width": WIDTH}
    regions = module.regions_of(row, lambda _: b"", {}, Report())
    assert regions.box_xyxy.tolist() == [[WIDTH, 0, WIDTH, HEIGHT]]
    assert 0 < regions.area[0] < float("inf")


def test_a_panoptic_area_of_four_hundred_digits_is_an_error_of_the_file() -> None:
    segment = b'{"id": 7, "category_id": 1, "area": ' + b"9" * 400 + b"}"
    data = b'[{"image_id": 1, "file_name": "1.png", "segments_info": [' + segment + b"]}]"
    with pytest.raises(AnnotationError, match="out of range"):
        parse("coco_panoptic", wrapped("coco_panoptic", data))
