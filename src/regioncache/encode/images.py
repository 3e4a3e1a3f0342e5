"""What is kept of an image: the archive's own bytes, a smaller JPEG, raw pixels, or nothing."""

from __future__ import annotations

import io
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from PIL import Image, UnidentifiedImageError

from regioncache.encode.jpeg_structure import is_jpeg, read_jpeg_structure
from regioncache.errors import BadRecordError
from regioncache.geometry import Frame

if TYPE_CHECKING:
    from collections.abc import Iterator

Policy = Literal["auto", "original", "fit", "raw", "none"]

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
"""As Pillow names them. It reads more, but some of those run other programs, such as Ghostscript on what an archive holds."""

ORIENTATION_TAG = 0x0112
UPRIGHT = 1
LAST_ORIENTATION = 8
JPEG_QUALITY = 95
NO_CHROMA_SUBSAMPLING = 0  # 4:4:4; 4:2:0 makes the largest errors of all
_QUARTER_TURNS = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}


@dataclass(frozen=True)
class StoredImage:
    """An image as it goes into a cache.

    Attributes:
        storage: what was done: ``original`` (the archive's bytes), ``fit`` (a JPEG of our own, of the frame's size or of a
            turned image), ``raw`` (uint8 RGB, row by row) or ``none``.
        data: the bytes; empty for ``none``.
        format: of ``data`` as Pillow names it, such as ``JPEG``; ``RGB`` for raw; of the archive's image for ``none``.
        height: of the archive's image, in pixels, as it stands after a turn.
        width: of the archive's image, in pixels, as it stands after a turn.
        stored_height: of what ``data`` holds.
        stored_width: of what ``data`` holds.
        exif_orientation: 1 to 8 as the file says; reported and never applied, because boxes are in stored pixels.
    """

    storage: Literal["original", "fit", "raw", "none"]
    data: bytes
    format: str
    height: int
    width: int
    stored_height: int
    stored_width: int
    exif_orientation: int


@dataclass(frozen=True)
class _Source:
    format: str
    height: int
    width: int
    exif_orientation: int


def store_image(
    data: bytes,
    *,
    policy: Policy,
    frame_px: int = 1024,
    check: Literal["header", "decode"] = "header",
    max_pixels: int,
    rotate_ccw: int = 0,
) -> StoredImage:
    """Check an image of an archive and make what the cache keeps of it.

    Args:
        data: the archive's bytes, in one of ``FORMATS``.
        policy: ``original`` keeps the bytes; ``auto`` and ``fit`` keep them when the longest side is within
            ``frame_px`` and shrink larger images to it (Pillow BILINEAR, Segment Anything's size rule, JPEG quality 95
            without chroma subsampling); ``raw`` keeps pixels, of larger images at the frame's size; ``none`` keeps
            nothing.
        frame_px: longest side of an image that is kept as it is.
        check: ``header`` walks a JPEG's structure up to its end marker without decoding, and decodes other formats;
            ``decode`` decodes everything.
        max_pixels: images beyond are refused before they are decoded.
        rotate_ccw: degrees by which the image is turned counter-clockwise: 0, 90, 180 or 270. Pixels change places and none
            changes its value, but the archive's bytes cannot be kept: ``original``, and ``auto`` and ``fit`` of images within
            ``frame_px``, become a JPEG of the same quality as shrunken images have, at full size, with the storage ``fit``.

    Raises:
        BadRecordError: ``image_undecodable``, ``image_too_large``, or ``size_vanishes`` (an image so thin that no pixel
            of its short side is left).
    """
    source = _turned(_examine(data, max_pixels, decode=check == "decode"), rotate_ccw)
    is_large = max(source.height, source.width) > frame_px
    keeps_size = policy == "original" or not is_large
    if policy == "none":
        return _stored(source, "none", b"", source.format, (source.height, source.width))
    if keeps_size and policy != "raw" and not rotate_ccw:
        return _stored(source, "original", data, source.format, (source.height, source.width))
    size_hw = (source.height, source.width)
    if not keeps_size:
        frame = Frame("sam", size_px=frame_px)
        size_hw = frame.resized_hw(*size_hw)
        if frame.vanishes(source.height, source.width):
            raise BadRecordError("size_vanishes", f"{source.width} x {source.height} shrinks to {size_hw[::-1]}")
    with _decoded(data) as image:
        pixels = image.convert("RGB")
        if rotate_ccw:
            pixels = pixels.transpose(_QUARTER_TURNS[rotate_ccw])
        if not keeps_size:
            pixels = pixels.resize(size_hw[::-1], Image.Resampling.BILINEAR)
        if policy == "raw":
            return _stored(source, "raw", pixels.tobytes(), "RGB", size_hw)
        buffer = io.BytesIO()
        pixels.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=NO_CHROMA_SUBSAMPLING)
    return _stored(source, "fit", buffer.getvalue(), "JPEG", size_hw)


