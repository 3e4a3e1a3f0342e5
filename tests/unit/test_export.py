"""What exporters do with overlaps, big ids, missing masks, bad names, and a folder that is not theirs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as pycoco

from regioncache.__main__ import main
from regioncache.cache.label_map import encode_label_map
from regioncache.errors import CacheError, ConfigError
from regioncache.interop.instances import export_instances
from regioncache.interop.panoptic import export_panoptic
from regioncache.interop.semantic import export_semantic
from regioncache.sources.regions import Category
from small_cache import sample_row, write_samples

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CATEGORIES = [Category(11, "cat", True, 0), Category(12, "dog", True, 1), Category(20, "grass", False, 2)]
EXPORTS = [export_semantic, export_panoptic, export_instances]
every_export = pytest.mark.parametrize("export", EXPORTS)


def masked_row(image_id: int, masks: list[list[str]], index: list[int], **fields: Any) -> dict[str, Any]:
    """A row of masks drawn in text: ``#`` is the region."""
    pixels = [np.array([[cell == "#" for cell in line] for line in mask]) for mask in masks]
    height, width = pixels[0].shape
    counts = [pycoco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode() if mask.any() else "" for mask in pixels]
    row = {
        "box_xyxy": np.tile([0.5, 1, 3, 2], (len(masks), 1)),
        "category_index": np.array(index, np.int32),
        "category_id": np.array([CATEGORIES[k].category_id for k in index], np.int32),
        "is_thing": np.array([CATEGORIES[k].is_thing for k in index]),
        "region_id": np.arange(101, 101 + len(masks)),
        "segmentation": counts,
        "area": np.array([mask.sum() for mask in pixels], float),
    }
    return sample_row(image_id, height=height, width=width, **{**row, **fields})


def cache_of(tmp_path: Path, *rows: dict[str, Any], categories: list[Category] | None = None) -> Path:
    chosen = CATEGORIES if categories is None else categories
    return write_samples(tmp_path / "cache" / "samples" / "part.parquet", rows, categories=chosen)


def read_json(path: Path) -> Any:
    return json.loads(path.read_bytes())


def pixels_of(path: Path) -> list[Any]:
    found: list[Any] = np.asarray(Image.open(path)).tolist()
    return found


OVERLAPPING = masked_row(5, [["##..", "##.."], [".##.", "...."], ["####", "####"], ["#...", "...."]], [0, 1, 2, 1])


def test_a_thing_lies_over_stuff_and_a_later_thing_over_an_earlier_one(tmp_path: Path) -> None:
    cache = cache_of(tmp_path, OVERLAPPING)
    export_semantic(cache, tmp_path / "semantic")
    assert pixels_of(tmp_path / "semantic" / "5.png") == [[1, 1, 1, 2], [0, 0, 2, 2]]

    counts = export_panoptic(cache, tmp_path / "panoptic")
    assert counts == {"images": 1, "segments": 4, "regions_unassigned": 0, "regions_without_mask": 0, "regions_hidden": 0}
    red = [[[104, 102, 102, 103], [101, 101, 103, 103]]]
    assert [[[cell[0] for cell in line] for line in pixels_of(tmp_path / "panoptic/panoptic/5.png")]] == red
    [annotation] = read_json(tmp_path / "panoptic" / "panoptic.json")["annotations"]
    assert annotation == {
        "image_id": 5,
        "file_name": "5.png",
        "segments_info": [
            {"id": 101, "category_id": 11, "area": 2, "bbox": [0, 1, 2, 1], "iscrowd": 0},
            {"id": 102, "category_id": 12, "area": 2, "bbox": [1, 0, 2, 1], "iscrowd": 0},
            {"id": 103, "category_id": 20, "area": 3, "bbox": [2, 0, 2, 2], "iscrowd": 0},
            {"id": 104, "category_id": 12, "area": 1, "bbox": [0, 0, 1, 1], "iscrowd": 0},
        ],
    }


