"""Open Images: columns by name, lines that cannot be used, ids, flags, the list of images, turning."""

from __future__ import annotations

import mmap
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openimages_files import CLASSES, HEADER, UNKNOWN, boxes_csv, dictionary_rows, line, parse, signed, table_rows
from regioncache.errors import AnnotationError
from regioncache.schema import REGION_FLAGS, REJECT_REASONS
from regioncache.sources import openimages
from regioncache.sources.openimages_csv import BLOCK_BYTES, read_classes
from regioncache.sources.places import FolderPart, MemberFolder
from regioncache.sources.record import AnnotationFile
from regioncache.sources.reports import Report

if TYPE_CHECKING:
    from pathlib import Path

    from regioncache.sources.record import Parsed
    from regioncache.sources.regions import Regions

A, B, C = "000002b66c9c498e", "8fffffffffffffff", "ffff00000000000a"


def rejected(parsed: Parsed) -> list[tuple[int, int, str]]:
    assert {one.reason for one in parsed.report.rejects} <= set(REJECT_REASONS)
    return [(one.image_id, one.region_id, one.reason) for one in parsed.report.rejects]


def regions_of(parsed: Parsed, size_hw: tuple[int, int], place: int = 0) -> tuple[Regions, Report]:
    """The regions of one row whose image, as it stands, has this size."""
    row = {**parsed.table.to_pylist()[place], "height": size_hw[0], "width": size_hw[1]}
    report = Report()
    return openimages.regions_of(row, None, {one.category_id: one for one in parsed.categories}, report), report  # type: ignore[arg-type]  (no masks)


def test_ids_are_the_signed_numbers_that_their_digits_write_and_order_the_rows() -> None:
    parsed = parse(boxes_csv(line(A), line(B), line(C), line(A)))
    assert parsed.table["image_id"].to_pylist() == [-0x7000000000000001, -0x0000FFFFFFFFFFF6, 0x000002B66C9C498E]
    assert parsed.table["file_name"].to_pylist() == [f"{B}.jpg", f"{C}.jpg", f"{A}.jpg"]
    assert parsed.table["region_id"].to_pylist() == [[1], [2], [0, 3]]


image_ids = st.sampled_from([A, B, C, "0000000000000000", "8000000000000000", "7fffffffffffffff"])
share = st.integers(0, 10**9).map(lambda value: f"{value / 10**9:.9f}".rstrip("0") + "0")
flag = st.sampled_from(["0", "1", "-1"])
lines = st.builds(
    lambda image, label, x, y, flags, source: line(
        image, label, ",".join([*sorted(x, key=float), *sorted(y, key=float)]), ",".join(flags), source
    ),
    image_ids,
    st.sampled_from(["/m/01g317", "/m/0284d", "/m/0cmf2"]),
    st.lists(share, min_size=2, max_size=2),
    st.lists(share, min_size=2, max_size=2),
    st.lists(flag, min_size=5, max_size=5),
    st.sampled_from(["xclick", "activemil"]),
)


@given(st.lists(lines, max_size=20))
def test_what_is_parsed_is_what_the_standard_library_reads(some: list[str]) -> None:
    text = boxes_csv(*some)
    parsed = parse(text)
    assert table_rows(parsed) == dictionary_rows(text)
    assert list(table_rows(parsed)) == sorted(table_rows(parsed))
    assert parsed.report.rejects == []
    assert parsed.report.counts["regions_listed"] == len(some)
    assert parsed.report.counts["images_listed"] == len(dictionary_rows(text))


@given(st.lists(lines, max_size=6), st.permutations(HEADER), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans())
def test_columns_are_found_by_name_whatever_stands_beside_them(
    some: list[str], order: list[str], end: str, is_marked: bool
) -> None:
    plain = boxes_csv(*some)
    shuffled = [
        ["XClick1X", *order],
        *(["0.5", *(dict(zip(HEADER, one.split(","), strict=True))[k] for k in order)] for one in some),
    ]
    text = end.join(",".join(fields) for fields in shuffled) + end
    assert table_rows(parse(("\ufeff" if is_marked else "") + text)) == dictionary_rows(plain)


def test_a_file_of_many_blocks_is_one_file_also_where_it_is_mapped(tmp_path: Path) -> None:
    images = [f"{k * 2654435761 % 2**64:016x}" for k in range(30_000)]
    text = boxes_csv(*(line(images[k * 7919 % 30_000], box=f"0.{k % 9}1,0.95,0.1,0.{k % 7 + 2}") for k in range(110_000)))
    assert len(text) > 1.5 * BLOCK_BYTES
    path = tmp_path / "boxes.csv"
    path.write_text(text)
    expected = dictionary_rows(text)
    with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        data = memoryview(mapped)
        files = {"boxes": AnnotationFile("boxes.csv", data), "classes": AnnotationFile("classes.csv", CLASSES.encode())}
        parsed = openimages.parse(files, {}, openimages.Options())
        del files
        data.release()
    assert table_rows(parsed) == expected


