"""Presets of filters, against the rules of the works that they are named for, written out by hand."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from regioncache.cache.label_map import decode_label_map, encode_label_map
from regioncache.errors import ConfigError
from regioncache.schema import ON_PURPOSE
from regioncache.sources.presets import PRESETS, apply_preset, plain_words, preset_named
from regioncache.sources.regions import Regions, make_regions
from regioncache.sources.reports import Report

if TYPE_CHECKING:
    from collections.abc import Sequence

ROW = {"image_id": 5, "file_name": "a.jpg", "width": 20, "height": 10}
GOOD = (1, 2, 3, 4)


def regions_with(
    phrases: Sequence[list[str]], boxes: Sequence[Sequence[float]] | None = None, size_hw: tuple[int, int] = (10, 20)
) -> Regions:
    """Regions 100, 101, ... of an image."""
    ids = range(100, 100 + len(phrases))
    return make_regions(size_hw, region_id=ids, published_box_xywh=boxes or [GOOD] * len(phrases), phrases=list(phrases))


def filtered(preset: str, regions: Regions) -> tuple[Regions, Report]:
    report = Report()
    return apply_preset(preset_named(preset), regions, ROW, report), report


def words(count: int) -> str:
    return " ".join(["word"] * count)


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        ("\u00bd a pie", "half a pie"),
        ("red\u2014blue", "redblue"),  # the dash becomes a hyphen first, and goes with the punctuation
        ("brand\u2122", "brand"),
        ("5\u00a2 stamp", "5cent stamp"),
        ("gar\u00e7on", "garcon"),
        ("ao\u00fbt", "aout"),
        ("caf\u00e9", "cafe"),
        ("90\u00b0", "90 degree"),
        ("90 \u00b0 turn", "90 degree turn"),
        ("cr\u00e8me", "creme"),
        ("and\u2026so", "andso"),
    ],
)
def test_each_symbol_is_spelt_out(phrase: str, expected: str) -> None:
    assert plain_words(phrase) == expected


@pytest.mark.parametrize("mark", string.punctuation)
def test_each_punctuation_mark_is_deleted_and_leaves_no_space(mark: str) -> None:
    assert plain_words(f"it{mark}s {mark} ok{mark}") == "its ok"


def test_symbols_are_replaced_before_the_case_is_lowered() -> None:
    # Only small letters are in the table: capitals are lowered after it and keep their accents.
    assert plain_words("\u00c9t\u00c9 \u00e9t\u00e9 \u00c8 \u00c7 \u00db") == "\u00e9t\u00e9 ete \u00e8 \u00e7 \u00fb"


def test_white_space_becomes_single_spaces_and_other_letters_and_digits_stay() -> None:
    assert plain_words("  Two\tred \n\n CARS 42  \u732b ") == "two red cars 42 \u732b"
    assert plain_words(" . ") == ""
    assert plain_words("") == ""


def test_there_is_no_other_preset_than_those_described() -> None:
    assert list(PRESETS) == ["raw", "usable", "densecap", "sa1b_cap", "grit"]
    with pytest.raises(ConfigError, match="there is no preset 'best'; choose one of: raw, usable, densecap, sa1b_cap, grit"):
        preset_named("best")


@pytest.mark.parametrize(
    ("preset", "kept"),
    [("raw", [0, 1, 15, 16, 25, 26]), ("usable", [0, 1, 15, 16, 25, 26]), ("densecap", [0, 1, 15, 16, 25]), ("grit", [1, 15])],
)
def test_limits_of_words_include_their_ends(preset: str, kept: list[int]) -> None:
    found, report = filtered(preset, regions_with([[words(count)] for count in (0, 1, 15, 16, 25, 26)]))
    assert [len(some[0].split()) for some in found.phrases] == kept
    lost = 6 - len(kept)
    assert [one.reason for one in report.rejects] == ["filtered"] * lost


def test_words_are_counted_after_the_phrase_was_made_plain() -> None:
    dashes = " - ".join(["word"] * 25)
    assert len(dashes.split()) == 49
    found, report = filtered("densecap", regions_with([[dashes], ["..."]]))
    assert found.phrases == [[words(25)], [""]]
    assert report.rejects == []
    found, _ = filtered("grit", regions_with([["..."], ["7\u00b0 N"]]))
    assert found.phrases == [["7 degree n"]]


def test_a_region_stays_as_long_as_one_of_its_phrases_does() -> None:
    phrases = [[words(16), "Short.", words(15)], [words(16), words(17)], ["a", "", "b"]]
    found, report = filtered("grit", regions_with(phrases))
    assert found.phrases == [["short", words(15)], ["a", "b"]]
    assert found.region_id.tolist() == [100, 102]
    (reject,) = report.rejects
    assert (reject.image_id, reject.file_name, reject.region_id, reject.reason) == (5, "a.jpg", 101, "filtered")
    assert words(16) in reject.detail


BOXES = {
    "inside": GOOD,
    "whole": (0, 0, 20, 10),
    "reaches out": (18, 8, 5, 5),
    "begins outside": (-2, -2, 4, 4),
    "flat": (3, 3, 4, 0),
    "narrow": (3, 3, 0, 4),
    "inverted": (5, 5, -2, 2),
    "touches the border": (20, 0, 5, 5),
    "beyond": (30, 30, 5, 5),
    "left of it": (-9, 1, 5, 5),
}
WITH_AREA = ["inside", "whole", "reaches out", "begins outside"]


@pytest.mark.parametrize(("preset", "drops"), [("raw", False), ("densecap", False), ("usable", True), ("grit", True)])
def test_boxes_without_area_in_the_image_stay_or_go_by_preset(preset: str, drops: bool) -> None:
    found, report = filtered(preset, regions_with([["a"]] * len(BOXES), list(BOXES.values())))
    kept = WITH_AREA if drops else list(BOXES)
    assert found.region_id.tolist() == [100 + list(BOXES).index(name) for name in kept]
    assert [one.reason for one in report.rejects] == ["box_degenerate"] * (len(BOXES) - len(kept))
    assert found.published_box_xywh.tolist() == [list(BOXES[name]) for name in kept]
    # Beyond the border: reaches out, begins outside, touches, beyond, left.
    assert report.counts["boxes_clipped"] == 5


def test_every_filter_counts_what_came_and_what_went() -> None:
    phrases = [["a"], [words(16)], ["..."], ["b"]]
    found, report = filtered("grit", regions_with(phrases, [GOOD, GOOD, GOOD, BOXES["flat"]]))
    assert found.region_id.tolist() == [100]
    assert report.counts == {
        "boxes_clipped": 0,
        "filter/plain_words/before": 4,
        "filter/plain_words/after": 4,
        "filter/1_to_15_words/before": 4,
        "filter/1_to_15_words/after": 2,
        "filter/box_in_image/before": 2,
        "filter/box_in_image/after": 1,
    }
    assert [(one.region_id, one.reason) for one in report.rejects] == [
        (101, "filtered"),
        (102, "filtered"),
        (103, "box_degenerate"),
    ]
    # A phrase left out is a choice, and a box without area a fault of the data.
    assert {"filtered"} == {one.reason for one in report.rejects} & ON_PURPOSE


def test_the_raw_preset_changes_and_counts_nothing_but_clipped_boxes() -> None:
    regions = regions_with([[" As IS. "]], [BOXES["reaches out"]])
    found, report = filtered("raw", regions)
    assert found is regions
    assert (report.counts, report.rejects) == ({"boxes_clipped": 1}, [])


@pytest.mark.parametrize("preset", PRESETS)
def test_an_image_without_regions_passes_every_preset(preset: str) -> None:
    found, report = filtered(preset, regions_with([]))
    assert len(found.region_id) == len(found.phrases) == 0
    assert report.rejects == []


def striped(count: int, *, kind: Any = np.uint8) -> Regions:
    """Regions that are columns of a map, n of them and one column of none, with all array fields telling them apart."""
    ordinals = np.tile(np.arange(count + 1, dtype=kind), (2, 1))
    made = regions_with([[str(k)] for k in range(count)], [(k, 0, 1, 2) for k in range(count)], (2, count + 1))
    numbers = np.arange(count)
    return made._replace(
        counts=[b"%d" % k for k in range(count)],
        category_id=numbers.astype(np.int32),
        area=numbers.astype(np.float64),
        is_crowd=numbers % 2 == 0,
        ordinals=lambda: ordinals,
    )


def test_chosen_regions_keep_all_their_fields_and_are_renumbered_in_the_map() -> None:
    regions = striped(6)
    found = regions.chosen(np.array([False, True, False, True, True, False]))
    assert found.ordinals is not None
    assert found.ordinals().tolist() == [[0, 0, 1, 0, 2, 3, 0]] * 2
    for name, value in found._asdict().items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(value, getattr(regions, name)[[1, 3, 4]], err_msg=name)
            assert value.dtype == getattr(regions, name).dtype
    assert (found.phrases, found.counts) == ([["1"], ["3"], ["4"]], [b"1", b"3", b"4"])
    again = found.chosen(np.array([False, True, True]))
    assert again.ordinals is not None
    assert again.ordinals().tolist() == [[0, 0, 0, 0, 1, 2, 0]] * 2
    nothing = found.chosen(np.zeros(3, np.bool_))
    assert nothing.ordinals is not None
    assert not nothing.ordinals().any()
    assert regions.chosen(np.ones(6, np.bool_)).phrases == regions.phrases


@pytest.mark.parametrize(("dropped", "kind"), [(44, np.uint16), (45, np.uint8), (299, np.uint8), (300, np.uint8)])
def test_a_map_of_300_regions_takes_the_type_that_its_reader_expects(dropped: int, kind: Any) -> None:
    found = striped(300, kind=np.uint16).chosen(np.arange(300) >= dropped)
    assert found.ordinals is not None
    ordinals = found.ordinals()
    left = 300 - dropped
    assert ordinals.dtype == kind
    expected = [0] * (dropped + 1) + list(range(1, left + 1))
    assert ordinals.tolist() == [expected] * 2
    # The reader knows the number of regions alone.
    stored = np.frombuffer(encode_label_map(ordinals), np.uint8)
    assert decode_label_map(stored, 2, 301, left).tolist() == [expected] * 2
