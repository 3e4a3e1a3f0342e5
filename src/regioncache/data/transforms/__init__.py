"""Transforms on image, boxes, points, masks, captions and tokens together: one file for each family."""
