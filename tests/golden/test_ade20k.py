"""ADE20K equals what Mask2Former's scripts make of the same files: semantic, panoptic, instances."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as pycoco

from ade20k_archives import made_tree, rows_of
from regioncache.interop.instances import export_instances
from regioncache.interop.panoptic import export_panoptic
from regioncache.interop.semantic import export_semantic
from regioncache.sources.ade20k_panoptic import instance_names
from small_cache import write_samples

SHORT = {"training": "train", "validation": "val"}


class Built(NamedTuple):
    """A split as rows and as a cache."""

    split: str
    rows: list[dict[str, Any]]
    cache: Path
    counts: dict[str, int]


@pytest.fixture(scope="module", params=list(SHORT))
def built(request: pytest.FixtureRequest, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    root = shared / "samples/ade20k/ADEChallengeData2016"
    tree = {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
    folder = tmp_path_factory.mktemp("ade20k")
    parsed, rows, report = rows_of(folder, tree, request.param)
    assert not parsed.report.rejects
    assert not report.rejects
    cache = write_samples(folder / "samples" / "part.parquet", rows, categories=parsed.categories)
    return Built(request.param, rows, cache, report.counts)


def read_json(path: Path) -> Any:
    return json.loads(path.read_bytes())


def canonical(shared: Path, split: str) -> list[dict[str, Any]]:
    images: list[dict[str, Any]] = read_json(shared / f"goldens/mask2former_ade20k_pan_seg/canonical_{SHORT[split]}.json")
    return images


def segment_keys(segments: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """A golden's segments, comparable; its ``area`` and ``bbox`` of stuff are those before instances covered it."""
    return sorted(
        (one["category_id"], one["iscrowd"], one["png_area"], one["png_bbox"], one["segmentation"]["counts"]) for one in segments
    )


def test_the_regions_are_the_segments(built: Built, shared: Path) -> None:
    for row, image in zip(built.rows, canonical(shared, built.split), strict=True):
        assert row["file_name"] == image["image_id"] + ".jpg"
        assert row["image_id"] == int(image["image_id"].rsplit("_", 1)[1])
        kept = np.flatnonzero(row["flags"] == 0)
        found = sorted(
            (
                int(row["category_id"][k]),
                int(row["is_crowd"][k]),
                int(row["area"][k]),
                row["published_box_xywh"][k].tolist(),
                row["segmentation"][k],
            )
            for k in kept
        )
        assert found == segment_keys(image["segments"])


def test_unassigned_regions_are_the_rest_of_what_the_semantic_map_says(built: Built, shared: Path) -> None:
    for row, image in zip(built.rows, canonical(shared, built.split), strict=True):
        semantic = np.asarray(
            Image.open(shared / f"samples/ade20k/ADEChallengeData2016/annotations/{built.split}" / image["file_name"])
        )
        size = {"size": list(semantic.shape)}
        masks = [pycoco.decode({**size, "counts": text.encode()}).astype(bool) for text in row["segmentation"]]
        assert np.sum(masks, axis=0).max() == 1
        unassigned = row["flags"] == 32
        for k in np.flatnonzero(unassigned):
            assert set(semantic[masks[k]]) == {row["category_id"][k] + 1}
            assert row["is_crowd"][k]
            assert row["is_thing"][k]
        left = image["void_pixels"] - int((semantic == 0)[~np.any(masks, axis=0)].sum())
        assert row["area"][unassigned].sum() == left
    assert built.counts["unassigned_regions"] == sum((row["flags"] == 32).sum() for row in built.rows)


