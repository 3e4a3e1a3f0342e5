"""Damage by numbered seeds: of bytes, of JSON trees, and of formats whose checksums are put right again afterwards."""

from __future__ import annotations

import copy
import json
import struct
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

EDGES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**48, 2**63 - 1, 2**63, 2**64 - 1)
"""Numbers at which widths and signs end."""


def damaged(data: bytes, random: Random, donors: Sequence[bytes] = ()) -> bytes:
    """``data`` after one to four small changes; now and then nothing but noise.

    Args:
        data: a valid file.
        random: of the seed.
        donors: other valid files, of which pieces are spliced in.
    """
    if random.random() < 0.02:
        return random.randbytes(random.randrange(300))
    value = bytearray(data)
    for _ in range(random.randint(1, 4)):
        random.choice(_CHANGES)(value, random, random.choice(donors) if donors else data)
    return bytes(value)


def _flip(value: bytearray, random: Random, _: bytes) -> None:
    if value:
        value[random.randrange(len(value))] ^= 1 << random.randrange(8)


def _overwrite(value: bytearray, random: Random, _: bytes) -> None:
    at = random.randrange(len(value) + 1)
    value[at : at + random.choice((1, 1, 4, 16))] = random.randbytes(random.choice((1, 1, 4, 16)))


def _cut_off(value: bytearray, random: Random, _: bytes) -> None:
    del value[random.randrange(len(value) + 1) :]


def _cut_out(value: bytearray, random: Random, _: bytes) -> None:
    at = random.randrange(len(value) + 1)
    del value[at : at + random.choice((1, 4, 30, 200))]


def _repeat(value: bytearray, random: Random, _: bytes) -> None:
    at = random.randrange(len(value) + 1)
    value[at:at] = value[at : at + random.choice((1, 8, 60, 512))] * random.choice((1, 2, 9))


def _splice(value: bytearray, random: Random, donor: bytes) -> None:
    at, origin, size = random.randrange(len(value) + 1), random.randrange(len(donor) + 1), random.choice((4, 30, 300))
    value[at : at + random.choice((0, size))] = donor[origin : origin + size]


def _number(value: bytearray, random: Random, _: bytes) -> None:
    """A whole number where a length, a count or an offset may stand."""
    width = random.choice((1, 2, 4, 4, 8))
    if len(value) < width:
        return
    at = random.randrange(len(value) - width + 1)
    order = random.choice(("little", "big"))
    old = int.from_bytes(value[at : at + width], order)
    new = random.choice((*EDGES, old + 1, old - 1, old * 2, len(value)))
    value[at : at + width] = (new % (1 << 8 * width)).to_bytes(width, order)


_CHANGES: tuple[Callable[[bytearray, Random, bytes], None], ...] = (
    _flip, _flip, _overwrite, _cut_off, _cut_out, _repeat, _splice, _number, _number,
)  # fmt: skip


# Trees of JSON

RAW = (
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"1e400",
    b"-0.0",
    b"9" * 400,
    b"1" + b"0" * 25,
    b"-9223372036854775809",
    b"0.1e-500",
    b"1.0",
    b'"\\ud800"',
    b'"\\udc00\\ud800"',
    b'"\xff\xfe"',
    b'"\xc3"',
    b'"\\u0000"',
    b'"\\q"',
    b"",
    b",",
    b"[",
    b"}",
    b"nul",
    b"'a'",
    b"[" * 600,
    b"[" * 600 + b"]" * 600,
    b'{"a":' * 600 + b"1" + b"}" * 600,
    b"/* */ 1",
    b'"' + b"x" * 3000 + b'"',
    b"\xef\xbb\xbf",
)
"""Text that stands for no JSON, or for one that few parsers like."""

VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    -1,
    0,
    1,
    2,
    3,
    1.5,
    -0.0,
    1e308,
    -1e308,
    2**31 - 1,
    2**31,
    -(2**31) - 1,
    2**53 + 1,
    2**63 - 1,
    -(2**63),
    2**63,
    2**64,
    2**70,
    "",
    "a",
    "1",
    "train",
    "../x",
    "/etc/passwd",
    "a\x00b",
    "ü",
    "\U0001f600",
    "0" * 50,
    [],
    {},
    [[]],
    [{}],
    [None],
    [0, 0, 0, 0],
    [1e308] * 4,
    [-5, -5, 3, 3],
    [[1, 2, 3, 4, 5, 6]],
    [[1e300] * 6],
    [["a"] * 6],
    {"size": [4, 3], "counts": [12]},
    {"size": [20, 30], "counts": "PPPPPPPo"},
    {"size": [20, 30], "counts": [2**63 - 1, 2**63 - 1, 602]},
    {"size": [20, 30], "counts": [-1, 601]},
)
"""Values of every type and of awkward sizes."""

