"""Semantic maps: one grey PNG per image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from regioncache.errors import CacheError
from regioncache.interop.cached_images import CachedImage, CachedImages
from regioncache.interop.map_png import write_map
from regioncache.interop.new_folder import new_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

VOID_INDEX = 255


def export_semantic(cache: Path, out: Path, *, progress: Callable[[int, int], None] | None = None) -> dict[str, int]:
    """Write ``out/<photo's name>.png`` for each image: 8-bit grey, the pixel's category index, 255 = none.

    As Mask2Former's ``annotations_detectron2`` and ``panoptic_semseg_*``: a crowd is painted like any other region. Where
    regions overlap, a thing lies over stuff and the later one over the earlier.

    Args:
        cache: a cache folder, or one Parquet file of samples.
        out: a folder that is made, or an empty one.
        progress: called with (images done, images).

    Returns:
        How many ``images`` were written, and how many ``regions_without_mask`` could not be painted.

    Raises:
        CacheError: there is no whole cache, it has no masks or categories, or more categories than a byte can tell apart.
        ConfigError: ``out`` is not empty.
    """
    images = CachedImages(cache)
    if len(images.categories) > VOID_INDEX:
        found = f"{len(images.categories)} categories"
        raise CacheError(cache, "too many categories for 8-bit maps", expected=f"at most {VOID_INDEX}", found=found)
    without_mask = 0
    with new_folder(out) as folder:
        for done, image in enumerate(images, 1):
            write_map(folder, image, category_map(image))
            without_mask += int((~image.has_mask).sum())
            if progress is not None:
                progress(done, len(images))
    return {"images": len(images), "regions_without_mask": without_mask}


def category_map(image: CachedImage) -> NDArray[np.uint8]:
    """The category index of each pixel, uint8 (height, width), 255 = none."""
    stored = image.semantic_map()
    if stored is not None:
        return stored
    index = image.array("category_index")
    value = np.insert(np.where(index >= 0, index, VOID_INDEX), 0, VOID_INDEX).astype(np.uint8)
    return np.take(value, image.region_map(image.has_mask))
