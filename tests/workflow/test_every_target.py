"""Every target of the catalog, from archives behind a web server to collated batches, in one workspace."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pycocotools import mask as pycoco

from fault_server import serving
from official.expected import byt5_ids
from official.sets import BY_HAND, MAIN, Official, official_entry, pack_official, shipped_entry
from pack_archives import write_entry
from regioncache import (
    MixedDataset,
    OrderBatchSampler,
    ParquetRegionDataset,
    RegionCollator,
    RegionLoader,
    WeightedMix,
)
from regioncache.__main__ import main
from workspace import Workspace, make_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from fault_server import ServedFile
    from official.expected import Row

    Batch = dict[str, Any]

# The splits of each target and their shards. What other splits there are differ by an option alone, and are built elsewhere.
SHARDS = {
    "ade20k_panoptic": {"train": 1, "val": 1},
    "coco_caption": {"train": 1, "val": 1},
    "coco_instance": {"train": 1, "val": 1},
    "coco_panoptic": {"train": 1, "val": 1},
    "objects365": {"train": 2, "val": 1},
    "openimages": {"train": 2, "validation": 1},
    "refclef": {"train": 1, "testB": 1, "berkeley_test": 1},
    "refcoco": {"train": 1, "val": 1, "testA": 1, "testB": 1},
    "refcoco_plus": {"train": 1, "testB": 1},
    "refcocog": {"train": 1, "test": 1, "google_train": 1},
    "sa1b_cap": {"train": 2},
    "sa1b_cap_scored": {"train": 2},
    "sbu": {"train": 1},
    "v3det": {"train": 1, "val": 1},
    "visual_genome": {"train": 1, "val": 1, "test": 1},
    "visual_genome_grit": {"train": 1},
    "visual_genome_masks": {"train": 1},
}
CASES = [(name, split) for name, shards in SHARDS.items() for split in shards]
GUARDED = [(name, split) for name, split in CASES if shipped_entry(name)["splits"][split].get("leakage_guard")]


class Targets(NamedTuple):
    """The workspace after the run, its archives, and what was asked of the server; ``printed`` is a second run's output."""

    workspace: Workspace
    official: Official
    files: dict[str, ServedFile]
    printed: str

    def cache(self, name: str, split: str) -> Path:
        return self.workspace.cache_dir / name / split

    def stats(self, name: str, split: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.cache(name, split) / "stats.json").read_bytes())
        return found


@pytest.fixture(scope="module")
def targets(shared: Path, wget: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Targets]:  # noqa: ARG001  (it must be there)
    folder = tmp_path_factory.mktemp("targets")
    official = pack_official(folder / "served", shared)
    # These few images have a fault of each kind, more than a real set may lose.
    workspace = make_workspace(folder / "workspace", rejects={"budget": 1.0, "region_budget": 1.0})
    with serving() as server:
        files = {}
        for path in sorted(official.folder.rglob("*.*")):
            name = str(path.relative_to(official.folder))
            if name in BY_HAND:
                place = workspace.folder / ".data/archives" / name
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, place)
            elif path.is_file():
                files[name] = server.serve(f"/{name}", path.read_bytes())[1]
        for name, shards in SHARDS.items():
            write_entry(workspace.catalog, official_entry(official, name, base_url=server.url, shards=shards))
        workspace.snakemake("cache_refcoco", "cache_refcoco_plus", "cache_refcocog", "cache_coco_instance", "cache_coco_caption")
        workspace.snakemake()
        requests = {name: len(file.requests) for name, file in files.items()}
        printed = workspace.snakemake("cache_all")
        assert {name: len(file.requests) for name, file in files.items()} == requests
        yield Targets(workspace, official, files, printed)


def test_every_entry_of_the_catalog_is_a_target_here() -> None:
    assert set(MAIN) <= set(SHARDS)


def test_every_archive_was_downloaded_once_and_whole(targets: Targets) -> None:
    used = {name for name, file in targets.files.items() if file.requests}
    paths = set()
    for name, shards in SHARDS.items():
        entry = official_entry(targets.official, name, base_url="http://localhost", shards=shards)
        parts = [member for split in entry["splits"].values() for member in split.get("files", {}).values()]
        for split in entry["splits"].values():
            for folder in split["folders"].values():
                parts += folder if isinstance(folder, list) else [folder]
        for key in {one["archive"] for one in (*parts, *entry.get("guards", {}).values())}:
            first, last = entry["archives"][key].get("numbers", (0, 0))
            paths |= {entry["archives"][key]["path"].format(n=n) for n in range(first, last + 1)}
    assert used == paths - set(BY_HAND)
    assert {len(targets.files[name].requests) for name in used} == {1}
    assert [name for name in used if targets.files[name].sent_bytes != len(targets.files[name].data)] == []


def test_a_second_run_has_nothing_to_do(targets: Targets) -> None:
    assert "Nothing to be done" in targets.printed


