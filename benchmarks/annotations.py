"""Parsing a large detection JSON of Objects365's kind, beside pycocotools: CPU time and peak memory.

``python -m benchmarks.annotations PARSER FILE IMAGES`` is the measured process, one per parser.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pycocotools.coco import COCO

from benchmarks.measure import Scale, Table
from benchmarks.processes import measured, memory_bytes
from regioncache.archive import Member
from regioncache.sources import objects365
from regioncache.sources.places import FolderPart, MemberFolder
from regioncache.sources.record import AnnotationFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.stores import Stores

_MIB, _GB = 1 << 20, 1e9
_CATEGORIES, _BOXES_PER_IMAGE, _PATCHES = 365, 14, 51
_IMAGES_AT_A_TIME = 2048
_PEER_BYTES_PER_BYTE = 10  # more than pycocotools was seen to take, so that it fits


def tables(stores: Stores, scale: Scale) -> list[Table]:
    """Times and memory per GB of file, as the peer may have to read a smaller one."""
    with tempfile.TemporaryDirectory(dir=stores.root.parent) as folder:
        path = Path(folder) / "objects365.json"
        write_annotations(path, scale.annotation_images)
        size = path.stat().st_size
        ours = measured("benchmarks.annotations", "ours", str(path), str(scale.annotation_images))
        peer_images = min(
            scale.annotation_images, int(scale.annotation_images * _available_bytes() / size / _PEER_BYTES_PER_BYTE)
        )
        if peer_images < scale.annotation_images:
            write_annotations(path, peer_images)
        peer_size = path.stat().st_size
        peer = measured("benchmarks.annotations", "pycocotools", str(path), str(peer_images))
    boxes = scale.annotation_images * _BOXES_PER_IMAGE
    what = f"a JSON of {size / _GB:.2f} GB, {boxes:,} boxes in {scale.annotation_images:,} images"
    times = Table("annotations_time", f"parsing {what}", beside="ours")
    memory = Table("annotations_memory", f"memory at most while parsing {what}, as multiples of the file")
    smaller = f"a file of {peer_size / _GB:.2f} GB" if peer_size != size else ""
    for key, found, length, note in (("ours", ours, size, "joined with the photos"), ("pycocotools", peer, peer_size, smaller)):
        title = _TITLES[key]
        times.add(key, title, found["cpu_s"] / length * _GB, "s/GB", note)
        peak = f"{found['peak_bytes'] / _MIB:,.0f} MiB, {found['before_bytes'] / _MIB:,.0f} before it began"
        memory.add(key, f"{title}: resident, mapped pages of the file too", found["peak_bytes"] / length, "x file", peak)
        private = f"{found['private_bytes'] / _MIB:,.0f} MiB"
        memory.add(f"{key}_private", f"{title}: its own", found["private_bytes"] / length, "x file", private)
    return [times, memory]


def write_annotations(path: Path, images: int) -> None:
    """Write a file with the fields, the number formats and, box by box, the size of Objects365's; boxes in random order."""
    with path.open("w") as out:
        out.write('{"images": [')
        for k in range(images):
            record = {"height": 512, "id": k + 1, "license": 5, "width": 769, "file_name": f"images/v1/{_photo(k)}", "url": ""}
            out.write((", " if k else "") + json.dumps(record))
        out.write('], "annotations": [')
        for first in range(0, images, _IMAGES_AT_A_TIME):
            out.write((", " if first else "") + ", ".join(_boxes(first, images)))
        categories = [{"name": f"category {k}", "id": k} for k in range(1, _CATEGORIES + 1)]
        out.write(f'], "categories": {json.dumps(categories)}}}')


def _boxes(first: int, images: int) -> Iterator[str]:
    """The JSON of the boxes of some images' worth, each in any image of the file."""
    count = min(_IMAGES_AT_A_TIME, images - first) * _BOXES_PER_IMAGE
    rng = np.random.default_rng([1, first])
    corners = np.sort(np.round(rng.random((count, 2, 2)) * 500, 10), axis=1)
    x, y = corners[:, 0].T.tolist()
    width, height = (corners[:, 1] - corners[:, 0]).T.tolist()
    image_id = rng.integers(1, images + 1, count).tolist()
    category_id = rng.integers(1, _CATEGORIES + 1, count).tolist()
    for k in range(count):
        yield (
            f'{{"id": {first * _BOXES_PER_IMAGE + k + 1}, "iscrowd": 0, "isfake": 0, "area": {width[k] * height[k]},'
            f' "isreflected": 0, "bbox": [{x[k]}, {y[k]}, {width[k]}, {height[k]}], "image_id": {image_id[k]},'
            f' "category_id": {category_id[k]}}}'
        )


def _photo(k: int) -> str:
    return f"patch{k % _PATCHES}/objects365_v1_{k + 1:08d}.jpg"


def _available_bytes() -> int:
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return int(lines["MemAvailable"].split()[0]) * 1024


def _parse_ours(path: Path, images: int) -> Callable[[], int]:
    members = {_photo(k): Member(_photo(k), k, 1, 1, 0, None) for k in range(images)}
    folders = {"images": MemberFolder([FolderPart(members, "")])}

    def parse() -> int:
        with path.open("rb") as handle:
            mapped = memoryview(mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ))
        file = AnnotationFile(str(path), mapped)
        parsed = objects365.parse({"annotations": file}, folders, objects365.Options())
        return len(parsed.table["region_id"].combine_chunks().values)

    return parse


def _parse_coco(path: Path, _images: int) -> Callable[[], int]:
    def parse() -> int:
        with contextlib.redirect_stdout(sys.stderr):
            return len(COCO(str(path)).anns)

    return parse


_PARSERS = {"ours": _parse_ours, "pycocotools": _parse_coco}
_TITLES = {"ours": "regioncache: objects365.parse", "pycocotools": "pycocotools: COCO(path), which is json.load and an index"}


def _main(parser: str, path: str, images: str) -> None:
    parse = _PARSERS[parser](Path(path), int(images))
    before = memory_bytes()["VmRSS"]
    start = time.process_time()
    boxes = parse()
    cpu_s = time.process_time() - start
    if boxes != int(images) * _BOXES_PER_IMAGE:
        raise RuntimeError(f"{parser} found {boxes} boxes of {int(images) * _BOXES_PER_IMAGE}")
    print(json.dumps({"cpu_s": cpu_s, "peak_bytes": memory_bytes()["VmHWM"], "before_bytes": before}))


if __name__ == "__main__":
    _main(*sys.argv[1:])
