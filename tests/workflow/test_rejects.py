"""Every fault that a panoptic record can have, once: one reject each with its reason, and the good images are kept."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from built_cache import build
from pack_archives import PanopticSplit, fetched_paths, pack_panoptic, panoptic_entry
from regioncache import ParquetRegionDataset
from regioncache.cache.verify import verify_cache
from regioncache.errors import RejectBudgetError
from regioncache.schema import REJECT_REASONS
from regioncache.steps.row_maker import ConvertOptions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from regioncache.steps.paths import BuildPaths

HEIGHT, WIDTH = 48, 64
MAX_PIXELS = 10_000
PERSON, GRASS, UNKNOWN = 1, 193, 77
CATEGORIES = [{"id": PERSON, "name": "person", "isthing": 1}, {"id": GRASS, "name": "grass", "isthing": 0}]
FIRST, SECOND, UNLISTED = 1000, 70_000, 5  # segment ids
VOID_ROWS = 8


class Record(NamedTuple):
    """One image with everything that belongs to it; a fault changes it in place."""

    image: dict[str, Any]
    annotation: dict[str, Any]
    ids: NDArray[np.uint32]
    photo: bytearray
    png: bytearray


def jpeg(height: int, width: int, **options: Any) -> bytes:
    ramp = np.add.outer(np.arange(height), np.arange(width)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(np.stack([ramp, ramp[::-1], 255 - ramp], -1)).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def id_png(ids: NDArray[np.uint32]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.stack([ids & 255, ids >> 8 & 255, ids >> 16], -1).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def good_record(image_id: int) -> Record:
    """Void above, the first segment left, the second right."""
    ids = np.zeros((HEIGHT, WIDTH), np.uint32)
    ids[VOID_ROWS:, :20], ids[VOID_ROWS:, 20:] = FIRST, SECOND
    segments = [
        {"id": FIRST, "category_id": PERSON, "iscrowd": 0, "area": int((ids == FIRST).sum()), "bbox": [0, 8, 20, 40]},
        {"id": SECOND, "category_id": GRASS, "iscrowd": 0, "area": int((ids == SECOND).sum()), "bbox": [20, 8, 44, 40]},
    ]
    return Record(
        {"id": image_id, "file_name": f"{image_id:012d}.jpg", "width": WIDTH, "height": HEIGHT},
        {"image_id": image_id, "file_name": f"{image_id:012d}.png", "segments_info": segments},
        ids,
        bytearray(jpeg(HEIGHT, WIDTH)),
        bytearray(id_png(ids)),
    )


def saved_as(ids: NDArray[np.uint32], mode: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray((ids & 255).astype(np.uint8)).convert(mode).save(buffer, "PNG")
    return buffer.getvalue()


def repaint(record: Record, where: tuple[slice, slice], value: int) -> None:
    record.ids[where] = value
    record.png[:] = id_png(record.ids)


def resize(record: Record, height: int, width: int) -> None:
    """Another size of everything, consistently."""
    record.image.update(width=width, height=height)
    record.photo[:] = jpeg(height, width)
    record.png[:] = id_png(np.full((height, width), FIRST, np.uint32))
    record.annotation["segments_info"] = record.annotation["segments_info"][:1]


def unlist_one_segment_and_add_another(record: Record) -> None:
    record.annotation["segments_info"][1]["id"] = UNLISTED


WHOLE, TOP_LEFT = (slice(None), slice(None)), (slice(0, 4), slice(0, 4))
FAULTS: dict[str, tuple[str, Callable[[Record], object]]] = {
    "the PNG has a segment that the JSON lacks": (
        "segment_missing_in_json",
        lambda r: repaint(r, TOP_LEFT, UNLISTED),
    ),
    "the JSON has a segment that the PNG lacks": (
        "segment_missing_in_png",
        lambda r: r.annotation["segments_info"].append({"id": UNLISTED, "category_id": PERSON}),
    ),
    "each has a segment that the other lacks": ("segment_missing_in_png", unlist_one_segment_and_add_another),
    "the JSON lists void as a segment": (
        "segment_missing_in_png",
        lambda r: r.annotation["segments_info"].append({"id": 0, "category_id": PERSON}),
    ),
    "a segment id beyond 24 bits": (
        "segment_missing_in_png",
        lambda r: r.annotation["segments_info"].append({"id": 2**40, "category_id": PERSON}),
    ),
    "two segments with one id": (
        "segment_id_duplicate",
        lambda r: r.annotation["segments_info"].append(dict(r.annotation["segments_info"][0])),
    ),
    "a category that is not defined": (
        "category_unknown",
        lambda r: r.annotation["segments_info"][0].update(category_id=UNKNOWN),
    ),
    "every pixel is void": ("all_void", lambda r: repaint(r, WHOLE, 0)),
    "a PNG of another size": ("panoptic_size_mismatch", lambda r: r.png.__setitem__(WHOLE[0], id_png(r.ids[1:]))),
    "a PNG with a palette": ("panoptic_png_mode", lambda r: r.png.__setitem__(WHOLE[0], saved_as(r.ids, "P"))),
    "a grey PNG": ("panoptic_png_mode", lambda r: r.png.__setitem__(WHOLE[0], saved_as(r.ids, "L"))),
    "a PNG with transparency": ("panoptic_png_mode", lambda r: r.png.__setitem__(WHOLE[0], saved_as(r.ids, "RGBA"))),
    "a PNG cut short": ("panoptic_undecodable", lambda r: r.png.__delitem__(slice(len(r.png) // 2, None))),
    "a PNG that is none": ("panoptic_undecodable", lambda r: r.png.__setitem__(WHOLE[0], b"<html></html>")),
    "a photo of another size": ("image_size_mismatch", lambda r: r.photo.__setitem__(WHOLE[0], jpeg(WIDTH, HEIGHT))),
    "a JPEG cut short": ("image_undecodable", lambda r: r.photo.__delitem__(slice(len(r.photo) // 2, None))),
    "a photo that is none": ("image_undecodable", lambda r: r.photo.__setitem__(WHOLE[0], b"<html></html>")),
    "a photo too large": ("image_too_large", lambda r: resize(r, 120, 100)),
    "a photo too thin for the frame": ("size_vanishes", lambda r: resize(r, 1, 3000)),
    "a size of nothing": ("size_vanishes", lambda r: r.image.update(width=0)),
    "no annotation": ("annotation_missing", lambda r: r.annotation.clear()),
    "no photo": ("image_missing", lambda r: r.photo.clear()),
    "no PNG": ("panoptic_missing", lambda r: r.png.clear()),
}
LIST_FAULTS = ("annotation_duplicate", "image_id_duplicate", "image_record_missing")  # these need two records
GOOD_IDS = list(range(1, 7))
CROWD_ID, WRONG_AREA_ID, ROTATED_ID = 2, 3, 4
FIRST_BAD_ID = 100


class Made(NamedTuple):
    """The packed dataset: its folders, the reject expected of each image, and how many images the JSON lists."""

    paths: BuildPaths
    reasons: dict[int, str]
    listed: int


def make_dataset(folder: Path) -> Made:
    """Six good images and one per fault, in an order that is not sorted."""
    records = {image_id: good_record(image_id) for image_id in GOOD_IDS}
    records[CROWD_ID].annotation["segments_info"][0]["iscrowd"] = 1
    records[WRONG_AREA_ID].annotation["segments_info"][0]["area"] += 100
    exif = Image.Exif()
    exif[0x0112] = 6
    records[ROTATED_ID].photo[:] = jpeg(HEIGHT, WIDTH, exif=exif.tobytes())
    reasons = {}
    for image_id, (reason, spoil) in enumerate(FAULTS.values(), FIRST_BAD_ID):
        records[image_id] = good_record(image_id)
        spoil(records[image_id])
        reasons[image_id] = reason
    twice, named_twice, unlisted = (good_record(200 + k) for k in range(len(LIST_FAULTS)))
    reasons |= dict(zip((200, 201, 202), LIST_FAULTS, strict=True))
    several = [*reversed(records.values()), twice, named_twice]
    images = [record.image for record in several] + [named_twice.image]
    annotations = [record.annotation for record in [*several, unlisted, twice] if record.annotation]
    split = PanopticSplit(
        {"images": images, "annotations": annotations, "categories": CATEGORIES},
        {one.image["file_name"]: bytes(one.photo) for one in several if one.photo},
        {f"{one.image['id']:012d}.png": bytes(one.png) for one in several if one.png},
    )
    archives = pack_panoptic(folder / "packed", {"train": split})
    entry = panoptic_entry(archives, name="faulty", shards={"train": 3}, expected_categories=None)
    return Made(fetched_paths(folder, entry, "train"), reasons, len(images))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The dataset, built with a budget that allows everything."""
    made = make_dataset(tmp_path_factory.mktemp("rejects"))
    build(made.paths, options=ConvertOptions(max_pixels=MAX_PIXELS), reject_budget=1.0)
    return made