@pytest.mark.parametrize(
    ("bad", "image_id", "reason", "word"),
    [
        (line("a"), -1, "file_record_invalid", "'a'"),
        (line(A.upper()), -1, "file_record_invalid", A.upper()),
        (line(A[:-1] + "g"), -1, "file_record_invalid", "hexadecimal"),
        (line(""), -1, "file_record_invalid", "hexadecimal"),
        (line(A, "/m/none"), signed(A), "category_unknown", "/m/none"),
        (line(A, box="0.5,0.4,0,1"), signed(A), "box_invalid", "XMin '0.5'"),
        (line(A, box="0.1,0.4,0.9,0.8"), signed(A), "box_invalid", "YMin '0.9'"),
        (line(A, box="nan,0.4,0,1"), signed(A), "box_invalid", "nan"),
        (line(A, box="0.1,inf,0,1"), signed(A), "box_invalid", "inf"),
        (line(A, box="0.1,0.4,,1"), signed(A), "box_invalid", "YMin ''"),
        (line(A, box="x,0.4,0,1"), signed(A), "box_invalid", "'x'"),
        (line(A, box="1_0,0.4,0,1"), signed(A), "box_invalid", "'1_0'"),
        (line(A, flags="0,0,2,0,0"), signed(A), "file_record_invalid", "IsGroupOf '2'"),
        (line(A, flags="0,0,,0,0"), signed(A), "file_record_invalid", "IsGroupOf ''"),
        (f"{A},xclick,/m/01g317,1,0,1", -1, "file_record_invalid", "6 columns in place of 13"),
        (line(A) + ",more", -1, "file_record_invalid", "14 columns in place of 13"),
    ],
)
def test_a_line_that_cannot_be_used_is_named_and_the_others_stay(bad: str, image_id: int, reason: str, word: str) -> None:
    parsed = parse(boxes_csv(line(B), bad, "", line(C), line(C, box="0.2,0.25,0.5,0.5"), "", ""))
    assert rejected(parsed) == [(image_id, 1, reason)]
    detail = parsed.report.rejects[0].detail
    assert detail.startswith("line 3 of boxes.csv")
    assert word in detail
    rows = table_rows(parsed)
    assert [one["region_id"] for one in rows.pop(signed(C))] == [3, 4]
    assert [one["region_id"] for one in rows.pop(signed(B))] == [0]
    assert rows == ({} if image_id == -1 else {image_id: []})  # an image whose only box is bad is an image still
    assert parsed.report.counts["regions_listed"] == 4
    assert parsed.report.counts["images_listed"] == 2 + (image_id != -1)


def test_many_bad_lines_are_counted_line_by_line_over_all_blocks() -> None:
    good, short, wrong = line(A), f"{A},xclick", line(A, box="1,0,0,1")
    cycle = [good] * 5 + [short, wrong]
    some = cycle * 15_000
    parsed = parse(boxes_csv(*some, short))
    assert sum(map(len, some)) > BLOCK_BYTES
    assert Counter(reason for *_, reason in rejected(parsed)) == {"file_record_invalid": 15_001, "box_invalid": 15_000}
    assert [one["region_id"] for one in table_rows(parsed)[signed(A)]] == [k for k in range(105_000) if k % 7 < 5]
    assert sorted(region for _, region, reason in rejected(parsed) if reason == "box_invalid") == list(range(6, 105_000, 7))
    assert parsed.report.counts["regions_listed"] == 105_001


@pytest.mark.parametrize(
    ("boxes", "word"),
    [
        ("", "lacks the column ImageID"),
        ("\n\n", "lacks the column ImageID"),
        (boxes_csv(line(A)).replace("XMin", "xmin"), "lacks the column XMin"),
        (boxes_csv(line(A)).encode("utf-16"), "first line is no text"),
        (b"PK\x03\x04\x00\x00", "lacks the column ImageID"),
        (boxes_csv(line(A)).replace("Confidence", "XMin"), "two columns of one name"),
        (",".join(HEADER) + "\n" + "9" * (2 * BLOCK_BYTES), "cannot be read as CSV"),
    ],
)
def test_a_file_that_is_none_is_an_error_that_names_it(boxes: str | bytes, word: str) -> None:
    with pytest.raises(AnnotationError, match=word) as error:
        parse(boxes)
    assert error.value.path == "boxes.csv"