def test_the_archives_of_streams_are_gone_and_their_checksums_are_kept(targets: Targets) -> None:
    entry = official_entry(targets.official, "sa1b_cap")
    paths = [archive["path"].format(n=n) for archive in entry["archives"].values() for n in (0, 1)]
    left = {path for path in paths if (targets.workspace.folder / ".data/archives" / path).exists()}
    assert not left
    index = json.loads((targets.cache("sa1b_cap", "train") / "index.json").read_bytes())
    sha256s = {path: hashlib.sha256(targets.files[path].data).hexdigest() for path in paths}
    assert {path: one["sha256"] for path, one in index["provenance"]["archives"].items()} == sha256s


@pytest.mark.parametrize(("name", "split"), CASES)
def test_the_rejects_and_counts_are_those_of_the_records(targets: Targets, name: str, split: str) -> None:
    expected = targets.official.split(name, split)
    rejects = pq.read_table(targets.cache(name, split) / "rejects.parquet").to_pylist()
    assert Counter((one["image_id"], one["region_id"], one["reason"]) for one in rejects) == Counter(expected.rejects)
    counts = targets.stats(name, split)["counts"]
    assert (counts["images"], counts["images_listed"]) == (len(expected.rows), expected.images_listed)
    assert counts["regions"] == sum(len(row.regions) for row in expected.rows)
    assert counts["rejects"] == len(expected.rejects)


