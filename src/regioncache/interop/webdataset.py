"""WebDataset: tar files of samples, each an image and a JSON of the same name."""

from __future__ import annotations

import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

from regioncache.errors import ConfigError
from regioncache.interop.cached_images import CachedImage, CachedImages
from regioncache.interop.coco_json import numbers
from regioncache.interop.new_folder import new_folder
from regioncache.schema import REGION_FLAGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from regioncache.data.pixels import EncodedImage
    from regioncache.interop.cached_images import ExportCategory

IMAGES_PER_TAR = 1000
_SUFFIX = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif", "BMP": "bmp", "TIFF": "tiff"}


def export_webdataset(
    cache: Path, out: Path, *, images_per_tar: int = IMAGES_PER_TAR, progress: Callable[[int, int], None] | None = None
) -> dict[str, int]:
    """Write ``out/000000.tar`` and so on; a sample is ``<place>.jpg``, as stored, and ``<place>.json``.

    The place counts from 0 through the cache, with nine digits, so names are sorted. The JSON has the image's fields and
    ``regions``, a list of objects with id, box, category, phrases, mask and flags; boxes and masks are in source pixels, of
    which ``width`` and ``height`` tell, whatever the size of the stored image. Raw pixels become PNG. Nothing in a tar
    depends on the time, the user or the machine: equal caches give equal bytes.

    Args:
        cache: a cache folder, or one Parquet file of samples.
        out: a folder that is made, or an empty one.
        images_per_tar: how many samples a tar has; the last may have fewer.
        progress: called with (images done, images).

    Returns:
        How many ``tars`` and ``images`` were written, how many ``regions``, and how many ``images_without_pixels``, of a cache
        built without images.

    Raises:
        CacheError: there is no whole cache, or an image cannot be read.
        ConfigError: ``out`` is not empty, or ``images_per_tar`` is below 1.
    """
    if images_per_tar < 1:
        raise ConfigError(f"images_per_tar={images_per_tar} is no number of images from 1 on")
    images = CachedImages(cache, need_masks=False, need_categories=False)
    found = {"tars": 0, "images": 0, "regions": 0, "images_without_pixels": 0}
    with new_folder(out) as folder:
        rest = enumerate(images)
        while found["images"] < len(images):
            with tarfile.open(folder / f"{found['tars']:06d}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
                for _ in range(min(images_per_tar, len(images) - found["images"])):
                    place, image = next(rest)
                    _add_sample(tar, place, image, images.categories, found)
                    if progress is not None:
                        progress(found["images"], len(images))
            found["tars"] += 1
    return found


def _add_sample(
    tar: tarfile.TarFile, place: int, image: CachedImage, categories: list[ExportCategory], found: dict[str, int]
) -> None:
    regions = list(_regions(image, categories))
    stored = image.stored
    if stored is not None:
        _add(tar, f"{place:09d}.{_suffix(stored)}", _file_bytes(stored))
    height, width = image.size_hw
    record = {
        "image_id": image.image_id,
        "file_name": image.file_name,
        "source": image.rows.text(image.record, "source"),
        "split": image.rows.text(image.record, "split"),
        "task_type": image.rows.text(image.record, "task_type"),
        "width": width,
        "height": height,
        "regions": regions,
    }
    _add(tar, f"{place:09d}.json", json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode())
    found["images"] += 1
    found["regions"] += len(regions)
    found["images_without_pixels"] += stored is None


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """Add a file that has nothing of this machine: TarInfo's own time, owner and mode are constants."""
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def _file_bytes(stored: EncodedImage) -> bytes:
    if not stored.raw:
        return stored.data.tobytes()
    file = io.BytesIO()
    stored.open().save(file, "PNG")
    return file.getvalue()


def _suffix(stored: EncodedImage) -> str:
    if stored.raw:
        return "png"
    kind = stored.open().format or ""
    return _SUFFIX.get(kind, kind.lower())


def _regions(image: CachedImage, categories: list[ExportCategory]) -> Iterator[dict[str, Any]]:
    columns = zip(
        image.array("region_id").tolist(),
        image.array("box_xyxy").astype(float),
        image.array("category_id").tolist(),
        image.array("category_index").tolist(),
        numbers(image.array("area")),
        image.array("is_crowd").tolist(),
        image.array("is_thing").tolist(),
        image.array("flags").tolist(),
        image.phrases,
        image.counts,
        strict=True,
    )
    for region_id, box, category_id, index, area, is_crowd, is_thing, flags, phrases, counts in columns:
        yield {
            "region_id": region_id,
            "box_xyxy": numbers(box),
            "category_id": category_id,
            "category": categories[index].name if index >= 0 else None,
            "area": area,
            "is_crowd": is_crowd,
            "is_thing": is_thing,
            "flags": [name for name, bit in REGION_FLAGS.items() if flags & bit],
            "phrases": phrases,
            "segmentation": {"size": list(image.size_hw), "counts": counts.decode("ascii")} if counts else None,
        }
