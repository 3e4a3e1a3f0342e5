"""Maps to PNG files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from regioncache.errors import CacheError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from regioncache.interop.cached_images import CachedImage


def write_map(folder: Path, image: CachedImage, values: NDArray[np.uint8]) -> str:
    """Write a map, uint8 (height, width) or (height, width, 3), under the image's name, and give that name.

    Raises:
        CacheError: two images would be written to the same file.
    """
    name = image.png_name()
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        raise CacheError(image.rows.path, f"image {image.image_id} and another one would both be written to {name}")
    Image.fromarray(np.ascontiguousarray(values)).save(path, "PNG")
    return name
