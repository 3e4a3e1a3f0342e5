"""Panoptic annotations to archives that are named and nested as COCO publishes them, and the catalog entry for them."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from regioncache.entries import load_dataset_entry
from regioncache.fetch.archive import fetch_archive
from regioncache.steps.paths import BuildPaths

if TYPE_CHECKING:
    from collections.abc import Mapping

REPOSITORY = Path(__file__).resolve().parents[1]
PANOPTIC_ZIP = "panoptic_annotations_trainval2017.zip"


@dataclass
class PanopticSplit:
    """What the archives hold of one split: its JSON, its photos and its PNGs, both by file name."""

    document: dict[str, Any]
    images: dict[str, bytes] = field(default_factory=dict)
    pngs: dict[str, bytes] = field(default_factory=dict)


def pack_panoptic(
    folder: Path,
    splits: Mapping[str, PanopticSplit],
    *,
    inner_method: int = zipfile.ZIP_STORED,
    image_method: int = zipfile.ZIP_STORED,
) -> Path:
    """Write ``<split>2017.zip`` for each split, and the archive with all JSONs and inner zips of PNGs.

    Args:
        folder: made if it is not there.
        splits: by name, ``train`` or ``val``.
        inner_method: how the inner zips lie in theirs; the official ones are stored.
        image_method: how the photos lie in theirs; the official ones are stored.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / PANOPTIC_ZIP, "w") as outer:
        for split, content in splits.items():
            with zipfile.ZipFile(folder / f"{split}2017.zip", "w", image_method) as images:
                for name, data in content.images.items():
                    _add(images, f"{split}2017/{name}", data, image_method)
            inner = io.BytesIO()
            with zipfile.ZipFile(inner, "w") as pngs:
                for name, data in content.pngs.items():
                    _add(pngs, f"panoptic_{split}2017/{name}", data, zipfile.ZIP_STORED)
            text = json.dumps(content.document).encode()
            _add(outer, f"annotations/panoptic_{split}2017.json", text, zipfile.ZIP_DEFLATED)
            _add(outer, f"annotations/panoptic_{split}2017.zip", inner.getvalue(), inner_method)
    return folder


def panoptic_entry(
    folder: Path,
    *,
    name: str,
    shards: Mapping[str, int],
    expected_images: Mapping[str, int] | None = None,
    base_url: str | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """The project's own ``coco_panoptic`` entry, for archives of ``pack_panoptic`` or of the demo.

    Args:
        folder: the archives.
        name: the dataset's name.
        shards: of each split that is built; other splits are left out.
        expected_images: of each split; None leaves them out.
        base_url: where the archives are served, with their sizes and checksums in the entry; None names them as local files.
        changes: other keys of the entry, None removes one.
    """
    entry = copy.deepcopy(yaml.safe_load((REPOSITORY / "workflow" / "catalog" / "coco_panoptic.yaml").read_text()))
    entry["name"] = name
    used = {"panoptic", *(f"{split}_images" for split in shards)}
    entry["archives"] = {key: value for key, value in entry["archives"].items() if key in used}
    for archive in entry["archives"].values():
        file = folder / Path(archive["path"]).name
        archive["path"] = f"{name}/{file.name}"
        if base_url is None:
            for key in ("urls", "bytes", "sha256"):
                del archive[key]
            archive["local"] = str(file)
        else:
            data = file.read_bytes()
            archive.update(urls=[f"{base_url}/{file.name}"], bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    entry["splits"] = {split: entry["splits"][split] for split in shards}
    for split, count in shards.items():
        entry["splits"][split]["shards"] = count
        entry["splits"][split].pop("leakage_guard", None)
        if expected_images is None:
            del entry["splits"][split]["expected_images"]
        else:
            entry["splits"][split]["expected_images"] = expected_images[split]
    entry.update(changes)
    return {key: value for key, value in entry.items() if value is not None}


def write_entry(folder: Path, entry: Mapping[str, Any]) -> Path:
    """Write an entry as ``<name>.yaml`` into a catalog folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{entry['name']}.yaml"
    path.write_text(yaml.safe_dump(dict(entry), sort_keys=False))
    return path


def fetched_paths(folder: Path, entry: Mapping[str, Any], split: str) -> BuildPaths:
    """Write an entry of local archives and fetch them; the folders of a build of one split, without Snakemake."""
    dataset = load_dataset_entry(write_entry(folder / "catalog", entry))
    paths = BuildPaths(dataset, split, folder / ".data/archives", folder / ".data/work", folder / ".data.cache")
    for archive in dataset.archives.values():
        fetch_archive(archive, paths.archives_dir / archive.path, log=lambda _: None)
    return paths


def _add(archive: zipfile.ZipFile, name: str, data: bytes, method: int) -> None:
    info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    info.compress_type = method
    archive.writestr(info, data)
