from __future__ import annotations

import hashlib
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from PIL import Image

from built_cache import build, sample_rows
from regioncache import ParquetRegionDataset
from regioncache.entries import load_dataset_entry
from regioncache.errors import ArchiveError
from regioncache.fetch.archive import fetch_archive
from regioncache.sources import sa1b
from regioncache.sources.reports import Report
from regioncache.steps.paths import BuildPaths
from regioncache.steps.publish import RejectBudget, publish_split
from regioncache.steps.row_maker import ConvertOptions

if TYPE_CHECKING:
    from pathlib import Path

FILES = {
    "tars": "sa_{n:06d}.tar",
    "annotations": "sa_{n:06d}.tar.tsv",
    "captions": "sa1b-cap-{n}.predict.tsv",
    "scores": "sa1b-cap-{n}.clip-truncation.083123.tsv",
    "captions_lineidx": "sa1b-cap-{n}.predict.lineidx.8b",
    "annotations_lineidx": "sa_{n:06d}.tar.lineidx",
}
SIDES = ("x", "y", "width", "height")


def fetched(shared: Path, folder: Path, numbers: tuple[int, int], *files: str) -> BuildPaths:
    """The golden's tars and TSV files as an entry that streams them, all fetched."""
    inputs = shared / "goldens/sca/inputs/archives/sa1b"
    archives = {
        key: {
            "path": f"sa1b/{name}",
            "kind": "tar" if key == "tars" else "file",
            "numbers": list(numbers),
            "local": f"{inputs}/{name}",
        }
        for key, name in FILES.items()
        if key in ("tars", *files)
    }
    split = {
        "stream": list(numbers),
        "files": {key: {"archive": key} for key in files},
        "folders": {"images": {"archive": "tars"}},
    }
    entry = {
        "name": "sa1b_cap",
        "title": "SA1B-Cap",
        "format": "sa1b",
        "homepage": "https://example.org",
        "licence": {"annotations": "none", "images": "none"},
        "citation": "none",
        "exif": "ignore",
        "task_type": "caption",
        "images_without_regions": "leave_out",
        "archives": archives,
        "splits": {"train": split},
    }
    (folder / "entry.yaml").write_text(yaml.safe_dump(entry))
    paths = BuildPaths(load_dataset_entry(folder / "entry.yaml"), "train", folder / "archives", folder / "work", folder / "cache")
    for archive in paths.dataset.archives.values():
        fetch_archive(archive, paths.archives_dir / archive.path, log=lambda _: None)
    return paths


