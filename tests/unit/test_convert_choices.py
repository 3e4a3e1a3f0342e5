"""What an entry and the configuration may choose of how rows are made, and that a choice makes the shard anew."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pycocotools import mask as pycoco

from built_cache import build, sample_rows
from own_table import photo, table_paths
from pack_archives import PanopticSplit, fetched_paths, pack_panoptic, panoptic_entry
from regioncache import ParquetRegionDataset, RegionCollator
from regioncache.cache.verify import verify_cache
from regioncache.errors import ConfigError
from regioncache.steps.convert import convert_shard
from regioncache.steps.parse import parse_annotations
from regioncache.steps.row_maker import ConvertOptions

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from regioncache.steps.paths import BuildPaths

SIZES = {"a.png": (40, 30), "b.png": (20, 10)}
RECORDED = {"options": {"width": "w", "height": "h"}}


def row(name: str, size: tuple[int, int] | None = None, boxes: list[list[float]] | None = None) -> dict[str, Any]:
    some = [[1, 2, 30, 25]] if boxes is None else boxes
    made: dict[str, Any] = {"image": name, "boxes": some, "phrases": [f"{k}" for k in range(len(some))]}
    return made if size is None else {**made, "w": size[0], "h": size[1]}


def bare(paths: BuildPaths, **changes: Any) -> Path:
    options = ConvertOptions(**changes.pop("options", {}))
    return build(paths, tokenizers={}, frames=(), options=options, **changes)


def with_dataset(paths: BuildPaths, **changes: Any) -> BuildPaths:
    return replace(paths, dataset=msgspec.structs.replace(paths.dataset, **changes))


def rejects(cache: Path) -> list[tuple[int, int, str]]:
    return [(one["image_id"], one["region_id"], one["reason"]) for one in pq.read_table(cache / "rejects.parquet").to_pylist()]


def counts(cache: Path) -> dict[str, int]:
    found: dict[str, int] = json.loads((cache / "stats.json").read_text())["counts"]
    return found


def test_sizes_that_no_record_gives_are_those_of_the_images(tmp_path: Path) -> None:
    cache = bare(table_paths(tmp_path, [row("a.png"), row("b.png")], SIZES))
    rows = sample_rows(cache)
    assert [(one["width"], one["height"]) for one in rows] == list(SIZES.values())
    # Boxes are cut to the size that was learnt.
    assert [one["box_xyxy"] for one in rows] == [[[1, 2, 30, 25]], [[1, 2, 20, 10]]]
    assert counts(cache)["boxes_clipped"] == 1
    assert rejects(cache) == []


def test_an_image_too_thin_for_the_frame_is_rejected_though_no_record_gives_its_size(tmp_path: Path) -> None:
    sizes = {**SIZES, "thin.png": (3000, 1)}
    cache = bare(table_paths(tmp_path, [row("thin.png"), row("a.png")], sizes), reject_budget=0.5)
    assert rejects(cache) == [(0, -1, "size_vanishes")]


def test_a_record_of_another_size_is_rejected_or_corrected_as_the_entry_says(tmp_path: Path) -> None:
    wrong = [row("a.png", (41, 30)), row("b.png", (20, 10))]
    paths = table_paths(tmp_path, wrong, SIZES, **RECORDED)
    cache = bare(paths, reject_budget=0.5)
    assert rejects(cache) == [(0, -1, "image_size_mismatch")]
    assert [one["image_id"] for one in sample_rows(cache)] == [1]
    # The choice is part of what a shard is made from: nothing else has changed, and it is made anew.
    cache = bare(with_dataset(paths, size_mismatch="trust_image"))
    rows = sample_rows(cache)
    assert [(one["width"], one["height"]) for one in rows] == list(SIZES.values())
    assert counts(cache)["sizes_taken_from_image"] == 1


def test_an_image_is_trusted_over_a_record_that_no_image_can_have(tmp_path: Path) -> None:
    paths = table_paths(tmp_path, [row("a.png", (5000, 1))], SIZES, size_mismatch="trust_image", **RECORDED)
    (made,) = sample_rows(bare(paths))
    assert (made["width"], made["height"], made["box_xyxy"]) == (40, 30, [[1, 2, 30, 25]])


def test_a_trusted_image_too_thin_for_the_frame_is_rejected(tmp_path: Path) -> None:
    paths = table_paths(tmp_path, [row("thin.png", (3000, 1))], {"thin.png": (3000, 1)}, size_mismatch="trust_image", **RECORDED)
    assert rejects(bare(paths, reject_budget=1.0)) == [(0, -1, "size_vanishes")]


EMPTY = [row("a.png", boxes=[]), row("b.png"), row("c.png", boxes=[[50, 50, 60, 60]])]
THREE = {**SIZES, "c.png": (40, 30)}


def test_images_without_regions_are_kept_or_left_out_as_the_entry_says(tmp_path: Path) -> None:
    paths = table_paths(tmp_path, EMPTY, THREE)
    cache = bare(paths, region_budget=0.5)
    assert [(one["image_id"], len(one["region_id"])) for one in sample_rows(cache)] == [(0, 0), (1, 1), (2, 0)]
    assert rejects(cache) == [(2, 1, "box_degenerate")]
    assert counts(cache)["images_without_regions"] == 2
    cache = bare(with_dataset(paths, images_without_regions="leave_out"), region_budget=0.5)
    assert [one["image_id"] for one in sample_rows(cache)] == [1]
    assert rejects(cache) == [(0, -1, "no_regions"), (2, -1, "no_regions"), (2, 1, "box_degenerate")]
    assert counts(cache)["images_without_regions"] == 0
    # Both are counted by the filters, whether their image stays or not.
    assert (counts(cache)["filter/box_in_image/before"], counts(cache)["filter/box_in_image/after"]) == (2, 1)


def test_a_task_in_place_of_the_entrys_own_makes_the_shard_anew_and_its_own_name_does_not(tmp_path: Path) -> None:
    paths = table_paths(tmp_path, [row("a.png")], SIZES, task_type="recognition")
    assert parse_annotations(paths.inputs, paths.annotations)

    def convert(**changes: Any) -> bool:
        samples, report = paths.samples(0), paths.report("samples", 0)
        options = ConvertOptions(**changes)
        return convert_shard(paths.inputs, 0, annotations=paths.annotations, out=samples, report_path=report, options=options)

    assert convert()
    assert [one["task_type"] for one in sample_rows(paths.cache)] == ["recognition"]
    assert not convert()
    assert not convert(task_type="recognition")
    assert convert(task_type="caption")
    assert [one["task_type"] for one in sample_rows(paths.cache)] == ["caption"]
    assert not convert(task_type="caption")
    assert convert(task_type="caption", preset="raw")
    assert convert()
    with pytest.raises(ConfigError, match="there is no preset 'best'"):
        convert(preset="best")


def test_an_archive_that_moved_is_found_by_rows_that_refer_to_it(tmp_path: Path) -> None:
    paths = table_paths(tmp_path, [row("a.png"), row("b.png")], SIZES)
    cache = bare(paths, options={"storage": "reference"})
    assert {one["image_archive"] for one in sample_rows(cache)} == {"mine/photos.tar"}
    pixels = [ParquetRegionDataset(cache)[k]["image"] for k in range(2)]
    (paths.archives_dir / "moved").mkdir()
    for old in sorted((paths.archives_dir / "mine").glob("photos.tar*")):
        old.rename(paths.archives_dir / "moved" / old.name)
    archives = {**paths.dataset.archives}
    archives["photos"] = msgspec.structs.replace(archives["photos"], path="moved/photos.tar")
    moved = with_dataset(paths, archives=archives)
    cache = bare(moved, options={"storage": "reference"})
    assert {one["image_archive"] for one in sample_rows(cache)} == {"moved/photos.tar"}
    for k in range(2):
        np.testing.assert_array_equal(ParquetRegionDataset(cache)[k]["image"], pixels[k])
    # Rows that hold their images need not be made again.
    bare(moved)
    samples = moved.samples(0).stat().st_mtime_ns
    archives["photos"] = msgspec.structs.replace(archives["photos"], path="mine/photos.tar")
    for old in sorted((paths.archives_dir / "moved").iterdir()):
        old.rename(paths.archives_dir / "mine" / old.name)
    bare(with_dataset(moved, archives=archives))
    assert moved.samples(0).stat().st_mtime_ns == samples


LONG, SHORT = "a thing of a great many words that no reader of captions would ever want to read", "Cup."


def panoptic_image(image_id: int, ids: NDArray[np.uint8]) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    """Image record, annotation, photo and PNG of segments; segment k is of category k."""
    height, width = ids.shape
    name = f"{image_id:012d}"
    segments = [
        {"id": int(k), "category_id": int(k), "iscrowd": 0, "bbox": [0, 0, width, height], "area": int((ids == k).sum())}
        for k in np.unique(ids[ids > 0])
    ]
    buffer = io.BytesIO()
    Image.fromarray(np.stack((ids, np.zeros_like(ids), np.zeros_like(ids)), axis=-1)).save(buffer, "PNG")
    image = {"id": image_id, "file_name": f"{name}.jpg", "width": width, "height": height}
    annotation = {"image_id": image_id, "file_name": f"{name}.png", "segments_info": segments}
    return image, annotation, photo(width, height), buffer.getvalue()


def test_maps_of_regions_that_a_preset_thinned_or_emptied_are_read_as_what_is_left(tmp_path: Path) -> None:
    ids = np.repeat(np.array([0, 1, 2, 3, 2], np.uint8), 8)[None].repeat(30, axis=0)
    thinned, emptied = panoptic_image(1, ids), panoptic_image(2, np.where(ids == 1, ids, 0).astype(np.uint8))
    names = {1: LONG, 2: SHORT, 3: "saucer"}
    assert len(LONG.split()) > 15
    split = PanopticSplit(
        {
            "images": [one[0] for one in (thinned, emptied)],
            "annotations": [one[1] for one in (thinned, emptied)],
            "categories": [{"id": k, "name": name, "isthing": 1} for k, name in names.items()],
        },
        {one[0]["file_name"]: one[2] for one in (thinned, emptied)},
        {one[1]["file_name"]: one[3] for one in (thinned, emptied)},
    )
    archives = pack_panoptic(tmp_path / "packed", {"train": split})
    entry = panoptic_entry(archives, name="maps", shards={"train": 1}, expected_categories=None)
    cache = build(fetched_paths(tmp_path, entry, "train"), options=ConvertOptions(preset="grit"))
    assert verify_cache(cache, full=True)["rows"] == 2
    assert rejects(cache) == [(1, 1, "filtered"), (2, 1, "filtered")]
    stored = sample_rows(cache)
    assert all(one["label_map"] for one in stored)
    assert [one["segmentation"] for one in stored][1] == []
    dataset = ParquetRegionDataset(cache, masks="dense", tokens="byt5-sca-20", prompts="sam")
    first, second = dataset[0], dataset[1]
    assert list(first["metadata_captions"]) == ["cup", "saucer"]
    np.testing.assert_array_equal(first["masks"], [ids == 2, ids == 3])
    assert [pycoco.decode(one).tolist() for one in ParquetRegionDataset(cache, masks="rle")[0]["segmentation"]] == [
        (ids == k).astype(int).tolist() for k in (2, 3)
    ]
    assert second["masks"].shape == (0, 30, 40)
    low_res = ParquetRegionDataset(cache, masks="lowres", prompts="sam")
    without = ParquetRegionDataset(cache, masks="lowres")
    for k, count in enumerate((2, 0)):
        assert low_res[k]["masks"].shape == (count, 256, 256)
        np.testing.assert_array_equal(low_res[k]["masks"], without[k]["masks"])
    batch = RegionCollator("pad", tensors="numpy")([first, second])
    assert batch["region_mask"].tolist() == [[True, True], [False, False]]
    assert batch["masks"].sum() == (ids >= 2).sum()
