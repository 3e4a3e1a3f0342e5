"""Annotation maps in PNG files."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from hostile.mutation import damaged_png
from regioncache.panoptic_runs import label_runs
from regioncache.sources.map_png import MapSize, grey_map, rgb_map
from regioncache.sources.panoptic_png import png_ids

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from random import Random

    from numpy.typing import NDArray

SIZE = MapSize(12, 17, "the photo", "map_size_mismatch")


def png(pixels: NDArray[np.uint8], mode: str | None = None, **options: object) -> bytes:
    """A PNG file."""
    buffer = io.BytesIO()
    image = Image.fromarray(pixels)
    (image if mode is None else image.convert(mode)).save(buffer, "PNG", **options)
    return buffer.getvalue()


def pictures() -> list[bytes]:
    """Valid PNG files of every mode."""
    pixels = np.random.default_rng(0).integers(0, 4, (12, 17, 3), np.uint8)
    return [png(pixels), png(pixels[..., 0]), png(pixels, "RGBA"), png(pixels, "P"), png(pixels, "1"), png(pixels, optimize=True)]


def maps(_: Path) -> Callable[[Random], None]:
    """Damaged maps: pixels of the size that the file's header says, or a reject."""
    valid = pictures()

    def attempt(random: Random) -> None:
        data = damaged_png(random.choice(valid), random, valid)
        read = random.choice(
            (lambda one, size: grey_map(one, "a map", size), lambda one, size: rgb_map(one, "a map", size), png_ids)
        )
        found = read(data, SIZE)
        assert found.shape == SIZE[:2]
        if found.dtype == np.uint32:
            assert found.max(initial=0) < 1 << 24
            label_runs(found).segments()

    return attempt
