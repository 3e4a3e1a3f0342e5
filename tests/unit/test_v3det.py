"""V3Det: the category tree, and phrases that come from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from coco_files import annotation_file, coco, photos, region, regions_by_image, rejected
from regioncache.errors import AnnotationError, ConfigError
from regioncache.sources import v3det

if TYPE_CHECKING:
    from pathlib import Path

    from regioncache.sources.record import Parsed

TREE = {
    "categoryid2treeid": {"1": "n1", "2": "n2", "9": "n9"},
    "id2name": {
        "n1": "abacus (tree)",
        "n2": "soroban",
        "c": "calculator",
        "i": ["instrument", "tool"],
        "o": "object",
        "t": "toy",
    },
    "id2name_zh": {"n1": "?"},
    "child2father": {"n2": ["n1", "t"], "n1": ["c"], "c": "i", "i": ["o", "c"], "t": ["o", "root"]},
    "father2child": {},
}
NAMES = ["images/n1/a.jpg", "images/n2/b.jpg"]
VALUE = coco(
    [(1, NAMES[0]), (2, NAMES[1])],
    [region(1, 2, 2), region(2, 1, 1), region(3, 2, 1), region(4, 2, 2, isfake=1)],
    [(2, "soroban "), (1, "abacus")],
)


def parse(tmp_path: Path, options: dict[str, Any], tree: Any = None, names: list[str] = NAMES) -> Parsed:
    files = {"annotations": annotation_file(VALUE)} | ({} if tree is None else {"tree": annotation_file(tree, "tree.json")})
    return v3det.parse(files, photos(tmp_path, names), v3det.Options(**options))


@pytest.mark.parametrize("tree", [None, TREE])
def test_phrases_are_the_names_of_the_annotations(tmp_path: Path, tree: Any) -> None:
    found, _ = regions_by_image(v3det, parse(tmp_path, {}, tree))
    assert found[2].phrases == [["soroban "], ["abacus"], ["soroban "]]
    assert found[2].category_index.tolist() == [0, 1, 0]
    assert found[2].flags.tolist() == [0, 0, 0]


def test_names_above_follow_the_nearest_first_and_once(tmp_path: Path) -> None:
    found, _ = regions_by_image(v3det, parse(tmp_path, {"phrases": "name_and_ancestors"}, TREE))
    abacus = ["abacus", "calculator", "instrument", "object"]
    soroban = ["soroban ", "abacus (tree)", "toy", "calculator", "object", "instrument"]
    assert found[1].phrases == [abacus]
    assert found[2].phrases == [soroban, abacus, soroban]


def test_names_above_need_the_tree(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs the category tree"):
        parse(tmp_path, {"phrases": "name_and_ancestors"})


def test_every_category_is_in_the_tree(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"^tree\.json: 1 categories .*none for \[2\]"):
        parse(tmp_path, {}, {**TREE, "categoryid2treeid": {"1": "n1"}})


def test_a_tree_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"^tree\.json: no V3Det category tree: .*child2father"):
        parse(tmp_path, {}, {key: value for key, value in TREE.items() if key != "child2father"})


def test_photos_of_folders_that_were_packed_alone_are_found(tmp_path: Path) -> None:
    parsed = parse(tmp_path, {}, names=["n1/a.jpg", "n2/b.jpg"])
    assert parsed.table["images.name"].to_pylist() == ["n1/a.jpg", "n2/b.jpg"]
    assert parsed.report.counts["paths_repaired"] == 2


def test_dead_images_are_left_out(tmp_path: Path) -> None:
    parsed = parse(tmp_path, {"dead_images": ("images/n2/b.jpg",)})
    assert rejected(parsed.report) == [(2, -1, "dead_upstream")]
    assert parsed.table["region_id"].to_pylist() == [[2]]