def golden(shared: Path, variant: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((shared / "goldens/sca/expected/sa1b.json").read_text())["expected"][variant][
        "train"
    ]
    return found


def assert_equal_rows(rows: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Numbers of the golden are cut to integers; the pictures are compared by their pixels."""
    assert [row["image_id"] for row in rows] == sorted(one["image_id"] for one in expected)
    for row, one in zip(rows, sorted(expected, key=lambda one: one["image_id"]), strict=True):
        assert (row["width"], row["height"], row["task_type"]) == (one["width"], one["height"], "caption")
        with Image.open(io.BytesIO(row["image"]["bytes"])) as image:
            assert hashlib.sha256(image.convert("RGB").tobytes()).hexdigest() == one["image"]["rgb_sha256"]
        assert row["region_id"] == [region["region_id"] for region in one["regions"]]
        assert row["phrases"] == [region["phrases"] for region in one["regions"]]
        boxes = [[int(side) for side in box] for box in row["published_box_xywh"]]
        assert boxes == [[region[side] for side in SIDES] for region in one["regions"]]
        if "mask" in one["regions"][0]:
            assert row["segmentation"] == [region["mask"]["counts"] for region in one["regions"]]


def test_all_regions_are_those_of_the_original(shared: Path, tmp_path: Path) -> None:
    paths = fetched(shared, tmp_path, (0, 1), "annotations", "captions")
    rows = sample_rows(build(paths, options=ConvertOptions(preset="raw", storage="original")))
    assert_equal_rows(rows, golden(shared, "plain,with_mask=true"))
    assert [row["source"] for row in rows] == ["sa1b_cap"] * len(rows)


@pytest.mark.parametrize(
    ("variant", "files"),
    [
        ("filter,clip_tsv,with_mask=false", ["annotations", "captions", "scores"]),
        ("filter,no_clip_tsv,with_mask=false", ["annotations", "captions"]),
    ],
)
def test_the_filter_keeps_what_it_was_meant_to_keep_and_counts_each_step(
    shared: Path, tmp_path: Path, variant: str, files: list[str]
) -> None:
    paths = fetched(shared, tmp_path, (0, 1), *files)
    cache = build(paths, options=ConvertOptions(preset="sa1b_cap", storage="original"))
    assert_equal_rows(sample_rows(cache), golden(shared, variant))
    counts = json.loads((cache / "stats.json").read_bytes())["counts"]
    # Of the eight regions one is too small, one too uncertain, and, where scores are there, two too far from their pictures.
    after = [counts[f"filter/{name}/after"] for name in ("area_share_at_least_0.0003", "clip_score_at_least_0.21")]
    assert after == [7, 5 if "scores" in files else 7]
    assert counts["filter/confidence_at_least_0.012/before"] == after[-1]
    assert counts["filter/confidence_at_least_0.012/after"] == after[-1] - 1


def test_a_photo_without_annotations_is_a_reject_and_the_others_stay(shared: Path, tmp_path: Path) -> None:
    paths = fetched(shared, tmp_path, (9, 9), "annotations", "captions")
    cache = build(paths, options=ConvertOptions(preset="raw", storage="original"), reject_budget=1)
    assert_equal_rows(sample_rows(cache), golden(shared, "plain,tar_with_unannotated_image,with_mask=false"))
    stats = json.loads((cache / "stats.json").read_bytes())
    assert stats["rejects"] == {"annotation_missing": 1}


def test_real_records_of_sa1b_become_regions_with_their_masks_and_published_areas(shared: Path) -> None:
    for name in ("sa_1", "sa_560", "sa_3032002"):
        record = json.loads((shared / f"samples/sa1b/annotation_fragments/{name}.json").read_bytes())
        image, (annotation,) = record["image"], record["annotations"]
        image_id, region_id = image["image_id"], annotation["id"]
        size = [image["height"], image["width"]]
        key = f"{image_id}-0-{region_id}"
        lines = {
            "annotations": f"{key}\t{json.dumps({**annotation, 'image_size': size})}\n",
            "captions": f'{key}\t[{{"caption": "a thing", "conf": 0.9}}]\n',
        }
        row = {"image_id": image_id, "file_name": image["file_name"], "height": size[0], "width": size[1]}
        report = Report()
        found = sa1b.regions_of(row, lambda folder, *_, lines=lines: lines[folder].encode(), {}, report)
        assert not report.rejects
        assert found.region_id.tolist() == [region_id]
        assert found.area.tolist() == [annotation["area"]]
        assert found.counts == [annotation["segmentation"]["counts"].encode()]
        # Their boxes end at the last pixel, and not behind it.
        x, y, width, height = annotation["bbox"]
        assert found.mask_box_xyxy.tolist() == [[x, y, x + width + 1, y + height + 1]]
        assert found.scores["area_share"].tolist() == [annotation["area"] / (size[0] * size[1])]


def test_line_indices_beside_the_files_change_nothing(shared: Path, tmp_path: Path) -> None:
    rows = []
    for files in (["annotations", "captions"], ["annotations", "captions", "captions_lineidx", "annotations_lineidx"]):
        folder = tmp_path / str(len(files))
        folder.mkdir()
        paths = fetched(shared, folder, (0, 1), *files)
        rows.append(sample_rows(build(paths, options=ConvertOptions(preset="raw", storage="original"))))
    assert rows[0] == rows[1]


def test_the_cache_can_be_made_of_some_archives_and_grow(shared: Path, tmp_path: Path) -> None:
    paths = fetched(shared, tmp_path, (0, 1), "annotations", "captions")
    options = ConvertOptions(preset="raw", storage="original")
    expected = golden(shared, "plain,with_mask=true")
    in_first = [one for one in expected if one["image"]["archive"] == "sa_000000.tar"]
    cache = build(paths, options=options, shards=[0])
    assert_equal_rows(sample_rows(cache), in_first)
    first = (cache / "samples" / "part-00000-of-00002.parquet").stat()
    for archive in paths.dataset.archives.values():
        if "000000" in archive.path or "-0." in archive.path:
            (paths.archives_dir / archive.path).unlink()
    with pytest.raises(ArchiveError, match=r"sa_000000\.tar"):
        build(paths, options=options, shards=[0])  # a shard stands, but its archives are gone
    build(paths, options=options, shards=[1])
    assert len(ParquetRegionDataset(cache)) == len(expected) - len(in_first)
    publish_split(paths, tokenizers=["byt5-sca-20"], frames=["sam"], budget=RejectBudget())  # of both, without any archive
    assert_equal_rows(sample_rows(cache), expected)
    assert (cache / "samples" / "part-00000-of-00002.parquet").stat().st_mtime_ns == first.st_mtime_ns
