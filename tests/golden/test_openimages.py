"""Open Images' own lines: the heads of the published files and the fixtures that other projects ship."""

from __future__ import annotations

import csv
import io
import zipfile
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as pycoco

from openimages_files import dictionary_rows, parse, signed, table_rows
from regioncache.archive import OpenArchive, list_members
from regioncache.sources import openimages
from regioncache.sources.openimages_csv import read_classes
from regioncache.sources.places import FolderPart, MemberFolder, place_of
from regioncache.sources.record import AnnotationFile
from regioncache.sources.reports import Report

if TYPE_CHECKING:
    from pathlib import Path

GROUP_OF, OCCLUDED, TRUNCATED = 1, 2, 4
CLASSES = "class-descriptions/class-descriptions-boxable.normalised.csv"


def text_of(shared: Path, name: str) -> str:
    return (shared / "samples/openimages" / name).read_bytes().decode()


@pytest.mark.parametrize("name", ["v4_heads/train-annotations-bbox.csv", "v6_heads/oidv6-train-annotations-bbox.csv"])
def test_published_lines_are_what_the_standard_library_reads(shared: Path, name: str) -> None:
    boxes, classes = text_of(shared, name), text_of(shared, CLASSES)
    parsed = parse(boxes, classes)
    assert table_rows(parsed) == dictionary_rows(boxes, classes)
    assert parsed.report.rejects == []


def test_the_eight_first_boxes_of_the_training_split(shared: Path) -> None:
    classes = text_of(shared, CLASSES)
    parsed = parse(text_of(shared, "v4_heads/train-annotations-bbox.csv"), classes)
    (row,) = parsed.table.to_pylist()
    assert (row["image_id"], row["file_name"]) == (0x000002B66C9C498E, "000002b66c9c498e.jpg")
    assert row["region_id"] == list(range(8))
    assert row["flags"] == [TRUNCATED, TRUNCATED, OCCLUDED, OCCLUDED, OCCLUDED, OCCLUDED, OCCLUDED | GROUP_OF, 0]
    assert row["sides"][0] == [0.0125, 0.195312, 0.148438, 0.5875]
    assert row["sides"][7] == [0.528125, 0.923437, 0.675, 0.964063]
    regions = openimages.regions_of(
        {**row, "height": 683, "width": 1024},
        None,
        {one.category_id: one for one in parsed.categories},
        Report(),  # type: ignore[arg-type]  (no masks)
    )
    names = {mid: name for mid, name, *_ in csv.reader(io.StringIO(classes))}
    assert regions.phrases == [[names["/m/01g317"]]] * 7 + [[names["/m/0284d"]]]
    assert regions.is_crowd.tolist() == [False] * 6 + [True, False]
    np.testing.assert_allclose(regions.published_box_xywh[0], [12.8, 101.383154, 187.199488, 299.879346], atol=1e-9)


def test_the_first_box_of_the_validation_split(shared: Path) -> None:
    parsed = parse(
        text_of(shared, "mmdet_fixture/annotations/oidv6-train-annotations-bbox.csv"),
        text_of(shared, "mmdet_fixture/annotations/class-descriptions-boxable.csv"),
    )
    (row,) = parsed.table.to_pylist()
    assert (row["image_id"], row["sides"]) == (0x0001EEAF4AED83F9, [[0.022673031, 0.9642005, 0.07103825, 0.80054647]])
    assert [(one.name, one.published_id) for one in parsed.categories] == [("Airplane", "/m/0cmf2")]


def test_the_three_copies_of_the_601_classes_are_one_list(shared: Path) -> None:
    copies = [
        read_classes(AnnotationFile(path.name, path.read_bytes()))
        for path in sorted((shared / "samples/openimages/class-descriptions").iterdir())
    ]
    assert len(copies) == 3
    assert copies[0] == copies[1] == copies[2]
    assert len(copies[0]) == 601
    assert (copies[0][0].name, copies[0][0].published_id) == ("Tortoise", "/m/011k07")
    assert copies[0][3].name == "Sea turtle"


