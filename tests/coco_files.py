"""Small COCO-style files and archives of photos for tests of readers."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

from regioncache.archive import list_members
from regioncache.sources.places import FolderPart, MemberFolder
from regioncache.sources.record import AnnotationFile, Parsed
from regioncache.sources.reports import Report

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from regioncache.sources.record import Source
    from regioncache.sources.regions import Category, Regions


def annotation_file(value: Any, name: str = "annotations.json") -> AnnotationFile:
    return AnnotationFile(name, json.dumps(value).encode())


def coco(
    images: Sequence[Any], annotations: Sequence[Any], categories: Sequence[Any] = ((1, "cat"), (2, "dog"))
) -> dict[str, Any]:
    """A file of (id, file name) images of 20 x 10 pixels, annotation records and (id, name) categories."""
    return {
        "images": [{"id": one, "file_name": name, "width": 20, "height": 10} for one, name in images],
        "annotations": list(annotations),
        "categories": [{"id": one, "name": name} for one, name in categories],
    }


def region(region_id: int, image_id: int, category_id: int = 1, box: Any = (1, 2, 3, 4), **more: Any) -> dict[str, Any]:
    return {"id": region_id, "image_id": image_id, "category_id": category_id, "bbox": list(box), "area": 12.0, **more}


def zip_of(path: Path, names: Iterable[str]) -> Path:
    """A zip of files that hold their own names."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, name)
    return path


def photos(tmp_path: Path, *parts: Sequence[str], prefix: str = "") -> dict[str, MemberFolder]:
    """The folder ``images`` over one zip per list of member names."""
    zips = [zip_of(tmp_path / f"photos-{k}.zip", names) for k, names in enumerate(parts)]
    return {"images": MemberFolder([FolderPart(list_members(one), prefix) for one in zips])}


def regions_by_image(source: Source, parsed: Parsed) -> tuple[dict[int, Regions], Report]:
    """Every row's regions, and what making them reported."""
    categories: dict[int, Category] = {one.category_id: one for one in parsed.categories}
    report = Report()

    def read(folder: str) -> bytes:
        raise AssertionError(folder)

    rows = parsed.table.to_pylist()
    return {row["image_id"]: source.regions_of(row, read, categories, report) for row in rows}, report


def rejected(report: Report) -> list[tuple[int, int, str]]:
    return [(one.image_id, one.region_id, one.reason) for one in report.rejects]
