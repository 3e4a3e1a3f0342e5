"""Annotation files of lines: TSV with its line index, and the CSV files of Open Images."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from hostile.mutation import damaged, damaged_json
from hostile.readers.annotations import HEIGHT, WIDTH, judge
from hostile.readers.maps import png
from regioncache.sources import openimages, sa1b
from regioncache.sources.record import AnnotationFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from random import Random


def tsv(_: Path) -> Callable[[Random], None]:
    """SA1B-Cap: damaged lines, keys, values and line indices of both kinds."""
    keys = [f"{1 + k % 2}-{k}-{100 + k}" for k in (0, 2, 1, 3)]
    size = {"size": [HEIGHT, WIDTH], "counts": "T3b1db0"}
    record = {"bbox": [1, 2, 9.5, 8], "area": 76, "image_size": [HEIGHT, WIDTH], "segmentation": size}
    values: dict[str, list[Any]] = {
        "annotations": [{"id": int(key.split("-")[2]), **record} for key in keys],
        "captions": [[{"caption": "a cup è", "conf": 0.5}, {"caption": "x"}]] * 4,
        "scores": [[{"clip_score": 0.3}]] * 4,
    }
    lines = {
        name: [f"{key}\t{json.dumps(one)}\n".encode() for key, one in zip(keys, some, strict=True)]
        for name, some in values.items()
    }

    def attempt(random: Random) -> None:
        chosen = {name: list(some) for name, some in lines.items()}
        some = chosen[random.choice(sorted(chosen))]
        at = random.randrange(len(some))
        key, _, value = some[at].partition(b"\t")
        match random.randrange(5):
            case 0:
                some[at] = damaged(some[at], random, some)
            case 1:
                some[at] = damaged(key, random, [b"1-0-100", b"99999999999999999999-1-1"]) + b"\t" + value
            case 2 | 3:
                some[at] = key + b"\t" + damaged_json(value, random) + b"\n"
            case _:  # tabs, line ends and blanks where none should be
                some[at] = some[at].replace(
                    random.choice((b" ", b"\t", b"-", b"\n", b'"')), random.choice((b"\t", b"\r", b"\n", b"\x00", b"  ", b""))
                )
        files = {name: AnnotationFile(f"{name}.tsv", memoryview(b"".join(one))) for name, one in chosen.items()}
        if random.random() < 0.6:
            files |= {f"{name}_lineidx": _index(one, random, f"{name}.tsv") for name, one in chosen.items()}
        judge(sa1b, files, sa1b.Options(), lambda row, name: _window(files, row, name))

    return attempt


def _window(files: dict[str, AnnotationFile], row: dict[str, Any], name: str) -> bytes:
    start, size = row[f"{name}.offset"], row[f"{name}.compressed_bytes"]
    assert 0 <= start <= start + size <= len(files[name].data)
    return bytes(files[name].data[start : start + size])


def _index(lines: list[bytes], random: Random, name: str) -> AnnotationFile:
    starts = np.cumsum([0, *map(len, lines)])[:-1]
    binary = random.random() < 0.5
    data = starts.astype("<u8").tobytes() if binary else b"".join(b"%d\n" % one for one in starts)
    if random.random() < 0.3:
        data = damaged(data, random)
    return AnnotationFile(name.replace(".tsv", ".lineidx.8b" if binary else ".lineidx"), data)


_BOXES = b"""ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside
000000000000000a,xclick,/m/01,1,0.1,0.5,0.2,0.9,0,1,0,0,0
000000000000000a,xclick,/m/02,1,0.0,1.0,0.0,1.0,0,0,1,0,-1
ffffffffffffffff,activemil,/m/01,1,0.25,0.75,0.5,0.75,1,1,1,1,1
"""
_MASKS = b"""MaskPath,ImageID,LabelName,BoxID,BoxXMin,BoxXMax,BoxYMin,BoxYMax,PredictedIoU,Clicks
m1.png,000000000000000a,/m/01,b1,0.100000,0.500000,0.200000,0.900000,0.9,
m2.png,ffffffffffffffff,/m/02,b2,0.1,0.2,0.3,0.4,,
"""
_IMAGES = b"""ImageID,Subset,OriginalURL,Title,Rotation
000000000000000a,train,http://x/1.jpg,"a ""title"", of
two lines",90.0
ffffffffffffffff,train,http://x/2.jpg,b,
"""
_CLASSES = b'/m/01,Cup\n/m/02,"Cat, big"\n'


def openimages_csv(_: Path) -> Callable[[Random], None]:
    """Damaged tables of boxes, masks, images and classes, and damaged PNG masks."""
    valid = {"boxes": _BOXES, "masks": _MASKS, "images": _IMAGES, "classes": _CLASSES}
    fields = (
        b"",
        b",",
        b'"',
        b"\n",
        b"\r",
        b"nan",
        b"inf",
        b"-1",
        b"1e308",
        b"1e999",
        b"0x1",
        b"\x00",
        b"\xff",
        b"/m/01",
        b"45",
        b"-90",
        b"1" * 400,
        b"ImageID",
    )
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
    pixels[3:9, 4:20] = 255
    picture = png(pixels)

    def attempt(random: Random) -> None:
        some = {name: one for name, one in valid.items() if name in ("boxes", "classes") or random.random() < 0.7}
        name = random.choice(sorted(some))
        if random.random() < 0.4:
            some[name] = damaged(some[name], random, list(valid.values()))
        else:
            parts = some[name].split(b",")
            for _ in range(random.randint(1, 3)):
                parts[random.randrange(len(parts))] = random.choice(fields)
            some[name] = b",".join(parts)
        mask = damaged(picture, random) if random.random() < 0.3 else picture
        files = {key: AnnotationFile(f"{key}.csv", memoryview(one)) for key, one in some.items()}
        rotation = "apply" if "images" in some else "ignore"
        options = openimages.Options(rotation=rotation)
        judge(openimages, files, options, lambda *_: mask)

    return attempt