_MARK = "@raw@"


def damaged_json(text: bytes, random: Random, *, donors: Sequence[bytes] = ()) -> bytes:
    """A valid JSON file with values of its tree exchanged, dropped, doubled or renamed; one time in three its bytes instead."""
    if random.random() < 0.33:
        return damaged(text, random, donors or (text,))
    holder: dict[str, Any] = {"": json.loads(text)}
    raw = b""
    for _ in range(random.choice((1, 1, 2, 5))):
        place, key = random.choice(_places(holder))
        match random.randrange(7):
            case 0 | 1:
                place[key] = copy.deepcopy(random.choice(VALUES))
            case 2:
                place[key], raw = _MARK, random.choice(RAW)
            case 3 if place is not holder:
                del place[key]
            case 4 if isinstance(place, list):
                place.insert(key, json.loads(json.dumps(place[key])))
            case 5:
                other, its_key = random.choice(_places(holder))
                place[key] = json.loads(json.dumps(other[its_key]))
            case 6 if isinstance(place, dict) and place is not holder:
                place[random.choice(("id", "image_id", "size", "x", "", "bbox", "name"))] = place.pop(key)
            case _:
                place[key] = [place[key]] if random.random() < 0.5 else {"a": place[key]}
    return json.dumps(holder[""]).encode().replace(f'"{_MARK}"'.encode(), raw)


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """Every container with a key of it."""
    found, left = [], [tree]
    while left:
        one = left.pop()
        for key, value in one.items() if isinstance(one, dict) else enumerate(one):
            found.append((one, key))
            if isinstance(value, dict | list):
                left.append(value)
    return found


# Formats with checksums


def png_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """The chunks of a valid PNG."""
    found, at = [], 8
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    return found


def _pixels_of(data: bytes) -> bytes:
    return zlib.decompress(b"".join(body for kind, body in png_chunks(data) if kind == b"IDAT"))


def png_of(chunks: Sequence[tuple[bytes, bytes]]) -> bytes:
    """A PNG of these chunks, with true checksums."""
    pieces = [struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(pieces)


def damaged_png(data: bytes, random: Random, donors: Sequence[bytes]) -> bytes:
    """A PNG with other chunks and true checksums, so that decoders look inside; one time in three damaged bytes."""
    if random.random() < 0.33:
        return damaged(data, random, donors)
    chunks = png_chunks(data)
    for _ in range(random.randint(1, 3)):
        at = random.randrange(len(chunks)) if chunks else 0
        match random.randrange(6):
            case 0 | 1 if chunks:
                chunks[at] = chunks[at][0], damaged(chunks[at][1], random)
            case 2 if chunks:
                chunks.insert(random.randrange(len(chunks) + 1), chunks[at])
            case 3 if chunks:
                del chunks[at]
            case 4 if chunks and chunks[at][0] == b"IDAT":
                chunks[at] = b"IDAT", zlib.compress(damaged(_pixels_of(data), random))
            case 4 if chunks and chunks[0][0] == b"IHDR":
                sides = [random.choice((0, 1, 2, 30, 60_000, 2**31 - 1, 2**31, 2**32 - 1)) for _ in range(2)]
                kind = (
                    bytes(random.choice((0, 1, 2, 3, 4, 6, 8, 16)) for _ in range(2))
                    + b"\x00\x00"
                    + bytes([random.choice((0, 1, 2))])
                )
                chunks[0] = b"IHDR", struct.pack(">II", *sides) + kind
            case _:
                extra = random.choice(
                    (b"PLTE", b"tRNS", b"tEXt", b"iTXt", b"zTXt", b"eXIf", b"acTL", b"fcTL", b"fdAT", b"IEND", b"iCCP", b"gAMA")
                )
                chunks.insert(
                    random.randrange(len(chunks) + 1), (extra, random.randbytes(random.choice((0, 1, 3, 8, 26, 768, 769))))
                )
    return png_of(chunks)


def resealed_tar(data: bytes) -> bytes:
    """A tar whose header checksums are put right wherever a block looks like a header."""
    value = bytearray(data)
    for at in range(0, len(value) - 511, 512):
        if value[at + 257 : at + 262] == b"ustar":
            value[at + 148 : at + 156] = b" " * 8
            value[at + 148 : at + 156] = b"%06o\x00 " % sum(value[at : at + 512])
    return bytes(value)
