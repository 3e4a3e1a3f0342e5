from __future__ import annotations

import json
import pickle
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pycocotools import mask as pycoco

from regioncache.archive import list_members
from regioncache.errors import AnnotationError
from regioncache.schema import REJECT_REASONS
from regioncache.sources import refcoco
from regioncache.sources.places import FolderPart, MemberFolder
from regioncache.sources.record import AnnotationFile
from regioncache.sources.reports import Report

if TYPE_CHECKING:
    from pathlib import Path

    from regioncache.sources.record import Parsed
    from regioncache.sources.regions import Regions

SQUARE = [[1, 1, 8, 1, 8, 8, 1, 8]]


def ref(ref_id: int, ann_id: int, image_id: int, split: str = "train", sents: tuple[str, ...] = ("left car",)) -> dict[str, Any]:
    sentences = [{"sent": one, "raw": one.upper(), "sent_id": k, "tokens": one.split()} for k, one in enumerate(sents)]
    name = f"COCO_train2014_{image_id:012d}_{ref_id}.jpg"
    return {"ref_id": ref_id, "ann_id": ann_id, "image_id": image_id, "split": split, "sentences": sentences, "file_name": name}


def instance(ann_id: int, image_id: int, **changes: Any) -> dict[str, Any]:
    made = {"id": ann_id, "image_id": image_id, "category_id": 1, "bbox": [1, 2, 3, 4], "segmentation": SQUARE, "area": 12.5}
    return {**made, "iscrowd": 0, **changes}


class Toy:
    """Two photos of 20 x 10 in an archive, and files that speak of them."""

    def __init__(self, folder: Path) -> None:
        with zipfile.ZipFile(folder / "train2014.zip", "w") as archive:
            for name in ("a.jpg", "b.jpg"):
                archive.writestr(f"train2014/{name}", b"jpeg")
        self.photos = MemberFolder([FolderPart(list_members(folder / "train2014.zip"), "train2014/")])
        self.images = [{"id": k, "file_name": f"{name}.jpg", "width": 20, "height": 10} for k, name in ((2, "b"), (1, "a"))]
        self.annotations = [instance(10, 1), instance(20, 2)]
        self.categories = [{"id": 7, "name": "dog"}, {"id": 1, "name": "car"}]
        self.refs = [ref(200, 20, 2), ref(100, 10, 1)]

    def parse(self, split: str = "train", **options: Any) -> Parsed:
        instances = {"images": self.images, "annotations": self.annotations, "categories": self.categories}
        files = {
            "instances": AnnotationFile("refcoco.zip: instances.json", json.dumps(instances).encode()),
            "refs": AnnotationFile("refcoco.zip: refs(unc).p", pickle.dumps(self.refs, 2)),
        }
        return refcoco.parse(files, {"images": self.photos}, refcoco.Options(split, **options))


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return Toy(tmp_path)


def regions(parsed: Parsed, report: Report) -> list[Regions]:
    categories = {one.category_id: one for one in parsed.categories}
    return [refcoco.regions_of(row, {}.__getitem__, categories, report) for row in parsed.table.to_pylist()]


def problems(parsed: Parsed) -> list[tuple[int, int, str]]:
    assert all(one.reason in REJECT_REASONS for one in parsed.report.rejects)
    return [(one.image_id, one.region_id, one.reason) for one in parsed.report.rejects]


def test_an_image_has_the_regions_of_the_chosen_split_alone_in_the_order_of_the_file(toy: Toy) -> None:
    toy.annotations += [instance(11, 1), instance(12, 1)]
    toy.refs = [ref(9, 12, 1), ref(1, 10, 1, "val"), ref(3, 11, 1), ref(2, 20, 2, "val")]
    train, val = toy.parse("train"), toy.parse("val")
    assert train.table["image_id"].to_pylist() == [1]
    assert train.table["region_id"].to_pylist() == [[9, 3]]
    assert val.table["image_id"].to_pylist() == [1, 2]
    assert val.table["region_id"].to_pylist() == [[1], [2]]
    assert train.report.counts == {"images_listed": 1, "regions_listed": 2}


