"""COCO instances: a JSON of things with boxes and masks."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from regioncache.errors import ConfigError
from regioncache.interop.cached_images import CachedImages, ImageIds
from regioncache.interop.coco_json import numbers, write_lists
from regioncache.interop.new_folder import new_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path


def export_instances(
    cache: Path,
    out: Path,
    *,
    image_ids: ImageIds = "number",
    names: Mapping[int, str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, int]:
    """Write ``out/instances.json``: things only, with the boxes as published and the masks as compressed RLE.

    Annotations are numbered from 1 in the order of the cache. A crowd has ``iscrowd`` 1; unassigned pixels of things are no
    instance.

    Args:
        cache: a cache folder, or one Parquet file of samples.
        out: a folder that is made, or an empty one.
        image_ids: images are known by their ``number``, or by the ``stem`` of their file name.
        names: other names of the categories of things, by category id; None keeps those of the cache.
        progress: called with (images done, images).

    Returns:
        How many ``images`` and ``annotations`` were written, and how many regions were left out: ``regions_of_stuff``,
        ``regions_unassigned`` and ``regions_without_mask``.

    Raises:
        CacheError: there is no whole cache, or it has no masks or categories.
        ConfigError: ``out`` is not empty, or a category of things has no name in ``names``.
    """
    images = CachedImages(cache)
    things = {one.category_id: one.name for one in images.categories if one.is_thing}
    if names is not None:
        missing = sorted(things.keys() - names.keys())
        if missing:
            raise ConfigError(f"{cache}: the other names are of another dataset: they lack the categories {missing[:8]}")
        things = {category_id: names[category_id] for category_id in things}
    counted = ("annotations", "regions_of_stuff", "regions_unassigned", "regions_without_mask")
    count = Counter(dict.fromkeys(counted, 0))

    def annotations() -> Iterator[dict[str, Any]]:
        for done, image in enumerate(images, 1):
            counts, is_thing, is_unassigned = image.counts, image.array("is_thing"), image.is_unassigned
            area, is_crowd = numbers(image.array("area")), image.array("is_crowd")
            box_xywh, category_id = image.array("published_box_xywh"), image.array("category_id")
            for region, one in enumerate(counts):
                if not is_thing[region]:
                    count["regions_of_stuff"] += 1
                elif is_unassigned[region]:
                    count["regions_unassigned"] += 1
                elif not one:
                    count["regions_without_mask"] += 1
                else:
                    count["annotations"] += 1
                    yield {
                        "id": count["annotations"],
                        "image_id": image.coco_id(image_ids),
                        "category_id": int(category_id[region]),
                        "bbox": numbers(box_xywh[region]),
                        "area": area[region],
                        "iscrowd": int(is_crowd[region]),
                        "segmentation": {"size": list(image.size_hw), "counts": one.decode("ascii")},
                    }
            if progress is not None:
                progress(done, len(images))

    with new_folder(out) as folder:
        lists = {
            "categories": ({"id": category_id, "name": name} for category_id, name in things.items()),
            "images": (image.coco_record(image_ids) for image in images),
            "annotations": annotations(),
        }
        write_lists(folder / "instances.json", lists)
    return {"images": len(images), **count}
