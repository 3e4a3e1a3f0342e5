"""Tables of a user's own: three encodings, any column names, and rows that cannot be used."""

from __future__ import annotations

import io
import json
import math
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from built_cache import build, sample_rows
from coco_files import photos, regions_by_image, rejected
from pack_archives import REPOSITORY, fetched_paths
from regioncache.errors import AnnotationError
from regioncache.sources import table
from regioncache.sources.record import AnnotationFile, Parsed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

NAMES = ["a.jpg", "b.jpg", "c.jpg"]
SIZED = {"width": "width", "height": "height"}
ROWS: list[dict[str, Any]] = [
    {
        "image": "b.jpg",
        "boxes": [[1, 2, 4, 6], [0.5, 0, 19.5, 10]],
        "phrases": ["a Cup.", ["left", "of it"]],
        "width": 20,
        "height": 10,
    },
    {"image": "a.jpg", "boxes": [], "phrases": [], "width": 5, "height": 7},
]


def json_list(rows: Sequence[Any]) -> bytes:
    return json.dumps(rows, indent=1).encode()


def json_lines(rows: Sequence[Any]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def parquet(rows: Sequence[dict[str, Any]], schema: pa.Schema | None = None) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), buffer)
    return buffer.getvalue()


def parsed(tmp_path: Path, data: bytes, **options: str) -> Parsed:
    folders = photos(tmp_path, NAMES)
    chosen = msgspec.convert(options, table.Options)
    return table.parse({"table": AnnotationFile("mine.x", memoryview(data))}, folders, chosen)


@pytest.mark.parametrize("encode", [json_list, json_lines])
def test_a_byte_order_mark_is_no_part_of_the_table(tmp_path: Path, encode: Callable[[Any], bytes]) -> None:
    found = parsed(tmp_path, b"\xef\xbb\xbf" + encode(ROWS), **SIZED)
    assert found.report.rejects == []
    assert found.table["file_name"].to_pylist() == ["b.jpg", "a.jpg"]


@pytest.mark.parametrize("encode", [json_list, json_lines])
def test_rows_of_json_are_images_in_the_order_of_the_table(tmp_path: Path, encode: Callable[[Any], bytes]) -> None:
    found = parsed(tmp_path, encode(ROWS), **SIZED)
    assert found.report.rejects == []
    assert found.report.counts == {"images_listed": 2, "regions_listed": 2}
    columns = ("image_id", "file_name", "width", "height", "url", "images.name", "region_id")
    assert [[row[name] for name in columns] for row in found.table.to_pylist()] == [
        [0, "b.jpg", 20, 10, "", "b.jpg", [0, 1]],
        [1, "a.jpg", 5, 7, "", "a.jpg", []],
    ]
    regions, _ = regions_by_image(table, found)
    assert regions[0].box_xyxy.tolist() == [[1, 2, 4, 6], [0.5, 0, 19.5, 10]]
    assert regions[0].published_box_xywh.tolist() == [[1, 2, 3, 4], [0.5, 0, 19, 10]]
    assert regions[0].area.tolist() == [12, 190]
    assert regions[0].phrases == [["a Cup."], ["left", "of it"]]
    assert regions[0].counts == [b"", b""]
    assert regions[1].phrases == []
    assert found.categories == []


@pytest.mark.parametrize("fixed", [False, True])
def test_rows_of_parquet_with_boxes_of_fixed_size_or_not(tmp_path: Path, fixed: bool) -> None:
    box = pa.list_(pa.float32(), 4) if fixed else pa.large_list(pa.int16())
    schema = pa.schema(
        [("image", pa.large_string()), ("boxes", pa.list_(box)), ("phrases", pa.list_(pa.string())), ("more", pa.int8())]
    )
    rows = [{"image": name, "boxes": [[1, 2, 4, 6]], "phrases": [name], "more": 1} for name in NAMES] * 1000
    data = parquet(rows, schema)
    found = parsed(tmp_path, data)
    assert found.report.counts == {"images_listed": 3000, "regions_listed": 3000}
    assert found.table["image_id"].to_pylist() == list(range(3000))
    assert found.table["file_name"].to_pylist() == NAMES * 1000
    assert found.table["box_xywh"].to_pylist() == [[[1, 2, 3, 4]]] * 3000
    assert set(found.table["width"].to_pylist()) == set(found.table["height"].to_pylist()) == {-1}


