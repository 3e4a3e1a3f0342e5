"""SA1B-Cap: two tars with their TSV files, which no public file holds; masks and captions over real photos under other names."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from pycocotools import mask as pycoco

from official.expected import OfficialSet, Region, Row, Split
from official.files import photo_of, resized, write_file, write_tar

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SIZE_HW = (96, 128)
NUMBERS = (0, 1)


def record(region_id: int, box_xywh: Sequence[int], size_hw: tuple[int, int] = SIZE_HW) -> dict[str, Any]:
    """A record of SA-1B for a rectangle; its published box is one pixel smaller than the mask's, as theirs are."""
    x, y, width, height = box_xywh
    mask = np.zeros(size_hw, np.uint8, "F")
    mask[y : y + height, x : x + width] = 1
    encoded = pycoco.encode(mask)
    return {
        "id": region_id,
        "bbox": [float(x), float(y), float(width - 1), float(height - 1)],
        "area": int(pycoco.area(encoded)),
        "image_size": list(size_hw),
        "segmentation": {"size": list(size_hw), "counts": str(encoded["counts"], "ascii")},
        "predicted_iou": 0.97,
        "stability_score": 0.96,
        "crop_box": [0, 0, size_hw[1], size_hw[0]],
        "point_coords": [[x + 1.5, y + 1.5]],
    }


def line(image_id: int, place: int, region_id: int, value: Any) -> str:
    """A line of a TSV file; a text stands as it is."""
    return f"{image_id}-{place}-{region_id}\t{value if isinstance(value, str) else json.dumps(value)}\n"


def region(one: dict[str, Any], phrases: list[str]) -> Region:
    return Region(one["id"], tuple(one["bbox"]), phrases, counts=one["segmentation"]["counts"])


def pack_sa1b(folder: Path, shared: Path) -> list[OfficialSet]:
    """Write ``sa1b_cap/``: in the first tar each fault once, in the second a photo with a lower number and two captions."""
    photo = resized(photo_of(shared, 142238), SIZE_HW)
    whole, cup = record(110, (0, 0, 128, 96)), record(111, (10, 20, 30, 40))
    broken = {**record(114, (1, 1, 5, 5)), "segmentation": {"size": list(SIZE_HW), "counts": "zz"}}
    other_size = record(150, (1, 1, 5, 5), (96, 127))
    annotations = [
        line(11, 0, 110, whole),
        line(11, 1, 111, cup),
        line(11, 2, 112, record(112, (1, 1, 5, 5))),  # no caption
        line(11, 3, 113, '{"id": 113,\t"bbox"'),  # a tab and an end within
        line(11, 4, 114, broken),
        line(12, 0, 120, record(120, (1, 1, 5, 5))),  # no caption names the photo
        line(14, 0, 140, record(140, (1, 1, 5, 5))),  # no such photo
        line(15, 0, 150, other_size),
    ]
    captions = [
        line(11, 0, 110, [{"caption": "a whole photo", "conf": 0.9}]),
        line(11, 1, 111, [{"caption": "a cup on the left", "conf": 0.8}, {"caption": "Cup/Mug ", "conf": 0.001}]),
        line(11, 3, 113, [{"caption": "cut short", "conf": 0.9}]),
        line(11, 4, 114, [{"caption": "a mask that is none", "conf": 0.9}]),
        line(11, 9, 119, [{"caption": "a caption without a mask", "conf": 0.9}]),
        line(13, 0, 130, [{"caption": "a photo without masks", "conf": 0.9}]),
        line(14, 0, 140, [{"caption": "a photo that is not there", "conf": 0.9}]),
        line(15, 0, 150, [{"caption": "another size", "conf": 0.9}]),
    ]
    tar = {
        f"./sa_{image_id}.{kind}": photo if kind == "jpg" else b"{}" for image_id in (15, 11, 12, 13) for kind in ("jpg", "json")
    }
    _write(folder, 0, tar, annotations, captions)
    last = record(30, (5, 6, 70, 80))
    said = ["café crème", "a second caption"]
    _write(
        folder,
        1,
        {"./sa_3.jpg": photo},
        [line(3, 0, 30, last)],
        [line(3, 0, 30, [{"caption": one, "conf": 0.5} for one in said])],
    )
    rows = [
        Row(11, "sa_11.jpg", photo, SIZE_HW, [region(whole, ["a whole photo"]), region(cup, ["a cup on the left", "Cup/Mug "])]),
        Row(3, "sa_3.jpg", photo, SIZE_HW, [region(last, said)]),
    ]
    rejects = [
        (11, 112, "phrase_missing"),
        (11, 113, "file_record_invalid"),
        (11, 113, "region_annotation_missing"),
        (11, 114, "segmentation_invalid"),
        (11, 119, "region_annotation_missing"),
        (12, -1, "captions_missing"),
        (13, -1, "annotation_missing"),
        (14, -1, "image_missing"),
        (15, -1, "image_size_mismatch"),
    ]
    # Of nine lines three belong to photos that are left out; two rejects are of captions, which are not listed as regions.
    split = Split(rows, 6, 9, rejects, regions_lost=3 - 2, shards=2)
    keys = ("tars", "annotations", "captions", "scores")
    return [OfficialSet(name, {"train": split}, dict.fromkeys(keys, NUMBERS)) for name in ("sa1b_cap", "sa1b_cap_scored")]


def _write(folder: Path, number: int, tar: dict[str, bytes], annotations: list[str], captions: list[str]) -> None:
    base = folder / "sa1b_cap" / f"sa_{number:06d}.tar"
    write_tar(base, tar)
    scores = [f"{one.split(chr(9), 1)[0]}\t" + json.dumps([{"clip_score": 0.3}]) + "\n" for one in annotations]
    for suffix, lines in (("tsv", annotations), ("captions.tsv", captions), ("scores.tsv", scores)):
        write_file(base.with_name(f"{base.name}.{suffix}"), "".join(lines).encode())