def _turned(source: _Source, rotate_ccw: int) -> _Source:
    if rotate_ccw % 180 == 0:
        return source
    return replace(source, height=source.width, width=source.height)


def _stored(
    source: _Source,
    storage: Literal["original", "fit", "raw", "none"],
    data: bytes,
    kind: str,
    size_hw: tuple[int, int],
) -> StoredImage:
    return StoredImage(
        storage=storage,
        data=data,
        format=kind,
        height=source.height,
        width=source.width,
        stored_height=size_hw[0],
        stored_width=size_hw[1],
        exif_orientation=source.exif_orientation,
    )


def _examine(data: bytes, max_pixels: int, *, decode: bool) -> _Source:
    """Format, size and orientation of an image that is whole as far as the check goes."""
    if is_jpeg(data):
        structure = read_jpeg_structure(data)
        _check_pixels(structure.height, structure.width, max_pixels)
        if decode or not structure.is_common:
            with _decoded(data):
                pass
        orientation = _orientation_of(structure.exif)
        return _Source("JPEG", structure.height, structure.width, orientation)
    with _opened(data) as image:
        _check_pixels(image.height, image.width, max_pixels)
        image.load()
        exif = image.info.get("exif", b"")
        return _Source(str(image.format), image.height, image.width, _orientation_of(exif))


def _check_pixels(height: int, width: int, max_pixels: int) -> None:
    if height * width > max_pixels:
        raise BadRecordError(
            "image_too_large", f"expected at most {max_pixels} pixels, found {width} x {height} = {height * width}"
        )


def _orientation_of(exif: bytes) -> int:
    """The orientation that an EXIF block names; upright where it is damaged or names none."""
    if not exif:
        return UPRIGHT
    block = Image.Exif()
    try:
        block.load(exif)
        value = block.get(ORIENTATION_TAG, UPRIGHT)
    except Exception:  # noqa: BLE001  (Pillow's parser raises whatever the damaged block makes it meet)
        return UPRIGHT
    return value if isinstance(value, int) and UPRIGHT <= value <= LAST_ORIENTATION else UPRIGHT


@contextmanager
def _opened(data: bytes) -> Iterator[Image.Image]:
    """An image that Pillow has identified; whatever goes wrong with it within the block is the image's fault."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of oddities in metadata, and of sizes, which max_pixels decides
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                yield image
    except (BadRecordError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise BadRecordError("image_too_large", str(error)) from error
    except UnidentifiedImageError as error:  # its text holds an address, which differs between runs
        found = f"{len(data)} bytes beginning {data[:8]!r}"
        raise BadRecordError(
            "image_undecodable", f"expected an image in one of the formats {', '.join(FORMATS)}, found {found}"
        ) from error
    except Exception as error:  # (Pillow's plugins raise whatever the damaged bytes make them meet)
        raise BadRecordError("image_undecodable", f"expected an image of {len(data)} bytes to decode: {error}") from error


@contextmanager
def _decoded(data: bytes) -> Iterator[Image.Image]:
    with _opened(data) as image:
        image.load()
        yield image
