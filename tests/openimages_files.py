"""Small files in Open Images' layout, and a reader of them that knows nothing of Arrow."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from regioncache.sources import openimages
from regioncache.sources.record import AnnotationFile

if TYPE_CHECKING:
    from regioncache.sources.places import MemberFolder
    from regioncache.sources.record import Parsed

FLAGS = ["IsOccluded", "IsTruncated", "IsGroupOf", "IsDepiction", "IsInside"]
HEADER = ["ImageID", "Source", "LabelName", "Confidence", "XMin", "XMax", "YMin", "YMax", *FLAGS]
CLASSES = "/m/01g317,Person\n/m/0284d,Boy\n/m/0cmf2,Airplane\n"
# By the schema: what a flag of 1 and what one of -1 becomes.
FLAG_BITS = {
    "IsGroupOf": (1, 256),
    "IsOccluded": (2, 512),
    "IsTruncated": (4, 1024),
    "IsDepiction": (8, 2048),
    "IsInside": (16, 4096),
}
UNKNOWN = 256 + 512 + 1024 + 2048 + 4096
MACHINE_BOX = 8192


def boxes_csv(*lines: str) -> str:
    return "\n".join([",".join(HEADER), *lines, ""])


def line(
    image: str, label: str = "/m/01g317", box: str = "0.1,0.4,0.2,0.6", flags: str = "0,0,0,0,0", source: str = "xclick"
) -> str:
    return f"{image},{source},{label},1,{box},{flags}"


def parse(
    boxes: str | bytes, classes: str | bytes = CLASSES, folders: dict[str, MemberFolder] | None = None, **more: Any
) -> Parsed:
    """Parse texts; ``images`` and ``masks`` are files too, the rest are options."""
    files = {"boxes": boxes, "classes": classes, **{name: more.pop(name) for name in ("images", "masks") if name in more}}
    annotation_files = {
        name: AnnotationFile(f"{name}.csv", text.encode() if isinstance(text, str) else text) for name, text in files.items()
    }
    return openimages.parse(annotation_files, folders or {}, openimages.Options(**more))


def signed(image: str) -> int:
    """16 hexadecimal digits as a signed 64-bit number, by Python's own means."""
    return int.from_bytes(bytes.fromhex(image), "big", signed=True)


def dictionary_rows(boxes: str, classes: str = CLASSES) -> dict[int, list[dict[str, Any]]]:
    """The boxes by image as ``csv.DictReader`` reads them, each in the file's order."""
    mids = [fields[0] for fields in csv.reader(io.StringIO(classes)) if fields]
    found: dict[int, list[dict[str, Any]]] = {}
    for row, record in enumerate(csv.DictReader(io.StringIO(boxes))):
        flags = MACHINE_BOX * (record["Source"] == "activemil")
        for name, (bit, unknown) in FLAG_BITS.items():
            flags += {"1": bit, "-1": unknown, "0": 0}[record[name]]
        found.setdefault(signed(record["ImageID"]), []).append(
            {
                "region_id": row,
                "category_id": mids.index(record["LabelName"]),
                "sides": [float(record[side]) for side in ("XMin", "XMax", "YMin", "YMax")],
                "flags": flags,
            }
        )
    return dict(sorted(found.items()))


def table_rows(parsed: Parsed) -> dict[int, list[dict[str, Any]]]:
    """The same of a parsed table."""
    names = ("region_id", "category_id", "sides", "flags")
    return {
        row["image_id"]: [dict(zip(names, values, strict=True)) for values in zip(*(row[name] for name in names), strict=True)]
        for row in parsed.table.to_pylist()
    }
