"""Every way to keep an image gives the pixels that Pillow decodes from the archive's own bytes."""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from built_cache import build
from pack_archives import PanopticSplit, fetched_paths, pack_panoptic, panoptic_entry
from regioncache import ParquetRegionDataset
from regioncache.errors import CacheError
from regioncache.steps.row_maker import ConvertOptions, Storage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

SMALL, LARGE = 0, 1
TIMES = 2  # 640 x 427 becomes 1280 x 854, larger than the frame
FRAME_SIZE = (1024, 683)  # int(854 * 1024 / 1280 + 0.5) = 683


@pytest.fixture(scope="module")
def photos(shared: Path) -> list[bytes]:
    """A real photo, and the same enlarged."""
    path = shared / "samples" / "coco_panoptic" / "panopticapi_sample" / "input_images" / "000000142238.jpg"
    small = Image.open(path)
    buffer = io.BytesIO()
    large = small.resize((small.width * TIMES, small.height * TIMES), Image.Resampling.BICUBIC)
    large.save(buffer, "JPEG", quality=92)
    return [path.read_bytes(), buffer.getvalue()]


@pytest.fixture(scope="module", params=[zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=["stored", "deflated"])
def build_as(
    request: pytest.FixtureRequest, photos: list[bytes], shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Build a cache of both photos with one storage, from archives whose photos are stored or deflated."""
    source = shared / "samples" / "coco_panoptic" / "panopticapi_sample"
    document: dict[str, Any] = json.loads((source / "panoptic_examples.json").read_text())
    image, annotation = document["images"][0], document["annotations"][0]
    sides = {"width": image["width"] * TIMES, "height": image["height"] * TIMES}
    segments = [{**one, "area": one["area"] * TIMES**2} for one in annotation["segments_info"]]
    document["images"] = [image, {**image, **sides, "id": 999_999, "file_name": "large.jpg"}]
    document["annotations"] = [
        annotation,
        {"image_id": 999_999, "file_name": "large.png", "segments_info": segments},
    ]
    small_png = source / "panoptic_examples" / annotation["file_name"]
    enlarged = io.BytesIO()
    Image.open(small_png).resize((sides["width"], sides["height"]), Image.Resampling.NEAREST).save(enlarged, "PNG")
    pngs = {annotation["file_name"]: small_png.read_bytes(), "large.png": enlarged.getvalue()}
    split = PanopticSplit(document, {image["file_name"]: photos[SMALL], "large.jpg": photos[LARGE]}, pngs)
    folder = tmp_path_factory.mktemp("storage")
    archives = pack_panoptic(folder / "packed", {"train": split}, image_method=request.param)

    def build_with(storage: str) -> Path:
        entry = panoptic_entry(archives, name="photos", shards={"train": 1})
        return build(fetched_paths(folder / storage, entry, "train"), options=ConvertOptions(storage=storage))

    return build_with


def decoded(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def at_frame(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(data)).resize(FRAME_SIZE, Image.Resampling.BILINEAR))


def stored_fields(cache: Path) -> list[dict[str, Any]]:
    columns = ["image_storage", "image_width", "image_height", "width", "height", "image"]
    return pq.read_table(next((cache / "samples").glob("*.parquet")), columns=columns).to_pylist()


def psnr_db(found: NDArray[np.uint8], expected: NDArray[np.uint8]) -> float:
    error = found.astype(np.float64) - expected
    return float(10 * np.log10(255**2 / (error**2).mean()))


@pytest.mark.parametrize("storage", ["auto", "original", "fit", "raw", "reference"])
def test_the_reader_gives_the_right_pixels(build_as: Callable[[str], Path], photos: list[bytes], storage: str) -> None:
    assert {"auto", "original", "fit", "raw", "reference", "none"} == set(get_args(Storage))
    cache = build_as(storage)
    dataset = ParquetRegionDataset(cache)
    small, large = dataset[SMALL], dataset[LARGE]
    rows = stored_fields(cache)
    np.testing.assert_array_equal(small["image"], decoded(photos[SMALL]))
    if storage in ("original", "reference"):
        np.testing.assert_array_equal(large["image"], decoded(photos[LARGE]))
    elif storage == "raw":
        np.testing.assert_array_equal(large["image"], at_frame(photos[LARGE]))
    else:
        assert large["image"].shape == (FRAME_SIZE[1], FRAME_SIZE[0], 3)
        assert psnr_db(large["image"], at_frame(photos[LARGE])) > 35
    kept = {"auto": ("original", "fit"), "fit": ("original", "fit")}.get(storage, (storage, storage))
    assert tuple(row["image_storage"] for row in rows) == kept
    sizes = [(sample["image"].shape[1], sample["image"].shape[0]) for sample in (small, large)]
    assert [(row["image_width"], row["image_height"]) for row in rows] == sizes
    if storage == "original":
        assert [row["image"]["bytes"] for row in rows] == photos
    if storage == "reference":
        assert [row["image"]["bytes"] for row in rows] == [b"", b""]


def test_boxes_and_masks_are_in_source_pixels_whatever_the_storage(build_as: Callable[[str], Path]) -> None:
    caches = {storage: build_as(storage) for storage in get_args(Storage)}
    original = ParquetRegionDataset(caches["original"], masks="dense", image=None)
    doubled = original[LARGE]["metadata_input_boxes"]
    np.testing.assert_array_equal(doubled, original[SMALL]["metadata_input_boxes"] * TIMES)
    for cache in caches.values():
        dataset = ParquetRegionDataset(cache, masks="dense", image=None)
        for index in (SMALL, LARGE):
            for key in ("metadata_input_boxes", "input_boxes", "metadata_region_id", "masks"):
                np.testing.assert_array_equal(dataset[index][key], original[index][key])


def test_a_cache_without_images_says_so_when_pixels_are_asked_for(build_as: Callable[[str], Path]) -> None:
    cache = build_as("none")
    assert [(row["image_storage"], row["image"]["bytes"]) for row in stored_fields(cache)] == [("none", b"")] * 2
    with pytest.raises(CacheError, match="image 142238: the cache was built without images"):
        ParquetRegionDataset(cache)[SMALL]


def test_a_reference_to_a_missing_archive_names_it(build_as: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(CacheError, match=f"{tmp_path}/photos/train2017.zip"):
        ParquetRegionDataset(build_as("reference"), archives=tmp_path)[SMALL]
