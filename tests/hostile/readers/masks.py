"""Run lengths and polygons as annotation files give them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np
from pycocotools import mask as pycoco

from hostile.mutation import EDGES, damaged
from regioncache.errors import BadRecordError
from regioncache.geometry import FRAMES
from regioncache.masks import decode_rles, low_res_rles, mask_areas, mask_boxes, to_rle
from regioncache.rle import decode_runs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from random import Random

SIZES = ((20, 30), (1, 1), (1, 64), (64, 1), (7, 9))
_NUMBERS: tuple[Any, ...] = (*EDGES, -1, -600, 1e9, 1e300, -1e300, 0.5, True, None, "1", [], 600, 599, 10**30)


def run_lengths(_: Path) -> Callable[[Random], None]:
    """Compressed strings and lists of counts; what is taken must be the same mask to pycocotools."""

    def attempt(random: Random) -> None:
        height, width = random.choice(SIZES)
        size = random.choice(
            ([height, width], [height, width], [height, width], [width, height], random.choice(_NUMBERS), [1e3, None])
        )
        mask = np.asfortranarray(
            np.frombuffer(random.randbytes(height * width), np.uint8).reshape(height, width) < random.randrange(256)
        )
        valid = pycoco.encode(mask.view(np.uint8))["counts"]
        counts: Any = damaged(valid, random, [valid])
        kind = random.randrange(4)
        if kind == 1:
            counts = counts.decode("latin-1")
        elif kind > 1:
            counts = decode_runs([valid]).lengths.tolist()
            for _ in range(random.choice((0, 1, 3))):
                counts.insert(random.randrange(len(counts) + 1), random.choice(_NUMBERS))
        elif random.random() < 0.3:
            at = random.randrange(len(counts) + 1)
            counts = counts[:at] + bytes(random.choices(range(80, 112), k=random.randrange(1, 13))) + b"0" + counts[at:]
        judge({"size": size, "counts": counts}, height, width)

    return attempt


def polygons(_: Path) -> Callable[[Random], None]:
    """Lists that may be polygons."""

    def attempt(random: Random) -> None:
        height, width = random.choice(SIZES)
        parts: list[Any] = [
            [random.choice((random.uniform(-5, 35), random.randrange(30))) for _ in range(random.choice((0, 3, 4, 6, 8, 7, 40)))]
            for _ in range(random.choice((1, 1, 2, 5)))
        ]
        for _ in range(random.choice((0, 1, 2))):
            part = random.choice(parts)
            if isinstance(part, list) and part:
                part[random.randrange(len(part))] = random.choice((*_NUMBERS, 300.0, -290.5, 1e-300))
            else:
                parts[random.randrange(len(parts))] = random.choice(_NUMBERS)
        judge(parts, height, width)

    return attempt


def judge(segmentation: Any, height: int, width: int) -> None:
    """What ``to_rle`` takes must be one mask to this package and to pycocotools, whatever is done with it."""
    counts = to_rle(segmentation, height, width)
    area, peer = mask_areas([counts]), {"size": [height, width], "counts": counts}
    assert 0 < area[0] <= height * width
    pixels = decode_rles([counts], height, width)
    assert pixels.sum() == area[0] == pycoco.area(peer)
    assert np.array_equal(pixels[0], pycoco.decode(peer).astype(bool))
    box = mask_boxes([counts], height, width)[0]
    rows, columns = np.flatnonzero(pixels[0].any(1)), np.flatnonzero(pixels[0].any(0))
    assert box.tolist() == [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    low_res_rles([counts], height, width, FRAMES["sam"])


def unjudged_strings(_: Path) -> Callable[[Random], None]:
    """Strings as a cache's rows hold them, several at a time, which nobody has looked at before."""

    def attempt(random: Random) -> None:
        height, width = random.choice(SIZES)
        mask = np.asfortranarray(np.frombuffer(random.randbytes(height * width), np.uint8).reshape(height, width) < 128)
        valid = pycoco.encode(mask.view(np.uint8))["counts"]
        some = [damaged(valid, random, [valid]) if random.random() < 0.5 else valid for _ in range(random.randrange(4))]
        for use in (lambda: decode_rles(some, height, width), lambda: low_res_rles(some, height, width, FRAMES["sam"])):
            with contextlib.suppress(BadRecordError):
                use()
        mask_areas(some)

    return attempt