def test_instances_are_whole_and_have_the_published_boxes(tmp_path: Path) -> None:
    row = {**OVERLAPPING, "is_crowd": np.array([True, False, False, False])}
    counts = export_instances(cache_of(tmp_path, row), tmp_path / "out", names={11: "Katze", 12: "Hund", 99: "?"})
    file = read_json(tmp_path / "out" / "instances.json")
    assert counts == {"images": 1, "annotations": 3, "regions_of_stuff": 1, "regions_unassigned": 0, "regions_without_mask": 0}
    assert file["categories"] == [{"id": 11, "name": "Katze"}, {"id": 12, "name": "Hund"}]
    assert file["images"] == [{"id": 5, "file_name": "5.jpg", "width": 4, "height": 2}]
    first = file["annotations"][0]
    assert first["segmentation"] == {"size": [2, 4], "counts": OVERLAPPING["segmentation"][0]}
    assert (first["bbox"], first["area"], first["iscrowd"], first["category_id"]) == ([0.5, 1, 2.5, 1], 4, 1, 11)
    assert [one["id"] for one in file["annotations"]] == [1, 2, 3]


def test_a_region_that_others_cover_is_counted_not_listed(tmp_path: Path) -> None:
    row = masked_row(1, [["##"], ["#."], [".#"], ["##"]], [2, 0, 1, 2])
    counts = export_panoptic(cache_of(tmp_path, row), tmp_path / "out")
    assert (counts["segments"], counts["regions_hidden"]) == (2, 2)
    [annotation] = read_json(tmp_path / "out" / "panoptic.json")["annotations"]
    assert [one["id"] for one in annotation["segments_info"]] == [102, 103]


@pytest.mark.parametrize("too_big", [2**24, 908_400_386_912, 0])
def test_ids_that_do_not_fit_in_a_pixel_give_way_to_places(tmp_path: Path, too_big: int) -> None:
    row = masked_row(1, [["#.."], [".#."]], [0, 1], region_id=np.array([2**24 - 1, too_big]))
    fitting = masked_row(2, [["#.."], [".#."]], [0, 1], region_id=np.array([2**24 - 1, 256]))
    export_panoptic(cache_of(tmp_path, row, fitting), tmp_path / "out")
    assert pixels_of(tmp_path / "out/panoptic/1.png") == [[[1, 0, 0], [2, 0, 0], [0, 0, 0]]]
    assert pixels_of(tmp_path / "out/panoptic/2.png") == [[[255, 255, 255], [0, 1, 0], [0, 0, 0]]]
    annotations = read_json(tmp_path / "out" / "panoptic.json")["annotations"]
    assert [[one["id"] for one in image["segments_info"]] for image in annotations] == [[1, 2], [2**24 - 1, 256]]


def test_the_stored_semantic_map_wins(tmp_path: Path) -> None:
    stored = np.array([[0, 255, 2], [1, 1, 254]], np.uint8)
    row = masked_row(1, [["###", "###"]], [0], semantic_map=encode_label_map(stored))
    export_semantic(cache_of(tmp_path, row), tmp_path / "out")
    assert pixels_of(tmp_path / "out" / "1.png") == stored.tolist()


def test_unassigned_pixels_are_semantic_only(tmp_path: Path) -> None:
    row = masked_row(1, [["#..", "#.."], [".#.", "..."]], [0, 1], flags=np.array([32, 1]), is_crowd=np.array([True, False]))
    cache = cache_of(tmp_path, row)
    export_semantic(cache, tmp_path / "semantic")
    panoptic = export_panoptic(cache, tmp_path / "panoptic")
    instances = export_instances(cache, tmp_path / "instances")
    assert pixels_of(tmp_path / "semantic" / "1.png") == [[0, 1, 255], [0, 255, 255]]
    assert (panoptic["segments"], panoptic["regions_unassigned"]) == (1, 1)
    assert (instances["annotations"], instances["regions_unassigned"]) == (1, 1)
    assert np.count_nonzero(Image.open(tmp_path / "panoptic/panoptic/1.png")) == 1


