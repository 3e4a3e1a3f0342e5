"""Every region of a cache as one COCO JSON, which ``coco_instance`` reads back as the same regions."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from regioncache.errors import CacheError
from regioncache.interop.cached_images import CachedImage, CachedImages
from regioncache.interop.coco_json import numbers, write_lists
from regioncache.interop.new_folder import new_folder
from regioncache.schema import REGION_FLAGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def export_coco(cache: Path, out: Path, *, progress: Callable[[int, int], None] | None = None) -> dict[str, int]:
    """Write ``out/coco.json``: all regions, with the ids, boxes and areas of the source, and masks as compressed RLE.

    Things and stuff, crowds, and regions without a mask are all listed. What COCO has no key for stands under names of ours:
    ``phrases``, ``flags`` and, with the categories, ``isthing``. ``coco_instance`` gives back ids, boxes, masks, areas,
    categories and crowds; of our keys it reads none: its phrases are the names of categories, all of which are things.

    Args:
        cache: a cache folder, or one Parquet file of samples.
        out: a folder that is made, or an empty one.
        progress: called with (images done, images).

    Returns:
        How many ``images`` and ``annotations`` were written, how many of these have no mask (``regions_without_mask``), and
        how many have ids of ours (``regions_renumbered``), numbered from 1: all, where two regions have the same id, as in
        panoptic sets whose ids count within an image.

    Raises:
        CacheError: there is no whole cache, its regions have no categories, or one of them has none.
        ConfigError: ``out`` is not empty.
    """
    images = CachedImages(cache, need_masks=False)
    known = {one.category_id for one in images.categories}
    keep_ids = _are_unique(images)
    count = Counter(dict.fromkeys(("annotations", "regions_without_mask", "regions_renumbered"), 0))

    def annotations() -> Iterator[dict[str, Any]]:
        for done, image in enumerate(images, 1):
            for record in _records(image):
                if record["category_id"] not in known:
                    raise CacheError(
                        image.rows.path,
                        f"region {record['id']} of image {image.image_id} has no category, without which COCO has no region",
                        expected="one of the cache's categories",
                        found=record["category_id"],
                    )
                count["annotations"] += 1
                count["regions_without_mask"] += "segmentation" not in record
                if not keep_ids:
                    record["id"] = count["annotations"]
                    count["regions_renumbered"] += 1
                yield record
            if progress is not None:
                progress(done, len(images))

    with new_folder(out) as folder:
        lists = {
            "categories": ({"id": one.category_id, "name": one.name, "isthing": int(one.is_thing)} for one in images.categories),
            "images": (image.coco_record("number") for image in images),
            "annotations": annotations(),
        }
        write_lists(folder / "coco.json", lists)
    return {"images": len(images), **count}


def _are_unique(images: CachedImages) -> bool:
    """Whether no two regions of the cache have the same id."""
    seen: set[int] = set()
    regions = 0
    for image in images:
        ids = image.array("region_id").tolist()
        regions += len(ids)
        seen.update(ids)
        if len(seen) != regions:
            return False
    return True


def _records(image: CachedImage) -> Iterator[dict[str, Any]]:
    """The image's regions as COCO's ``annotations`` list has them."""
    columns = zip(
        image.array("region_id").tolist(),
        image.array("category_id").tolist(),
        image.array("published_box_xywh"),
        numbers(image.array("area")),
        image.array("is_crowd").tolist(),
        image.array("flags").tolist(),
        image.counts,
        image.phrases,
        strict=True,
    )
    for region_id, category_id, box_xywh, area, is_crowd, flags, counts, phrases in columns:
        record = {
            "id": region_id,
            "image_id": image.image_id,
            "category_id": category_id,
            "bbox": numbers(box_xywh),
            "area": area,
            "iscrowd": int(is_crowd),
            "phrases": phrases,
        }
        if counts:
            record["segmentation"] = {"size": list(image.size_hw), "counts": counts.decode("ascii")}
        if flags:
            record["flags"] = [name for name, bit in REGION_FLAGS.items() if flags & bit]
        yield record