@pytest.mark.parametrize("name", SHARDS)
def test_verify_finds_every_cache_sound(
    targets: Targets, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for split in SHARDS[name]:
        monkeypatch.setattr("sys.argv", ["regioncache", "verify", "--full", "--json", str(targets.cache(name, split))])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert stopped.value.code in (None, 0)
        found = json.loads(capsys.readouterr().out)
        assert (found["sound"], found["rows"]) == (True, len(targets.official.split(name, split).rows))


@pytest.mark.parametrize(("name", "split"), CASES)
def test_a_batch_of_the_whole_split_is_what_the_records_say(targets: Targets, name: str, split: str) -> None:
    rows = targets.official.split(name, split).rows
    has_masks = targets.official.sets[name].has_masks
    dataset = ParquetRegionDataset(
        targets.cache(name, split), tokens="byt5-sca-20", prompts="sam", masks="rle" if has_masks else None, image="uint8"
    )
    samples = [dataset[k] for k in range(len(dataset))]
    assert [one["image_id"] for one in samples] == [row.image_id for row in rows]
    batch = RegionCollator("pad", tensors="numpy")(samples)
    assert batch["task_type"] == [shipped_entry(name)["task_type"]] * len(rows)
    most = max(len(row.regions) for row in rows)
    assert batch["region_mask"].tolist() == [[k < len(row.regions) for k in range(most)] for row in rows]
    for place, row in enumerate(rows):
        check_pixels(batch, place, row)
        check_regions(batch, place, row)
        check_tokens(batch, place, row)
        check_prompts(batch, place, row)
        if has_masks:
            found = [(one["size"], str(one["counts"], "ascii")) for one in batch["segmentation"][place]]
            # A region without a mask has the empty one.
            empty = str(pycoco.encode(np.zeros(row.size_hw, np.uint8, "F"))["counts"], "ascii")
            assert found == [(list(row.size_hw), one.counts or empty) for one in row.regions]


def check_pixels(batch: Batch, place: int, row: Row) -> None:
    pixels = np.asarray(Image.open(io.BytesIO(row.photo)).convert("RGB"))
    height, width = row.size_hw
    np.testing.assert_array_equal(batch["pixel_values"][place, :height, :width], pixels)
    assert not batch["pixel_values"][place, height:].any()
    assert not batch["pixel_values"][place, :, width:].any()
    assert batch["original_sizes"][place].tolist() == [height, width]


def check_regions(batch: Batch, place: int, row: Row) -> None:
    count = len(row.regions)
    padding = batch["region_mask"].shape[1] - count
    for key, values, fill in (
        ("metadata_region_id", [one.region_id for one in row.regions], -1),
        ("metadata_image_id", [row.image_id] * count, -1),
        ("category_index", [one.category for one in row.regions], -1),
        ("is_crowd", [one.is_crowd for one in row.regions], False),
    ):
        assert batch[key][place].tolist() == [*values, *[fill] * padding], key
    boxes = np.array([one.box_xyxy(row.size_hw) for one in row.regions], np.float32).reshape(-1, 4)
    np.testing.assert_array_equal(batch["metadata_input_boxes"][place, :count], boxes)
    np.testing.assert_array_equal(batch["input_boxes"][place, :count], boxes.astype(np.float64) * np.tile(frame_scale_xy(row), 2))


def frame_scale_xy(row: Row) -> list[float]:
    """How SAM's frame, whose longest side is 1024, shrinks or stretches each side."""
    height, width = row.size_hw
    return [int(side * 1024 / max(height, width) + 0.5) / side for side in (width, height)]


def check_tokens(batch: Batch, place: int, row: Row) -> None:
    assert list(batch["metadata_captions"][place]) == [one.phrases[0] for one in row.regions]
    length = batch["input_ids"].shape[2]
    for k, one in enumerate(row.regions):
        ids = byt5_ids(one.phrases[0])
        padding = length - len(ids)
        assert batch["input_ids"][place, k].tolist() == ids + [0] * padding
        assert batch["attention_mask"][place, k].tolist() == [1] * len(ids) + [0] * padding
        assert batch["labels"][place, k].tolist() == [-100, *ids] + [-100] * padding


def check_prompts(batch: Batch, place: int, row: Row) -> None:
    for k, one in enumerate(row.regions):
        x, y = np.rint(batch["input_points"][place, k, 0] / frame_scale_xy(row)).astype(int)
        x0, y0, x1, y1 = one.box_xyxy(row.size_hw)
        if one.counts:
            assert pycoco.decode({"size": list(row.size_hw), "counts": one.counts})[y, x]
        else:
            assert np.floor(x0) <= x <= x1
            assert np.floor(y0) <= y <= y1


def test_visual_genome_and_sa1b_cap_train_together(targets: Targets) -> None:
    caches = {name: targets.cache(name, "train") for name in ("visual_genome", "sa1b_cap")}
    # Visual Genome has no masks: the collator says which are real.
    sources = {
        name: ParquetRegionDataset(path, tokens="byt5-sca-20", masks="rle" if name == "sa1b_cap" else None)
        for name, path in caches.items()
    }
    mixed = MixedDataset(sources)
    rows = {name: targets.official.split(name, "train").rows for name in caches}
    assert len(mixed) == sum(map(len, rows.values()))
    order = WeightedMix(mixed.lengths, {"visual_genome": 0.5, "sa1b_cap": 0.5}, stop="repeat", epoch_length=8, seed=1)
    batches = OrderBatchSampler(order, batch_size=4)
    seen: Counter[str] = Counter()
    for batch in RegionLoader(mixed, batches, RegionCollator("pad", tensors="numpy")):
        for place, (source, image_id) in enumerate(zip(batch["source"], batch["metadata_image_id"][:, 0].tolist(), strict=True)):
            seen[source] += 1
            if not batch["region_mask"][place].any():
                assert any(not one.regions for one in rows[source])
                continue
            (row,) = [one for one in rows[source] if one.image_id == image_id]
            found = batch["metadata_region_id"][place][batch["region_mask"][place]].tolist()
            assert found == [one.region_id for one in row.regions]
            assert list(batch["metadata_captions"][place]) == [one.phrases[0] for one in row.regions]
            check_tokens(batch, place, row)
            assert batch["has_masks"][place] == (source == "sa1b_cap")
    assert seen == {"visual_genome": 4, "sa1b_cap": 4}


@pytest.mark.parametrize(("name", "split"), GUARDED)
def test_no_guarded_photo_is_in_a_training_split(targets: Targets, name: str, split: str) -> None:
    held_by = targets.official.held_by
    parts = (targets.cache(name, split) / "samples").glob("*.parquet")
    assert not {one for part in parts for one in pq.read_table(part)["coco_image_id"].to_pylist()} & set(held_by)
    left_out = [
        row.coco_image_id for row in targets.official.split(name, split, guard=False).rows if row.coco_image_id in held_by
    ]
    counts = targets.stats(name, split)["counts"]
    counted = {key.partition("/")[2]: count for key, count in counts.items() if key.startswith("leakage_guard/")}
    assert counted == Counter(holder for photo in left_out for holder in held_by[photo])


def test_the_guard_holds_photos_of_each_kind_of_set() -> None:
    assert {name for name, _ in GUARDED} >= {"coco_instance", "coco_panoptic", "coco_caption", "visual_genome", "refcoco"}


def row_ids(cache: Path, column: str) -> Sequence[Any]:
    return [one for part in sorted((cache / "samples").glob("*.parquet")) for one in pq.read_table(part)[column].to_pylist()]


def test_two_keys_turn_the_guard_off_and_detection_sets_into_caption_sets(targets: Targets) -> None:
    workspace, name, split = targets.workspace, "coco_instance", "train"
    assert set(row_ids(targets.cache(name, split), "task_type")) == {"recognition"}
    requests = {one: len(file.requests) for one, file in targets.files.items()}
    other = {"cache_dir": "other", "work_dir": ".data/other", "leakage_guard": False, "detection_task_type": "caption"}
    (workspace.folder / "other.yaml").write_text(json.dumps({**other, "prompts": {"frames": []}}))
    workspace.run([*workspace.snakemake_command(f"other/{name}/{split}/index.json"), "other.yaml"])
    cache = workspace.folder / "other" / name / split
    expected = targets.official.split(name, split, guard=False)
    assert set(row_ids(cache, "task_type")) == {"caption"}
    assert row_ids(cache, "image_id") == [row.image_id for row in expected.rows]
    assert set(row_ids(cache, "image_id")) - set(row_ids(targets.cache(name, split), "image_id")) == {403385}
    assert {one: len(file.requests) for one, file in targets.files.items()} == requests
