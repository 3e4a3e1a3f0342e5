"""Annotation files in JSON: each format's ``parse``, and the regions of every row that it gives."""

from __future__ import annotations

import importlib
import json
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest

from hostile.mutation import damaged, damaged_json
from hostile.readers.maps import png
from regioncache.archive import Member
from regioncache.errors import AnnotationError, BadRecordError
from regioncache.schema import REJECT_REASONS
from regioncache.sources.coco_json import decode
from regioncache.sources.places import FolderPart, MemberFolder
from regioncache.sources.presets import apply_preset, preset_named
from regioncache.sources.record import AnnotationFile
from regioncache.sources.reports import Report

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from random import Random

HEIGHT, WIDTH = 20, 30
IDS = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
IDS[2:9, 3:12, 0], IDS[10:, 5:, 1] = 7, 3  # the segments 7 and 768
PANOPTIC = png(IDS)
_STORED = Member("x", 0, 1, 1, 0, None)
_PHOTOS = (
    "sa_1.jpg",
    "sa_2.jpg",
    "m1.png",
    "m2.png",
    "1.jpg",
    "2.jpg",
    "VG_100K/1.jpg",
    "VG_100K_2/2.jpg",
    "1.png",
    "2.png",
    "a/b/3.jpg",
)
FOLDERS = {name: MemberFolder([FolderPart(dict.fromkeys(_PHOTOS, _STORED), "")]) for name in ("images", "panoptic", "masks")}

IMAGES = [{"id": k, "file_name": f"{k}.jpg", "width": WIDTH, "height": HEIGHT, "coco_url": "http://x/1.jpg"} for k in (1, 2)]
CATEGORIES = [{"id": k, "name": name, "isthing": k % 2} for k, name in ((1, "cat"), (5, "sky"))]
MASKS: list[Any] = [
    [[3, 3, 20, 3, 20, 15, 3, 15]],
    {"size": [HEIGHT, WIDTH], "counts": [100, 50, 450]},
    {"size": [HEIGHT, WIDTH], "counts": "T3b1db0"},
    None,
]
INSTANCES = [
    {
        "id": 10 + k,
        "image_id": 1 + k % 2,
        "category_id": 1,
        "bbox": [1, 2, 9.5, 8],
        "area": 76,
        "iscrowd": k % 2,
        "isfake": 0,
        "segmentation": mask,
    }
    for k, mask in enumerate(MASKS)
]
INSTANCE_FILE = {"info": {}, "images": IMAGES, "annotations": INSTANCES, "categories": CATEGORIES}
BOX = {"x": 1, "y": 2, "w": 5, "h": 6, "width": 5, "height": 6}


def _attempts(module: str, chosen: dict[str, Any], *files: dict[str, Any]) -> Callable[[Random], None]:
    """Attempts on a source: one of its files is damaged at a time.

    Args:
        module: of ``regioncache.sources``.
        chosen: its options.
        files: valid sets of files, by the format's name for each: JSON values, or bytes.
    """
    source = importlib.import_module(f"regioncache.sources.{module}")
    options = msgspec.convert(chosen, source.Options)
    valid = [{name: one if isinstance(one, bytes) else json.dumps(one).encode() for name, one in some.items()} for some in files]
    donors = [one for some in valid for one in some.values()]

    def attempt(random: Random) -> None:
        some = dict(random.choice(valid))
        name = random.choice(sorted(some))
        if some[name][:1] not in b"{[":
            some[name] = damaged(some[name], random, donors)
        elif b"}\n{" in some[name]:
            some[name] = _damaged_lines(some[name], random)
        else:
            some[name] = damaged_json(some[name], random, donors=donors)
        judge(source, {key: AnnotationFile(f"{key}.json", memoryview(one)) for key, one in some.items()}, options)

    return attempt


def _damaged_lines(data: bytes, random: Random) -> bytes:
    lines = data.split(b"\n")
    at = random.randrange(len(lines))
    lines[at] = damaged_json(lines[at], random) if lines[at] else random.randbytes(5)
    return random.choice((b"\n", b"\n", b"\r\n", b"\n\n")).join(lines)


