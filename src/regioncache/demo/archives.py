"""The official archives of COCO panoptic 2017, with drawn pictures in them."""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from regioncache.atomic import atomic_path
from regioncache.demo.annotations import annotate, image_json, panoptic_json
from regioncache.demo.scene import draw_scene
from regioncache.demo.textures import make_textures
from regioncache.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from regioncache.demo.textures import Textures

_FIRST_IMAGE_ID = 9
_LARGEST_GAP = 900
_ONE_CROWD_IN = 5
_ID_STREAM = 1


def draw_demo_archives(
    folder: Path,
    *,
    train_images: int = 64,
    val_images: int = 16,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Draw a panoptic dataset into ``folder``; equal arguments give equal bytes.

    The files are ``train2017.zip``, ``val2017.zip`` and ``panoptic_annotations_trainval2017.zip``, named and nested as
    COCO publishes them: images and inner zips stored, JSON deflated.

    Args:
        folder: made if it is not there; files of these names are replaced.
        train_images: number of pictures in ``train2017``.
        val_images: number of pictures in ``val2017``.
        seed: of everything drawn.
        progress: called with pictures done and pictures in all, after each.

    Raises:
        ConfigError: a negative number.
        DiskFullError: no room; no half-written file is left.
    """
    for name, value in (("train_images", train_images), ("val_images", val_images), ("seed", seed)):
        if value < 0:
            raise ConfigError(f"{name} must not be negative, found {value}")
    total = train_images + val_images
    textures = make_textures(seed)
    image_ids, is_val = _image_ids(total, val_images, seed)
    annotations: dict[str, bytes] = {}
    done = 0
    for split, ids in (("train2017", image_ids[~is_val]), ("val2017", image_ids[is_val])):
        images: list[dict[str, Any]] = []
        records: list[dict[str, Any]] = []
        pngs = io.BytesIO()
        with (
            atomic_path(folder / f"{split}.zip") as temporary,
            zipfile.ZipFile(temporary, "w") as image_zip,
            zipfile.ZipFile(pngs, "w") as png_zip,
        ):
            for index, image_id in enumerate(ids.tolist()):
                image, record, jpeg, png = _draw(image_id, index, split, seed, textures)
                images.append(image)
                records.append(record)
                _write(image_zip, f"{split}/{image['file_name']}", jpeg)
                _write(png_zip, f"panoptic_{split}/{record['file_name']}", png)
                done += 1
                if progress is not None:
                    progress(done, total)
        text = json.dumps(panoptic_json(split, images, records), separators=(",", ":"))
        annotations[f"annotations/panoptic_{split}.json"] = text.encode()
        annotations[f"annotations/panoptic_{split}.zip"] = pngs.getvalue()
    with (
        atomic_path(folder / "panoptic_annotations_trainval2017.zip") as temporary,
        zipfile.ZipFile(temporary, "w") as archive,
    ):
        for name, data in annotations.items():
            _write(archive, name, data, zipfile.ZIP_DEFLATED if name.endswith(".json") else zipfile.ZIP_STORED)


def _image_ids(total: int, val_images: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Increasing ids with gaps, and which of them are in the validation split."""
    rng = np.random.default_rng([seed, _FIRST_IMAGE_ID])
    gaps = rng.integers(1, _LARGEST_GAP, total)
    is_val = np.zeros(total, bool)
    is_val[rng.permutation(total)[:val_images]] = True
    return _FIRST_IMAGE_ID + np.cumsum(gaps) - gaps[:1].sum(), is_val


def _draw(
    image_id: int, index: int, split: str, seed: int, textures: Textures
) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    """Entries of ``images`` and ``annotations``, JPEG and PNG of one picture."""
    picture = draw_scene((seed, image_id), textures, with_crowd=index % _ONE_CROWD_IN == 0)
    rng = np.random.default_rng([seed, image_id, _ID_STREAM])
    jpeg = io.BytesIO()
    Image.fromarray(picture.rgb).save(jpeg, "JPEG", quality=int(rng.integers(90, 96)))
    png, segments_info = annotate(picture, rng)
    record = {"segments_info": segments_info, "file_name": f"{image_id:012d}.png", "image_id": image_id}
    return image_json(image_id, split, picture), record, jpeg.getvalue(), png


def _write(archive: zipfile.ZipFile, name: str, data: bytes, method: int = zipfile.ZIP_STORED) -> None:
    """Add a member without a clock's or a user's trace."""
    info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    info.compress_type = method
    info.external_attr = 0o644 << 16
    archive.writestr(info, data)