def test_texts_of_parquet_may_be_a_dictionary_of_images_and_nested_phrases(tmp_path: Path) -> None:
    columns = {
        "image": pa.array(["a.jpg", "b.jpg"]).dictionary_encode(),
        "boxes": [[[0, 0, 2, 2]]] * 2,
        "phrases": [[["x", "y"]], [["z"]]],
    }
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    assert parsed(tmp_path, buffer.getvalue()).table["phrases"].to_pylist() == [[["x", "y"]], [["z"]]]


def test_columns_have_the_users_names_and_boxes_their_format(tmp_path: Path) -> None:
    row = {"id": 7, "path": "c.jpg", "rects": [[1, 2, 3, 4]], "texts": ["a"], "w": 20, "h": 10, "from": "http://x/c.jpg"}
    options = {
        "image": "path",
        "boxes": "rects",
        "phrases": "texts",
        "image_id": "id",
        "width": "w",
        "height": "h",
        "url": "from",
    }
    for data in (json_lines([row]), parquet([row])):
        found = parsed(tmp_path, data, **options, box_format="xywh")
        (made,) = found.table.to_pylist()
        assert [made[name] for name in ("image_id", "file_name", "width", "height", "url")] == [
            7,
            "c.jpg",
            20,
            10,
            "http://x/c.jpg",
        ]
        assert made["box_xywh"] == [[1, 2, 3, 4]]
    found = parsed(tmp_path, json_lines([row]), **options)
    assert found.table["box_xywh"].to_pylist() == [[[1, 2, 2, 2]]]


@pytest.mark.parametrize(
    ("phrases", "expected"),
    [
        ("one text", [["one text"]]),
        (["a", "b"], [["a"], ["b"]]),
        ([["a", "b"], "c"], [["a", "b"], ["c"]]),
        ([], []),
        ("", [[""]]),
    ],
)
def test_without_boxes_each_text_is_the_whole_image(tmp_path: Path, phrases: Any, expected: list[list[str]]) -> None:
    row = {"image": "a.jpg", "phrases": phrases, "width": 20, "height": 10}
    regions, _ = regions_by_image(table, parsed(tmp_path, json_lines([row]), boxes="", **SIZED))
    assert regions[0].phrases == expected
    assert regions[0].published_box_xywh.tolist() == [[0, 0, 20, 10]] * len(expected)


