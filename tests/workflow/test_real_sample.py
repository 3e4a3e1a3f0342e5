"""Two real photos of COCO panoptic, packed as the official archives, from a web server to batches."""

from __future__ import annotations

import io
import json
import zipfile
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from transformers import ByT5Tokenizer

from built_cache import build
from fault_server import serving
from pack_archives import PanopticSplit, fetched_paths, pack_panoptic, panoptic_entry, write_entry
from regioncache import ParquetRegionDataset, RegionCollator
from workspace import Workspace, make_workspace

if TYPE_CHECKING:
    from pathlib import Path

    Json = dict[str, Any]

TRAIN_IDS, VAL_IDS = [142238, 439180], [439180]
SHARDS = {"train": 2, "val": 1}
IMAGES = {"train": 2, "val": 1}
MAX_LENGTH = 20


class Golden(NamedTuple):
    """What the original converters and the source files say."""

    document: Json
    detection: dict[int, list[Json]]
    canonical: dict[int, Json]
    categories: list[Json]
    photos: dict[int, bytes]


@pytest.fixture(scope="module")
def golden(shared: Path) -> Golden:
    samples, goldens = shared / "samples" / "coco_panoptic", shared / "goldens"
    detection = defaultdict(list)
    converted = goldens / "panopticapi_panoptic2detection_coco_format" / "sample.json"
    for annotation in json.loads(converted.read_text())["annotations"]:
        detection[annotation["image_id"]].append(annotation)
    canonical = json.loads((goldens / "inputs_canonical" / "panopticapi_sample.json").read_text())
    photos = samples / "panopticapi_sample" / "input_images"
    return Golden(
        json.loads((samples / "panopticapi_sample" / "panoptic_examples.json").read_text()),
        dict(detection),
        {one["image_id"]: one for one in canonical},
        json.loads((samples / "panoptic_coco_categories.json").read_text()),
        {image_id: (photos / f"{image_id:012d}.jpg").read_bytes() for image_id in TRAIN_IDS},
    )


def splits_of(golden: Golden, shared: Path) -> dict[str, PanopticSplit]:
    """Both photos to train, one of them also to val; listed in falling order, so that the sorting shows."""
    pngs = shared / "samples" / "coco_panoptic" / "panopticapi_sample" / "panoptic_examples"
    splits = {}
    for split, ids in (("train", TRAIN_IDS), ("val", VAL_IDS)):
        listed = [one for one in reversed(golden.document["images"]) if one["id"] in ids]
        annotated = [one for one in golden.document["annotations"] if one["image_id"] in ids]
        document = {**golden.document, "images": listed, "annotations": annotated}
        png_files = {one["file_name"]: (pngs / one["file_name"]).read_bytes() for one in annotated}
        splits[split] = PanopticSplit(document, {one["file_name"]: golden.photos[one["id"]] for one in listed}, png_files)
    return splits