def test_a_file_of_another_set_of_classes_stops_after_a_million_rejects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regioncache.sources.openimages_boxes._MOST_REJECTS", 3)
    with pytest.raises(AnnotationError, match=r"more than 3 lines .* category_unknown"):
        parse(boxes_csv(*[line(A)] * 4), "/m/x,Other\n")


def test_a_header_alone_gives_no_rows() -> None:
    parsed = parse(",".join(HEADER))
    assert parsed.table.num_rows == 0
    assert parsed.report.counts["images_listed"] == parsed.report.counts["regions_listed"] == 0


def test_flags_that_a_file_has_no_columns_for_are_unknown() -> None:
    parsed = parse("ImageID,LabelName,XMin,XMax,YMin,YMax,IsGroupOf\n" + f"{A},/m/0284d,0,1,0,1,1\n")
    assert parsed.table["flags"].to_pylist() == [[REGION_FLAGS["group_of"] | UNKNOWN & ~REGION_FLAGS["group_of_unknown"]]]


def test_sources_are_counted_and_a_confidence_that_is_not_1_too() -> None:
    other = line(B).replace(",1,", ",0.7,", 1)
    parsed = parse(boxes_csv(line(A), line(A, source="activemil"), other))
    counts = parsed.report.counts
    assert (counts["source/xclick"], counts["source/activemil"], counts["confidence_not_1"]) == (2, 1, 1)
    assert parsed.table["flags"].to_pylist() == [[0], [0, REGION_FLAGS["machine_box"]]]


@pytest.mark.parametrize(
    "text",
    [
        "/m/a,Tree\n/m/b,Sea turtle\n",
        "LabelName,DisplayName\r\n/m/a,Tree\r\n/m/b,Sea turtle",
        "/m/a;Tree\r/m/b;Sea turtle",
        "\ufeff/m/a,Tree,86\n\n/m/b,Sea turtle,87\n",
        '"/m/a","Tree"\n"/m/b","Sea turtle"\n',
    ],
)
def test_classes_are_read_in_all_the_forms_that_circulate(text: str) -> None:
    found = read_classes(AnnotationFile("classes.csv", text.encode()))
    assert [(one.category_id, one.name, one.index, one.published_id) for one in found] == [
        (0, "Tree", 0, "/m/a"),
        (1, "Sea turtle", 1, "/m/b"),
    ]


@pytest.mark.parametrize("text", ["/m/a,Tree\n/m/a,Oak\n", "/m/a,Tree\nOak,/m/b\n", "/m/a,Tree\n/m/b\n", b"\xff\xfe/m/a"])
def test_classes_that_are_none_are_an_error(text: str | bytes) -> None:
    with pytest.raises(AnnotationError) as error:
        parse(boxes_csv(line(A)), text)
    assert error.value.path == "classes.csv"


IMAGES = "ImageID,Subset,OriginalURL,Title,Rotation\n"


def test_listed_images_without_boxes_are_rows_and_unlisted_ones_with_boxes_are_rejects() -> None:
    images = IMAGES + f'{C},train,http://c,"a ""b"",\n c",90.0\n{A},train,http://a,x,\n{A},train,http://a,x,180\n'
    parsed = parse(boxes_csv(line(A), line(B), line(B)), images=images)
    rows = parsed.table.to_pylist()
    assert [(row["image_id"], row["url"], row["rotation_ccw"], row["region_id"]) for row in rows] == [
        (signed(C), "http://c", 90, []),
        (signed(A), "http://a", 0, [0]),
    ]
    assert rejected(parsed) == [(signed(B), -1, "image_record_missing")]
    counts = parsed.report.counts
    assert (counts["images_listed"], counts["images_listed_again"], counts["regions_listed"]) == (3, 1, 3)
    assert (counts["rotation/90"], counts["rotation_unknown"]) == (1, 1)


def test_images_whose_record_cannot_be_used_are_rejects_and_their_boxes_go_with_them() -> None:
    images = IMAGES + f"{A},train,,x,45\n{B},train,,x,nan\n{C},train,,x,no\nq,train,,x,0\n{C},train\n\n"
    parsed = parse(boxes_csv(line(A), line(B)), images=images)
    assert parsed.table["image_id"].to_pylist() == [signed(B)]
    assert Counter(rejected(parsed)) == Counter((one, -1, "file_record_invalid") for one in (signed(A), signed(C), -1, -1))
    assert parsed.report.counts["images_listed"] == 5
    ignoring = parse(boxes_csv(line(A), line(B)), images=images, rotation="ignore")
    assert ignoring.table["rotation_ccw"].to_pylist() == [0, 0, 0]


