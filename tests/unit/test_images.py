from __future__ import annotations

import contextlib
import hashlib
import io
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from regioncache.encode.images import StoredImage, store_image
from regioncache.encode.jpeg_structure import read_jpeg_structure
from regioncache.errors import BadRecordError

if TYPE_CHECKING:
    from pathlib import Path

MAX_PIXELS = 20_000_000


def photo(width: int, height: int, seed: int = 0) -> Image.Image:
    """A smooth picture with a little noise, as a camera's."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, size=(6, 8, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.int16)
    return Image.fromarray(np.clip(smooth + rng.integers(-4, 5, size=smooth.shape), 0, 255).astype(np.uint8))


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def store(data: bytes, policy: str = "auto", check: str = "header", max_pixels: int = MAX_PIXELS) -> StoredImage:
    return store_image(data, policy=policy, check=check, max_pixels=max_pixels)  # type: ignore[arg-type]  (parametrized)


def sizes(stored: StoredImage) -> tuple[int, int, int, int]:
    return stored.height, stored.width, stored.stored_height, stored.stored_width


@pytest.mark.parametrize("policy", ["auto", "original", "fit"])
def test_an_image_within_the_frame_keeps_the_bytes_of_the_archive(policy: str) -> None:
    data = encoded(photo(640, 480), quality=90)
    stored = store(data, policy)
    assert (stored.storage, stored.format, stored.exif_orientation) == ("original", "JPEG", 1)
    assert stored.data == data
    assert sizes(stored) == (480, 640, 480, 640)
    assert store(encoded(photo(1024, 3)), policy).storage == "original"


@pytest.mark.parametrize("policy", ["auto", "fit"])
def test_a_larger_image_shrinks_to_the_frame_without_chroma_subsampling(policy: str) -> None:
    image = photo(1500, 1001)
    stored = store(encoded(image, "PNG"), policy)
    assert (stored.storage, stored.format) == ("fit", "JPEG")
    assert sizes(stored) == (1001, 1500, 683, 1024)
    with Image.open(io.BytesIO(stored.data)) as found:
        assert found.size == (1024, 683)
        assert {component[1:3] for component in found.layer} == {(1, 1)}
        expected = np.asarray(image.resize((1024, 683), Image.Resampling.BILINEAR), np.int16)
        assert np.abs(np.asarray(found, np.int16) - expected).mean() < 1.5
    assert stored.data == store(encoded(image, "PNG"), policy).data


def test_an_original_stays_as_it_is_at_any_size_and_none_keeps_no_bytes() -> None:
    data = encoded(photo(1500, 1001))
    stored = store(data, "original")
    assert (stored.storage, stored.data == data, sizes(stored)) == ("original", True, (1001, 1500, 1001, 1500))
    stored = store(data, "none")
    assert (stored.storage, stored.data, stored.format) == ("none", b"", "JPEG")
    assert (stored.height, stored.width) == (1001, 1500)


@pytest.mark.parametrize("name", ["a", "b", "big", "mode_L", "mode_LA", "mode_RGBA", "mode_P", "mode_P_tRNS", "mode_1", "exif6"])
def test_raw_pixels_resized_are_those_of_the_recorded_original(shared: Path, name: str) -> None:
    pack = shared / "goldens/sca"
    expected = json.loads((pack / "expected/pixels.json").read_text())["entries"][name]
    stored = store((pack / f"inputs/images/{name}.png").read_bytes(), "raw")
    assert (stored.storage, stored.format) == ("raw", "RGB")
    pixels = Image.frombytes("RGB", (stored.stored_width, stored.stored_height), stored.data)
    height, width = expected["reshaped_hw"]
    resized = pixels.resize((width, height), Image.Resampling.BILINEAR)
    assert hashlib.sha256(resized.tobytes()).hexdigest() == expected["resized"]["sha256"]


def test_raw_pixels_of_a_larger_image_are_at_the_size_of_the_frame() -> None:
    image = photo(1500, 1001)
    stored = store(encoded(image, "PNG"), "raw")
    assert sizes(stored) == (1001, 1500, 683, 1024)
    assert stored.data == image.resize((1024, 683), Image.Resampling.BILINEAR).tobytes()
    assert store(encoded(photo(64, 48), "PNG"), "raw").data == photo(64, 48).tobytes()


@pytest.mark.parametrize("check", ["header", "decode"])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hopper_gray.jpg", ("JPEG", 128, 128, 1)),
        ("pil_sample_cmyk.jpg", ("JPEG", 100, 100, 1)),
        ("frozenpond.mpo", ("JPEG", 640, 480, 1)),
        ("hopper_bad_exif.jpg", ("JPEG", 500, 500, 1)),
        ("hopper_orientation_6.jpg", ("JPEG", 128, 128, 6)),
        ("orientation_rectangle.jpg", ("JPEG", 2, 1, 8)),
        ("hopper_orientation_5.webp", ("WEBP", 128, 128, 5)),
        ("junk_jpeg_header.jpg", ("JPEG", 1024, 768, 1)),
        ("transparent.webp", ("WEBP", 200, 150, 1)),
        ("uncompressed_la.png", ("PNG", 128, 128, 1)),
        ("apng_mode_16bit.png", ("PNG", 128, 64, 1)),
        ("i_trns.png", ("PNG", 64, 64, 1)),
    ],
)
def test_odd_but_whole_files_are_taken_with_stored_size_and_orientation_as_the_file_says(
    shared: Path, name: str, expected: tuple[str, int, int, int], check: str
) -> None:
    data = (shared / "samples/robustness" / name).read_bytes()
    stored = store(data, "auto", check)
    assert stored.data == data
    assert (stored.format, stored.width, stored.height, stored.exif_orientation) == expected


@pytest.mark.parametrize("check", ["header", "decode"])
@pytest.mark.parametrize("name", ["truncated_jpeg.jpg", "truncated_image.png", "broken_data_stream.png", "SOURCES.md"])
def test_damaged_files_are_refused(shared: Path, name: str, check: str) -> None:
    data = (shared / "samples/robustness" / name).read_bytes()
    with pytest.raises(BadRecordError) as caught:
        store(data, "original", check)
    assert caught.value.reason == "image_undecodable"
    assert " at 0x" not in caught.value.detail  # the rejects of two builds are equal


@pytest.mark.parametrize("progressive", [False, True])
@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_every_truncation_of_a_jpeg_is_noticed_without_decoding(*, progressive: bool, data: st.DataObject) -> None:
    whole = encoded(photo(96, 64), quality=85, progressive=progressive)
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(BadRecordError) as caught:
        store(whole[:cut])
    assert caught.value.reason == "image_undecodable"
    assert store(whole + whole[:cut]).storage == "original"  # bytes after the end marker


@pytest.mark.parametrize(
    "options",
    [{}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_rows": 1}, {"comment": b"\xff\xd9 no end"}],
)
def test_the_size_that_the_markers_say_is_that_of_a_decoder(options: dict[str, object]) -> None:
    data = encoded(photo(333, 77), **options)
    structure = read_jpeg_structure(data)
    assert (structure.height, structure.width) == simplejpeg.decode_jpeg_header(data)[:2]
    assert structure.is_common


def test_a_thumbnail_inside_of_the_exif_block_is_not_taken_for_the_image() -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    exif[0x9286] = encoded(photo(16, 16))  # a whole JPEG, with an end marker, in a user comment
    whole = encoded(photo(80, 60), exif=exif)
    stored = store(whole)
    assert (stored.width, stored.height, stored.exif_orientation) == (80, 60, 3)
    with pytest.raises(BadRecordError):
        store(whole[:-30])


def test_an_orientation_is_never_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = photo(1100, 700)
    stored = store(encoded(image, exif=exif, quality=100, subsampling=0), "fit")
    assert (*sizes(stored), stored.exif_orientation) == (700, 1100, 652, 1024, 6)
    with Image.open(io.BytesIO(stored.data)) as found:
        assert found.size == (1024, 652)
        assert not found.getexif()


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_an_image_beyond_the_limit_is_refused_before_it_is_decoded(kind: str) -> None:
    with pytest.raises(BadRecordError, match="at most 5000 pixels, found 100 x 51 = 5100") as caught:
        store(encoded(photo(100, 51), kind), max_pixels=5000)
    assert caught.value.reason == "image_too_large"
    assert store(encoded(photo(100, 50), kind), max_pixels=5000).width == 100


def test_a_bomb_of_pixels_is_refused_whatever_limit_the_user_sets() -> None:
    bomb = encoded(Image.new("1", (30_000, 20_000)), "PNG")
    for limit in (MAX_PIXELS, 10**12):
        with pytest.raises(BadRecordError) as caught:
            store(bomb, max_pixels=limit)
        assert caught.value.reason == "image_too_large"


@pytest.mark.parametrize(("width", "height"), [(3000, 1), (1, 3000)])
def test_an_image_that_shrinks_to_nothing_is_refused(width: int, height: int) -> None:
    data = encoded(Image.new("RGB", (width, height)), "PNG")
    assert store(data, "original").storage == "original"
    with pytest.raises(BadRecordError) as caught:
        store(data, "auto")
    assert caught.value.reason == "size_vanishes"


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=150)
def test_bytes_damaged_anywhere_are_taken_or_refused_and_nothing_else(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kind = ["JPEG", "PNG", "WEBP", "GIF"][seed % 4]
    data = bytearray(encoded(photo(40, 30), kind))
    for place in rng.integers(0, len(data), size=4):
        data[place] = rng.integers(256)
    for check in ("header", "decode"):
        with contextlib.suppress(BadRecordError):
            assert len(store(bytes(data), "raw", check).data) % 3 == 0


@pytest.mark.parametrize("policy", ["auto", "original", "fit", "raw", "none"])
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_turned_image_is_numpys_turn_of_the_decoded_one(policy: str, turns: int) -> None:
    data = encoded(photo(160, 96), quality=95)
    stored = store_image(data, policy=policy, max_pixels=MAX_PIXELS, rotate_ccw=90 * turns)  # type: ignore[arg-type]  (parametrized)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.rot90(np.asarray(image.convert("RGB")), turns)
    assert sizes(stored) == (*expected.shape[:2], *expected.shape[:2])
    if policy == "none":
        assert (stored.storage, stored.data) == ("none", b"")
        return
    if policy == "raw":
        assert (stored.storage, stored.data) == ("raw", expected.tobytes())
        return
    assert (stored.storage, stored.format) == ("fit", "JPEG")
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(expected)).save(buffer, "JPEG", quality=95, subsampling=0)
    assert stored.data == buffer.getvalue()


@pytest.mark.parametrize(("policy", "stored_hw"), [("original", (1500, 1001)), ("fit", (1024, 683)), ("raw", (1024, 683))])
def test_a_large_image_is_turned_before_it_shrinks(policy: str, stored_hw: tuple[int, int]) -> None:
    image = photo(1500, 1001)
    stored = store_image(encoded(image, "PNG"), policy=policy, max_pixels=MAX_PIXELS, rotate_ccw=90)  # type: ignore[arg-type]  (parametrized)
    assert sizes(stored) == (1500, 1001, *stored_hw)
    turned = Image.fromarray(np.ascontiguousarray(np.rot90(np.asarray(image))))
    expected = np.asarray(turned.resize(stored_hw[::-1], Image.Resampling.BILINEAR), np.int16)
    if policy == "raw":
        found = np.frombuffer(stored.data, np.uint8).reshape(*stored_hw, 3)
        np.testing.assert_array_equal(found, expected)
    else:
        with Image.open(io.BytesIO(stored.data)) as opened:
            assert np.abs(np.asarray(opened, np.int16) - expected).mean() < 2.5


def test_a_thin_image_vanishes_however_it_is_turned() -> None:
    with pytest.raises(BadRecordError, match="size_vanishes"):
        store_image(encoded(photo(4000, 1)), policy="fit", max_pixels=MAX_PIXELS, rotate_ccw=270)
