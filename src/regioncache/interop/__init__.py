"""Caches as the files that other programs read: semantic PNGs, COCO panoptic, COCO instances."""