def test_the_first_classes_of_all(shared: Path) -> None:
    text = text_of(shared, "v1_dict.csv")
    found = read_classes(AnnotationFile("dict.csv", text.encode()))
    assert [(one.published_id, one.name) for one in found] == [tuple(fields) for fields in csv.reader(io.StringIO(text))]


def test_the_head_of_the_list_of_images(shared: Path) -> None:
    images = text_of(shared, "v6_heads/train-images-boxable-with-rotation.csv")
    header = text_of(shared, "v6_heads/oidv6-train-annotations-bbox.csv").splitlines()[0]
    parsed = parse(header + "\n", images=images)
    assert parsed.table.select(["image_id", "url", "rotation_ccw"]).to_pylist() == [
        {
            "image_id": signed("b37f763ae67d0888"),
            "url": "https://c1.staticflickr.com/1/67/197493648_628a7cb2ee_o.jpg",
            "rotation_ccw": 0,
        },
        {
            "image_id": signed("4fa8054781a4c382"),
            "url": "https://farm3.staticflickr.com/5310/5898076654_51085e157c_o.jpg",
            "rotation_ccw": 0,
        },
    ]


def test_ids_that_are_none_are_listed_line_by_line(shared: Path) -> None:
    root = "datumaro_fake_v6/annotations"
    parsed = parse(
        text_of(shared, f"{root}/oidv6-train-annotations-bbox.csv"),
        text_of(shared, f"{root}/oidv6-class-descriptions.csv"),
        images=text_of(shared, f"{root}/image_ids_and_rotation.csv"),
    )
    found = [(one.image_id, one.region_id, one.file_name, one.reason) for one in parsed.report.rejects]
    images = [(-1, -1, one, "file_record_invalid") for one in "abc"]
    assert found == [(-1, 0, "b", "file_record_invalid"), *images, (-1, -1, "", "file_record_invalid")]  # d's line lacks a column
    assert parsed.report.counts["images_listed"] == 4
    assert [one.published_id for one in parsed.categories] == ["/m/0", "/m/1", "/m/2", "/m/3"]


def test_a_published_fixture_with_a_mask_under_ids_of_16_digits(shared: Path, tmp_path: Path) -> None:
    """The fixture's own photo and mask; only its id ``b`` is written out."""
    root, image = "datumaro_fake_v6/annotations", "b" * 16
    texts = {
        name: text_of(shared, f"{root}/{file}").replace(",b,", f",{image},").replace("\nb,", f"\n{image},")
        for name, file in {
            "boxes": "oidv6-train-annotations-bbox.csv",
            "masks": "train-annotations-object-segmentation.csv",
            "classes": "oidv6-class-descriptions.csv",
        }.items()
    }
    data = (shared / "samples/openimages/datumaro_fake_v6/masks/train/b_m0_01234567.png").read_bytes()
    with zipfile.ZipFile(tmp_path / "masks.zip", "w") as archive:
        archive.writestr("b_m0_01234567.png", data)
    folder = MemberFolder([FolderPart(list_members(tmp_path / "masks.zip"), "")])
    parsed = parse(texts["boxes"], texts["classes"], {"masks": folder}, masks=texts["masks"])
    (row,) = parsed.table.to_pylist()
    assert (row["region_id"], row["flags"], row["mask"]) == ([0], [256 + 512 + 1024 + 2048 + 4096], [0])
    with OpenArchive(tmp_path / "masks.zip") as archive:
        regions = openimages.regions_of(
            {**row, "height": 2, "width": 8},
            lambda folder, nth=None: archive.read(place_of(row, folder, nth).member),
            {one.category_id: one for one in parsed.categories},
            Report(),
        )
    mask = np.asarray(Image.open(io.BytesIO(data)))
    assert mask.shape == (2, 8)
    np.testing.assert_array_equal(pycoco.decode({"size": [2, 8], "counts": regions.counts[0]}), mask)
    np.testing.assert_allclose(regions.published_box_xywh, [[1.6, 0.6, 6.4, 0.4]])
    assert regions.phrases == [["Generic label #0"]]