def _panoptic(_: dict[str, Any], __: str) -> bytes:
    return PANOPTIC


def judge(source: Any, files: dict[str, AnnotationFile], options: Any, read: Callable[..., bytes] = _panoptic) -> None:
    """Parse, then the regions of every row: each is whole and inside of its image, or has a reject of a known reason.

    Args:
        source: a module of ``regioncache.sources``.
        files: its annotation files.
        options: its options.
        read: gives a row's member in a folder.
    """
    parsed = source.parse(files, FOLDERS, options)
    categories = {one.category_id: one for one in parsed.categories}
    parsed.table.validate(full=True)
    ids = parsed.table["image_id"].to_pylist()
    assert ids == sorted(set(ids))
    report, reasons = Report(), []
    for row in parsed.table.to_pylist():
        row.update(width=WIDTH, height=HEIGHT)  # those of the image, which the converter has settled before
        try:
            regions = source.regions_of(row, partial(read, row), categories, report)
        except BadRecordError as error:
            reasons.append(error.reason)
            continue
        regions = apply_preset(preset_named("usable"), regions, row, report)
        count = len(regions.region_id)
        assert {len(one) for one in regions if isinstance(one, np.ndarray | list)} == {count}
        boxes = regions.box_xyxy
        assert np.isfinite(boxes).all()
        assert (boxes >= 0).all()
        assert (boxes <= (WIDTH, HEIGHT) * 2).all()
        assert all(some and all(isinstance(one, str) for one in some) for some in regions.phrases)
        assert all(isinstance(one, bytes) for one in regions.counts)
        if regions.ordinals is not None:
            assert regions.ordinals().max() <= count
    assert set(reasons) <= set(REJECT_REASONS)
    for one in (*parsed.report.rejects, *report.rejects):
        assert one.reason in REJECT_REASONS
        json.dumps([one.image_id, one.file_name, one.detail, one.region_id]).encode()
        one.file_name.encode()
        one.detail.encode()
        assert -(2**63) <= one.image_id < 2**63


def coco_instance(_: Path) -> Callable[[Random], None]:
    return _attempts("coco_instance", {}, {"annotations": INSTANCE_FILE})


def objects365(_: Path) -> Callable[[Random], None]:
    return _attempts("objects365", {"dead_images": ["b/3.jpg"]}, {"annotations": INSTANCE_FILE})


def v3det(_: Path) -> Callable[[Random], None]:
    tree = {
        "categoryid2treeid": {"1": "n1", "5": "n2"},
        "id2name": {"n1": "cat", "n2": "sky", "n0": ["all", "any"]},
        "child2father": {"n1": "n0", "n2": ["n0", "n1"]},
    }
    return _attempts("v3det", {"phrases": "name_and_ancestors"}, {"annotations": INSTANCE_FILE, "tree": tree})


def coco_panoptic(_: Path) -> Callable[[Random], None]:
    segments = [{"id": 7, "category_id": 1, "iscrowd": 0, "area": 63, "bbox": [3, 2, 9, 7]}, {"id": 768, "category_id": 5}]
    annotations = [{"image_id": k, "file_name": f"{k}.png", "segments_info": segments} for k in (1, 2)]
    return _attempts(
        "coco_panoptic", {}, {"annotations": {"images": IMAGES, "annotations": annotations, "categories": CATEGORIES}}
    )


def coco_captions(_: Path) -> Callable[[Random], None]:
    captions = [{"id": k, "image_id": 1 + k % 2, "caption": "a cup è"} for k in range(4)]
    return _attempts("coco_captions", {}, {"annotations": {"images": IMAGES, "annotations": captions}})


def refcoco(_: Path) -> Callable[[Random], None]:
    import pickle  # noqa: PLC0415  (to write a valid file)

    refs = [
        {"ref_id": k, "ann_id": 10 + k, "image_id": 1 + k % 2, "split": "train", "sentences": [{"sent": "left"}]}
        for k in range(4)
    ]
    return _attempts("refcoco", {"split": "train"}, {"instances": INSTANCE_FILE, "refs": pickle.dumps(refs, 2)})