def test_regions_without_a_mask_are_counted(tmp_path: Path) -> None:
    cache = cache_of(tmp_path, masked_row(1, [["#.."], ["..."], ["..."]], [0, 1, 2]))
    assert export_semantic(cache, tmp_path / "semantic")["regions_without_mask"] == 2
    assert export_panoptic(cache, tmp_path / "panoptic")["regions_without_mask"] == 2
    assert export_instances(cache, tmp_path / "instances")["regions_without_mask"] == 1


@every_export
def test_an_image_without_regions_is_exported_too(tmp_path: Path, export: Callable[..., dict[str, int]]) -> None:
    empty = sample_row(2, height=2, width=3)
    counts = export(cache_of(tmp_path, masked_row(1, [["#.."]], [0]), empty), tmp_path / "out")
    assert counts["images"] == 2
    for path in (tmp_path / "out").rglob("2.png"):
        assert set(np.ravel(Image.open(path))) <= {0, 255}


@pytest.mark.parametrize("image_ids", ["number", "stem"])
def test_images_are_known_by_number_or_by_file_name(tmp_path: Path, image_ids: Any) -> None:
    cache = cache_of(tmp_path, masked_row(1, [["#.."]], [0], file_name="sub/ADE_val_00000001.jpg"))
    export_panoptic(cache, tmp_path / "panoptic", image_ids=image_ids)
    export_instances(cache, tmp_path / "instances", image_ids=image_ids)
    expected = 1 if image_ids == "number" else "ADE_val_00000001"
    panoptic, instances = read_json(tmp_path / "panoptic/panoptic.json"), read_json(tmp_path / "instances/instances.json")
    assert panoptic["images"][0]["id"] == instances["images"][0]["id"] == expected
    assert panoptic["annotations"][0]["image_id"] == instances["annotations"][0]["image_id"] == expected
    assert panoptic["annotations"][0]["file_name"] == "sub/ADE_val_00000001.png"
    assert (tmp_path / "panoptic/panoptic/sub/ADE_val_00000001.png").is_file()


@every_export
def test_two_exports_are_the_same_bytes(tmp_path: Path, export: Callable[..., dict[str, int]]) -> None:
    cache = cache_of(tmp_path, OVERLAPPING, masked_row(6, [["#.."]], [0]))
    export(cache, tmp_path / "a")
    export(cache, tmp_path / "b")
    contents = [
        {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}
        for out in (tmp_path / "a", tmp_path / "b")
    ]
    assert contents[0] == contents[1]
    assert contents[0]


@every_export
def test_a_folder_that_holds_anything_is_refused_and_left_alone(tmp_path: Path, export: Callable[..., dict[str, int]]) -> None:
    cache = cache_of(tmp_path, OVERLAPPING)
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"out stands already and is not an empty folder"):
        export(cache, out)
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]
    (out / "thesis.txt").unlink()
    export(cache, out)
    assert any(out.iterdir())


def test_a_failed_export_leaves_nothing_and_a_killed_one_is_cleared_away(tmp_path: Path) -> None:
    good, bad = masked_row(1, [["#.."]], [0]), masked_row(2, [["#.."]], [0], file_name="../2.jpg")
    home = tmp_path / "home"
    (home / ".tmp-123-out" / "panoptic").mkdir(parents=True)
    (home / ".tmp-123-other-out").mkdir()
    with pytest.raises(CacheError, match=r"image 2 has a name that no file can be written under.*'\.\./2\.jpg'"):
        export_panoptic(cache_of(tmp_path, good, bad), home / "out")
    assert [path.name for path in home.iterdir()] == [".tmp-123-other-out"]


