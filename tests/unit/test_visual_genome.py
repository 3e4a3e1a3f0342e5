from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pycocotools import mask as pycoco

from regioncache.archive import list_members
from regioncache.errors import AnnotationError, ConfigError
from regioncache.schema import REJECT_REASONS
from regioncache.sources import visual_genome
from regioncache.sources.places import FolderPart, MemberFolder
from regioncache.sources.record import AnnotationFile
from regioncache.sources.reports import Report

if TYPE_CHECKING:
    from pathlib import Path

    from regioncache.sources.record import Parsed
    from regioncache.sources.regions import Regions

KEYS = {
    "regions": "regions",
    "objects": "objects",
    "attributes": "attributes",
    "relationships": "relationships",
    "question_answers": "qas",
}


def region(region_id: int, phrase: Any = "a cup", **changes: Any) -> dict[str, Any]:
    return {"region_id": region_id, "image_id": 1, "x": 1, "y": 2, "width": 3, "height": 4, "phrase": phrase, **changes}


def thing(object_id: int, *names: str, box: tuple[int, int, int, int] = (1, 2, 3, 4), **more: Any) -> dict[str, Any]:
    x, y, w, h = box
    return {"object_id": object_id, "x": x, "y": y, "w": w, "h": h, "names": list(names), "synsets": [], **more}


class Toy:
    """Photos 1 and 3 in the second archive, 2 in the first, all 20 x 10."""

    def __init__(self, folder: Path) -> None:
        self.parts = []
        for archive_name, names in (("images.zip", ["VG_100K/2"]), ("images2.zip", ["VG_100K_2/1", "VG_100K_2/3"])):
            with zipfile.ZipFile(folder / archive_name, "w") as archive:
                for name in names:
                    archive.writestr(f"{name}.jpg", b"jpeg")
            self.parts.append(FolderPart(list_members(folder / archive_name), ""))
        self.photos = [self.photo(3, "VG_100K_2"), self.photo(1, "VG_100K_2", coco_id=77), self.photo(2, "VG_100K")]
        self.splits = {"train": [2, 1], "val": [], "test": [3]}

    def photo(self, image_id: int, folder: str, **more: Any) -> dict[str, Any]:
        url = f"https://cs.stanford.edu/people/rak248/{folder}/{image_id}.jpg"
        return {"image_id": image_id, "url": url, "width": 20, "height": 10, "coco_id": None, "flickr_id": None, **more}

    def parse(self, listed: Any, content: Any = "regions", split: Any = "", **more: AnnotationFile) -> Parsed:
        if isinstance(listed, dict) and content != "grit":
            listed = [{"image_id": image_id, KEYS[content]: some} for image_id, some in listed.items()]
        files = {
            "image_data": AnnotationFile("image_data.json", json.dumps(self.photos).encode()),
            "regions": AnnotationFile("regions.json", json.dumps(listed).encode()),
            "splits": AnnotationFile("densecap_splits.json", json.dumps(self.splits).encode()),
            **more,
        }
        return visual_genome.parse(files, {"images": MemberFolder(self.parts)}, visual_genome.Options(content, split))


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return Toy(tmp_path)


def regions_of_first(parsed: Parsed, report: Report | None = None) -> Regions:
    return visual_genome.regions_of(parsed.table.to_pylist()[0], {}.__getitem__, {}, report or Report())


def problems(parsed: Parsed) -> list[tuple[int, int, str]]:
    assert all(one.reason in REJECT_REASONS for one in parsed.report.rejects)
    return [(one.image_id, one.region_id, one.reason) for one in parsed.report.rejects]


def test_images_come_by_id_with_their_coco_photo_and_stay_without_regions(toy: Toy) -> None:
    table = toy.parse({1: [region(5)], 2: []}).table
    assert table["image_id"].to_pylist() == [1, 2, 3]
    assert table["coco_image_id"].to_pylist() == [77, -1, -1]
    assert table["images.part"].to_pylist() == [1, 0, 1]
    assert table["region_id"].to_pylist() == [[5], [], []]


def test_a_split_takes_its_images_alone_and_names_those_that_nobody_lists(toy: Toy) -> None:
    toy.splits["train"].append(404)
    parsed = toy.parse({1: [region(5)], 2: [], 3: [region(6)]}, split="train")
    assert parsed.table["image_id"].to_pylist() == [1, 2]
    assert parsed.report.counts == {"images_listed": 3, "regions_listed": 1}
    assert problems(parsed) == [(404, -1, "image_record_missing")]


def test_a_split_without_images_or_without_its_file_is_an_error(toy: Toy) -> None:
    with pytest.raises(AnnotationError, match=r"densecap_splits\.json: the split 'val' has no images") as caught:
        toy.parse({}, split="val")
    assert caught.value.found == {"train": 2, "val": 0, "test": 1}
    files = {"image_data": AnnotationFile("i", b"[]"), "regions": AnnotationFile("r", b"[]")}
    with pytest.raises(ConfigError, match="needs the file `splits`"):
        visual_genome.parse(files, {"images": MemberFolder([])}, visual_genome.Options(split="val"))


