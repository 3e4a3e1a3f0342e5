from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from regioncache.archive import list_members
from regioncache.errors import AnnotationError
from regioncache.sources import refcoco
from regioncache.sources.places import FolderPart, MemberFolder, place_of
from regioncache.sources.record import AnnotationFile
from regioncache.sources.reports import Report

if TYPE_CHECKING:
    from pathlib import Path

    from regioncache.sources.record import Parsed
    from regioncache.sources.regions import Regions

ARCHIVES = {
    "refcoco_unc": ("refcoco", "refs(unc).p", "train2014.zip", "train2014/"),
    "refcocog_google": ("refcocog", "refs(google).p", "train2014.zip", "train2014/"),
    "refcocog_umd": ("refcocog", "refs(umd).p", "train2014.zip", "train2014/"),
    "refclef_unc": ("refclef", "refs(unc).p", "saiapr_tc-12.zip", "saiapr_tc-12/"),
}
SPLITS = {"validation": "val"}


def read(shared: Path, dataset: str, split: str, *, with_mask: bool) -> tuple[Parsed, dict[int, Regions], Report]:
    folder, refs, images, prefix = ARCHIVES[dataset]
    inputs = shared / "goldens/sca/inputs/archives" / dataset
    files = {
        "instances": AnnotationFile("instances.json", (inputs / "unpacked" / folder / "instances.json").read_bytes()),
        "refs": AnnotationFile(refs, (inputs / "unpacked" / folder / refs).read_bytes()),
    }
    photos = MemberFolder([FolderPart(list_members(inputs / images), prefix)])
    parsed = refcoco.parse(files, {"images": photos}, refcoco.Options(SPLITS.get(split, split), with_mask=with_mask))
    categories = {one.category_id: one for one in parsed.categories}
    report = Report()
    no_member = {}.__getitem__  # regions need no other member
    rows = parsed.table.to_pylist()
    return parsed, {row["image_id"]: refcoco.regions_of(row, no_member, categories, report) for row in rows}, report


def golden(shared: Path, dataset: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((shared / "goldens/sca/expected" / f"{dataset}.json").read_text())["expected"]
    return found


@pytest.mark.parametrize("with_mask", [True, False])
@pytest.mark.parametrize("dataset", ARCHIVES)
def test_every_row_of_the_original_holds_but_for_its_known_faults(shared: Path, dataset: str, with_mask: bool) -> None:
    for split, expected in golden(shared, dataset)[f"with_mask={str(with_mask).lower()}"].items():
        if not expected:
            continue
        parsed, regions, report = read(shared, dataset, split, with_mask=with_mask)
        assert not parsed.report.rejects
        assert not report.rejects
        rows = {row["image_id"]: row for row in parsed.table.to_pylist()}
        assert rows.keys() == {one["image_id"] for one in expected}
        assert list(rows) == sorted(rows)
        for one in expected:
            row, found = rows[one["image_id"]], regions[one["image_id"]]
            assert (row["file_name"], row["width"], row["height"]) == (one["file_name"], one["width"], one["height"])
            assert place_of(row, "images").member.name == one["image"]["member"]
            assert found.region_id.tolist() == [region["region_id"] for region in one["regions"]]
            assert found.phrases == [region["phrases"] for region in one["regions"]]
            boxes = [[region[side] for side in ("x", "y", "width", "height")] for region in one["regions"]]
            assert found.published_box_xywh.astype(int).tolist() == boxes
            counts = [region["mask"]["counts"].encode() if with_mask else b"" for region in one["regions"]]
            assert found.counts == counts


def test_a_split_without_refs_is_an_error_that_lists_the_splits_of_the_file(shared: Path) -> None:
    assert golden(shared, "refcocog_umd")["with_mask=true"]["validation"] == []
    with pytest.raises(AnnotationError, match="no ref is of the split 'val'") as caught:
        read(shared, "refcocog_umd", "validation", with_mask=True)
    assert caught.value.found == {"test": 1, "train": 2}


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_the_real_record_of_refcoco_is_one_region_with_its_three_sentences(shared: Path, protocol: int) -> None:
    sample = shared / "samples/refcoco/refcoco_fragment"
    (record,) = json.loads((sample / "refs_unc_record0.json").read_text())
    instances = (sample / "instances.json").read_bytes()
    (annotation,) = json.loads(instances)["annotations"]
    files = {
        "instances": AnnotationFile("instances.json", instances),
        "refs": AnnotationFile("refs(unc).p", pickle.dumps([record], protocol)),
    }
    photo = list_members(shared / "goldens/sca/inputs/archives/refcoco_unc/train2014.zip")[
        "train2014/COCO_train2014_000000000005.jpg"
    ]
    folder = MemberFolder([FolderPart({"COCO_train2014_000000581857.jpg": photo}, "")])  # the photo itself is not public
    parsed = refcoco.parse(files, {"images": folder}, refcoco.Options("train"))
    assert parsed.report.counts == {"images_listed": 1, "regions_listed": 1}
    (row,) = parsed.table.to_pylist()
    (category,) = parsed.categories
    found = refcoco.regions_of(row, {}.__getitem__, {category.category_id: category}, Report())
    assert found.phrases == [[one["sent"] for one in record["sentences"]]]
    assert found.published_box_xywh.tolist() == [annotation["bbox"]]
    # The polygon's area by the shoelace formula is the published one; a raster of it differs by about half its outline.
    assert abs(found.area[0] - annotation["area"]) < 0.02 * annotation["area"]
    assert (category.name, found.category_index.tolist()) == ("person", [0])


def test_the_published_pickle_of_that_record_is_read_as_its_json(shared: Path) -> None:
    sample = shared / "samples/refcoco/refcoco_fragment"
    (record,) = json.loads((sample / "refs_unc_record0.json").read_text())
    (ref,) = refcoco.read_refs(AnnotationFile("refs(unc).p", (sample / "refs(unc).p").read_bytes()))
    assert (ref.ref_id, ref.ann_id, ref.image_id, ref.split) == tuple(
        record[key] for key in ("ref_id", "ann_id", "image_id", "split")
    )
    assert [one.sent for one in ref.sentences] == [one["sent"] for one in record["sentences"]]
