"""Pictures made to harm: headers that declare billions of pixels, formats that run programs."""

from __future__ import annotations

import io
import resource
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from hostile.mutation import png_chunks, png_of
from hostile.readers.images import encoded
from hostile.readers.maps import png
from regioncache.encode.images import store_image
from regioncache.errors import BadRecordError
from regioncache.sources import ade20k_panoptic, coco_panoptic
from regioncache.sources.map_png import MapSize, grey_map, rgb_map
from regioncache.sources.panoptic_png import png_ids
from regioncache.sources.reports import Report

if TYPE_CHECKING:
    from collections.abc import Callable

SIDE = 60_000


def declared(data: bytes, width: int, height: int) -> bytes:
    """A PNG whose header says another size."""
    (_, header), *rest = png_chunks(data)
    return png_of([(b"IHDR", struct.pack(">II", width, height) + header[8:]), *rest])


def jpeg_declared(width: int, height: int) -> bytes:
    data = bytearray(encoded("JPEG"))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(data)


GREY, RGB = png(np.zeros((4, 5), np.uint8)), png(np.zeros((4, 5, 3), np.uint8))


@pytest.mark.parametrize("check", ["header", "decode"])
@pytest.mark.parametrize("data", [jpeg_declared(SIDE, SIDE), declared(RGB, SIDE, SIDE), declared(GREY, 2**31 - 1, 2**31 - 1)])
def test_a_photo_that_declares_billions_of_pixels_is_refused_and_takes_no_memory(data: bytes, check: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BadRecordError) as caught:
        store_image(data, policy="raw", check=check, max_pixels=178_956_970)
    assert caught.value.reason in ("image_too_large", "image_undecodable")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


@pytest.mark.parametrize(
    ("read", "data"),
    [
        (lambda data, size: grey_map(data, "a map", size), GREY),
        (lambda data, size: rgb_map(data, "a map", size), RGB),
        (png_ids, RGB),
    ],
)
@pytest.mark.parametrize("side", [SIDE, 13_000, 9_000])
def test_a_map_of_another_size_than_its_photo_is_not_decoded(read: Callable[..., object], data: bytes, side: int) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pixels = zlib.compress(bytes(100_000_000), 1)
    chunks = [(kind, pixels if kind == b"IDAT" else body) for kind, body in png_chunks(declared(data, side, side))]
    with pytest.raises(BadRecordError) as caught:
        read(png_of(chunks), MapSize(4, 5, "the photo", "map_size_mismatch"))
    assert caught.value.reason in ("map_size_mismatch", "map_undecodable", "panoptic_undecodable")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 250_000  # the bomb itself was made here


def test_sources_compare_the_size_before_they_decode() -> None:
    row = {"image_id": 1, "file_name": "1.jpg", "height": 4, "width": 5, "segment_id": [], "category_id": []}
    for source, data, reason in (
        (coco_panoptic, declared(RGB, 9_000, 9_000), "panoptic_size_mismatch"),
        (ade20k_panoptic, declared(GREY, 9_000, 9_000), "map_size_mismatch"),
    ):
        with pytest.raises(BadRecordError) as caught:
            source.regions_of(row, lambda _, data=data: data, {}, Report())
        assert caught.value.reason == reason


@pytest.mark.parametrize("kind", ["EPS", "TGA", "PCX", "SGI", "DDS", "ICNS", "PDF"])
def test_formats_that_no_dataset_has_are_not_opened(kind: str) -> None:
    # Pillow hands PostScript to Ghostscript, which archives of strangers have no business with.
    with pytest.raises(BadRecordError, match="expected an image in one of the formats JPEG, PNG") as caught:
        store_image(encoded(kind), policy="raw", check="decode", max_pixels=10**6)
    assert caught.value.reason == "image_undecodable"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
def test_formats_that_datasets_have_are(kind: str) -> None:
    assert store_image(encoded(kind), policy="raw", check="decode", max_pixels=10**6).width == 40


@pytest.mark.parametrize(
    "chunk", [(b"acTL", b"\x00" * 8), (b"iCCP", b"name\x00"), (b"iCCP", b""), (b"tRNS", b""), (b"zTXt", b"k\x00\x00x")]
)
def test_odd_chunks_of_a_map_are_no_crash_and_no_warning(chunk: tuple[bytes, bytes]) -> None:
    first, *rest = png_chunks(RGB)
    data = png_of([first, chunk, *rest])
    try:
        assert png_ids(data).shape == (4, 5)
    except BadRecordError as error:
        assert error.reason == "panoptic_undecodable"  # noqa: PT017  (either outcome is right, another exception is not)


def test_a_text_of_a_png_that_inflates_to_megabytes_is_refused() -> None:
    first, *rest = png_chunks(RGB)
    bomb = b"key\x00\x00" + zlib.compress(bytes(200_000_000), 9)
    with pytest.raises(BadRecordError):
        store_image(png_of([first, (b"zTXt", bomb), *rest]), policy="raw", max_pixels=10**6)


def test_an_orientation_that_is_text_is_upright() -> None:
    first, *rest = png_chunks(RGB)
    data = png_of([first, (b"iTXt", b"exif\x00\x00\x00\x00\x00Exif\x00\x00"), *rest])
    assert store_image(data, policy="original", max_pixels=10**6).exif_orientation == 1
    assert Image.open(io.BytesIO(data)).size == (5, 4)
