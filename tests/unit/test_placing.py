"""Parsed tables joined with archives: under prefixes, in several parts, of whole splits and of one archive of many."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regioncache.archive import Member
from regioncache.sources.places import FolderPart, MemberFolder, Place, place_list_columns, place_list_fields, place_of
from regioncache.sources.placing import is_placed, place_images
from regioncache.sources.reports import Report


def table(*names: str, rows_per_chunk: int = 2) -> pa.Table:
    """Rows with a list each, in pieces as a mapped table has them."""
    whole = pa.table(
        {"image_id": range(len(names)), "file_name": pa.array(names, pa.string()), "list": [[k] * k for k in range(len(names))]}
    )
    pieces = [whole.slice(k, rows_per_chunk) for k in range(0, max(len(names), 1), rows_per_chunk)]
    return pa.concat_tables(pieces)


def members(*names: str) -> dict[str, Member]:
    return {name: Member(name, 100 + k, 10, 10, 0, None) for k, name in enumerate(names)}


@pytest.mark.parametrize("before", ["", "./"])
@pytest.mark.parametrize("dot", ["", "./"])
@pytest.mark.parametrize("prefix", ["", "train_0/"])
def test_images_are_found_under_the_prefix_with_or_without_a_dot(before: str, prefix: str, dot: str) -> None:
    held = members(*(f"{before}{prefix}{name}" for name in ("b.jpg", "a.jpg", "b.json")), "elsewhere/c.jpg", "c.jpg.bak")
    placed = place_images(table("a.jpg", "b.jpg", "c.jpg"), MemberFolder([FolderPart(held, dot + prefix)]))
    assert placed.select(["image_id", "file_name", "list", "images.name", "images.offset", "images.crc32"]).to_pylist() == [
        {
            "image_id": k,
            "file_name": name,
            "list": [k] * k,
            "images.name": f"{before}{prefix}{name}",
            "images.offset": at,
            "images.crc32": -1,
        }
        for k, (name, at) in enumerate([("a.jpg", 101), ("b.jpg", 100)])
    ]


def test_rows_of_other_archives_are_no_rejects_and_those_of_a_whole_split_are() -> None:
    folder = MemberFolder([FolderPart(members("b.jpg"), "")])
    report = Report()
    some = table("a.jpg", "b.jpg", "c.jpg")
    assert place_images(some, folder).equals(place_images(some, folder, report))
    assert [(one.image_id, one.file_name, one.reason) for one in report.rejects] == [
        (0, "a.jpg", "image_missing"),
        (2, "c.jpg", "image_missing"),
    ]


def test_the_first_part_that_has_an_image_wins() -> None:
    folder = MemberFolder([FolderPart(members("x.jpg", "b.jpg"), ""), FolderPart(members("b.jpg", "a.jpg"), "")])
    placed = place_images(table("a.jpg", "b.jpg"), folder)
    assert placed["images.part"].to_pylist() == [1, 0]
    assert not is_placed(table("a.jpg"))
    assert is_placed(placed)


@given(st.lists(st.sampled_from("abcdefgh"), unique=True), st.lists(st.sampled_from("abcdefgh"), unique=True))
def test_every_row_is_placed_or_rejected(rows: list[str], held: list[str]) -> None:
    report = Report()
    placed = place_images(table(*rows), MemberFolder([FolderPart(members(*held), "")]), report)
    assert placed["file_name"].to_pylist() == [one for one in rows if one in held]
    assert placed["images.name"].to_pylist() == placed["file_name"].to_pylist()
    assert [one.file_name for one in report.rejects] == [one for one in rows if one not in held]


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 3), st.text(max_size=3), st.integers(0, 2**40), st.none() | st.integers(0, 2**32 - 1)))
    )
)
def test_a_row_of_several_members_gives_each_back(rows: list[list[tuple[int, str, int, int | None]]]) -> None:
    places = [[Place(part, Member(name, at, 5, 6, 8, crc32)) for part, name, at, crc32 in row] for row in rows]
    ends = pa.array([0, *[sum(map(len, places[: k + 1])) for k in range(len(places))]], pa.int32()).to_numpy()
    columns = place_list_columns("masks", (one for row in places for one in row), ends)
    made = pa.table(columns)
    assert list(made.schema) == place_list_fields("masks")
    assert [[place_of(row, "masks", k) for k in range(len(row["masks.part"]))] for row in made.to_pylist()] == places