def test_each_fault_gives_exactly_one_reject_with_its_reason(made: Made) -> None:
    rows = pq.read_table(made.paths.cache / "rejects.parquet").to_pylist()
    assert [(row["image_id"], row["reason"]) for row in rows] == sorted(made.reasons.items())
    for row in rows:
        suffix = "png" if row["reason"] == "image_record_missing" else "jpg"
        assert row["file_name"] == f"{row['image_id']:012d}.{suffix}"
        assert (row["split"], row["region_id"]) == ("train", -1)
        assert row["reason"] in REJECT_REASONS
        assert row["detail"]


def test_a_rejects_detail_says_what_was_expected_and_found(made: Made) -> None:
    rows = pq.read_table(made.paths.cache / "rejects.parquet").to_pylist()
    detail = {fault: rows[place]["detail"] for place, fault in enumerate(FAULTS)}
    assert f"[{UNLISTED}]" in detail["the PNG has a segment that the JSON lacks"]
    assert f"[{UNLISTED}]" in detail["the JSON has a segment that the PNG lacks"]
    assert f"[{FIRST}]" in detail["two segments with one id"]
    assert f"[{UNKNOWN}]" in detail["a category that is not defined"]
    assert "expected 64 x 48 as the JSON says, found a panoptic PNG of 64 x 47" in detail["a PNG of another size"]
    assert "expected 64 x 48 as the annotations say, found 48 x 64" in detail["a photo of another size"]
    assert "found PNG P" in detail["a PNG with a palette"]
    assert f"at most {MAX_PIXELS} pixels, found 100 x 120" in detail["a photo too large"]
    assert "000000000121.jpg below train2017/" in detail["no photo"]
    assert not [text for text in detail.values() if re.search(r"0x[0-9a-f]{6}", text)]  # an address differs between runs


