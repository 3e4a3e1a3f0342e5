"""Photos: what a cache keeps of them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from hostile.mutation import damaged, damaged_png
from regioncache.encode.images import store_image
from regioncache.encode.jpeg_structure import read_jpeg_structure

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from random import Random

SIZE = (40, 30)
MAX_PIXELS = 1_000_000


def encoded(kind: str, mode: str = "RGB", **options: object) -> bytes:
    """A small photo in some format."""
    pixels = np.random.default_rng(0).integers(0, 256, (SIZE[1], SIZE[0], 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def _exif() -> bytes:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a text"
    return exif.tobytes()


def jpegs(_: Path) -> Callable[[Random], None]:
    """Damaged JPEG files: baseline, progressive, grey, CMYK, with EXIF blocks and restarts."""
    valid = [encoded("JPEG"), encoded("JPEG", progressive=True), encoded("JPEG", "L"), encoded("JPEG", "CMYK")]
    valid += [encoded("JPEG", exif=_exif(), comment=b"x", restart_marker_blocks=1)]

    def attempt(random: Random) -> None:
        data = damaged(random.choice(valid), random, valid)
        if random.random() < 0.3:
            structure = read_jpeg_structure(data)
            assert structure.height > 0
            assert structure.width > 0
        judge(data, random)

    return attempt


def pngs(_: Path) -> Callable[[Random], None]:
    """Damaged PNG files with true checksums."""
    valid = [encoded("PNG", mode) for mode in ("RGB", "RGBA", "L", "P", "1", "LA")] + [encoded("PNG", exif=_exif())]

    def attempt(random: Random) -> None:
        judge(damaged_png(random.choice(valid), random, valid), random)

    return attempt


def other_formats(_: Path) -> Callable[[Random], None]:
    """Damaged files of the formats that archives hold now and then, and of those that nobody should send."""
    kinds = (
        "WEBP",
        "GIF",
        "BMP",
        "TIFF",
        "PPM",
        "TGA",
        "ICO",
        "PCX",
        "SGI",
        "DDS",
        "MPO",
        "JPEG2000",
        "EPS",
        "MSP",
        "XBM",
        "DIB",
        "BLP",
        "ICNS",
        "AVIF",
        "QOI",
    )
    Image.init()
    modes = {"MSP": "1", "XBM": "1", "BLP": "P"}
    valid = [encoded(kind, modes.get(kind, "RGB")) for kind in kinds if kind in Image.SAVE]
    valid += [encoded("TIFF", compression=kind) for kind in ("tiff_lzw", "jpeg", "tiff_deflate", "packbits")] + [
        encoded("WEBP", lossless=True, exif=_exif())
    ]

    def attempt(random: Random) -> None:
        judge(damaged(random.choice(valid), random, valid if random.random() < 0.2 else ()), random)

    return attempt


def judge(data: bytes, random: Random) -> None:
    """What is kept is whole: of the size it says, within the frame, decodable where it was decoded."""
    policy, check = random.choice(("auto", "fit", "raw", "raw", "none", "original")), random.choice(("header", "decode"))
    found = store_image(data, policy=policy, check=check, frame_px=random.choice((16, 64)), max_pixels=MAX_PIXELS)
    assert 0 < found.height * found.width <= MAX_PIXELS
    assert 1 <= found.exif_orientation <= 8
    match found.storage:
        case "raw":
            assert len(found.data) == 3 * found.stored_height * found.stored_width
        case "fit":
            with Image.open(io.BytesIO(found.data)) as image:
                assert (image.format, image.height, image.width) == ("JPEG", found.stored_height, found.stored_width)
        case "original":
            assert found.data == data
        case _:
            assert found.data == b""
