"""Parsing the boxes of Open Images' training split, 14.6 million lines, beside Arrow's reader alone and pandas.

``python -m benchmarks.openimages PARSER FILE`` is the measured process, one per parser.
"""

from __future__ import annotations

import json
import mmap
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from benchmarks.measure import Scale, Table
from benchmarks.processes import measured, memory_bytes
from regioncache.sources import openimages
from regioncache.sources.record import AnnotationFile

if TYPE_CHECKING:
    from benchmarks.stores import Stores

_MIB, _MILLION = 1 << 20, 1e6
_BOXES_PER_IMAGE, _CLASSES = 8, 601
_LINES_AT_A_TIME = 1 << 16
_PEER_SHARE = 10  # pandas reads a tenth
_HEADER = (
    "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside,"
    "XClick1X,XClick2X,XClick3X,XClick4X,XClick1Y,XClick2Y,XClick3Y,XClick4Y\n"
)


def tables(stores: Stores, scale: Scale) -> list[Table]:
    """CPU time per million boxes, and memory."""
    boxes = scale.openimages_boxes
    path, tenth = (stores.root.parent / f"openimages-{count}.csv" for count in (boxes, boxes // _PEER_SHARE))
    for one, count in ((path, boxes), (tenth, boxes // _PEER_SHARE)):
        if not one.exists():
            write_boxes(one, count)
    what = f"a CSV of {path.stat().st_size / 1e9:.2f} GB, {boxes:,} boxes in {-(-boxes // _BOXES_PER_IMAGE):,} images"
    times = Table("openimages_time", f"parsing {what}", beside="ours")
    memory = Table("openimages_memory", f"memory at most while parsing {what}")
    for key, file, count in (("ours", path, boxes), ("arrow", path, boxes), ("pandas", tenth, boxes // _PEER_SHARE)):
        found = measured("benchmarks.openimages", key, str(file))
        if found["boxes"] != count:
            raise RuntimeError(f"{key} found {found['boxes']} boxes of {count}")
        note = "a tenth of the file" if file is tenth else f"{found['cpu_s']:,.1f} s in all"
        times.add(key, _TITLES[key], count / found["cpu_s"] / _MILLION, "M boxes/s", note)
        before = f"{found['before_bytes'] / _MIB:,.0f} MiB before it began"
        tenth_note = "; of a tenth of the file" if file is tenth else ""
        memory.add(key, f"{_TITLES[key]}: resident, mapped pages of the file too", found["peak_bytes"] / _MIB, "MiB", before)
        memory.add(f"{key}_private", f"{_TITLES[key]}: its own", found["private_bytes"] / _MIB, "MiB", tenth_note.lstrip("; "))
    return [times, memory]


def write_boxes(path: Path, boxes: int) -> None:
    """Write a file with the columns and the number formats of the training split: images by id, their boxes side by side."""
    images = -(-boxes // _BOXES_PER_IMAGE)
    temporary = path.with_name(f"{path.name}.part")
    ids = np.sort(np.random.default_rng(1).integers(0, 2**64 - 1, images, np.uint64))
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    with temporary.open("wb") as out:
        out.write(_HEADER.encode())
        for start in range(0, boxes, _LINES_AT_A_TIME):
            count = min(_LINES_AT_A_TIME, boxes - start)
            rng = np.random.default_rng([2, start])
            pairs = ids[np.arange(start, start + count) // _BOXES_PER_IMAGE].astype(">u8").view(np.uint8).reshape(-1, 8)
            names = np.stack([digits[pairs >> 4], digits[pairs & 15]], axis=2).reshape(-1, 16)
            sides = np.sort(rng.integers(0, 10**6, (count, 2, 2)), axis=2).reshape(-1, 4)
            flags = digits[(rng.random((count, 5)) < 0.2).astype(np.intp)]
            label = digits[rng.integers(0, _CLASSES, count)[:, None] // np.array([100, 10, 1]) % 10]
            clicks = rng.integers(0, 10**6, (count, 8))
            fields = [
                names,
                _repeated(b"xclick", count),
                np.concatenate([_repeated(b"/m/0", count), label], axis=1),
                _repeated(b"1", count),
                *(_share(one, digits) for one in sides.T),
                *(one[:, None] for one in flags.T),
                *(_share(one, digits) for one in clicks.T),
            ]
            comma, end = _repeated(b",", count), _repeated(b"\n", count)
            pieces = [part for field in fields for part in (field, comma)][:-1]
            out.write(np.concatenate([*pieces, end], axis=1).tobytes())
    temporary.replace(path)


def _repeated(text: bytes, count: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.tile(np.frombuffer(text, np.uint8), (count, 1))


def _share(millionths: np.ndarray[Any, np.dtype[np.int64]], digits: np.ndarray[Any, np.dtype[np.uint8]]) -> Any:  # noqa: ANN401  (bytes)
    """``0.`` and six digits each."""
    places = millionths[:, None] // 10 ** np.arange(5, -1, -1) % 10
    return np.concatenate([_repeated(b"0.", len(millionths)), digits[places]], axis=1)


def _parse_ours(path: Path) -> int:
    classes = "".join(f"/m/0{k:03d},class {k}\n" for k in range(_CLASSES))
    with path.open("rb") as handle:
        mapped = memoryview(mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ))
    files = {"boxes": AnnotationFile(str(path), mapped), "classes": AnnotationFile("classes.csv", classes.encode())}
    parsed = openimages.parse(files, {}, openimages.Options())
    if parsed.report.rejects:
        raise RuntimeError(parsed.report.rejects[0].detail)
    return len(parsed.table["region_id"].combine_chunks().values)


def _read_arrow(path: Path) -> int:
    """The same columns with the types that they have in the end, each block dropped as soon as it is read."""
    sides = dict.fromkeys(("XMin", "XMax", "YMin", "YMax"), pa.float64())
    flags = dict.fromkeys(("IsOccluded", "IsTruncated", "IsGroupOf", "IsDepiction", "IsInside"), pa.int8())
    label = pa.dictionary(pa.int32(), pa.string())
    types = {"ImageID": pa.string(), "Source": label, "LabelName": label, "Confidence": label, **sides, **flags}
    reader = pa_csv.open_csv(
        path,
        read_options=pa_csv.ReadOptions(block_size=4 << 20, use_threads=False),
        convert_options=pa_csv.ConvertOptions(column_types=types, include_columns=list(types)),
    )
    return sum(len(batch) for batch in reader)


def _read_pandas(path: Path) -> int:
    import pandas as pd  # noqa: PLC0415  (half a second and 60 MiB that the others must not pay)

    return len(pd.read_csv(path))


_PARSERS = {"ours": _parse_ours, "arrow": _read_arrow, "pandas": _read_pandas}
_TITLES = {
    "ours": "regioncache: openimages.parse, sorted by image",
    "arrow": "pyarrow: the same columns read and dropped, the limit",
    "pandas": "pandas: read_csv",
}


def _main(parser: str, path: str) -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    before = memory_bytes()["VmRSS"]
    start = time.process_time()
    boxes = _PARSERS[parser](Path(path))
    cpu_s = time.process_time() - start
    print(json.dumps({"boxes": boxes, "cpu_s": cpu_s, "peak_bytes": memory_bytes()["VmHWM"], "before_bytes": before}))


if __name__ == "__main__":
    _main(*sys.argv[1:])
