"""The leakage guard from entries to published rejects, and what the budgets of rejects count."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow.parquet as pq
import pytest
from PIL import Image

from built_cache import build, sample_rows
from regioncache.catalog import Archive, Dataset
from regioncache.errors import ConfigError, RejectBudgetError
from regioncache.fetch.archive import fetch_archive
from regioncache.schema import ON_PURPOSE, REJECT_REASONS
from regioncache.steps.guard import list_guarded_images, open_guard
from regioncache.steps.parse import open_annotations, parse_annotations
from regioncache.steps.paths import BuildPaths
from regioncache.steps.row_maker import ConvertOptions

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

WIDTH, HEIGHT = 20, 10


def jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (WIDTH, HEIGHT), (90, 120, 30)).save(buffer, "JPEG")
    return buffer.getvalue()


def entry_of(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "name": name,
        "title": name,
        "format": "coco_captions",
        "homepage": "https://example.org",
        "licence": {"annotations": "CC0", "images": "CC0"},
        "citation": "none",
        "exif": "ignore",
        "task_type": "caption",
        "archives": {
            "annotations": {"path": f"{name}/captions.json", "kind": "file", "by_hand": "drawn"},
            "images": {"path": f"{name}/images.zip", "kind": "zip", "by_hand": "drawn"},
        },
        "splits": {
            "train": {
                "shards": 1,
                "leakage_guard": True,
                "files": {"annotations": {"archive": "annotations"}},
                "folders": {"images": {"archive": "images"}},
            }
        },
        "coco_image_ids": True,
        **changes,
    }


@dataclass
class Build:
    """A split of captions and a set of referring expressions over the same photos."""

    folder: Path

    @property
    def archives(self) -> Path:
        return self.folder / "archives"

    @property
    def guard(self) -> Path:
        return self.folder / "work" / "leakage_guard.arrow"

    def captions(
        self, images: Iterable[int], *, missing: Iterable[int] = (), repeated_captions: int = 0, **changes: Any
    ) -> BuildPaths:
        """A split of images with two captions each; captions with an id that is taken come on top."""
        ids = list(images)
        folder = self.archives / "captions"
        folder.mkdir(parents=True, exist_ok=True)
        document = {
            "images": [{"id": k, "file_name": f"{k}.jpg", "width": WIDTH, "height": HEIGHT} for k in ids],
            "annotations": [
                *({"id": 2 * k + one, "image_id": k, "caption": f"{k}, {one}"} for k in ids for one in (0, 1)),
                *({"id": 2 * ids[0], "image_id": ids[0], "caption": "again"} for _ in range(repeated_captions)),
            ],
        }
        (folder / "captions.json").write_text(json.dumps(document))
        with zipfile.ZipFile(folder / "images.zip", "w") as archive:
            for k in set(ids) - set(missing):
                archive.writestr(f"{k}.jpg", jpeg())
        dataset = msgspec.convert(entry_of("captions", **changes), Dataset)
        return BuildPaths(dataset, "train", self.archives, self.folder / "work", self.folder / "cache")

    def refs(self, name: str, files: dict[str, dict[str, list[int]]]) -> Dataset:
        """An entry whose guards are files of refs: by label, photos by split."""
        folder = self.archives / name
        folder.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(folder / "refs.zip", "w") as archive:
            for label, splits in files.items():
                records = [
                    {"ref_id": k, "ann_id": k, "image_id": k, "split": split, "sentences": []}
                    for split, ids in splits.items()
                    for k in ids
                ]
                archive.writestr(f"{label}.p", pickle.dumps(records, 2))
        entry = entry_of(name, guards={label: {"archive": "refs", "member": f"{label}.p"} for label in files})
        entry["archives"] = {"refs": {"path": f"{name}/refs.zip", "kind": "zip", "by_hand": "drawn"}}
        entry["splits"]["train"]["files"] = {}
        entry["splits"]["train"]["folders"] = {"images": {"archive": "refs"}}
        return msgspec.convert(entry, Dataset)

    def list_guarded(self, *datasets: Dataset) -> bool:
        return list_guarded_images(datasets, archives_dir=self.archives, spool_dir=self.folder / "spool", out=self.guard)


@pytest.fixture
def made(tmp_path: Path) -> Build:
    return Build(tmp_path)


UNC = {"refcoco/unc": {"train": [1, 2], "val": [3, 5], "testA": [3]}}


def image_ids(paths: BuildPaths) -> list[int]:
    return open_annotations(paths.annotations).table["image_id"].to_pylist()  # type: ignore[no-any-return]  # of integers


def test_the_list_holds_the_photos_of_all_entries_and_stands_until_a_file_changes(made: Build) -> None:
    unc = made.refs("refcoco", UNC)
    umd = made.refs("refcocog", {"refcocog/umd": {"train": [3], "test": [9]}, "refcocog/google": {"val": [2]}})
    assert made.list_guarded(unc, umd)
    table, key = open_guard(made.guard)
    assert list(zip(*table.to_pydict().values(), strict=True)) == [
        (2, "refcocog/google/val"),
        (3, "refcoco/unc/testA"),
        (3, "refcoco/unc/val"),
        (5, "refcoco/unc/val"),
        (9, "refcocog/umd/test"),
    ]
    assert not made.list_guarded(unc, umd)
    umd = made.refs("refcocog", {"refcocog/umd": {"test": [9]}, "refcocog/google": {"val": [2]}})
    assert made.list_guarded(unc, umd)
    assert open_guard(made.guard).key != key


def test_no_entries_give_an_empty_list_that_guards_nothing(made: Build) -> None:
    assert made.list_guarded()
    paths = made.captions([1, 2])
    parse_annotations(paths.inputs, paths.annotations, guard=made.guard)
    assert image_ids(paths) == [1, 2]


def test_two_entries_with_one_label_are_refused(made: Build) -> None:
    datasets = [made.refs(name, UNC) for name in ("refcoco", "others")]
    with pytest.raises(ConfigError, match=r"others: guards\.refcoco/unc is the label of another dataset too; rename one"):
        made.list_guarded(*datasets)
    assert not made.guard.exists()


def test_a_guarded_split_loses_the_photos_of_the_list_and_says_why(made: Build) -> None:
    made.list_guarded(made.refs("refcoco", UNC))
    paths = made.captions(range(1, 7))
    assert parse_annotations(paths.inputs, paths.annotations, guard=made.guard)
    assert image_ids(paths) == [1, 2, 4, 6]
    report = open_annotations(paths.annotations).report
    assert [(one.image_id, one.region_id, one.file_name, one.reason, one.detail) for one in report.rejects] == [
        (3, -1, "3.jpg", "leakage_guard", "COCO image 3 is in refcoco/unc/testA, refcoco/unc/val"),
        (5, -1, "5.jpg", "leakage_guard", "COCO image 5 is in refcoco/unc/val"),
    ]
    assert report.counts["leakage_guard/refcoco/unc/val"] == 2
    assert report.counts["leakage_guard/refcoco/unc/testA"] == 1
    assert report.counts["images_listed"] == 6


def test_the_table_is_parsed_again_when_the_guard_changes_or_is_taken_away(made: Build) -> None:
    paths = made.captions(range(1, 7))
    made.list_guarded(made.refs("refcoco", UNC))
    assert parse_annotations(paths.inputs, paths.annotations, guard=made.guard)
    assert not parse_annotations(paths.inputs, paths.annotations, guard=made.guard)
    made.list_guarded(made.refs("refcoco", {"refcoco/unc": {"val": [1]}}))
    assert parse_annotations(paths.inputs, paths.annotations, guard=made.guard)
    assert image_ids(paths) == [2, 3, 4, 5, 6]
    assert parse_annotations(paths.inputs, paths.annotations, guard=None)
    assert image_ids(paths) == [1, 2, 3, 4, 5, 6]
    assert not parse_annotations(paths.inputs, paths.annotations, guard=None)


def test_a_split_that_is_not_guarded_needs_no_list_and_no_coco_ids(made: Build) -> None:
    splits = entry_of("x")["splits"]
    splits["train"]["leakage_guard"] = False
    paths = made.captions([3], splits=splits, coco_image_ids=False)
    assert parse_annotations(paths.inputs, paths.annotations, guard=made.guard)
    assert image_ids(paths) == [3]


def test_a_guarded_split_without_coco_ids_is_refused_and_nothing_is_written(made: Build) -> None:
    made.list_guarded(made.refs("refcoco", UNC))
    paths = made.captions([3], coco_image_ids=False)
    with pytest.raises(
        ConfigError, match="captions, split train: leakage_guard needs COCO's image ids, but the format coco_captions"
    ):
        parse_annotations(paths.inputs, paths.annotations, guard=made.guard)
    assert not paths.annotations.exists()


def test_a_file_that_is_no_list_is_refused(made: Build) -> None:
    paths = made.captions([3])
    for text in (None, b"", b"not a table"):
        if text is not None:
            made.guard.parent.mkdir(exist_ok=True)
            made.guard.write_bytes(text)
        with pytest.raises(
            ConfigError, match=r"leakage_guard\.arrow is not the output of `regioncache guard`; run that step first"
        ):
            parse_annotations(paths.inputs, paths.annotations, guard=made.guard)


def test_guarded_photos_are_listed_in_the_cache_and_count_against_no_budget(made: Build) -> None:
    made.list_guarded(made.refs("refcoco", UNC))
    paths = made.captions(range(1, 7))
    cache = build(paths, tokenizers={}, frames=(), guard=made.guard)
    assert [row["image_id"] for row in sample_rows(cache)] == [1, 2, 4, 6]
    rejects = pq.read_table(cache / "rejects.parquet").to_pylist()
    assert [(one["image_id"], one["reason"]) for one in rejects] == [(3, "leakage_guard"), (5, "leakage_guard")]


# Budgets.


def budget_error(paths: BuildPaths, **budgets: float) -> str:
    with pytest.raises(RejectBudgetError) as caught:
        build(paths, tokenizers={}, frames=(), **budgets)  # type: ignore[arg-type]  # floats alone
    assert not (paths.cache / "index.json").exists()
    return str(caught.value)


def test_images_and_regions_have_budgets_of_their_own(made: Build) -> None:
    paths = made.captions(range(10), missing=[4], repeated_captions=5)
    # 1 of 10 images, 5 of 25 captions.
    text = budget_error(paths, reject_budget=0.09, region_budget=1.0)
    assert "captions, split train: 1 of 10 images were rejected, which is more than rejects.budget allows" in text
    assert ": image_missing 1. Look at" in text
    text = budget_error(paths, reject_budget=1.0, region_budget=0.19)
    assert "5 of 25 regions were rejected, which is more than rejects.region_budget allows" in text
    assert ": region_id_duplicate 5. Look at" in text
    cache = build(paths, tokenizers={}, frames=(), reject_budget=0.1, region_budget=0.2)
    assert len(sample_rows(cache)) == 9


@pytest.mark.parametrize(("rejected", "listed"), [(1, 49), (29, 100), (57, 100), (58, 100), (7, 25)])
def test_a_budget_that_is_just_met_is_enough_however_its_share_rounds(made: Build, rejected: int, listed: int) -> None:
    paths = made.captions(range(listed), missing=range(rejected))
    build(paths, tokenizers={}, frames=(), reject_budget=rejected / listed)
    assert len(sample_rows(paths.cache)) == listed - rejected


def test_a_budget_of_nothing_allows_nothing(made: Build) -> None:
    budget_error(made.captions(range(3), missing=[1]))
    budget_error(made.captions(range(3), repeated_captions=1))


def test_what_is_left_out_on_purpose_needs_no_budget(made: Build) -> None:
    splits = entry_of("x")["splits"]
    splits["train"]["options"] = {}
    paths = made.captions(range(4), splits=splits, images_without_regions="leave_out")
    long = json.loads((made.archives / "captions" / "captions.json").read_text())
    for one in long["annotations"]:
        if one["image_id"] == 2:
            one["caption"] = "word " * 16
    (made.archives / "captions" / "captions.json").write_text(json.dumps(long))
    cache = build(paths, options=ConvertOptions(preset="grit"), tokenizers={}, frames=())
    rejects = pq.read_table(cache / "rejects.parquet").to_pylist()
    assert [(one["image_id"], one["region_id"], one["reason"]) for one in rejects] == [
        (2, -1, "no_regions"),
        (2, 4, "filtered"),
        (2, 5, "filtered"),
    ]
    stats = json.loads((cache / "stats.json").read_text())
    assert stats["rejects"] == {"filtered": 2, "no_regions": 1}
    counts = stats["counts"]
    assert (counts["images_listed"], counts["images"], counts["regions_listed"], counts["regions"]) == (4, 3, 8, 6)
    assert (counts["filter/1_to_15_words/before"], counts["filter/1_to_15_words/after"]) == (8, 6)


def test_every_reason_on_purpose_is_a_reason() -> None:
    assert set(REJECT_REASONS) > ON_PURPOSE
    assert "image_missing" not in ON_PURPOSE
    assert "box_degenerate" not in ON_PURPOSE


def test_a_boxes_fault_counts_against_the_budget_of_regions(made: Build, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for name in ("a", "b"):
        (tmp_path / "photos" / f"{name}.jpg").write_bytes(jpeg())
    rows = [{"image": f"{name}.jpg", "boxes": [[1, 1, 5, 5], [3, 3, 3, 9]], "phrases": ["x", "y"]} for name in ("a", "b")]
    (tmp_path / "table.jsonl").write_text("\n".join(map(json.dumps, rows)))
    entry = entry_of("mine", format="table", coco_image_ids=False)
    entry["archives"] = {
        "table": {"path": "mine/table.jsonl", "kind": "file", "local": str(tmp_path / "table.jsonl")},
        "photos": {"path": "mine/photos.tar", "kind": "folder", "local": str(tmp_path / "photos")},
    }
    entry["splits"]["train"] = {
        "shards": 1,
        "files": {"table": {"archive": "table"}},
        "folders": {"images": {"archive": "photos"}},
    }
    dataset = msgspec.convert(entry, Dataset)
    paths = BuildPaths(dataset, "train", made.archives, made.folder / "work", made.folder / "cache")
    for archive in dataset.archives.values():
        assert isinstance(archive, Archive)
        fetch_archive(archive, made.archives / archive.path, log=lambda _: None)
    assert "2 of 4 regions were rejected" in budget_error(paths, region_budget=0.4)
    cache = build(paths, tokenizers={}, frames=(), region_budget=0.5)
    assert [row["region_id"] for row in sample_rows(cache)] == [[0], [2]]
    raw = build(paths, options=ConvertOptions(preset="raw"), tokenizers={}, frames=())
    assert [row["region_id"] for row in sample_rows(raw)] == [[0, 1], [2, 3]]
