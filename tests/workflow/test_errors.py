"""What a user can get wrong at a step: one line that names the file or the value, and exit status 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from built_cache import build
from pack_archives import PanopticSplit, fetched_paths, pack_panoptic, panoptic_entry
from regioncache.errors import AnnotationError, ConfigError
from workspace import Workspace, make_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from regioncache.steps.paths import BuildPaths


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace without a build."""
    return make_workspace(tmp_path_factory.mktemp("errors"))


@pytest.mark.parametrize("spec", ["./no tokenizer", "no/such/folder", "missing.model"])
def test_a_tokenizer_that_is_not_there_is_named(workspace: Workspace, spec: str) -> None:
    printed = workspace.regioncache("tokenizer", "mine", spec, ok=False)
    assert printed == f"regioncache: tokenizer {spec!r}: there is no such folder or file. Correct the path\n"


def test_a_folder_that_holds_no_tokenizer_is_told_what_was_looked_for_and_found(workspace: Workspace) -> None:
    (workspace.folder / "notes").mkdir()
    (workspace.folder / "notes" / "readme.txt").write_text("no tokenizer")
    printed = workspace.regioncache("tokenizer", "mine", "notes", ok=False)
    assert "notes holds no tokenizer. Looked for" in printed
    assert "found readme.txt" in printed


def document() -> dict[str, Any]:
    return {
        "images": [{"id": 1, "file_name": "1.jpg", "width": 8, "height": 8}],
        "annotations": [{"image_id": 1, "file_name": "1.png", "segments_info": [{"id": 5, "category_id": 1}]}],
        "categories": [{"id": 1, "name": "person", "isthing": 1}],
    }


def paths_of(folder: Path, content: dict[str, Any], **entry: Any) -> BuildPaths:
    archives = pack_panoptic(folder / "packed", {"train": PanopticSplit(content, {"1.jpg": b"-"}, {"1.png": b"-"})})
    made = panoptic_entry(archives, name="made", shards={"train": 1}, **{"expected_categories": None, **entry})
    return fetched_paths(folder, made, "train")


BAD_DOCUMENTS: dict[str, tuple[tuple[str | int, ...], object, str]] = {
    "a segment id beyond 64 bits": (("annotations", 0, "segments_info", 0, "id"), 2**70, r"segments_info\[0\].id"),
    "a category beyond 32 bits": (("categories", 0, "id"), 2**40, r"\$.categories\[0\].id"),
    "a width beyond 32 bits": (("images", 0, "width"), 2**40, r"\$.images\[0\].width"),
    "a text for a number": (("images", 0, "id"), "one", r"Expected `int`, got `str` - at `\$.images\[0\].id`"),
    "no segments": (("annotations", 0), {"image_id": 1, "file_name": "x"}, "missing required field `segments_info`"),
    "no categories": (("categories",), None, r"got `null` - at `\$.categories`"),
}


@pytest.mark.parametrize("case", BAD_DOCUMENTS)
def test_an_annotation_file_of_another_form_is_refused_with_the_place_in_it(tmp_path: Path, case: str) -> None:
    place, value, message = BAD_DOCUMENTS[case]
    content = document()
    inner: Any = content
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    paths = paths_of(tmp_path, content)
    with pytest.raises(AnnotationError, match=message) as caught:
        build(paths)
    assert caught.value.path.endswith("panoptic_annotations_trainval2017.zip: annotations/panoptic_train2017.json")


def test_other_counts_than_the_catalogs_stop_the_build_with_both_numbers(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"another number of images .*\(expected 2, found 1\)"):
        build(paths_of(tmp_path / "images", document(), expected_images={"train": 2}))
    with pytest.raises(AnnotationError, match=r"another number of categories .*\(expected 133, found 1\)"):
        build(paths_of(tmp_path / "categories", document(), expected_categories=133))


def test_a_category_that_is_defined_twice_stops_the_build(tmp_path: Path) -> None:
    content = document()
    content["categories"] *= 2
    with pytest.raises(AnnotationError, match=r"category ids appear twice \(expected unique ids, found \[1\]\)"):
        build(paths_of(tmp_path, content))


def test_a_format_that_nobody_reads_is_named_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"made: format 'cocco' is none of .*coco_panoptic"):
        build(paths_of(tmp_path, document(), format="cocco"))
