"""The drawn dataset, read with zipfile, Pillow and counting."""

from __future__ import annotations

import io
import json
import re
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from regioncache.demo import draw_demo_archives
from regioncache.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Json = dict[str, Any]

TRAIN_IMAGES, VAL_IMAGES = 20, 5
SPLITS = {"train2017": TRAIN_IMAGES, "val2017": VAL_IMAGES}
ARCHIVES = ["panoptic_annotations_trainval2017.zip", "train2017.zip", "val2017.zip"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    draw_demo_archives(folder, train_images=TRAIN_IMAGES, val_images=VAL_IMAGES)
    return folder


def panoptic(folder: Path, split: str) -> tuple[Json, dict[str, NDArray[np.uint32]]]:
    """The JSON of a split, and the ids of its PNGs by file name."""
    with zipfile.ZipFile(folder / ARCHIVES[0]) as outer:
        document = json.loads(outer.read(f"annotations/panoptic_{split}.json"))
        with zipfile.ZipFile(io.BytesIO(outer.read(f"annotations/panoptic_{split}.zip"))) as inner:
            names = inner.namelist()
            pngs = {}
            for name in names:
                png = Image.open(io.BytesIO(inner.read(name)))
                assert (png.format, png.mode) == ("PNG", "RGB")
                rgb = np.asarray(png, np.uint32)
                pngs[name.removeprefix(f"panoptic_{split}/")] = rgb[..., 0] + 256 * rgb[..., 1] + 65536 * rgb[..., 2]
    return document, pngs


def test_the_archives_are_named_and_nested_as_the_official_ones(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ARCHIVES
    with zipfile.ZipFile(folder / ARCHIVES[0]) as outer:
        methods = {info.filename: info.compress_type for info in outer.infolist()}
        assert methods == {
            "annotations/panoptic_train2017.json": zipfile.ZIP_DEFLATED,
            "annotations/panoptic_train2017.zip": zipfile.ZIP_STORED,
            "annotations/panoptic_val2017.json": zipfile.ZIP_DEFLATED,
            "annotations/panoptic_val2017.zip": zipfile.ZIP_STORED,
        }
        for split, count in SPLITS.items():
            with zipfile.ZipFile(io.BytesIO(outer.read(f"annotations/panoptic_{split}.zip"))) as inner:
                png_names = inner.namelist()
            with zipfile.ZipFile(folder / f"{split}.zip") as images:
                jpeg_names = images.namelist()
                assert {info.compress_type for info in images.infolist()} == {zipfile.ZIP_STORED}
                assert {info.date_time for info in images.infolist()} == {(1980, 1, 1, 0, 0, 0)}
                assert images.testzip() is None
            assert jpeg_names == sorted(jpeg_names)
            assert len(jpeg_names) == count
            assert all(re.fullmatch(rf"{split}/\d{{12}}\.jpg", name) for name in jpeg_names)
            assert png_names == [f"panoptic_{name[:-4]}.png" for name in jpeg_names]


def test_the_json_has_the_keys_of_the_official_one(folder: Path, shared: Path) -> None:
    sample = shared / "samples" / "coco_panoptic" / "panopticapi_sample"
    official = json.loads((sample / "panoptic_examples.json").read_text())
    for split in SPLITS:
        document, _ = panoptic(folder, split)
        assert set(document) >= set(official)
        for key in ("images", "categories", "licenses"):
            assert set(document[key][0]) == set(official[key][0])
        assert set(document["annotations"][0]) == set(official["annotations"][0])
        ours, theirs = (each["annotations"][0]["segments_info"][0] for each in (document, official))
        assert set(ours) == set(theirs)


@pytest.mark.parametrize("split", SPLITS)
def test_every_image_is_a_jpeg_of_its_stated_size(folder: Path, split: str) -> None:
    document, pngs = panoptic(folder, split)
    annotated = {record["image_id"]: record["file_name"] for record in document["annotations"]}
    assert [entry["id"] for entry in document["images"]] == sorted(annotated)
    with zipfile.ZipFile(folder / f"{split}.zip") as images:
        for entry in document["images"]:
            data = images.read(f"{split}/{entry['file_name']}")
            image = Image.open(io.BytesIO(data))
            image.load()
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (entry["width"], entry["height"]))
            assert entry["file_name"] == f"{entry['id']:012d}.jpg"
            assert pngs[annotated[entry["id"]]].shape == (entry["height"], entry["width"])
            assert 40_000 < len(data) < 250_000


@pytest.mark.parametrize("split", SPLITS)
def test_areas_and_boxes_are_what_counting_pixels_finds(folder: Path, split: str) -> None:
    document, pngs = panoptic(folder, split)
    categories = {category["id"]: category for category in document["categories"]}
    for record in document["annotations"]:
        ids = pngs[record["file_name"]]
        segments = record["segments_info"]
        assert {segment["id"] for segment in segments} == set(np.unique(ids).tolist()) - {0}
        assert len({segment["id"] for segment in segments}) == len(segments)
        assert 8 <= len(segments) <= 40
        for segment in segments:
            rows, columns = np.nonzero(ids == segment["id"])
            assert segment["area"] == rows.size
            x, y = columns.min(), rows.min()
            assert segment["bbox"] == [x, y, columns.max() - x + 1, rows.max() - y + 1]
            assert segment["category_id"] in categories
            assert not segment["iscrowd"] or categories[segment["category_id"]]["isthing"]
        stuff = [s["category_id"] for s in segments if not categories[s["category_id"]]["isthing"]]
        assert len(stuff) == len(set(stuff))  # stuff is one segment per category


def test_the_set_is_as_varied_as_a_real_one(folder: Path) -> None:
    documents = [panoptic(folder, split) for split in SPLITS]
    images = [entry for document, _ in documents for entry in document["images"]]
    records = [record for document, _ in documents for record in document["annotations"]]
    segments = [segment for record in records for segment in record["segments_info"]]
    assert len({(entry["height"], entry["width"]) for entry in images}) >= 4
    ids = sorted(entry["id"] for entry in images)
    assert len(set(ids)) == TRAIN_IMAGES + VAL_IMAGES
    assert ids[-1] - ids[0] > 10 * len(ids)
    crowded = sum(any(segment["iscrowd"] for segment in record["segments_info"]) for record in records)
    assert crowded == (TRAIN_IMAGES + VAL_IMAGES) // 5
    void = [float((png == 0).mean()) for _, pngs in documents for png in pngs.values()]
    assert sum(part > 0 for part in void) > len(void) / 2
    assert max(void) < 0.3
    areas = [segment["area"] for segment in segments]
    assert min(areas) < 100
    assert max(areas) > 50_000
    values = [segment["id"] for segment in segments]
    assert min(values) < 65_536 < max(values)
    used = {segment["category_id"] for segment in segments}
    things = {category["id"] for category in documents[0][0]["categories"] if category["isthing"]}
    assert len(used & things) >= 10
    assert len(used - things) >= 8


def test_categories_have_distinct_ids_with_holes(folder: Path) -> None:
    train, val = (panoptic(folder, split)[0]["categories"] for split in SPLITS)
    assert train == val
    ids = [category["id"] for category in train]
    assert ids == sorted(set(ids))
    assert ids[-1] > len(ids)
    assert len({tuple(category["color"]) for category in train}) == len(ids)
    assert len({category["name"] for category in train}) == len(ids)


def test_equal_arguments_give_equal_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("first", 3), ("again", 3), ("other", 4)):
        draw_demo_archives(tmp_path / name, train_images=3, val_images=1, seed=seed)
    for archive in ARCHIVES:
        first, again, other = ((tmp_path / name / archive).read_bytes() for name in ("first", "again", "other"))
        assert first == again
        assert first != other


def test_progress_counts_up_to_the_whole(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    draw_demo_archives(tmp_path, train_images=2, val_images=1, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_a_split_may_be_empty_but_not_negative(tmp_path: Path) -> None:
    draw_demo_archives(tmp_path, train_images=1, val_images=0)
    with zipfile.ZipFile(tmp_path / "val2017.zip") as images:
        assert images.namelist() == []
    with pytest.raises(ConfigError, match="val_images must not be negative"):
        draw_demo_archives(tmp_path, val_images=-1)
