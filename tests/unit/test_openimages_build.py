"""Open Images from archives to rows: what turns with a photo, and what does not."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as pycoco

from built_cache import build, sample_rows
from official.files import write_file, write_tar, write_zip
from openimages_files import CLASSES, boxes_csv, line
from pack_archives import fetched_paths
from regioncache import ParquetRegionDataset
from regioncache.steps.row_maker import ConvertOptions

if TYPE_CHECKING:
    from pathlib import Path

    from regioncache.steps.paths import BuildPaths

IMAGES = {0: "0000000000000001", 90: "0000000000000002", 180: "0000000000000003", 270: "0000000000000004"}
SIZE_HW = (64, 160)
SIDES = (0.1, 0.4, 0.25, 0.75)


def encoded(pixels: np.ndarray[Any, Any], kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def paths(tmp_path: Path) -> BuildPaths:
    """Four times one photo, a bright rectangle on black with its box and its mask, to be turned by each angle."""
    lit = np.zeros(SIZE_HW, np.uint8)
    lit[16:48, 16:64] = 255
    source = tmp_path / "served"
    write_tar(
        source / "photos.tar", {f"./{one}.jpg": encoded(np.repeat(lit[..., None], 3, 2), "JPEG") for one in IMAGES.values()}
    )
    write_zip(source / "masks.zip", {f"{one}_m.png": encoded(lit[::2, ::2] > 0, "PNG") for one in IMAGES.values()})
    box = ",".join(map(str, SIDES))
    masks = "MaskPath,ImageID,LabelName,BoxXMin,BoxXMax,BoxYMin,BoxYMax\n"
    files = {
        "boxes": boxes_csv(*(line(one, box=box) for one in IMAGES.values())),
        "classes": CLASSES,
        "images": "ImageID,Rotation\n" + "".join(f"{one},{degrees}.0\n" for degrees, one in IMAGES.items()),
        "masks": masks + "".join(f"{one}_m.png,{one},/m/01g317,{box}\n" for one in IMAGES.values()),
    }
    for name, text in files.items():
        write_file(source / f"{name}.csv", text.encode())
    archives = {name: {"path": f"made/{name}.csv", "kind": "file", "local": str(source / f"{name}.csv")} for name in files}
    archives["photos"] = {"path": "made/photos.tar", "kind": "tar", "local": str(source / "photos.tar")}
    archives["pngs"] = {"path": "made/masks.zip", "kind": "zip", "local": str(source / "masks.zip")}
    entry = {
        "name": "made",
        "title": "Made",
        "format": "openimages",
        "homepage": "https://example.org",
        "licence": {"annotations": "CC0", "images": "CC0"},
        "citation": "none",
        "exif": "ignore",
        "task_type": "recognition",
        "archives": archives,
        "splits": {
            "train": {
                "shards": 2,
                "files": {name: {"archive": name} for name in files},
                "folders": {"images": {"archive": "photos"}, "masks": {"archive": "pngs"}},
            }
        },
    }
    return fetched_paths(tmp_path, entry, "train")


@pytest.mark.parametrize("storage", ["auto", "raw"])
def test_photo_box_and_mask_turn_together(paths: BuildPaths, storage: Any) -> None:
    rows = sample_rows(build(paths, options=ConvertOptions(storage=storage)))
    assert [row["file_name"] for row in rows] == [f"{one}.jpg" for one in IMAGES.values()]
    for degrees, row in zip(IMAGES, rows, strict=True):
        height, width = SIZE_HW if degrees % 180 == 0 else SIZE_HW[::-1]
        assert (row["height"], row["width"], row["image_height"], row["image_width"]) == (height, width, height, width)
        if storage == "raw":
            pixels = np.frombuffer(row["image"]["bytes"], np.uint8).reshape(height, width, 3)
        else:
            assert row["image_storage"] == ("original" if degrees == 0 else "fit")
            pixels = np.asarray(Image.open(io.BytesIO(row["image"]["bytes"])))
        mask = np.asarray(pycoco.decode({"size": [height, width], "counts": row["segmentation"][0]}))
        np.testing.assert_array_equal(mask > 0, pixels[..., 0] > 127)
        assert row["area"] == [32 * 48]
        np.testing.assert_allclose(row["box_xyxy"], row["mask_box_xyxy"], atol=1e-4)


def test_a_photo_that_is_turned_is_kept_where_others_are_referred_to(paths: BuildPaths) -> None:
    cache = build(paths, options=ConvertOptions(storage="reference"))
    rows = sample_rows(cache)
    assert [row["image_storage"] for row in rows] == ["reference", "fit", "fit", "fit"]
    dataset = ParquetRegionDataset(cache, masks="dense")
    for degrees, sample in zip(IMAGES, (dataset[k] for k in range(len(dataset))), strict=True):
        height, width = SIZE_HW if degrees % 180 == 0 else SIZE_HW[::-1]
        assert sample["image"].shape == (height, width, 3)
        np.testing.assert_array_equal(sample["masks"][0], sample["image"][..., 0] > 127)