def visual_genome(_: Path) -> Callable[[Random], None]:
    photos = [
        {"url": f"https://x/VG_100K/{k}.jpg", "width": WIDTH, "height": HEIGHT, "image_id": k, "coco_id": None} for k in (1, 2)
    ]
    regions = [{"region_id": 20 + k, **BOX, "phrase": ["a", "b"] if k else "a", "mask": mask} for k, mask in enumerate(MASKS)]
    old = [{"id": 30 + k, **BOX, "phrase": "old"} for k in range(2)]
    splits = {"train": [1, 2]}
    listed = [{"image_id": 1, "regions": regions}, {"id": 2, "regions": old}]
    return _attempts("visual_genome", {"split": "train"}, {"image_data": photos, "regions": listed, "splits": splits})


def _genome(content: str, key: str, record: dict[str, Any]) -> Callable[[Random], None]:
    photos = [
        {"url": f"https://x/VG_100K/{k}.jpg", "width": WIDTH, "height": HEIGHT, "image_id": k, "coco_id": 7} for k in (1, 2)
    ]
    listed = [{"image_id": 1, key: [record]}, {"image_id": 2, key: [record]}]
    return _attempts("visual_genome", {"content": content}, {"image_data": photos, "regions": listed})


def genome_objects(_: Path) -> Callable[[Random], None]:
    return _genome("objects", "objects", {"object_id": 1, **BOX, "names": ["cup"]})


def genome_attributes(_: Path) -> Callable[[Random], None]:
    return _genome("attributes", "attributes", {"object_id": 1, **BOX, "names": ["cup"], "attributes": ["red"]})


def genome_relationships(_: Path) -> Callable[[Random], None]:
    one = {"object_id": 1, **BOX, "names": ["cup"]}
    return _genome("relationships", "relationships", {"relationship_id": 1, "predicate": "on", "subject": one, "object": one})


def genome_questions(_: Path) -> Callable[[Random], None]:
    return _genome("question_answers", "qas", {"qa_id": 1, "question": "what?", "answer": "a cup"})


def genome_grit(_: Path) -> Callable[[Random], None]:
    photos = [{"url": f"https://x/VG_100K/{k}.jpg", "width": WIDTH, "height": HEIGHT, "image_id": k} for k in (1, 2)]
    captions = [{"id": k, "image_id": 1 + k % 2, "bbox": [1, 2, 3, 4], "caption": "cup"} for k in range(4)]
    return _attempts(
        "visual_genome", {"content": "grit"}, {"image_data": photos, "regions": {"images": IMAGES, "annotations": captions}}
    )


_ROWS = [
    {
        "image": f"{k}.jpg",
        "boxes": [[1, 2, 9, 8], [0, 0, 3.5, 4]],
        "phrases": ["a cup", ["x", "y"]],
        "id": k,
        "w": WIDTH,
        "h": HEIGHT,
    }
    for k in (1, 2)
]
_COLUMNS = {"image_id": "id", "width": "w", "height": "h"}


def table_json(_: Path) -> Callable[[Random], None]:
    lines = b"\n".join(json.dumps(one).encode() for one in _ROWS) + b"\n"
    return _attempts("table", _COLUMNS, {"table": _ROWS}, {"table": lines})


def windows(_: Path) -> Callable[[Random], None]:
    """A large COCO file is decoded some bytes at a time: it must not matter how many."""
    many = {**INSTANCE_FILE, "annotations": INSTANCES * 3, "info": "}, {"}
    valid = json.dumps(many).encode()

    def attempt(random: Random) -> None:
        file = AnnotationFile("annotations.json", memoryview(damaged_json(valid, random)))
        try:
            whole = decode(file, with_masks=True)
        except AnnotationError:
            with pytest.raises(AnnotationError):
                decode(file, with_masks=True, window_bytes=random.choice((1, 40, 300)))
            raise
        pieces = decode(file, with_masks=True, window_bytes=random.choice((1, 40, 300)))
        assert pieces.categories == whole.categories
        assert pieces.images.file_name == whole.images.file_name
        assert all(np.array_equal(pieces.regions[name], column, equal_nan=True) for name, column in whole.regions.items())

    return attempt