@pytest.fixture(scope="module")
def sample(golden: Golden, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The workspace after one run of ``cache_coco_panoptic`` with the project's entry, its archives behind a web server."""
    folder = tmp_path_factory.mktemp("real")
    archives = pack_panoptic(folder / "served", splits_of(golden, shared))
    workspace = make_workspace(folder / "workspace")
    with serving() as server:
        files = [server.serve(f"/{path.name}", path.read_bytes())[1] for path in sorted(archives.iterdir())]
        entry = panoptic_entry(archives, name="coco_panoptic", shards=SHARDS, expected_images=IMAGES, base_url=server.url)
        assert entry["expected_categories"] == 133
        write_entry(workspace.catalog, entry)
        workspace.snakemake("cache_coco_panoptic")
        assert [file.sent_bytes for file in files] == [len(file.data) for file in files]
    return workspace


def cache_of(workspace: Workspace, split: str) -> Path:
    return workspace.cache_dir / "coco_panoptic" / split


def expected_regions(golden: Golden, image_id: int) -> dict[str, Any]:
    """Columns of one image's regions, from the original converter's output and the source's JSON."""
    converted = golden.detection[image_id]
    segments = next(one for one in golden.document["annotations"] if one["image_id"] == image_id)["segments_info"]
    position = {one["id"]: place for place, one in enumerate(golden.categories)}
    x, y, width, height = np.array([one["bbox"] for one in converted], np.float32).T
    ids = [one["category_id"] for one in converted]
    return {
        "region_id": [one["id"] for one in segments],
        "box_xyxy": np.stack([x, y, x + width, y + height], 1),
        "category_id": ids,
        "category_index": [position[one] for one in ids],
        "phrases": [[golden.categories[position[one]]["name"]] for one in ids],
        "segmentation": [one["segmentation"]["counts"] for one in converted],
        "area": [float(one["area"]) for one in converted],
        "is_crowd": [bool(one["iscrowd"]) for one in converted],
        "is_thing": [bool(golden.categories[position[one]]["isthing"]) for one in ids],
    }


@pytest.mark.parametrize("split", SHARDS)
def test_every_region_is_the_original_converters(sample: Workspace, golden: Golden, split: str) -> None:
    samples = cache_of(sample, split) / "samples"
    rows = [row for part in sorted(samples.glob("*.parquet")) for row in pq.read_table(part).to_pylist()]
    assert [row["image_id"] for row in rows] == (TRAIN_IDS if split == "train" else VAL_IDS)
    for row in rows:
        expected = expected_regions(golden, row["image_id"])
        np.testing.assert_array_equal(np.array(row["box_xyxy"], np.float32), expected.pop("box_xyxy"))
        for name, values in expected.items():
            assert row[name] == values, name
        canonical = golden.canonical[row["image_id"]]
        assert row["segmentation"] == [one["segmentation"]["counts"] for one in canonical["segments"]]
        assert row["area"] == [one["png_area"] for one in canonical["segments"]]
        assert sum(row["area"]) + canonical["void_pixels"] == row["width"] * row["height"]
        assert sum(row["is_crowd"]) == sum(one["iscrowd"] for one in canonical["segments"]) > 0
        assert (row["source"], row["split"], row["coco_image_id"]) == ("coco_panoptic", split, row["image_id"])
        assert (row["task_type"], row["image_storage"]) == ("recognition", "original")
        assert row["image"] == {"bytes": golden.photos[row["image_id"]], "path": row["file_name"]}


def test_the_dataset_gives_the_original_converters_masks_and_points_inside_them(sample: Workspace, golden: Golden) -> None:
    cache = cache_of(sample, "train")
    encoded = ParquetRegionDataset(cache, prompts="sam", masks="rle", image=None)
    dense = ParquetRegionDataset(cache, masks="dense", image=None)
    assert len(encoded) == len(dense) == 2
    for index, image_id in enumerate(TRAIN_IDS):
        expected = [one["segmentation"] for one in golden.detection[image_id]]
        masks = np.stack([coco_mask.decode(one) for one in expected]).astype(bool)
        found = encoded[index]
        assert [{**one, "counts": str(one["counts"], "ascii")} for one in found["segmentation"]] == expected
        np.testing.assert_array_equal(dense[index]["masks"], masks)
        assert (masks.sum(0) == 0).sum() == golden.canonical[image_id]["void_pixels"]
        height, width = masks.shape[1:]
        scale = [int(side * 1024 / max(height, width) + 0.5) / side for side in (width, height)]
        points = np.rint(found["input_points"][:, 0] / scale).astype(int)
        assert masks[np.arange(len(masks)), points[:, 1], points[:, 0]].all()


def test_a_batch_holds_boxes_tokens_and_pixels_of_both_photos(sample: Workspace, golden: Golden) -> None:
    dataset = ParquetRegionDataset(cache_of(sample, "train"), tokens="byt5-sca-20", prompts="sam", image="bytes")
    batch = RegionCollator("pad", tensors="numpy")([dataset[0], dataset[1]])
    tokenizer = ByT5Tokenizer()
    expected = [expected_regions(golden, image_id) for image_id in TRAIN_IDS]
    most = max(len(one["region_id"]) for one in expected)
    assert batch["region_mask"].shape == (2, most)
    for place, (image_id, regions) in enumerate(zip(TRAIN_IDS, expected, strict=True)):
        count = len(regions["region_id"])
        assert batch["region_mask"][place].tolist() == [True] * count + [False] * (most - count)
        np.testing.assert_array_equal(batch["metadata_input_boxes"][place, :count], regions["box_xyxy"])
        for key, name in (
            ("metadata_region_id", "region_id"),
            ("category_index", "category_index"),
            ("is_crowd", "is_crowd"),
        ):
            assert batch[key][place, :count].tolist() == regions[name], key
        assert (batch["metadata_image_id"][place, :count] == image_id).all()
        pixels = np.asarray(Image.open(io.BytesIO(golden.photos[image_id])))
        height, width = pixels.shape[:2]
        np.testing.assert_array_equal(batch["pixel_values"][place, :height, :width], pixels)
        assert batch["original_sizes"][place].tolist() == [height, width]
        new_width, new_height = (int(side * 1024 / max(height, width) + 0.5) for side in (width, height))
        factors = np.array([new_width / width, new_height / height] * 2)
        np.testing.assert_array_equal(batch["input_boxes"][place, :count], regions["box_xyxy"].astype(np.float64) * factors)
        for region, (phrase,) in enumerate(regions["phrases"]):
            ids = tokenizer(phrase, truncation=True, max_length=MAX_LENGTH - 2)["input_ids"] + [tokenizer.eos_token_id]
            padding = batch["input_ids"].shape[2] - len(ids)
            assert batch["input_ids"][place, region].tolist() == ids + [tokenizer.pad_token_id] * padding
            assert batch["attention_mask"][place, region].tolist() == [1] * len(ids) + [0] * padding
            assert batch["labels"][place, region].tolist() == [-100, *ids] + [-100] * padding
        assert list(batch["metadata_captions"][place]) == [phrase for (phrase,) in regions["phrases"]]
    assert batch["task_type"] == ["recognition", "recognition"]


def test_the_index_says_what_the_cache_was_made_from(sample: Workspace, golden: Golden) -> None:
    raw = json.loads((cache_of(sample, "train") / "index.json").read_text())
    entry = json.loads(json.dumps(raw["provenance"]["archives"]))
    assert set(entry) == {"coco_panoptic/train2017.zip", "coco_panoptic/panoptic_annotations_trainval2017.zip"}
    for path, found in entry.items():
        archive = sample.folder / ".data" / "archives" / path
        assert found["urls"][0].endswith(archive.name)
        assert json.loads(archive.with_name(archive.name + ".verified.json").read_text())["sha256"] == found["sha256"]
    regions = sum(len(golden.detection[image_id]) for image_id in TRAIN_IDS)
    crowd = sum(one["iscrowd"] for image_id in TRAIN_IDS for one in golden.detection[image_id])
    counts = raw["counts"]
    assert (counts["images_listed"], counts["images"], counts["regions"]) == (2, 2, regions)
    assert (counts["crowd_regions"], counts["rejects"]) == (crowd, 0)
    assert raw["licence"]["annotations"] == "CC BY 4.0"


def test_deflated_inner_zips_and_photos_give_the_same_rows(
    sample: Workspace, golden: Golden, shared: Path, tmp_path: Path
) -> None:
    archives = pack_panoptic(
        tmp_path / "packed",
        splits_of(golden, shared),
        inner_method=zipfile.ZIP_DEFLATED,
        image_method=zipfile.ZIP_DEFLATED,
    )
    entry = panoptic_entry(archives, name="coco_panoptic", shards=SHARDS, expected_images=IMAGES)
    cache = build(fetched_paths(tmp_path, entry, "train"))
    parts = [
        path.relative_to(cache) for folder in ("samples", "tokens", "prompts") for path in (cache / folder).rglob("*.parquet")
    ]
    assert len(parts) == 3 * SHARDS["train"]
    for part in parts:
        assert pq.read_table(cache / part).equals(pq.read_table(cache_of(sample, "train") / part)), part
