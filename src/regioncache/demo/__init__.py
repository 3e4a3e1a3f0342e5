"""A panoptic dataset drawn by procedure, in the layout of the official COCO panoptic archives.

It stands in for the real archives where there is no network: in the demonstration, the tests and the benchmarks.
"""

from __future__ import annotations

from regioncache.demo.archives import draw_demo_archives

__all__ = ["draw_demo_archives"]
