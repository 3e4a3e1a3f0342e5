"""GRiT's own selection of Visual Genome's regions: a COCO file with a caption per annotation.

https://github.com/JialianW/GRiT (datasets/DATASETS.md)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from regioncache.sources.coco_records import Int64
from regioncache.sources.visual_genome_records import Found, decoded

if TYPE_CHECKING:
    from regioncache.sources.record import AnnotationFile
    from regioncache.sources.visual_genome_records import Photo


class _Box(msgspec.Struct, array_like=True, gc=False, forbid_unknown_fields=True):
    x: float
    y: float
    width: float
    height: float


class _Annotation(msgspec.Struct, gc=False):
    id: Int64
    image_id: Int64
    bbox: _Box
    caption: str


class _Image(msgspec.Struct, gc=False):
    id: Int64


class _File(msgspec.Struct):
    images: list[_Image]
    annotations: list[_Annotation]


class GritFile:
    """A decoded file whose annotations are found by their image.

    Attributes:
        image_ids: the images that it lists, or that an annotation names.
    """

    def __init__(self, file: AnnotationFile) -> None:
        content = decoded(file, _File, "a COCO file with captions such as GRiT's train.json")
        self._annotations: list[_Annotation] = content.annotations
        image_of = np.fromiter((one.image_id for one in content.annotations), np.int64, len(content.annotations))
        self._order = np.argsort(image_of, kind="stable")
        self._sorted_images = image_of[self._order]
        self.image_ids = {one.id for one in content.images} | set(image_of.tolist())

    def _span(self, image_id: int) -> slice:
        first, last = np.searchsorted(self._sorted_images, [image_id, image_id + 1])
        return slice(int(first), int(last))

    def count(self, image_id: int) -> int:
        """How many regions the file has of an image."""
        return len(self._order[self._span(image_id)])

    def of_image(self, image_id: int, _photo: Photo) -> list[Found]:
        """The regions of one image, in the file's order; none for an image without annotations."""
        some = [self._annotations[k] for k in self._order[self._span(image_id)].tolist()]
        return [Found(one.id, (one.bbox.x, one.bbox.y, one.bbox.width, one.bbox.height), [one.caption]) for one in some]
