"""Caches as detectron2's data sets: its standard dicts, and the entries of its catalogs. Needs detectron2 to register only."""

from __future__ import annotations

import json
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from regioncache.cache.layout import INDEX_NAME
from regioncache.data.batch_images import pixels_of
from regioncache.data.dataset import ParquetRegionDataset
from regioncache.data.pixels import resize_exact
from regioncache.errors import CacheError, ConfigError
from regioncache.interop.cached_images import CachedImage, CachedImages

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from regioncache.interop.cached_images import ExportCategory

XYXY_ABS = 0
"""``detectron2.structures.BoxMode.XYXY_ABS``."""


class Exports(NamedTuple):
    """Folders that detectron2 reads files from, each as ``regioncache export`` writes it; None for what is not there.

    Attributes:
        photos: the images under their file names.
        semantic: of ``semantic``.
        panoptic: of ``panoptic``, the folder that holds ``panoptic.json``.
    """

    photos: Path | None = None
    semantic: Path | None = None
    panoptic: Path | None = None


class RegisteredSet(NamedTuple):
    """What a catalog entry is made of.

    Attributes:
        name: ``regioncache_<dataset>_<split>``.
        load: gives the dicts.
        metadata: for the MetadataCatalog.
    """

    name: str
    load: Callable[[], list[dict[str, Any]]]
    metadata: dict[str, Any]


def to_detectron2(sample: Mapping[str, Any]) -> dict[str, Any]:
    """A sample of ``ParquetRegionDataset(masks="rle")``, with or without masks, as a standard dict.

    There is no ``file_name``: the pixels stand in ``image``, uint8 (height, width, 3) RGB, at the size that ``height`` and
    ``width`` tell and boxes and masks refer to, that of the source. ``category_id`` is the dense category.

    Args:
        sample: as the dataset gives it; left as it is.
    """
    height, width = (int(side) for side in sample["original_sizes"])
    found: dict[str, Any] = {"image_id": sample["image_id"], "height": height, "width": width}
    if "image" in sample:
        found["image"] = resize_exact(pixels_of(sample["image"]), (height, width))
    boxes = np.clip(sample["metadata_input_boxes"], 0, np.array([width, height, width, height]))
    counts = [one["counts"] for one in sample["segmentation"]] if "segmentation" in sample else [b""] * len(boxes)
    found["annotations"] = _annotations(boxes, sample["category_index"], sample["is_crowd"], counts, (height, width))
    return found


def detectron2_dicts(cache: Path, exports: Exports | None = None) -> list[dict[str, Any]]:
    """The standard dicts of a cache: one per image, things as ``annotations``.

    ``category_id`` of an annotation counts things only, in the order of the cache; that of ``segments_info`` counts all
    categories. Stuff and pixels of things that belong to no instance are in no annotation. ``cache`` and ``cache_row`` say
    where ``read_image`` finds the pixels.

    Args:
        cache: a cache folder, or one Parquet file of samples.
        exports: adds ``sem_seg_file_name``, and ``pan_seg_file_name`` with ``segments_info``; without ``photos``, file
            names are those of the source.

    Raises:
        CacheError: there is no whole cache, its regions have no categories, or ``panoptic`` is of another one.
    """
    folders = Exports() if exports is None else exports
    images = CachedImages(cache, need_masks=False)
    thing_index = _thing_index(images.categories)
    segments = None if folders.panoptic is None else _segments(folders.panoptic, images.categories)
    found = []
    for row, image in enumerate(images):
        one = _dict_of(image, thing_index)
        if folders.photos is not None:
            one["file_name"] = str(folders.photos / image.file_name)
        if folders.semantic is not None:
            one["sem_seg_file_name"] = str(folders.semantic / image.png_name())
        if folders.panoptic is not None and segments is not None:
            one["pan_seg_file_name"] = str(folders.panoptic / "panoptic" / image.png_name())
            one["segments_info"] = segments.get(image.png_name(), [])
        found.append({**one, "cache": str(cache), "cache_row": row})
    return found


def read_image(record: Mapping[str, Any]) -> NDArray[np.uint8]:
    """The pixels of a dict of ``detectron2_dicts``, from the cache: uint8 (height, width, 3), RGB, at source size.

    A mapper calls it where detectron2's own reads ``file_name``.
    """
    pixels: NDArray[np.uint8] = _dataset(record["cache"])[record["cache_row"]]["image"]
    return resize_exact(pixels, (record["height"], record["width"]))


@lru_cache(maxsize=16)
def _dataset(cache: str) -> ParquetRegionDataset:
    return ParquetRegionDataset(cache)


