"""Sets of one's own by YAML alone: a COCO-style JSON and a table of JSON lines, each with a local folder of photos."""

from __future__ import annotations

import json
import pickle
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import yaml
from pycocotools import mask as pycoco

from built_cache import sample_rows
from own_table import photo, table_entry, write_files
from pack_archives import write_entry
from regioncache import ParquetRegionDataset, RegionCollator
from regioncache.cache.verify import verify_cache
from regioncache.steps.tables import map_table
from workspace import Workspace, make_workspace

if TYPE_CHECKING:
    from pathlib import Path

WIDTH, HEIGHT = 40, 30
TRIANGLE = [[5, 5, 25, 5, 5, 25]]
ROWS: list[dict[str, Any]] = [
    {"image": "b.png", "boxes": [[1, 2, 9, 8], [3, 3, 3, 9]], "phrases": [["a Cup.", "the left cup"], "a line"]},
    {"image": "a.png", "boxes": [[0, 0, 20, 10]], "phrases": ["all of it"]},
]
SIZES = {"a.png": (20, 10), "b.png": (WIDTH, HEIGHT)}


def boxes_document() -> dict[str, Any]:
    regions = [
        {"image_id": 8, "category_id": 5, "bbox": [5, 5, 20, 20], "segmentation": TRIANGLE, "iscrowd": 0, "area": 200},
        {"image_id": 8, "category_id": 2, "bbox": [0.5, 0, 3.25, 4], "iscrowd": 1, "area": 13},
        {"image_id": 3, "category_id": 2, "bbox": [10, 10, 0, 4], "area": 0},
    ]
    return {
        "images": [
            {"id": k, "file_name": name, "width": WIDTH, "height": HEIGHT} for k, name in ((8, "day 1/x.png"), (3, "y.png"))
        ],
        "annotations": [{"id": 100 + k, **one} for k, one in enumerate(regions)],
        "categories": [{"id": 5, "name": "hand saw"}, {"id": 2, "name": "screw"}],
    }


def boxes_entry() -> dict[str, Any]:
    entry = table_entry("my tools", name="my_boxes", format="coco_instance", task_type="recognition")
    entry["archives"] = {
        "labels": {"path": "my_boxes/labels.json", "kind": "file", "local": "my tools/labels.json"},
        "photos": {"path": "my_boxes/photos.tar", "kind": "folder", "local": "my tools/photos"},
    }
    entry["splits"]["train"]["files"] = {"annotations": {"archive": "labels"}}
    return entry


def guard_entry(*labels: str) -> dict[str, Any]:
    """A set whose files of referring expressions guard photos."""
    entry = table_entry(
        "my refs", name="my_refs", guards={label: {"archive": "refs", "member": f"{label}.p"} for label in labels}
    )
    entry["archives"]["refs"] = {"path": "my_refs/refs.zip", "kind": "zip", "local": "my refs/refs.zip"}
    for key in ("table", "photos"):
        entry["archives"][key]["path"] = f"my_refs/{key}"
    return entry


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace of two sets of one's own, both built by one run."""
    workspace = make_workspace(
        tmp_path_factory.mktemp("mine"),
        presets={"default": "usable", "my_boxes": "raw"},
        rejects={"of": {"my_table": {"region_budget": 0.5}}},
        detection_task_type="caption",
    )
    tools = workspace.folder / "my tools"
    (tools / "photos" / "day 1").mkdir(parents=True)
    (tools / "photos" / "day 1" / "x.png").write_bytes(photo(WIDTH, HEIGHT, 1))
    (tools / "photos" / "y.png").write_bytes(photo(WIDTH, HEIGHT, 2))
    (tools / "labels.json").write_text(json.dumps(boxes_document()))
    write_entry(workspace.catalog, boxes_entry())
    write_files(workspace.folder / "my sentences", ROWS, SIZES)
    # The file of an entry may have any name.
    path = write_entry(workspace.catalog, table_entry("my sentences", name="my_table"))
    path.rename(workspace.catalog / "sentences.yml")
    refs = workspace.folder / "my refs"
    write_files(refs, [], {})
    with zipfile.ZipFile(refs / "refs.zip", "w") as archive:
        for image_id, label in enumerate(("first", "second"), 11):
            ref = {"ref_id": 1, "ann_id": 1, "image_id": image_id, "split": "val", "sentences": []}
            archive.writestr(f"{label}.p", pickle.dumps([ref], 2))
    write_entry(workspace.catalog, guard_entry("first"))
    workspace.snakemake("cache_my_boxes", "cache_my_table")
    return workspace