def test_two_images_of_one_name_are_refused(tmp_path: Path) -> None:
    rows = [masked_row(k, [["#.."]], [0], file_name=name) for k, name in enumerate(["a.jpg", "a.png"])]
    with pytest.raises(CacheError, match=r"image 1 and another one would both be written to a\.png"):
        export_semantic(cache_of(tmp_path, *rows), tmp_path / "out")


@every_export
def test_a_cache_without_masks_is_refused(tmp_path: Path, export: Callable[..., dict[str, int]]) -> None:
    cache = cache_of(tmp_path, *(sample_row(k, height=2, width=2, box_xyxy=[[0, 0, 1, 1]]) for k in range(3)))
    with pytest.raises(CacheError, match="none of its 3 regions has a mask"):
        export(cache, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@every_export
def test_a_cache_without_categories_is_refused(tmp_path: Path, export: Callable[..., dict[str, int]]) -> None:
    with pytest.raises(CacheError, match="its regions have no categories"):
        export(cache_of(tmp_path, OVERLAPPING, categories=[]), tmp_path / "out")


@every_export
def test_there_must_be_a_cache(tmp_path: Path, export: Callable[..., dict[str, int]]) -> None:
    with pytest.raises(CacheError, match="no finished cache"):
        export(tmp_path, tmp_path / "out")


def test_more_categories_than_a_byte_can_tell_apart_are_refused(tmp_path: Path) -> None:
    many = [Category(k, f"category {k}", True, k) for k in range(256)]
    with pytest.raises(CacheError, match="at most 255, found 256 categories"):
        export_semantic(cache_of(tmp_path, OVERLAPPING, categories=many), tmp_path / "out")


def test_names_of_another_dataset_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"they lack the categories \[12\]"):
        export_instances(cache_of(tmp_path, OVERLAPPING), tmp_path / "out", names={11: "cat", 20: "grass"})


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Exit status of one call of the command."""
    monkeypatch.setattr("sys.argv", ["regioncache", "export", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    code = stopped.value.code
    return code if isinstance(code, int) else 0


def test_the_verb_says_what_it_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    cache, out = cache_of(tmp_path, OVERLAPPING), tmp_path / "out"
    assert run(monkeypatch, cache, "panoptic", out, "--image-id", "stem", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "out": str(out),
        "images": 1,
        "segments": 4,
        "regions_unassigned": 0,
        "regions_without_mask": 0,
        "regions_hidden": 0,
    }
    assert read_json(out / "panoptic.json")["images"][0]["id"] == "5"
    assert run(monkeypatch, cache, "semantic", tmp_path / "semantic") == 0
    assert "images" in capsys.readouterr().out
    assert run(monkeypatch, cache, "panoptic", out) == 1
    assert "not an empty folder" in capsys.readouterr().err


def test_the_verb_knows_the_other_names_of_ade20k(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    categories = [Category(7, "bed", True, 0), Category(8, "window ", True, 1), Category(2, "sky", False, 2)]
    cache = cache_of(tmp_path, OVERLAPPING, categories=categories)
    assert run(monkeypatch, cache, "instances", tmp_path / "out", "--names", "ade20k_instance") == 0
    names = [one["name"] for one in read_json(tmp_path / "out" / "instances.json")["categories"]]
    assert names == ["bed", "windowpane"]
    assert run(monkeypatch, cache, "instances", tmp_path / "plain") == 0
    names = [one["name"] for one in read_json(tmp_path / "plain" / "instances.json")["categories"]]
    assert names == ["bed", "window "]
    capsys.readouterr()


@pytest.mark.parametrize("arguments", [["semantic", "--image-id", "stem"], ["panoptic", "--names", "ade20k_instance"]])
def test_an_option_that_would_do_nothing_is_refused(
    tmp_path: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = cache_of(tmp_path, OVERLAPPING)
    assert run(monkeypatch, cache, arguments[0], tmp_path / "out", *arguments[1:]) == 1
    assert arguments[1] in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
