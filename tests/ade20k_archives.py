"""ADE20K's two archives made of files in their layout, and rows of a cache made of them."""

from __future__ import annotations

import io
import tarfile
import zipfile
from typing import TYPE_CHECKING, Any

from PIL import Image

from regioncache.archive import OpenArchive, list_members
from regioncache.sources import ade20k_panoptic
from regioncache.sources.places import FolderPart, MemberFolder, place_of
from regioncache.sources.record import NoOptions, Parsed
from regioncache.sources.reports import Report
from small_cache import region_fields, sample_row

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


def folders_of(tmp: Path, tree: Mapping[str, bytes], split: str) -> tuple[dict[str, MemberFolder], dict[str, Path]]:
    """The folders of one split and the archives that they lie in; ``tree`` has the files by their published names."""
    challenge, instances = tmp / "ADEChallengeData2016.zip", tmp / "annotations_instance.tar"
    with zipfile.ZipFile(challenge, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ADEChallengeData2016/sceneCategories.txt", "")
        for name, data in tree.items():
            if not name.startswith("annotations_instance/"):
                archive.writestr(f"ADEChallengeData2016/{name}", data)
    with tarfile.open(instances, "w") as archive:
        for name, data in {"annotations_instance/README": b"", **tree}.items():
            if name.startswith("annotations_instance/"):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    places = {
        "images": (challenge, f"ADEChallengeData2016/images/{split}/"),
        "semantic": (challenge, f"ADEChallengeData2016/annotations/{split}/"),
        "instances": (instances, f"annotations_instance/{split}/"),
    }
    folders = {name: MemberFolder([FolderPart(list_members(path), prefix)]) for name, (path, prefix) in places.items()}
    return folders, {name: path for name, (path, _) in places.items()}


def png(pixels: NDArray[np.uint8]) -> bytes:
    """A grey or RGB PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def made_tree(semantic: NDArray[np.uint8], instances: NDArray[np.uint8], number: int = 7) -> dict[str, bytes]:
    """The three files of one image of the validation split."""
    stem = f"validation/ADE_val_{number:08d}"
    photo = io.BytesIO()
    Image.new("RGB", semantic.shape[::-1]).save(photo, "JPEG")
    return {
        f"images/{stem}.jpg": photo.getvalue(),
        f"annotations/{stem}.png": png(semantic),
        f"annotations_instance/{stem}.png": png(instances),
    }


def rows_of(tmp: Path, tree: Mapping[str, bytes], split: str) -> tuple[Parsed, list[dict[str, Any]], Report]:
    """What is parsed of a split, rows of a cache as a build would make them, and what ``regions_of`` reported."""
    folders, archives = folders_of(tmp, tree, split)
    parsed = ade20k_panoptic.parse({}, folders, NoOptions())
    categories = {one.category_id: one for one in parsed.categories}
    report = Report()
    rows = []
    for row in parsed.table.to_pylist():

        def read(folder: str, row: dict[str, Any] = row) -> bytes:
            with OpenArchive(archives[folder]) as archive:
                return bytes(archive.read(place_of(row, folder).member))

        row["width"], row["height"] = Image.open(io.BytesIO(read("images"))).size
        regions = ade20k_panoptic.regions_of(row, read, categories, report)
        fields = {"file_name": row["file_name"], "split": split, **region_fields(regions)}
        rows.append(sample_row(row["image_id"], height=row["height"], width=row["width"], **fields))
    return parsed, rows, report