def planned(workspace: Workspace, changes: dict[str, Any], *arguments: str) -> list[str]:
    """The commands of a dry run under some more configuration."""
    (workspace.folder / "changes.yaml").write_text(yaml.safe_dump(changes))
    done = workspace.run([*workspace.snakemake_command("-n", "-p", *arguments), "changes.yaml"])
    return [line.strip() for line in done.stdout.splitlines() if "regioncache " in line]


def batch_of(cache: Path) -> tuple[ParquetRegionDataset, dict[str, Any]]:
    dataset = ParquetRegionDataset(cache, tokens="byt5-sca-20", prompts="sam", masks="dense")
    return dataset, RegionCollator("pad")([dataset[k] for k in range(len(dataset))])


def test_a_json_of_boxes_and_polygons_becomes_a_batch(mine: Workspace) -> None:
    cache = mine.cache_dir / "my_boxes" / "train"
    assert verify_cache(cache, full=True)["rows"] == 2
    rows = sample_rows(cache)
    assert [(row["image_id"], row["file_name"], row["task_type"]) for row in rows] == [
        (3, "y.png", "caption"),
        (8, "day 1/x.png", "caption"),
    ]
    dataset, batch = batch_of(cache)
    assert [list(some) for some in batch["metadata_captions"]] == [["screw"], ["hand saw", "screw"]]
    assert batch["region_mask"].tolist() == [[True, False], [True, True]]
    assert batch["category_index"].tolist() == [[1, -1], [0, 1]]
    assert batch["is_crowd"].tolist() == [[False, False], [False, True]]
    # The raw preset keeps the box without width; boxes are in source pixels, and 1024 / 40 times as large in the frame.
    boxes = torch.tensor([[[10, 10, 10, 14], [0, 0, 0, 0]], [[5, 5, 25, 25], [0.5, 0, 3.75, 4]]])
    torch.testing.assert_close(batch["metadata_input_boxes"], boxes)
    torch.testing.assert_close(batch["input_boxes"], boxes.double() * 25.6)
    theirs = pycoco.decode(pycoco.frPyObjects(TRIANGLE, HEIGHT, WIDTH))[..., 0]
    np.testing.assert_array_equal(batch["masks"][1, 0].numpy(), theirs.astype(bool))
    assert not batch["masks"][0].any()
    assert not batch["masks"][1, 1].any()
    assert batch["pixel_values"].shape == (2, HEIGHT, WIDTH, 3)
    assert dataset[1]["metadata_region_id"].tolist() == [100, 101]


def test_a_table_of_sentences_becomes_a_batch(mine: Workspace) -> None:
    cache = mine.cache_dir / "my_table" / "train"
    assert verify_cache(cache, full=True)["rows"] == 2
    rows = sample_rows(cache)
    assert [(row["image_id"], row["file_name"], row["width"], row["height"]) for row in rows] == [
        (0, "b.png", WIDTH, HEIGHT),
        (1, "a.png", 20, 10),
    ]
    assert [row["phrases"] for row in rows] == [[["a Cup.", "the left cup"]], [["all of it"]]]
    _, batch = batch_of(cache)
    assert batch["metadata_input_boxes"].tolist() == [[[1, 2, 9, 8]], [[0, 0, 20, 10]]]
    assert batch["metadata_region_id"].tolist() == [[0], [2]]
    assert not batch["masks"].any()
    # One of three regions has no area: beyond the common budget of rejects, and within that of this set.
    stats = json.loads((cache / "stats.json").read_text())
    assert stats["rejects"] == {"box_degenerate": 1}
    assert stats["counts"]["regions_listed"] == 3
    text = "all of it"
    assert batch["input_ids"][1, 0, : len(text) + 2].tolist() == [*(byte + 3 for byte in text.encode()), 1, 1]