def test_phrases_are_kept_as_they_are_and_lists_of_them_are_one_region(toy: Toy) -> None:
    found = regions_of_first(toy.parse({1: [region(5, " Red CUP. "), region(6, ["a", "b"]), region(7, "")]}))
    assert found.phrases == [[" Red CUP. "], ["a", "b"], [""]]
    assert found.category_id.tolist() == [-1, -1, -1]


def test_an_object_has_all_its_names(toy: Toy) -> None:
    found = regions_of_first(toy.parse({1: [thing(5, "man", "person", box=(-2, 0, 9, 9))]}, "objects"))
    assert (found.region_id.tolist(), found.phrases) == ([5], [["man", "person"]])
    assert found.published_box_xywh.tolist() == [[-2, 0, 9, 9]]
    assert found.box_xyxy.tolist() == [[0, 0, 7, 9]]


def test_an_attribute_is_said_with_the_name_of_its_object(toy: Toy) -> None:
    listed = [thing(5, "car", "auto", attributes=["red", "parked"]), thing(6, "sky"), thing(7, "tree", attributes=None)]
    found = regions_of_first(toy.parse({1: listed}, "attributes"))
    assert found.phrases == [["red car", "parked car"], ["sky"], ["tree"]]


def test_a_relationship_is_a_sentence_around_both_of_its_ends(toy: Toy) -> None:
    pair = {"predicate": "ON", "subject": thing(1, "cup", box=(1, 2, 3, 3)), "object": {"object_id": 2, "name": "table"}}
    pair["object"] |= {"x": 3, "y": 0, "w": 10, "h": 4}  # type: ignore[operator]  # a dict of numbers and texts
    found = regions_of_first(toy.parse({1: [{"relationship_id": 9, **pair}]}, "relationships"))
    assert (found.region_id.tolist(), found.phrases) == ([9], [["cup ON table"]])
    assert found.published_box_xywh.tolist() == [[1, 0, 12, 5]]


def test_a_question_and_its_answer_speak_of_the_whole_image(toy: Toy) -> None:
    pair = {"qa_id": 9, "image_id": 1, "question": "What is it?", "answer": "A cup.", "a_objects": [], "q_objects": []}
    found = regions_of_first(toy.parse({1: [pair]}, "question_answers"))
    assert (found.region_id.tolist(), found.phrases) == ([9], [["What is it? A cup."]])
    assert found.box_xyxy.tolist() == [[0, 0, 20, 10]]


@pytest.mark.parametrize(("content", "old"), [("objects", "id"), ("attributes", "id")])
def test_the_keys_of_the_first_version_are_read_too(toy: Toy, content: str, old: str) -> None:
    record = thing(5, "cup")
    record[old] = record.pop("object_id")
    toy.photos = [{("id" if key == "image_id" else key): value for key, value in one.items()} for one in toy.photos]
    parsed = toy.parse([{"id": 1, KEYS[content]: [record]}], content)
    assert parsed.table["region_id"].to_pylist() == [[5], [], []]


def test_grit_captions_are_regions_of_the_images_that_its_file_lists(toy: Toy) -> None:
    listed = {
        "images": [{"id": 3, "file_name": "3.jpg"}, {"id": 1, "file_name": "1.jpg"}],
        "annotations": [
            {"id": 7, "image_id": 1, "bbox": [1, 2, 3.5, 4], "caption": "b", "area": 1, "iscrowd": 0, "category_id": 1},
            {"id": 6, "image_id": 1, "bbox": [0, 0, 1, 1], "caption": "a", "area": 1, "iscrowd": 0, "category_id": 1},
        ],
        "categories": [{"id": 1, "name": "object"}],
    }
    parsed = toy.parse(listed, "grit")
    assert parsed.table["image_id"].to_pylist() == [1, 3]
    assert parsed.table["region_id"].to_pylist() == [[7, 6], []]
    assert parsed.table["box_xywh"].to_pylist()[0][0] == [1, 2, 3.5, 4]
    by_split = toy.parse(listed, "grit", "train")
    assert by_split.table["image_id"].to_pylist() == [1, 2]
    assert by_split.table["phrases"].to_pylist() == [[["b"], ["a"]], []]


def test_the_photo_is_looked_for_by_its_url_then_in_both_folders_then_in_one_for_all(toy: Toy, tmp_path: Path) -> None:
    toy.photos[0]["url"] = "https://elsewhere.example/other/3.jpg"
    toy.photos.append(toy.photo(4, "VG_100K"))
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("images/4.jpg", b"jpeg")
    toy.parts.append(FolderPart(list_members(tmp_path / "all.zip"), "images/"))
    table = toy.parse({1: [region(5)]}).table
    assert table["file_name"].to_pylist() == ["VG_100K_2/1.jpg", "VG_100K/2.jpg", "VG_100K_2/3.jpg", "4.jpg"]