def test_ids_name_the_category_and_the_number_in_the_instance_map(built: Built, shared: Path) -> None:
    for row in built.rows:
        name = Path(row["file_name"]).with_suffix(".png")
        instances = np.asarray(
            Image.open(shared / f"samples/ade20k/ADEChallengeData2016/annotations_instance/{built.split}" / name)
        )
        size = {"size": list(instances.shape[:2])}
        np.testing.assert_array_equal(row["region_id"] // 1000 - 1, row["category_id"])
        assert sorted(set(row["region_id"] % 1000) | {0}) == sorted(set(instances[..., 1].ravel().tolist()) | {0})
        for region_id, text in zip(row["region_id"], row["segmentation"], strict=True):
            mask = pycoco.decode({**size, "counts": text.encode()}).astype(bool)
            assert set(instances[mask][:, 1]) == {region_id % 1000}


def test_semantic_maps_are_the_same_pixels(built: Built, shared: Path, tmp_path: Path) -> None:
    counts = export_semantic(built.cache, tmp_path / "out")
    golden = read_json(shared / "goldens/mask2former_ade20k_sem_seg/index.json")
    expected = {Path(name).name: one for name, one in golden.items() if f"/{built.split}/" in name}
    assert counts == {"images": len(expected), "regions_without_mask": 0}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(expected)
    for name, one in expected.items():
        image = Image.open(tmp_path / "out" / name)
        assert (image.mode, list(image.size)) == (one["mode"], one["size"])
        assert hashlib.sha256(np.asarray(image).tobytes()).hexdigest() == one["pixels_sha256"]


def test_panoptic_is_the_same_but_for_colours_and_stale_areas(built: Built, shared: Path, tmp_path: Path) -> None:
    export_panoptic(built.cache, tmp_path / "out", image_ids="stem")
    golden = read_json(shared / f"goldens/mask2former_ade20k_pan_seg/ade20k_panoptic_{SHORT[built.split]}.json")
    file = read_json(tmp_path / "out" / "panoptic.json")
    assert file["images"] == golden["images"]
    assert file["categories"] == [{key: one[key] for key in ("id", "name", "isthing")} for one in golden["categories"]]
    for annotation, image in zip(file["annotations"], canonical(shared, built.split), strict=True):
        assert (annotation["image_id"], annotation["file_name"]) == (image["image_id"], image["file_name"])
        rgb = np.asarray(Image.open(tmp_path / "out" / "panoptic" / image["file_name"])).astype(np.int64)
        ids = rgb @ [1, 256, 65536]
        assert (ids == 0).sum() == image["void_pixels"]
        assert set(ids[ids > 0]) == {one["id"] for one in annotation["segments_info"]}
        found = sorted(
            (
                one["category_id"],
                one["iscrowd"],
                one["area"],
                one["bbox"],
                pycoco.encode(np.asfortranarray((ids == one["id"]).astype(np.uint8)))["counts"].decode(),
            )
            for one in annotation["segments_info"]
        )
        assert found == segment_keys(image["segments"])


def test_instances_are_the_same_records(built: Built, shared: Path, tmp_path: Path) -> None:
    counts = export_instances(built.cache, tmp_path / "out", image_ids="stem", names=instance_names())
    golden = read_json(shared / f"goldens/mask2former_ade20k_ins_seg/ade20k_instance_{SHORT[built.split]}.json")
    file = read_json(tmp_path / "out" / "instances.json")
    assert counts["annotations"] == len(golden["annotations"])
    assert file["images"] == golden["images"]
    assert file["categories"] == golden["categories"]
    assert [one["id"] for one in file["annotations"]] == list(range(1, len(golden["annotations"]) + 1))
    assert sorted_records(file["annotations"]) == sorted_records(golden["annotations"])


def sorted_records(annotations: list[dict[str, Any]]) -> list[str]:
    """Annotations without their numbers, which follow the order of each program."""
    return sorted(json.dumps({**one, "id": 0}, sort_keys=True) for one in annotations)


def test_instance_categories_are_numbered_as_in_the_published_table(shared: Path, tmp_path: Path) -> None:
    lines = (shared / "samples/ade20k/tables/categoryMapping.txt").read_text().splitlines()[1:]
    of_instance = {int(instance): int(scene) - 1 for instance, scene, _ in map(str.split, lines)}
    instances = np.zeros((1, 100, 3), np.uint8)
    instances[0, :, 0] = instances[0, :, 1] = np.arange(1, 101)
    tree = made_tree(np.zeros((1, 100), np.uint8), instances)
    _, [row], _ = rows_of(tmp_path, tree, "validation")
    assert {int(one) % 1000: category for one, category in zip(row["region_id"], row["category_id"], strict=True)} == of_instance
    assert set(instance_names()) == set(of_instance.values())
