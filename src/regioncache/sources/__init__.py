"""Readers of annotation formats, by the ``format`` of a catalog entry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regioncache.sources import (
    ade20k_panoptic,
    coco_captions,
    coco_instance,
    coco_panoptic,
    objects365,
    openimages,
    refcoco,
    sa1b,
    table,
    v3det,
    visual_genome,
)

if TYPE_CHECKING:
    from regioncache.sources.record import Source

SOURCES: dict[str, Source] = {
    "ade20k_panoptic": ade20k_panoptic,
    "coco_captions": coco_captions,
    "coco_instance": coco_instance,
    "coco_panoptic": coco_panoptic,
    "objects365": objects365,
    "openimages": openimages,
    "refcoco": refcoco,
    "sa1b": sa1b,
    "table": table,
    "v3det": v3det,
    "visual_genome": visual_genome,
}