def test_a_list_of_images_without_rotation_serves_where_it_is_ignored() -> None:
    assert parse(boxes_csv(line(A)), images=f"ImageID\n{A}\n", rotation="ignore").table["url"].to_pylist() == [""]
    with pytest.raises(AnnotationError, match="lacks the column Rotation"):
        parse(boxes_csv(line(A)), images=f"ImageID\n{A}\n")


def test_boxes_are_shares_of_the_size_that_the_image_turns_out_to_have() -> None:
    parsed = parse(boxes_csv(line(A, box="0.25,0.75,0.1,0.9"), line(A, box="-0.5,1.5,0,1")))
    assert parsed.table["width"].to_pylist() == parsed.table["height"].to_pylist() == [-1]
    regions, report = regions_of(parsed, (200, 400))
    np.testing.assert_allclose(regions.published_box_xywh, [[100, 20, 200, 160], [-200, 0, 800, 200]], rtol=1e-15)
    np.testing.assert_array_equal(regions.box_xyxy, np.array([[100, 20, 300, 180], [0, 0, 400, 200]], np.float32))
    assert regions.phrases == [["Person"], ["Person"]]
    assert report.rejects == []


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_box_turns_with_the_pixels_that_it_holds(degrees: int) -> None:
    pixels = np.zeros((40, 100), np.uint8)
    pixels[4:12, 10:50] = 1
    turned = np.rot90(pixels, degrees // 90)  # numpy's turns are counter-clockwise
    rows, columns = (np.flatnonzero(turned.any(axis=axis)) for axis in (1, 0))
    parsed = parse(boxes_csv(line(A, box="0.1,0.5,0.1,0.3")), images=f"{IMAGES}{A},train,,x,{degrees}.0\n")
    regions, _ = regions_of(parsed, turned.shape)
    expected = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    np.testing.assert_allclose(regions.box_xyxy, [expected], atol=1e-4)
    ignoring, _ = regions_of(
        parse(boxes_csv(line(A, box="0.1,0.5,0.1,0.3")), images=f"{IMAGES}{A},t,,x,{degrees}\n", rotation="ignore"), (40, 100)
    )
    np.testing.assert_allclose(ignoring.box_xyxy, [[10, 4, 50, 12]], atol=1e-4)


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({}, [0, 1, 2, 3]),
        ({"group_of": "leave_out"}, [0, 2]),
        ({"depictions": "leave_out"}, [0, 1]),
        ({"group_of": "leave_out", "depictions": "leave_out"}, [0]),
    ],
)
def test_groups_and_depictions_can_be_left_out_and_are_listed_then(options: dict[str, Any], kept: list[int]) -> None:
    some = [line(A, flags=flags) for flags in ("-1,-1,-1,-1,-1", "0,0,1,0,0", "0,0,0,1,0", "0,0,1,1,1")]
    regions, report = regions_of(parse(boxes_csv(*some), **options), (100, 100))
    assert regions.region_id.tolist() == kept
    assert [(one.region_id, one.reason) for one in report.rejects] == [(k, "filtered") for k in range(4) if k not in kept]
    assert regions.is_crowd.tolist() == [k in (1, 3) for k in kept]


def test_options_are_checked() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"rotation": "exif"}, openimages.Options)


noise = st.lists(
    st.sampled_from(
        [b",", b"\n", b"\r", b'"', b"0", b"1", b"-1", b"0.5", b"\x00", b"\xff", b"nan", A.encode(), b"/m/01g317", b"xclick"]
    )
    | lines.map(lambda one: f"\n{one}\n".encode())
    | st.binary(max_size=4),
    max_size=40,
).map(b"".join)


@given(noise, noise, noise)
def test_no_bytes_crash_the_reader_and_no_line_counts_twice(boxes: bytes, images: bytes, masks: bytes) -> None:
    header = ",".join(HEADER).encode() + b"\n"
    mask_header = b"MaskPath,ImageID,LabelName,BoxXMin,BoxXMax,BoxYMin,BoxYMax\n"
    empty = {"masks": MemberFolder([FolderPart({}, "")])}
    for image_list in ({}, {"images": b"ImageID,Rotation\n" + images}):
        try:
            parsed = parse(header + boxes, masks=mask_header + masks, folders=empty, **image_list)
        except AnnotationError:
            continue
        counts, rejects = parsed.report.counts, parsed.report.rejects
        kept = [region for row in parsed.table.to_pylist() for region in row["region_id"]]
        gone = [one.region_id for one in rejects if one.region_id >= 0 and one.reason != "mask_missing"]
        assert len(set(kept + gone)) == len(kept) + len(gone) <= counts["regions_listed"]
        assert image_list or len(kept) + len(gone) == counts["regions_listed"]
        assert parsed.table.num_rows + sum(one.region_id < 0 for one in rejects) == counts["images_listed"]
