"""Objects365: names of photos that need repair, flags, doubles, and records that cannot be used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coco_files import annotation_file, coco, photos, region, regions_by_image, rejected
from regioncache.archive import Member
from regioncache.errors import AnnotationError
from regioncache.schema import REJECT_REASONS
from regioncache.sources import coco_instance, objects365
from regioncache.sources.places import FolderPart, MemberFolder

if TYPE_CHECKING:
    from pathlib import Path

    from regioncache.sources.record import Parsed, Source

LISTED = "images/v1/patch8/objects365_v1_00420917.jpg"


def parse(value: dict[str, Any], folders: dict[str, MemberFolder], *dead_images: str) -> Parsed:
    return objects365.parse({"annotations": annotation_file(value)}, folders, objects365.Options(dead_images))


def lists(parsed: Parsed, column: str) -> dict[int, list[Any]]:
    return dict(zip(parsed.table["image_id"].to_pylist(), parsed.table[column].to_pylist(), strict=True))


@pytest.mark.parametrize(
    ("member", "repaired"),
    [
        (LISTED, 0),
        ("v1/patch8/objects365_v1_00420917.jpg", 1),
        ("patch8/objects365_v1_00420917.jpg", 1),
        ("objects365_v1_00420917.jpg", 1),
        ("train/elsewhere/objects365_v1_00420917.jpg", 1),
    ],
)
def test_photos_are_found_by_what_is_left_of_their_names(tmp_path: Path, member: str, repaired: int) -> None:
    folders = photos(tmp_path, ["patch0/other.jpg"], [member, "patch9/objects365_v1_1.jpg"])
    parsed = parse(coco([(420917, LISTED)], []), folders)
    assert parsed.table["images.name"].to_pylist() == [member]
    assert parsed.table["images.part"].to_pylist() == [1]
    assert parsed.report.counts["paths_repaired"] == repaired
    assert parsed.table["file_name"].to_pylist() == [LISTED]


def test_the_name_with_most_folders_wins(tmp_path: Path) -> None:
    names = ["a.jpg", "patch8/a.jpg", "v1/patch8/a.jpg", "z/a.jpg"]
    for left in range(3, 0, -1):
        parsed = parse(coco([(1, "images/v1/patch8/a.jpg")], []), photos(tmp_path, [*names[:left], names[3]]))
        assert parsed.table["images.name"].to_pylist() == [names[left - 1]]


def test_a_base_name_that_two_files_have_finds_none(tmp_path: Path) -> None:
    parsed = parse(coco([(1, "images/a.jpg")], []), photos(tmp_path, ["x/a.jpg"], ["y/a.jpg"]))
    assert rejected(parsed.report) == [(1, -1, "image_missing")]
    assert "images/a.jpg" in parsed.report.rejects[0].detail


def test_private_datasets_find_photos_by_name_or_by_a_base_name_of_one_photo(tmp_path: Path) -> None:
    folders = photos(tmp_path, ["a.jpg", "in/b.jpg", "in/c.jpg", "out/c.jpg"], prefix="")
    value = coco([(1, "sub/a.jpg"), (2, "sub/b.jpg"), (3, "in/c.jpg"), (4, "sub/c.jpg"), (5, "sub/d.jpg")], [])
    parsed = coco_instance.parse({"annotations": annotation_file(value)}, folders, coco_instance.Options())
    assert parsed.table["images.name"].to_pylist() == ["a.jpg", "in/b.jpg", "in/c.jpg"]
    assert rejected(parsed.report) == [(4, -1, "image_missing"), (5, -1, "image_missing")]
    assert parsed.report.counts["paths_repaired"] == 2


def test_dead_images_are_left_out_by_the_ends_of_their_names(tmp_path: Path) -> None:
    names = ["images/v2/p/1.jpg", "images/v2/p/11.jpg", "images/v2/q/1.jpg"]
    parsed = parse(coco(list(enumerate(names)), [region(5, 0)]), photos(tmp_path, names), "p/1.jpg", "/never.jpg")
    assert parsed.table["file_name"].to_pylist() == names[1:]
    assert rejected(parsed.report) == [(0, -1, "dead_upstream")]


def test_flags_reach_the_regions(tmp_path: Path) -> None:
    value = coco([(1, "a.jpg")], [region(k, 1, box=(k, 0, 1, 1), isfake=k & 1, isreflected=k >> 1) for k in range(4)])
    found, _ = regions_by_image(objects365, parse(value, photos(tmp_path, ["a.jpg"])))
    assert found[1].flags.tolist() == [0, 64, 128, 192]
    assert found[1].counts == [b""] * 4
    assert found[1].phrases == [["cat"]] * 4


def test_regions_keep_the_order_of_the_file_and_images_are_sorted(tmp_path: Path) -> None:
    value = coco(
        [(9, "c.jpg"), (2, "a.jpg"), (5, "b.jpg")],
        [region(30, 9), region(8, 2), region(31, 9, 2), region(1, 9, box=(0, 0, 1.5, 1)), region(7, 2, 2)],
    )
    parsed = parse(value, photos(tmp_path, ["a.jpg", "b.jpg", "c.jpg"]))
    assert lists(parsed, "region_id") == {2: [8, 7], 5: [], 9: [30, 31, 1]}
    assert lists(parsed, "category_id") == {2: [1, 2], 5: [], 9: [1, 2, 1]}
    assert lists(parsed, "published_box_xywh")[9][2] == [0, 0, 1.5, 1]
    assert list(lists(parsed, "region_id")) == [2, 5, 9]
    assert parsed.report.counts["images_listed"] == 3
    assert parsed.report.counts["regions_listed"] == 5


def test_regions_that_cannot_be_used_are_listed(tmp_path: Path) -> None:
    value = coco(
        [(1, "a.jpg"), (2, "gone.jpg")],
        [
            region(10, 1),
            region(11, 3),
            region(12, 2),
            region(10, 1, box=(9, 9, 1, 1)),
            region(13, 1, box=(1, 2, 3)),
            region(14, 1, 5),
            region(15, 1, 2),
        ],
    )
    parsed = parse(value, photos(tmp_path, ["a.jpg"]))
    assert lists(parsed, "region_id") == {1: [10, 15]}
    assert sorted(rejected(parsed.report)) == [
        (1, 10, "region_id_duplicate"),
        (1, 13, "box_invalid"),
        (1, 14, "category_unknown"),
        (2, -1, "image_missing"),
        (3, 11, "region_without_image"),
    ]
    assert {one.file_name for one in parsed.report.rejects} == {"a.jpg", "gone.jpg", ""}
    assert {one.reason for one in parsed.report.rejects} <= set(REJECT_REASONS)


def test_an_image_listed_again_is_taken_once_and_one_listed_in_two_ways_never(tmp_path: Path) -> None:
    value = coco(
        [(1, "a.jpg"), (2, "b.jpg"), (1, "a.jpg"), (2, "c.jpg"), (1, "a.jpg"), (3, "c.jpg")], [region(5, 1), region(6, 2)]
    )
    parsed = parse(value, photos(tmp_path, ["a.jpg", "b.jpg", "c.jpg"]))
    assert lists(parsed, "region_id") == {1: [5], 3: []}
    assert rejected(parsed.report) == [(1, -1, "image_id_duplicate")] * 2 + [(2, -1, "image_id_duplicate")] * 2


def test_a_box_annotated_twice_is_taken_once(tmp_path: Path) -> None:
    same = (1.25, 2, 3, 4)
    value = coco(
        [(1, "a.jpg"), (2, "b.jpg")],
        [
            region(1, 1, 1, same),
            region(2, 1, 2, same),
            region(3, 2, 1, same),
            region(4, 1, 1, (1.25, 2, 3, 4.0000001)),
            region(5, 1, 1, same),
            region(6, 1, 1, same),
            region(7, 2, 2, (0.0, 0, 1, 1)),
            region(8, 2, 2, (-0.0, 0, 1, 1)),
        ],
    )
    parsed = parse(value, photos(tmp_path, ["a.jpg", "b.jpg"]))
    assert lists(parsed, "region_id") == {1: [1, 2, 4], 2: [3, 7]}
    assert sorted(rejected(parsed.report)) == [(1, 5, "duplicate_region"), (1, 6, "duplicate_region"), (2, 8, "duplicate_region")]
    assert parsed.report.counts["duplicate_regions"] == 3


small = st.sampled_from([0.0, -0.0, 1.0, 2.5])
records = st.lists(
    st.tuples(st.integers(0, 15), st.integers(0, 3), st.integers(1, 3), st.tuples(small, small, small, small)), max_size=30
)
MEMBERS = {f"{k}.jpg": Member(f"{k}.jpg", k, 1, 1, 0, None) for k in range(3)}


@given(records, st.permutations([0, 1, 2]))
def test_what_stays_is_what_a_loop_over_the_records_keeps(listed: list[Any], image_order: list[int]) -> None:
    kept: dict[int, list[int]] = {0: [], 1: [], 2: []}
    seen_ids, seen_boxes = set(), set()
    for region_id, image_id, category_id, box in listed:
        if image_id == 3 or region_id in seen_ids:
            continue
        seen_ids.add(region_id)
        if category_id == 3 or (image_id, category_id, box) in seen_boxes:
            continue
        seen_boxes.add((image_id, category_id, box))
        kept[image_id].append(region_id)
    value = coco([(k, f"{k}.jpg") for k in image_order], [region(*one) for one in listed])
    parsed = parse(value, {"images": MemberFolder([FolderPart(MEMBERS, "")])})
    assert lists(parsed, "region_id") == kept
    assert len(parsed.report.rejects) == len(listed) - sum(map(len, kept.values()))


def test_a_file_without_images_gives_no_rows(tmp_path: Path) -> None:
    parsed = parse(coco([], [region(1, 1)]), photos(tmp_path, ["a.jpg"]))
    assert parsed.table.num_rows == 0
    assert rejected(parsed.report) == [(1, 1, "region_without_image")]


@pytest.mark.parametrize("source", [objects365, coco_instance])
def test_category_ids_are_unique(source: Source, tmp_path: Path) -> None:
    value = coco([(1, "a.jpg")], [], [(1, "a"), (1, "b")])
    with pytest.raises(AnnotationError, match="category ids appear twice"):
        source.parse({"annotations": annotation_file(value)}, photos(tmp_path, ["a.jpg"]), source.Options())
