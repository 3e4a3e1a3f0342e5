"""COCO panoptic written out again equals the published files, and what the public converters make of them."""

from __future__ import annotations

import hashlib
import json
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from regioncache.archive import OpenArchive, list_members
from regioncache.interop.instances import export_instances
from regioncache.interop.panoptic import export_panoptic
from regioncache.interop.semantic import export_semantic
from regioncache.sources import coco_panoptic
from regioncache.sources.places import FolderPart, MemberFolder, place_of
from regioncache.sources.record import AnnotationFile, NoOptions
from regioncache.sources.reports import Report
from small_cache import region_fields, sample_row, write_samples

if TYPE_CHECKING:
    from pathlib import Path

SAMPLE = "samples/coco_panoptic/panopticapi_sample"


@pytest.fixture(scope="module", params=[True, False], ids=["label_map", "rles"])
def cache(request: pytest.FixtureRequest, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The two images as a cache, with label maps or with RLEs alone."""
    folder = tmp_path_factory.mktemp("coco")
    archive = folder / "coco.zip"
    with zipfile.ZipFile(archive, "w") as out:
        for path in sorted((shared / SAMPLE).glob("*/*.???")):
            out.write(path, f"{path.parent.name}/{path.name}")
    members = list_members(archive)
    prefixes = {"images": "input_images/", "panoptic": "panoptic_examples/"}
    folders = {name: MemberFolder([FolderPart(members, prefix)]) for name, prefix in prefixes.items()}
    file = AnnotationFile("panoptic_examples.json", (shared / SAMPLE / "panoptic_examples.json").read_bytes())
    parsed = coco_panoptic.parse({"annotations": file}, folders, NoOptions())
    categories = {one.category_id: one for one in parsed.categories}
    rows = []
    with OpenArchive(archive) as opened:
        for row in parsed.table.to_pylist():

            def read(name: str, row: dict[str, Any] = row) -> bytes:
                return bytes(opened.read(place_of(row, name).member))

            fields = region_fields(coco_panoptic.regions_of(row, read, categories, Report()))
            if not request.param:
                fields["label_map"] = b""
            size = {"height": row["height"], "width": row["width"]}
            rows.append(sample_row(row["image_id"], **size, file_name=row["file_name"], **fields))
    return write_samples(folder / "samples" / "part.parquet", rows, categories=parsed.categories)


def read_json(path: Path) -> Any:
    return json.loads(path.read_bytes())


def without(record: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in keys}


def test_semantic_maps_are_those_of_mask2former_crowds_painted(cache: Path, shared: Path, tmp_path: Path) -> None:
    assert export_semantic(cache, tmp_path / "out") == {"images": 2, "regions_without_mask": 0}
    golden = read_json(shared / "goldens/mask2former_coco_semantic/index.json")
    assert len(golden) == 2
    for name, expected in golden.items():
        image = Image.open(tmp_path / "out" / name.rsplit("/", 1)[1])
        assert (image.mode, list(image.size)) == (expected["mode"], expected["size"])
        assert hashlib.sha256(np.asarray(image).tobytes()).hexdigest() == expected["pixels_sha256"]


def test_panoptic_is_what_was_published(cache: Path, shared: Path, tmp_path: Path) -> None:
    counts = export_panoptic(cache, tmp_path / "out")
    published = read_json(shared / SAMPLE / "panoptic_examples.json")
    file = read_json(tmp_path / "out" / "panoptic.json")
    assert file["annotations"] == sorted(published["annotations"], key=lambda one: one["image_id"])
    assert file["categories"] == [without(one, "supercategory", "color") for one in published["categories"]]
    assert file["images"] == [
        {key: one[key] for key in ("id", "file_name", "width", "height")}
        for one in sorted(published["images"], key=lambda one: one["id"])
    ]
    segments = sum(len(one["segments_info"]) for one in published["annotations"])
    assert counts == {"images": 2, "segments": segments, "regions_unassigned": 0, "regions_without_mask": 0, "regions_hidden": 0}
    for path in sorted((shared / SAMPLE / "panoptic_examples").iterdir()):
        np.testing.assert_array_equal(Image.open(tmp_path / "out" / "panoptic" / path.name), Image.open(path))


def test_instances_are_those_of_panopticapi(cache: Path, shared: Path, tmp_path: Path) -> None:
    counts = export_instances(cache, tmp_path / "out")
    golden = read_json(shared / "goldens/panopticapi_panoptic2detection_coco_format/sample_things_only.json")
    file = read_json(tmp_path / "out" / "instances.json")
    expected = [{**without(one, "id"), "segmentation": one["segmentation"]["counts"]} for one in golden["annotations"]]
    found = [{**without(one, "id"), "segmentation": one["segmentation"]["counts"]} for one in file["annotations"]]
    assert sorted(found, key=as_text) == sorted(expected, key=as_text)
    assert [one["id"] for one in file["annotations"]] == list(range(1, len(expected) + 1))
    assert file["categories"] == [without(one, "supercategory") for one in golden["categories"]]
    assert counts["annotations"] == len(expected)
    assert counts["regions_of_stuff"] > 0


def as_text(record: dict[str, Any]) -> str:
    return json.dumps(record, sort_keys=True)