def detectron2_sets(cache_dir: Path, exports: Mapping[str, Exports] | None = None) -> list[RegisteredSet]:
    """The catalog entries of every published split below a folder, in the order of their names.

    Splits whose regions have no categories are left out: detectron2's annotations need them.

    Args:
        cache_dir: holds ``<dataset>/<split>``.
        exports: by entry name, folders of exported files.

    Raises:
        CacheError: there is no published split, or one cannot be read.
    """
    splits = sorted(path.parent for path in cache_dir.glob(f"*/*/{INDEX_NAME}"))
    if not splits:
        raise CacheError(cache_dir, "holds no published cache", expected=f"<dataset>/<split>/{INDEX_NAME}", found="none")
    found = []
    for split in splits:
        categories = CachedImages(split, need_masks=False, need_categories=False).categories
        if categories:
            name = f"regioncache_{split.parent.name}_{split.name}"
            folders = (exports or {}).get(name)
            found.append(RegisteredSet(name, partial(detectron2_dicts, split, folders), _metadata(categories)))
    return found


def register_all(cache_dir: Path | str, exports: Mapping[str, Exports] | None = None) -> list[str]:
    """Register every split of ``detectron2_sets`` in detectron2's DatasetCatalog and MetadataCatalog.

    Masks are RLE: train with ``cfg.INPUT.MASK_FORMAT = "bitmask"``.

    Returns:
        The names registered.

    Raises:
        ConfigError: detectron2 is not installed.
        CacheError: there is no published split, or one cannot be read.
    """
    try:
        from detectron2.data import DatasetCatalog, MetadataCatalog  # noqa: PLC0415  (optional)
    except ImportError as error:
        raise ConfigError("detectron2 is not installed; without it, detectron2_dicts(cache) gives the same dicts") from error
    found = detectron2_sets(Path(cache_dir), exports)
    for one in found:
        DatasetCatalog.register(one.name, one.load)
        MetadataCatalog.get(one.name).set(**one.metadata)
    return [one.name for one in found]


def _metadata(categories: Sequence[ExportCategory]) -> dict[str, Any]:
    things = [one for one in categories if one.is_thing]
    return {
        "thing_classes": [one.name for one in things],
        "thing_dataset_id_to_contiguous_id": {one.category_id: k for k, one in enumerate(things)},
        "stuff_classes": [one.name for one in categories],
        "stuff_dataset_id_to_contiguous_id": {one.category_id: k for k, one in enumerate(categories)},
        "ignore_label": 255,
    }


def _thing_index(categories: Sequence[ExportCategory]) -> NDArray[np.int64]:
    """By dense category, its place among things; -1 for stuff."""
    is_thing = np.array([one.is_thing for one in categories], np.bool_)
    return np.where(is_thing, np.cumsum(is_thing) - 1, -1)


def _segments(panoptic: Path, categories: Sequence[ExportCategory]) -> dict[str, list[dict[str, Any]]]:
    """By the name of its PNG, the segments of an image, with dense categories."""
    path = panoptic / "panoptic.json"
    index = {one.category_id: k for k, one in enumerate(categories)}
    try:
        listed = json.loads(path.read_bytes())["annotations"]
        return {
            one["file_name"]: [{**segment, "category_id": index[segment["category_id"]]} for segment in one["segments_info"]]
            for one in listed
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CacheError(path, f"is no panoptic export of this cache ({error!r})", remedy="Export the cache again") from error


def _dict_of(image: CachedImage, thing_index: NDArray[np.int64]) -> dict[str, Any]:
    chosen = np.flatnonzero(image.array("is_thing") & ~image.is_unassigned)
    index = thing_index[image.array("category_index")[chosen]]
    boxes, is_crowd = image.array("box_xyxy")[chosen], image.array("is_crowd")[chosen]
    counts = image.counts
    return {
        "file_name": image.file_name,
        "image_id": image.image_id,
        "height": image.size_hw[0],
        "width": image.size_hw[1],
        "annotations": _annotations(boxes, index, is_crowd, [counts[k] for k in chosen], image.size_hw),
    }


def _annotations(
    box_xyxy: NDArray[np.float32],
    category: NDArray[np.integer],
    is_crowd: NDArray[np.bool_],
    counts: Sequence[bytes],
    size_hw: tuple[int, int],
) -> list[dict[str, Any]]:
    found = []
    for box, index, crowd, rle in zip(box_xyxy.tolist(), category.tolist(), is_crowd.tolist(), counts, strict=True):
        one = {"bbox": box, "bbox_mode": XYXY_ABS, "category_id": index, "iscrowd": int(crowd)}
        if rle:
            one["segmentation"] = {"size": list(size_hw), "counts": rle}
        found.append(one)
    return found