def test_the_categories_are_the_annotations_own_and_the_phrases_are_the_sentences_as_they_are(toy: Toy) -> None:
    toy.refs[1] = ref(100, 10, 1, sents=(" Left CAR ", "it's", ""))
    parsed = toy.parse()
    assert [(one.category_id, one.name, one.index) for one in parsed.categories] == [(7, "dog", 0), (1, "car", 1)]
    first, _ = regions(parsed, Report())
    assert first.phrases == [[" Left CAR ", "it's", ""]]
    assert (first.category_id.tolist(), first.category_index.tolist()) == ([1], [1])


@pytest.mark.parametrize(
    ("split", "match", "found"),
    [
        ("testA", "last_letter", [1, 3]),
        ("testB", "last_letter", [2, 3, 4]),
        ("testC", "last_letter", [4]),
        ("testA", "equal", [1]),
        ("testAB", "last_letter", [3]),
        ("test", "last_letter", [5]),
        ("val", "last_letter", [6]),
    ],
)
def test_a_ref_of_two_test_splits_counts_for_both_by_their_letters(toy: Toy, split: str, match: str, found: list[int]) -> None:
    stored = ("testA", "testB", "testAB", "testBC", "test", "val")
    toy.refs = [ref(k, 10, 1, one) for k, one in enumerate(stored, 1)]
    assert toy.parse(split, match=match).table["region_id"].to_pylist() == [found]


def test_a_split_without_refs_is_an_error(toy: Toy) -> None:
    with pytest.raises(AnnotationError, match=r"refs\(unc\)\.p: no ref is of the split 'testB'") as caught:
        toy.parse("testB")
    assert caught.value.found == {"train": 2}


def test_every_ref_that_cannot_be_used_is_rejected_alone(toy: Toy) -> None:
    toy.annotations += [instance(11, 1, bbox=[1, 2, 3]), instance(12, 1, category_id=99)]
    toy.refs = [
        ref(1, 10, 1),
        ref(1, 10, 1),
        ref(2, 404, 1),
        ref(3, 20, 1),
        ref(4, 11, 1),
        ref(5, 12, 1),
        ref(6, 10, 1, sents=()),
        ref(7, 10, 404),
    ]
    parsed = toy.parse()
    assert parsed.table["region_id"].to_pylist() == [[1]]
    assert problems(parsed) == [
        (1, 1, "region_id_duplicate"),
        (1, 2, "region_annotation_missing"),
        (1, 3, "region_annotation_missing"),
        (1, 4, "box_invalid"),
        (1, 5, "category_unknown"),
        (1, 6, "phrase_missing"),
        (404, 7, "region_without_image"),
    ]
    assert parsed.report.counts == {"images_listed": 1, "regions_listed": 8}


def test_an_image_of_which_all_refs_are_rejected_stays_without_regions(toy: Toy) -> None:
    toy.refs = [ref(1, 404, 1), ref(2, 20, 2)]
    parsed = toy.parse()
    assert parsed.table["region_id"].to_pylist() == [[], [2]]
    assert [len(one.region_id) for one in regions(parsed, Report())] == [0, 1]


def test_images_without_a_photo_or_with_two_records_are_rejected(toy: Toy) -> None:
    toy.images[0]["file_name"] = "c.jpg"
    toy.images += [toy.images[1]]
    parsed = toy.parse()
    assert parsed.table.num_rows == 0
    assert sorted(problems(parsed)) == [(1, -1, "image_id_duplicate"), (2, -1, "image_missing")]
    assert "c.jpg below train2014/" in parsed.report.rejects[0].detail