GOOD = {"image": "a.jpg", "boxes": [[0, 0, 1, 1]], "phrases": ["a"], "width": 20, "height": 10}
BAD_ROWS = {
    "no JSON": (b'{"image": "a.jpg", ', "no JSON: "),
    "no mapping": (b"[1, 2]", "expected a mapping, found '[1, 2]'"),
    "no image": ({**GOOD, "image": None}, "image is None, expected the name of an image file"),
    "an empty name": ({**GOOD, "image": ""}, "image is '', expected"),
    "an image itself": ({**GOOD, "image": {"bytes": "xyz", "path": None}}, "image is bytes or a mapping, expected the name"),
    "no phrases": ({key: value for key, value in GOOD.items() if key != "phrases"}, "phrases is None, expected a text or a list"),
    "a number for a phrase": ({**GOOD, "phrases": [1]}, "phrases holds something else than texts and lists of texts"),
    "a number among phrases": ({**GOOD, "phrases": [["a", 1]]}, "phrases holds something else"),
    "one text for two boxes": (
        {**GOOD, "boxes": [[0, 0, 1, 1]] * 2, "phrases": "a"},
        "each of the 1 entries of phrases, found 2 boxes",
    ),
    "no boxes": ({**GOOD, "boxes": None}, "a box for each of the 1 entries of phrases, found None"),
    "three numbers": ({**GOOD, "boxes": [[1, 2, 3]]}, "a box is [1, 2, 3], expected four numbers"),
    "a truth for a number": ({**GOOD, "boxes": [[0, 0, True, 1]]}, "a box is [0, 0, True, 1], expected four numbers"),
    "an endless integer": (json.dumps({**GOOD, "boxes": [[0, 0, 1, 10**400]]}).encode(), "expected four numbers"),
    "no size": ({**GOOD, "width": 0}, "width is 0, expected a size in pixels"),
    "half a pixel": ({**GOOD, "height": 9.5}, "height is 9.5, expected a size in pixels"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_line_is_rejected_with_its_row_and_the_rest_is_read(tmp_path: Path, case: str) -> None:
    bad, message = BAD_ROWS[case]
    line = bad if isinstance(bad, bytes) else json.dumps(bad).encode()
    found = parsed(tmp_path, json_lines([GOOD]) + line + b"\r\n\n" + json_lines([{**GOOD, "image": "c.jpg"}]), **SIZED)
    assert found.table["image_id"].to_pylist() == [0, 2]
    assert found.table["file_name"].to_pylist() == ["a.jpg", "c.jpg"]
    assert rejected(found.report) == [(1, -1, "file_record_invalid")]
    assert found.report.rejects[0].detail.startswith("row 1 of mine.x: ")
    assert message in found.report.rejects[0].detail
    assert found.report.counts["images_listed"] == 3


def test_an_image_that_the_archive_lacks_is_rejected_by_name(tmp_path: Path) -> None:
    found = parsed(tmp_path, json_list([{**GOOD, "image": "gone.jpg"}, GOOD]))
    assert rejected(found.report) == [(0, -1, "image_missing")]
    assert found.report.rejects[0].file_name == "gone.jpg"
    assert "gone.jpg below the root of the archive" in found.report.rejects[0].detail
    # The ids of regions count those of the missing image too: they are places in the table.
    assert found.table["region_id"].to_pylist() == [[1]]


@pytest.mark.parametrize("box", [[0, 0, math.nan, 1], [0, -math.inf, 1, 1], [-1e308, 0, 1.7e308, 1]])
def test_a_box_that_is_not_finite_is_rejected_and_its_neighbours_stay(tmp_path: Path, box: list[float]) -> None:
    rows = [{"image": "a.jpg", "boxes": [[0.0, 0, 1, 1], box, [2, 2, 3, 3]], "phrases": ["a", "b", "c"]}]
    found = parsed(tmp_path, parquet(rows))
    assert rejected(found.report) == [(0, 1, "box_invalid")]
    assert found.table.select(["region_id", "phrases", "box_xywh"]).to_pylist() == [
        {"region_id": [0, 2], "phrases": [["a"], ["c"]], "box_xywh": [[0, 0, 1, 1], [2, 2, 1, 1]]}
    ]
    assert found.report.counts["regions_listed"] == 3


def test_a_region_with_an_empty_list_of_phrases_is_rejected(tmp_path: Path) -> None:
    for boxes in (dict(GOOD, boxes=[[0, 0, 1, 1], [1, 1, 2, 2]]), GOOD):
        options = {} if len(boxes["boxes"]) == 2 else {"boxes": ""}  # type: ignore[arg-type]  # values of several types
        found = parsed(tmp_path, json_lines([{**boxes, "phrases": [[], "b"]}]), **options)
        assert rejected(found.report) == [(0, 0, "phrase_missing")]
        assert found.table["phrases"].to_pylist() == [[["b"]]]
        assert found.table["region_id"].to_pylist() == [[1]]


def test_image_ids_of_ones_own_sort_the_table_and_none_of_two_equal_ones_is_taken(tmp_path: Path) -> None:
    ids = [30, -2, 30, 7, None, "8", 1.0, True, 2**63]
    rows = [{**GOOD, "key": one} for one in ids]
    found = parsed(tmp_path, json_list(rows), image_id="key")
    assert found.table["image_id"].to_pylist() == [-2, 7]
    assert sorted(rejected(found.report)) == sorted(
        [(30, -1, "image_id_duplicate")] * 2 + [(place, -1, "file_record_invalid") for place in (4, 5, 6, 7, 8)]
    )
    assert "2 rows have the image id 30" in {one.detail for one in found.report.rejects}


def test_missing_columns_of_parquet_are_named_and_those_of_json_reject_their_rows(tmp_path: Path) -> None:
    with pytest.raises(
        AnnotationError, match=r"mine\.x: has no column boxes, key \(expected .*, found \['image', 'phrases'\]\)\. Name"
    ):
        parsed(tmp_path, parquet([{"image": "a.jpg", "phrases": ["a"]}]), image_id="key")
    found = parsed(tmp_path, json_lines([{"image": "a.jpg", "phrases": ["a"]}]), image_id="key")
    assert rejected(found.report) == [(0, -1, "file_record_invalid")]


@pytest.mark.parametrize("value", [b"\xff\xd8\xff", {"bytes": b"\xff\xd8\xff", "path": "a.jpg"}])
def test_images_inside_of_the_table_are_an_error_that_says_what_to_do(tmp_path: Path, value: object) -> None:
    data = parquet([{"image": value, "boxes": [[0, 0, 1, 1]], "phrases": ["a"]}])
    with pytest.raises(AnnotationError, match=r"the column image holds images, not their names .*Write the images to files"):
        parsed(tmp_path, data)


def problem_of(tmp_path: Path, data: bytes) -> str:
    """What is wrong with a table as a whole; empty where its rows were read."""
    try:
        parsed(tmp_path, data)
    except AnnotationError as error:
        return error.problem
    return ""


def test_a_damaged_or_truncated_table_is_one_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    texts = ["".join(map(chr, rng.integers(97, 123, 40))) for _ in range(60)]
    whole = parquet([{"image": "a.jpg", "boxes": [[0.0, 0, 1, 1]], "phrases": [text]} for text in texts])
    for data in (whole[:-9], whole[:20], b"PAR1", whole[:-60] + bytes(40) + whole[-20:]):
        assert problem_of(tmp_path, data).startswith("a damaged Parquet file: ")
    # Damage of the data is found where it breaks their form; nothing but this error escapes.
    found = {problem_of(tmp_path, whole[:at] + b"\xff" * 20 + whole[at + 20 :])[:24] for at in range(4, len(whole) - 20, 40)}
    assert "a damaged Parquet file: " in found
    assert found <= {"", "a damaged Parquet file: "}
    with pytest.raises(AnnotationError, match=r"neither Parquet, JSON lines nor a JSON list: .*Write one JSON object per line"):
        parsed(tmp_path, json_list(ROWS)[:-5])


def test_a_table_of_no_row_lists_nothing(tmp_path: Path) -> None:
    for data in (
        b"[]",
        b"\n",
        parquet([], pa.schema([("image", pa.string()), ("boxes", pa.list_(pa.list_(pa.int8()))), ("phrases", pa.string())])),
    ):
        found = parsed(tmp_path, data)
        assert (len(found.table), found.report.counts) == (0, {"images_listed": 0, "regions_listed": 0})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image": ""}, "needs a column of image names and one of phrases"),
        ({"phrases": ""}, "needs a column of image names and one of phrases"),
        ({"width": "w"}, "both `width` and `height`, or none"),
        ({"box_format": "cxcywh"}, "Invalid enum value 'cxcywh'"),
        ({"captions": "x"}, "unknown field `captions`"),
    ],
)
def test_options_that_make_no_table_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.convert(options, table.Options)


