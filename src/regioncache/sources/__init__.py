"""Readers of annotation formats, by the ``format`` of a catalog entry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regioncache.sources import coco_panoptic

if TYPE_CHECKING:
    from regioncache.sources.record import Source

SOURCES: dict[str, Source] = {"coco_panoptic": coco_panoptic}
