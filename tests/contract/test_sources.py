"""What every source promises, for every set of the catalog and its variants, split by split."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
from pycocotools import mask as pycoco

from official.sets import MAIN, VARIANTS, shipped_entry
from regioncache.archive import OpenArchive
from regioncache.cache.verify import verify_cache
from regioncache.schema import REJECT_REASONS
from regioncache.sources import SOURCES
from regioncache.sources.places import Place, place_of
from regioncache.steps.parse import parse_annotations
from regioncache.steps.paths import guard_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contract.conftest import Case
    from official.build import Builder
    from official.sets import Official

Json = dict[str, Any]
PER_REGION = (
    "region_id",
    "box_xyxy",
    "published_box_xywh",
    "mask_box_xyxy",
    "category_id",
    "category_index",
    "phrase_count",
    "phrases",
    "segmentation",
    "area",
    "is_crowd",
    "is_thing",
    "has_side_word",
    "flags",
)


def regions(case: Case) -> Iterator[tuple[Json, Json]]:
    """Each row with each of its regions."""
    for row in case.rows:
        for values in zip(*(row[name] for name in PER_REGION), strict=True):
            yield row, dict(zip(PER_REGION, values, strict=True))


def test_every_source_has_a_set_here() -> None:
    assert {shipped_entry(name)["format"] for name in (*MAIN, *VARIANTS)} == set(SOURCES)


def test_every_split_of_every_entry_is_built(official: Official) -> None:
    assert {name: set(one.splits) for name, one in official.sets.items()} == {
        name: set(shipped_entry(name)["splits"]) for name in (*MAIN, *VARIANTS)
    }


def test_the_rows_are_the_usable_images_by_id(case: Case) -> None:
    found = [(row["image_id"], row["file_name"], row["height"], row["width"], row["coco_image_id"]) for row in case.rows]
    assert found == [(row.image_id, row.file_name, *row.size_hw, row.coco_image_id) for row in case.expected.rows]
    ids = [image_id for image_id, *_ in found]
    assert len(set(ids)) == len(ids)
    # A stream is in the order of its archives, and each of them in the order of its ids.
    assert ids == sorted(ids) or case.paths.inputs.is_streamed
    dataset = case.paths.dataset
    assert {(row["source"], row["split"], row["task_type"]) for row in case.rows} == {
        (dataset.name, case.paths.split, dataset.task_type)
    }


def test_the_photos_are_those_of_the_archives(case: Case) -> None:
    for row, expected in zip(case.rows, case.expected.rows, strict=True):
        assert row["image_storage"] == "original"
        assert row["image"] == {"bytes": expected.photo, "path": expected.file_name}


def test_the_regions_are_the_records(case: Case) -> None:
    for row, expected in zip(case.rows, case.expected.rows, strict=True):
        assert row["region_id"] == [one.region_id for one in expected.regions]
        assert row["published_box_xywh"] == [list(map(float, one.box_xywh)) for one in expected.regions]
        assert row["phrases"] == [one.phrases for one in expected.regions]
        assert row["category_index"] == [one.category for one in expected.regions]
        assert row["segmentation"] == [one.counts for one in expected.regions]
        assert row["is_crowd"] == [one.is_crowd for one in expected.regions]
        assert row["flags"] == [one.flags for one in expected.regions]


def test_region_ids_are_unique_in_the_split(case: Case) -> None:
    ids = [
        (row["image_id"] if case.paths.dataset.format == "ade20k_panoptic" else 0, one["region_id"]) for row, one in regions(case)
    ]
    assert len(set(ids)) == len(ids)


def test_boxes_lie_in_their_image_and_are_the_published_ones_cut_to_it(case: Case) -> None:
    for row, one in regions(case):
        x0, y0, x1, y1 = one["box_xyxy"]
        assert 0 <= x0 < x1 <= row["width"]
        assert 0 <= y0 < y1 <= row["height"]
    for row, expected in zip(case.rows, case.expected.rows, strict=True):
        for box, one in zip(row["box_xyxy"], expected.regions, strict=True):
            np.testing.assert_array_equal(np.array(box, np.float32), one.box_xyxy(expected.size_hw))


def test_masks_have_the_size_of_their_image_and_their_box_is_pycocotools(case: Case) -> None:
    for row, one in regions(case):
        if not one["segmentation"]:
            assert one["mask_box_xyxy"] == [0, 0, 0, 0]
            continue
        encoded = {"size": [row["height"], row["width"]], "counts": one["segmentation"]}
        mask = pycoco.decode(encoded)
        assert mask.shape == (row["height"], row["width"])
        assert mask.sum() == one["area"] > 0
        x, y, width, height = pycoco.toBbox(encoded).tolist()
        assert one["mask_box_xyxy"] == [x, y, x + width, y + height]


def test_categories_are_dense_and_named_as_the_file_names_them(case: Case) -> None:
    categories = json.loads(case.metadata[b"regioncache.categories"])
    assert [one["index"] for one in categories] == list(range(len(categories)))
    if case.expected.categories:
        assert [one["name"] for one in categories] == case.expected.categories
    by_id = {one["category_id"]: one for one in categories}
    assert len(by_id) == len(categories)
    for _, one in regions(case):
        if categories:
            assert one["category_index"] == by_id[one["category_id"]]["index"]
            assert one["is_thing"] == by_id[one["category_id"]]["is_thing"]
        else:
            assert (one["category_id"], one["category_index"], one["is_thing"]) == (-1, -1, True)


def test_every_region_has_a_phrase(case: Case) -> None:
    for _, one in regions(case):
        assert one["phrase_count"] == len(one["phrases"]) > 0
        assert all(isinstance(phrase, str) for phrase in one["phrases"])


def test_the_counts_are_those_of_the_entry(case: Case) -> None:
    counts, expected, split = case.stats["counts"], case.expected, case.paths.inputs.split
    assert counts["images_listed"] == expected.images_listed
    assert counts.get("regions_listed") == expected.regions_listed
    assert split.expected_images in (None, expected.images_listed)
    assert split.expected_regions in (None, expected.regions_listed)
    assert counts["images"] == len(case.rows)
    assert counts["regions"] == sum(len(row["region_id"]) for row in case.rows)
    assert counts["crowd_regions"] == sum(one.is_crowd for row in expected.rows for one in row.regions)
    assert counts["images_without_regions"] == sum(not row.regions for row in expected.rows)


def test_every_listed_image_and_region_is_in_a_row_or_in_the_rejects(case: Case) -> None:
    counts = case.stats["counts"]
    found = Counter((one["image_id"], one["region_id"], one["reason"]) for one in case.rejects)
    assert found == Counter(case.expected.rejects)
    images = sum(one["region_id"] < 0 for one in case.rejects)
    assert counts["images"] + images == counts["images_listed"]
    if "regions_listed" in counts:
        regions_alone = len(case.rejects) - images
        assert counts["regions"] + regions_alone + case.expected.regions_lost == counts["regions_listed"]
    assert case.stats["rejects"] == dict(Counter(one["reason"] for one in case.rejects))


def test_every_reject_has_a_known_reason_and_a_detail(case: Case) -> None:
    for one in case.rejects:
        assert one["reason"] in REJECT_REASONS
        assert one["detail"]
        assert one["split"] == case.paths.split


def test_a_full_check_finds_the_cache_sound(case: Case) -> None:
    assert verify_cache(case.cache, full=True)["rows"] == len(case.rows)


def test_parsing_twice_gives_the_same_bytes(case: Case, builder: Builder, tmp_path: Path) -> None:
    again = tmp_path / "annotations.arrow"
    inputs = case.paths.inputs.of_shard(0) if case.paths.inputs.parses_shards else case.paths.inputs
    assert parse_annotations(inputs, again, guard=guard_path(builder.folder / "work"))
    assert again.read_bytes() == case.paths.annotations_of(0).read_bytes()


def test_other_shards_hold_the_same_rows_in_the_same_order(case: Case, rebuilder: Builder) -> None:
    paths = case.paths
    cache = rebuilder.build(paths.dataset.name, paths.split, has_sidecars=False)
    parts = sorted((cache / "samples").glob("*.parquet"))
    more = 0 if paths.inputs.is_streamed else 2  # a stream has a shard per archive, however it is built
    assert len(parts) == len(list((case.cache / "samples").glob("*.parquet"))) + more
    assert [row for part in parts for row in pq.read_table(part).to_pylist()] == case.rows


def test_without_the_guard_the_guarded_photos_are_there_too(case: Case, official: Official, unguarded: Builder) -> None:
    name, split = case.paths.dataset.name, case.paths.split
    expected = official.split(name, split, guard=False)
    held = [row.coco_image_id for row in expected.rows if row.coco_image_id in official.held_by]
    if not case.paths.inputs.split.leakage_guard:
        assert [row["image_id"] for row in case.rows] == [row.image_id for row in expected.rows]
        return
    assert not {row["coco_image_id"] for row in case.rows} & set(official.held_by)
    holders = Counter(f"leakage_guard/{holder}" for photo in held for holder in official.held_by[photo])
    counted = {key: count for key, count in case.stats["counts"].items() if key.startswith("leakage_guard/")}
    assert counted == holders
    cache = unguarded.build(name, split, has_sidecars=False, guard=False)
    found = [
        image_id
        for part in sorted((cache / "samples").glob("*.parquet"))
        for image_id in pq.read_table(part)["image_id"].to_pylist()
    ]
    assert found == [row.image_id for row in expected.rows]


def members_of(data: bytes, name: str) -> dict[str, bytes]:
    """Every file in an archive and in the zips inside it, read by the standard library."""
    if name.endswith(".tar.gz"):
        data = gzip.decompress(data)
    if name.endswith((".tar", ".tar.gz")):
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            return {one.name: archive.extractfile(one).read() for one in archive if one.isfile()}  # type: ignore[union-attr]  # files have one
    found = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for member in archive.namelist():
            found[member] = archive.read(member)
            if member.endswith(".zip"):
                found |= members_of(found[member], member)
    return found


def test_the_places_of_the_table_are_members_of_the_archives(case: Case, official: Official) -> None:
    inputs = case.paths.inputs.of_shard(0)
    table = case.parsed.table.to_pylist()
    for folder, parts in inputs.folders().items():
        for row in table:
            for place in places_of(row, folder):
                part = parts[place.part]
                archive = case.paths.dataset.archives[part.archive]
                with OpenArchive(inputs.folder_file(part)[0]) as opened:
                    found = bytes(opened.read(place.member))
                if archive.kind == "folder":
                    assert (Path(archive.local or "") / place.member.name).read_bytes() == found
                else:
                    packed = official.folder / archive.path
                    assert members_of(packed.read_bytes(), packed.name)[place.member.name] == found
                assert place.member.name.startswith(part.prefix)


def places_of(row: Json, folder: str) -> list[Place]:
    """Where a row's members of a folder lie; none where the archives are looked at shard by shard."""
    parts = row.get(f"{folder}.part", [])
    return [place_of(row, folder, nth) for nth in range(len(parts))] if isinstance(parts, list) else [place_of(row, folder)]