def test_images_that_cannot_be_used_are_rejected_and_their_regions_still_count(toy: Toy) -> None:
    toy.photos += [toy.photo(4, "VG_100K"), toy.photo(5, "VG_100K"), toy.photo(5, "VG_100K_2")]
    listed = [
        {"image_id": 1, "regions": [region(1)]},
        {"image_id": 1, "regions": [region(2)]},
        {"image_id": 2, "regions": [{"region_id": "x"}]},
        {"image_id": 3, "objects": []},
        {"image_id": 4, "regions": [region(3)]},
        {"image_id": 404, "regions": [region(4)]},
    ]
    parsed = toy.parse(listed)
    assert parsed.table.num_rows == 0
    assert sorted(problems(parsed)) == [
        (1, -1, "annotation_duplicate"),
        (2, -1, "file_record_invalid"),
        (3, -1, "file_record_invalid"),
        (4, -1, "image_missing"),
        (5, -1, "image_id_duplicate"),
        (404, -1, "image_record_missing"),
    ]
    assert parsed.report.counts == {"images_listed": 6, "regions_listed": 4}  # 1 to 5, and 404


def test_regions_without_words_or_with_the_id_of_another_are_rejected_alone(toy: Toy) -> None:
    listed = {
        2: [region(5, "later"), region(8)],
        1: [region(5, "first"), region(6, None), region(7), region(7, "again")],
        3: [region(5)],
    }
    parsed = toy.parse(listed)
    assert parsed.table["region_id"].to_pylist() == [[5, 7], [8], []]
    assert parsed.table["phrases"].to_pylist() == [[["first"], ["a cup"]], [["a cup"]], []]
    assert parsed.table.schema.equals(visual_genome.TABLE)
    assert parsed.table["box_xywh"].to_pylist()[1] == [[1, 2, 3, 4]]
    assert problems(parsed) == [
        (1, 6, "phrase_missing"),
        (1, 7, "region_id_duplicate"),
        (2, 5, "region_id_duplicate"),
        (3, 5, "region_id_duplicate"),
    ]


def test_more_images_than_one_batch_keep_their_order_and_regions(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visual_genome, "_BATCH_IMAGES", 2)
    table = toy.parse({1: [region(1)], 2: [region(2), region(1)], 3: [region(3)]}).table
    assert table["image_id"].to_pylist() == [1, 2, 3]
    assert table["region_id"].to_pylist() == [[1], [2], [3]]


def test_a_bad_mask_costs_its_region_and_an_empty_one_only_the_mask(toy: Toy) -> None:
    pixels = np.zeros((10, 20), np.uint8, order="F")
    empty = pycoco.encode(pixels)["counts"].decode()
    pixels[2:5, 3:7] = 1
    good = pycoco.encode(pixels)["counts"]
    masks = [
        {"size": [10, 20], "counts": good.decode()},
        {"size": [10, 20], "counts": empty},
        {"size": [9, 9], "counts": "x"},
        None,
    ]
    parsed = toy.parse({1: [region(k, mask=one) for k, one in enumerate(masks)] + [region(4)]})
    report = Report()
    found = regions_of_first(parsed, report)
    assert found.region_id.tolist() == [0, 1, 3, 4]
    assert found.counts == [good, b"", b"", b""]
    assert found.area.tolist() == [12, 12, 12, 12]
    assert [(one.region_id, one.reason) for one in report.rejects] == [(2, "segmentation_invalid")]
    assert report.counts == {"masks_empty": 1, "masks_absent": 1}


def test_a_file_of_another_content_is_an_error_that_says_so(toy: Toy) -> None:
    with pytest.raises(AnnotationError, match=r"regions\.json: no image has 'objects'"):
        toy.parse([{"image_id": 1, "regions": []}], "objects")


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("image_data", b"{}", "not an image list"),
        ("image_data", b'[{"url": "x", "width": 1, "height": 1}]', "neither image_id nor id"),
        ("image_data", b'[{"url": "x", "width": 1, "height": 3000000000, "id": 1}]', "not an image list"),
        ("regions", b"", "not a list with the regions of each image"),
        ("regions", b'[{"regions": []}]', "neither image_id nor id"),
        ("splits", b"[1]", "not a list of image ids per split"),
    ],
)
def test_a_broken_file_is_an_error_that_names_it(toy: Toy, name: str, data: bytes, problem: str) -> None:
    with pytest.raises(AnnotationError, match=f"broken: .*{problem}"):
        toy.parse({1: []}, split="train", **{name: AnnotationFile("broken", data)})


def test_a_broken_grit_file_is_an_error(toy: Toy) -> None:
    box = {"id": 1, "image_id": 1, "caption": "x", "bbox": [1, 2, 3]}
    with pytest.raises(AnnotationError, match="not a COCO file with captions"):
        toy.parse({"images": [], "annotations": [box]}, "grit")