def test_the_projects_entry_builds_the_rows_of_the_original(shared: Path, tmp_path: Path) -> None:
    archives = shared / "goldens" / "sca" / "inputs" / "archives" / "sbu"
    golden = json.loads((shared / "goldens" / "sca" / "expected" / "sbu.json").read_text())["expected"]["pseudo_region"]["train"]
    entry = yaml.safe_load((REPOSITORY / "workflow" / "catalog" / "sbu.yaml").read_text())
    for archive in entry["archives"].values():
        archive.pop("urls", None)
        archive["local"] = str(archives / archive["path"].removeprefix("sbu/"))
    entry["splits"]["train"]["shards"] = 2
    paths = fetched_paths(tmp_path, entry, "train")
    cache = build(paths, tokenizers={}, reject_budget=0.5)
    rows = sample_rows(cache)
    assert len(rows) == len(golden) == 2
    for row, expected in zip(rows, golden, strict=True):
        for key in ("image_id", "width", "height", "file_name", "task_type"):
            assert row[key] == expected[key]
        assert row["url"] == expected["coco_url"]
        assert row["region_id"] == [one["region_id"] for one in expected["regions"]]
        assert row["phrases"] == [one["phrases"] for one in expected["regions"]]
        boxes = [[one[key] for key in ("x", "y", "width", "height")] for one in expected["regions"]]
        assert row["published_box_xywh"] == boxes
        assert row["box_xyxy"] == [[x, y, x + width, y + height] for x, y, width, height in boxes]
        assert Image.open(io.BytesIO(row["image"]["bytes"])).size == (expected["width"], expected["height"])
    rejects = pq.read_table(cache / "rejects.parquet").to_pylist()
    assert [(one["image_id"], one["file_name"], one["reason"]) for one in rejects] == [
        (1, "gone.jpg", "image_missing"),
        (2, "broken.jpg", "image_undecodable"),
    ]