def test_budgets_and_presets_of_one_dataset_go_over_the_common_ones(mine: Workspace) -> None:
    def commands(**changes: Any) -> tuple[str, str]:
        """The commands that publish the table and convert the boxes; ``-F`` plans everything anew."""
        lines = planned(mine, changes, "-F", "cache_my_table", "cache_my_boxes")
        (publish,) = (line for line in lines if " publish " in line and "sentences.yml" in line)
        (convert,) = (line for line in lines if " convert " in line and "my_boxes" in line)
        return publish, convert

    publish, convert = commands()
    assert "--reject-budget 0.001 --region-budget 0.5" in publish
    assert "--preset raw --task-type caption" in convert
    of = {"my_table": {"budget": 0.75}, "my_boxes": {"budget": 1}}
    publish, convert = commands(rejects={"budget": 0.25, "of": of}, presets={"default": "grit"})
    assert "--reject-budget 0.75 --region-budget 0.5" in publish
    assert "--preset raw" in convert


def test_a_misspelt_budget_or_preset_is_refused_before_anything_runs(mine: Workspace) -> None:
    for change in (
        {"rejects": {"of": {"my_table": {"bugdet": 1}}}},
        {"rejects": {"budget": 2}},
        {"presets": {"my_table": "best"}},
    ):
        (mine.folder / "changes.yaml").write_text(yaml.safe_dump(change))
        done = mine.run([*mine.snakemake_command("-n", "cache_my_table"), "changes.yaml"], ok=False)
        assert done.returncode != 0
        assert "ValidationError" in done.stdout


def test_a_photo_edited_in_a_sub_folder_is_packed_and_converted_anew(mine: Workspace) -> None:
    assert "Nothing to be done" in mine.snakemake("-n", "cache_my_boxes")
    cache = mine.cache_dir / "my_boxes" / "train"
    before = ParquetRegionDataset(cache)[1]["image"]
    edited = mine.folder / "my tools" / "photos" / "day 1" / "x.png"
    edited.write_bytes(photo(WIDTH, HEIGHT, 99))
    (mine.folder / "my tools" / "photos" / "day 1" / "new.png").write_bytes(photo(5, 5))
    mine.snakemake("cache_my_boxes")
    after = ParquetRegionDataset(cache)[1]["image"]
    assert not np.array_equal(before, after)
    assert "Nothing to be done" in mine.snakemake("-n", "cache_my_boxes")


def test_guarded_photos_are_listed_again_when_an_entry_names_another_file(mine: Workspace) -> None:
    listed = ".data/work/leakage_guard.arrow"
    mine.snakemake(listed)
    assert map_table(mine.folder / listed).to_pylist() == [{"coco_image_id": 11, "held_by": "first/val"}]
    assert "Nothing to be done" in mine.snakemake("-n", listed)
    write_entry(mine.catalog, guard_entry("first", "second"))
    mine.snakemake(listed)
    assert [row["coco_image_id"] for row in map_table(mine.folder / listed).to_pylist()] == [11, 12]


def test_one_key_turns_the_guard_of_all_training_splits_off(mine: Workspace) -> None:
    entry = boxes_entry() | {"coco_image_ids": True, "name": "guarded"}
    for key, archive in entry["archives"].items():
        archive["path"] = f"guarded/{key}"
    entry["splits"]["train"]["leakage_guard"] = True
    entry["splits"]["val"] = entry["splits"]["train"] | {"leakage_guard": False}
    path = write_entry(mine.catalog, yaml.safe_load(json.dumps(entry)))

    (mine.folder / ".data" / "work" / "leakage_guard.arrow").unlink(missing_ok=True)
    lines = planned(mine, {"leakage_guard": True}, "cache_guarded")
    assert [" --leakage-guard" in line for line in lines if " parse " in line and " train " in line] == [True]
    assert [" --no-leakage-guard" in line for line in lines if " parse " in line and " val " in line] == [True]
    assert len([line for line in lines if "regioncache guard " in line]) == 1
    lines = planned(mine, {"leakage_guard": False}, "cache_guarded")
    assert [" --no-leakage-guard" in line for line in lines if " parse " in line] == [True, True]
    assert not [line for line in lines if "regioncache guard " in line]
    path.unlink()