def test_a_mask_is_the_union_of_all_polygons_or_of_all_run_lengths(toy: Toy) -> None:
    pixels = np.zeros((10, 20), np.uint8, order="F")
    pixels[1:8, 1:8] = 1
    left = pycoco.encode(pixels)["counts"].decode()
    pixels[:] = 0
    pixels[2:4, 10:12] = 1
    right = pycoco.encode(pixels)["counts"].decode()
    pixels[1:8, 1:8] = 1
    both = pycoco.encode(pixels)["counts"]
    toy.annotations = [
        instance(10, 1, segmentation=[*SQUARE, [10, 2, 12, 2, 12, 4, 10, 4]]),
        instance(20, 2, segmentation=[{"size": [10, 20], "counts": left}, {"size": [10, 20], "counts": right}]),
    ]
    for one in regions(toy.parse(), Report()):
        assert one.counts == [both]
        assert one.area.tolist() == [pixels.sum()]


def test_a_bad_mask_costs_its_own_region_and_a_missing_one_only_the_mask(toy: Toy) -> None:
    toy.annotations = [
        instance(10, 1, segmentation=[[1, 1, 2, 2]]),
        instance(11, 1),
        instance(12, 1, segmentation=None),
        instance(13, 1, segmentation=[{"size": [9, 9], "counts": "x"}]),
    ]
    toy.refs = [ref(k, 10 + k, 1) for k in range(4)]
    parsed, report = toy.parse(), Report()
    (found,) = regions(parsed, report)
    assert found.region_id.tolist() == [1, 2]
    assert [bool(one) for one in found.counts] == [True, False]
    assert [(one.region_id, one.reason) for one in report.rejects] == [(0, "polygon_too_short"), (3, "segmentation_invalid")]
    assert report.counts["masks_absent"] == 1


def test_without_masks_a_bad_mask_harms_nobody_and_the_area_is_the_published_one(toy: Toy) -> None:
    toy.annotations[0]["segmentation"] = "none"
    report = Report()
    first, second = regions(toy.parse(with_mask=False), report)
    assert (first.counts, first.area.tolist(), second.area.tolist()) == ([b""], [12.5], [12.5])
    assert not report.rejects


@pytest.mark.parametrize(
    ("refs", "problem"),
    [
        (b"\x80\x02cos\nsystem\n.", "more than plain values"),
        (b"", "not a readable pickle"),
        (pickle.dumps({"refs": []}, 2), "not a list of referring expressions"),
        (pickle.dumps([{"ref_id": "1"}], 2), "not a list of referring expressions"),
        (pickle.dumps([ref(2**63, 1, 1)], 2), "not a list of referring expressions"),
    ],
)
def test_a_refs_file_that_is_none_is_an_error(toy: Toy, refs: bytes, problem: str) -> None:
    files = {"instances": AnnotationFile("instances.json", b"{}"), "refs": AnnotationFile("refs(unc).p", refs)}
    with pytest.raises(AnnotationError, match=problem):
        refcoco.parse(files, {"images": toy.photos}, refcoco.Options("train"))


@pytest.mark.parametrize("instances", [b"", b"[]", b'{"images": []}', b'{"images": [{"id": "x"}]}'])
def test_an_instances_file_that_is_none_is_an_error(toy: Toy, instances: bytes) -> None:
    files = {"instances": AnnotationFile("instances.json", instances), "refs": AnnotationFile("r.p", pickle.dumps(toy.refs, 2))}
    with pytest.raises(AnnotationError, match="not a COCO instances file"):
        refcoco.parse(files, {"images": toy.photos}, refcoco.Options("train"))


@pytest.mark.parametrize("kind", ["annotation", "category"])
def test_ids_that_appear_twice_are_an_error(toy: Toy, kind: str) -> None:
    records = toy.annotations if kind == "annotation" else toy.categories
    records.append(dict(records[0]))
    with pytest.raises(AnnotationError, match=f"{kind} ids appear twice"):
        toy.parse()