def test_the_good_images_are_kept_with_crowds_and_without_void(made: Made) -> None:
    cache = made.paths.cache
    dataset = ParquetRegionDataset(cache, masks="dense")
    assert [dataset[k]["image_id"] for k in range(len(dataset))] == GOOD_IDS
    ids = good_record(1).ids
    for sample in (dataset[k] for k in range(len(dataset))):
        assert sample["metadata_region_id"].tolist() == [FIRST, SECOND]
        assert sample["metadata_input_boxes"].tolist() == [[0, 8, 20, 48], [20, 8, 64, 48]]
        np.testing.assert_array_equal(sample["masks"], [ids == FIRST, ids == SECOND])
        assert not sample["masks"][:, :VOID_ROWS].any()
        assert sample["is_crowd"].tolist() == [sample["image_id"] == CROWD_ID, False]
        assert sample["image"].shape == (HEIGHT, WIDTH, 3)
    tables = [pq.read_table(path, columns=["area"]) for path in sorted((cache / "samples").glob("*.parquet"))]
    areas = [area for table in tables for area in table["area"].to_pylist()]
    assert areas == [[float((ids == FIRST).sum()), float((ids == SECOND).sum())]] * len(GOOD_IDS)
    assert verify_cache(cache, full=True)["rows"] == len(GOOD_IDS)


def test_the_statistics_add_up(made: Made) -> None:
    stats = json.loads((made.paths.cache / "stats.json").read_text())
    counts = stats["counts"]
    assert stats["rejects"] == dict(sorted(Counter(made.reasons.values()).items()))
    assert counts["images_listed"] == made.listed
    assert counts["images"] == len(GOOD_IDS)
    assert counts["rejects"] == len(made.reasons)
    assert counts["images"] + counts["rejects"] == counts["images_listed"]
    assert (counts["regions"], counts["phrases"], counts["crowd_regions"]) == (2 * len(GOOD_IDS), 2 * len(GOOD_IDS), 1)
    assert (counts["area_differs"], counts["exif_orientation_ignored"]) == (1, 1)
    assert counts["storage_original"] == len(GOOD_IDS)
    texts = ["person", "grass"] * len(GOOD_IDS)
    assert counts["tokens/byt5-sca-20/tokens"] == sum(len(text) + 2 for text in texts)


def test_beyond_the_budget_nothing_is_published_and_the_error_has_the_numbers(tmp_path: Path) -> None:
    made = make_dataset(tmp_path)
    rejected, listed = len(made.reasons), made.listed
    budget = (rejected - 1) / listed
    with pytest.raises(RejectBudgetError) as caught:
        build(made.paths, options=ConvertOptions(max_pixels=MAX_PIXELS), reject_budget=budget)
    text = str(caught.value)
    assert f"faulty, split train: {rejected} of {listed} images were rejected" in text
    assert f"expected at most {budget * listed:g}, found {rejected}" in text
    found = re.search(r"Look at (\S+),", text)
    assert found is not None
    listed_rejects = pq.read_table(found[1]).to_pylist()
    assert {row["image_id"]: row["reason"] for row in listed_rejects} == made.reasons
    cache = made.paths.cache
    assert not [name for name in ("index.json", "rejects.parquet", "stats.json") if (cache / name).exists()]
    # A budget that is just met is enough, and what was built is used.
    build(made.paths, options=ConvertOptions(max_pixels=MAX_PIXELS), reject_budget=rejected / listed)
    assert len(ParquetRegionDataset(cache)) == len(GOOD_IDS)
