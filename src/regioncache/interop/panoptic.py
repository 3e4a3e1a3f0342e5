"""COCO panoptic: a JSON of segments, and one RGB PNG of segment ids per image."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from regioncache.interop.cached_images import CachedImage, CachedImages, ImageIds
from regioncache.interop.coco_json import write_lists
from regioncache.interop.map_png import write_map
from regioncache.interop.new_folder import new_folder
from regioncache.panoptic_runs import label_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

MAX_SEGMENT_ID = (1 << 24) - 1


def export_panoptic(
    cache: Path, out: Path, *, image_ids: ImageIds = "number", progress: Callable[[int, int], None] | None = None
) -> dict[str, int]:
    """Write ``out/panoptic.json`` and ``out/panoptic/<photo's name>.png`` (id = R + 256 G + 65536 B, 0 = void).

    A segment's id is its region's, or its place in the image, from 1, where one of the image's ids does not fit in three
    bytes. Where regions overlap, a thing lies over stuff and the later one over the earlier; areas and boxes are measured
    on the map that results. Unassigned pixels of things stay void, as in Mask2Former's ADE20K.

    Args:
        cache: a cache folder, or one Parquet file of samples.
        out: a folder that is made, or an empty one.
        image_ids: images are known by their ``number``, or by the ``stem`` of their file name.
        progress: called with (images done, images).

    Returns:
        How many ``images`` and ``segments`` were written, and how many regions were left out: ``regions_unassigned``,
        ``regions_without_mask``, and ``regions_hidden`` under others.

    Raises:
        CacheError: there is no whole cache, or it has no masks or categories.
        ConfigError: ``out`` is not empty.
    """
    images = CachedImages(cache)
    count = Counter(dict.fromkeys(("segments", "regions_unassigned", "regions_without_mask", "regions_hidden"), 0))

    def annotations(folder: Path) -> Iterator[dict[str, Any]]:
        for done, image in enumerate(images, 1):
            ids, segments = _segments(image, count)
            rgb = ids.astype("<u4").view(np.uint8).reshape(*ids.shape, 4)[..., :3]
            name = write_map(folder, image, rgb)
            yield {"image_id": image.coco_id(image_ids), "file_name": name, "segments_info": segments}
            if progress is not None:
                progress(done, len(images))

    with new_folder(out) as folder:
        lists = {
            "categories": ({"id": one.category_id, "name": one.name, "isthing": int(one.is_thing)} for one in images.categories),
            "images": (image.coco_record(image_ids) for image in images),
            "annotations": annotations(folder / "panoptic"),
        }
        write_lists(folder / "panoptic.json", lists)
    return {"images": len(images), **count}


def _segments(image: CachedImage, count: Counter[str]) -> tuple[NDArray[np.int64], list[dict[str, Any]]]:
    """The map of segment ids, (height, width), and its records in the regions' order."""
    chosen = image.has_mask & ~image.is_unassigned
    segment_ids = _segment_ids(image.array("region_id"))
    ids = np.insert(segment_ids, 0, 0)[image.region_map(chosen)]
    found = label_runs(ids.astype(np.uint32)).segments()
    place = {label: k for k, label in enumerate(found.label.tolist())}
    category_id, is_crowd = image.array("category_id"), image.array("is_crowd")
    records = []
    for region, segment_id in enumerate(segment_ids.tolist()):
        if segment_id in place:
            k = place[segment_id]
            left, top, right, bottom = found.box_xyxy[k].tolist()
            records.append(
                {
                    "id": segment_id,
                    "category_id": int(category_id[region]),
                    "area": int(found.area[k]),
                    "bbox": [left, top, right - left, bottom - top],
                    "iscrowd": int(is_crowd[region]),
                }
            )
    count["segments"] += len(records)
    count["regions_without_mask"] += int((~image.has_mask).sum())
    count["regions_unassigned"] += int((image.has_mask & image.is_unassigned).sum())
    count["regions_hidden"] += int(chosen.sum()) - len(records)
    return ids, records


def _segment_ids(region_ids: NDArray[np.int64]) -> NDArray[np.int64]:
    fits = ((region_ids > 0) & (region_ids <= MAX_SEGMENT_ID)).all()
    return region_ids if fits else np.arange(1, len(region_ids) + 1)
