"""The images of a cache one after the other, with the fields that exporters need."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from regioncache.cache.label_map import decode_label_map, decode_semantic_map
from regioncache.cache.open_rows import footer_metadata
from regioncache.data.open_cache import find_shards
from regioncache.data.stored_images import encoded_image
from regioncache.errors import CacheError
from regioncache.masks import decode_rles
from regioncache.schema import REGION_FLAGS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from regioncache.cache.rows import Rows
    from regioncache.data.open_cache import OpenShard
    from regioncache.data.pixels import EncodedImage

ImageIds = Literal["number", "stem"]


class ExportCategory(NamedTuple):
    """A category of a cache: the source's id, its name, whether it is a countable thing; its index is its place."""

    category_id: int
    name: str
    is_thing: bool


class CachedImage(NamedTuple):
    """One row of a cache, read when asked."""

    rows: Rows
    record: tuple[int, ...]
    shard: OpenShard

    @property
    def image_id(self) -> int:
        """The id in the source's own space."""
        return self.rows.integer(self.record, "image_id")

    @property
    def file_name(self) -> str:
        """The photo's name inside its folder."""
        return self.rows.text(self.record, "file_name")

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.rows.integer(self.record, "height"), self.rows.integer(self.record, "width")

    @property
    def is_unassigned(self) -> NDArray[np.bool_]:
        """Regions of a thing's category whose pixels belong to no instance, bool (n,)."""
        return self.array("flags") & REGION_FLAGS["unassigned"] > 0

    @property
    def counts(self) -> list[bytes]:
        """COCO compressed RLE of each region, empty where it has no mask."""
        return self.rows.byte_strings(self.record, "segmentation").items

    @property
    def phrases(self) -> list[list[str]]:
        """The phrases of each region."""
        texts = [one.decode() for one in self.rows.byte_strings(self.record, "phrases").items]
        ends = np.cumsum(self.array("phrase_count")).tolist()
        return [texts[start:end] for start, end in zip([0, *ends], ends, strict=False)]

    @property
    def stored(self) -> EncodedImage | None:
        """The stored image, not decoded; None where the cache was built without images."""
        if self.rows.text(self.record, "image_storage") == "none":
            return None
        return encoded_image(self.shard, self.record)

    @property
    def has_mask(self) -> NDArray[np.bool_]:
        """Regions that have a mask, bool (n,)."""
        return np.array([bool(one) for one in self.counts], np.bool_)

    def array(self, name: str) -> NDArray[Any]:
        """A numeric per-region field, (n,) or (n, 4)."""
        return np.array(self.rows.array(self.record, name))

    def png_name(self) -> str:
        """The photo's name as that of a PNG.

        Raises:
            CacheError: the name would lead out of the folder that it is written to.
        """
        name = PurePosixPath(self.file_name)
        if name.is_absolute() or ".." in name.parts or not name.name:
            problem = f"image {self.image_id} has a name that no file can be written under"
            raise CacheError(self.rows.path, problem, expected="a relative name", found=repr(self.file_name))
        return str(name.with_suffix(".png"))

    def coco_record(self, image_ids: ImageIds) -> dict[str, Any]:
        """The image as COCO's ``images`` list has it."""
        height, width = self.size_hw
        return {"id": self.coco_id(image_ids), "file_name": self.file_name, "width": width, "height": height}

    def coco_id(self, image_ids: ImageIds) -> int | str:
        """The image's id: its number, or its file name without the suffix."""
        return self.image_id if image_ids == "number" else PurePosixPath(self.file_name).stem

    def region_map(self, chosen: NDArray[np.bool_]) -> NDArray[np.integer]:
        """Which of the chosen regions owns each pixel, (height, width): 0 = none, k = k-th region + 1.

        Where regions overlap, a thing lies over stuff, and of two things, or two of stuff, the later one lies over the
        earlier.
        """
        compressed = self.rows.binary(self.record, "label_map")
        ordinals = np.where(chosen, np.arange(1, len(chosen) + 1), 0)
        if len(compressed):
            return np.insert(ordinals, 0, 0)[decode_label_map(compressed, *self.size_hw, len(chosen))]
        painted = np.zeros(self.size_hw, np.int64)
        counts = self.counts
        for region in np.argsort(self.array("is_thing"), kind="stable"):
            if chosen[region] and counts[region]:
                painted[decode_rles([counts[region]], *self.size_hw)[0]] = ordinals[region]
        return painted

    def semantic_map(self) -> NDArray[np.uint8] | None:
        """The stored map of category indices, uint8 (height, width), 255 = none; None where the regions say it all."""
        compressed = self.rows.binary(self.record, "semantic_map")
        if not len(compressed):
            return None
        return decode_semantic_map(compressed, *self.size_hw)


class CachedImages:
    """The images of a cache in stored order; they can be walked more than once.

    Args:
        cache: a cache folder, or one Parquet file of samples.
        need_masks: refuse a cache without a mask.
        need_categories: refuse a cache without categories.

    Raises:
        CacheError: there is no whole cache, or its regions lack what is needed.
    """

    def __init__(self, cache: Path, *, need_masks: bool = True, need_categories: bool = True) -> None:
        self.path = cache
        self._shards = find_shards(cache.absolute(), tokens=None, prompts=None, archives=None, use_pread=False)
        self.categories = self._read_categories()
        if need_categories and not self.categories:
            raise CacheError(self.path, "its regions have no categories, without which there is nothing to export")
        if need_masks:
            self._check_masks()

    def __len__(self) -> int:
        return sum(self._shards.rows)

    def __iter__(self) -> Iterator[CachedImage]:
        for shard in range(len(self._shards.names)):
            opened = self._shards.open(shard)
            rows = opened.samples
            for row in range(len(rows)):
                yield CachedImage(rows, rows.record(row), opened)

    def _read_categories(self) -> list[ExportCategory]:
        shard = self._shards.samples / self._shards.names[0]
        try:
            listed = json.loads(footer_metadata(shard).get("regioncache.categories", "[]"))
            found = [ExportCategory(one["category_id"], one["name"], one["is_thing"]) for one in listed]
        except (ValueError, KeyError, TypeError) as error:
            raise CacheError(shard, f"its list of categories cannot be read ({error!r})") from error
        return found

    def _check_masks(self) -> None:
        """Look for the first mask: all but a cache of bare boxes have it in the first rows."""
        regions = 0
        for image in self:
            if image.has_mask.any():
                return
            regions += len(image.counts)
        if regions:
            raise CacheError(self.path, f"none of its {regions} regions has a mask, without which there is nothing to export")
