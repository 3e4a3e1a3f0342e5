"""RefCOCO, RefCOCO+, RefCOCOg and RefCLEF: refs pickled as the authors did, over real instances and their photos."""

from __future__ import annotations

import json
import pickle
from collections import defaultdict
from typing import TYPE_CHECKING

from official.coco import tinycoco
from official.expected import Json, OfficialSet, Region, Row, Split, rle
from official.files import json_bytes, photo_of, write_zip

if TYPE_CHECKING:
    from pathlib import Path

MISSING_ID = 6818  # in no archive
# (split, COCO image id, which of the image's annotations, sentences)
Ref = tuple[str, int, int, list[str]]
UNC: list[Ref] = [
    ("train", 331352, 1, ["the toilet", "white seat to the left"]),
    ("train", 37777, 0, ["bowl of oranges"]),
    ("val", 403385, 0, ["sink, the big one"]),
    ("train", 37777, 3, ["the chair you can't see ", "chair"]),
    ("val", 439180, 2, ["person in the crowd"]),
    ("testA", 480985, 0, ["woman"]),
    ("testB", 491497, 1, ["rightmost thing"]),
    ("testAB", 296649, 25, ["of both, a crowd"]),
    ("train", 491497, 0, ["a photo of testB too"]),
    ("train", MISSING_ID, 0, ["a photo that is not there"]),
    ("train", 331352, 0, []),
]
GOOGLE: list[Ref] = [("train", 37777, 0, ["an orange"]), ("val", 480985, 0, ["a woman"]), ("test", 502136, 0, ["a thing"])]
PLUS: list[Ref] = [
    ("train", 37777, 1, ["the chair"]),
    ("train", 403385, 1, ["a photo of RefCOCO's val"]),
    ("val", 480985, 1, ["man"]),
    ("testA", 491497, 2, ["dark one"]),
    ("testB", 296649, 3, ["red"]),
]
UMD: list[Ref] = [
    ("train", 37777, 2, ["a chair that stands near the table in front of the window and more words than twenty tokens hold"]),
    ("train", 331352, 0, ["a sink"]),
    ("val", 403385, 0, ["a sink of white china"]),
    ("test", 480985, 2, ["a dog"]),
]
G_GOOGLE: list[Ref] = [
    ("train", 37777, 2, ["a chair"]),
    ("train", 403385, 0, ["a sink"]),
    ("val", 403385, 1, ["a toilet"]),
    ("train", 331352, 0, ["a sink again"]),
]
CLEF_UNC: list[Ref] = [
    ("train", 331352, 1, ["sky"]),
    ("train", 37777, 0, ["tree on left"]),
    ("val", 403385, 0, ["rock"]),
    ("testA", 480985, 1, ["man"]),
    ("testB", 491497, 0, ["lake"]),
    ("testBC", 296649, 4, ["hill"]),
]
BERKELEY: list[Ref] = [
    ("train", 37777, 0, ["tree"]),
    ("val", 331352, 0, ["house"]),
    ("test", 403385, 1, ["big rock", "the stone"]),
]

FILES = {
    "refcoco": {"unc": UNC, "google": GOOGLE},
    "refcoco_plus": {"unc": PLUS},
    "refcocog": {"umd": UMD, "google": G_GOOGLE},
    "refclef": {"unc": CLEF_UNC, "berkeley": BERKELEY},
}
FOLDERS = {"refcoco": "refcoco", "refcoco_plus": "refcoco+", "refcocog": "refcocog", "refclef": "refclef"}
# The entry's splits: authors, and the split of the refs.
SPLITS = {
    "refcoco": {one: ("unc", one) for one in ("train", "val", "testA", "testB")},
    "refcoco_plus": {one: ("unc", one) for one in ("train", "val", "testA", "testB")},
    "refcocog": {
        **{one: ("umd", one) for one in ("train", "val", "test")},
        **{f"google_{one}": ("google", one) for one in ("train", "val")},
    },
    "refclef": {
        **{one: ("unc", one) for one in ("train", "val", "testA", "testB", "testC")},
        **{f"berkeley_{one}": ("berkeley", one) for one in ("train", "val", "test")},
    },
}


def held_by() -> dict[int, list[str]]:
    """Who holds each photo beyond a training split; those of RefCLEF are none of COCO's."""
    holders: defaultdict[int, set[str]] = defaultdict(set)
    for name in ("refcoco", "refcoco_plus", "refcocog"):
        for authors, refs in FILES[name].items():
            for split, image_id, *_ in refs:
                if split != "train":
                    holders[image_id].add(f"{name}/{authors}/{split}")
    return {image_id: sorted(some) for image_id, some in holders.items()}


def pack_refer(folder: Path, shared: Path) -> list[OfficialSet]:
    """Write ``refer/`` and ``coco/train2014.zip``."""
    whole = tinycoco(shared)
    panoptic = json.loads((shared / "samples/coco_panoptic/panopticapi_sample/panoptic_coco_detection_format.json").read_bytes())
    for part in ("images", "annotations"):
        whole[part] += [one for one in panoptic[part] if one.get("image_id", one["id"]) == 439180 and _is_known(one, whole)]
    ids = {image_id for files in FILES.values() for refs in files.values() for _, image_id, *_ in refs}
    photos = {one: photo_of(shared, one) for one in sorted(ids - {MISSING_ID})}
    coco_photos = {f"COCO_train2014_{one:012d}.jpg": photo for one, photo in photos.items()}
    clef_photos = {_clef_name(one): photo for one, photo in photos.items()}
    write_zip(folder / "coco/train2014.zip", {f"train2014/{name}": photo for name, photo in coco_photos.items()}, 0)
    write_zip(folder / "refer/saiapr_tc-12.zip", {f"saiapr_tc-12/{name}": photo for name, photo in clef_photos.items()})
    found = []
    for name, files in FILES.items():
        is_clef = name == "refclef"
        wanted = {image_id for refs in files.values() for _, image_id, *_ in refs}
        instances = _instances(whole, wanted, is_clef=is_clef)
        refs = {authors: _refs(some, instances) for authors, some in files.items()}
        members = {f"{FOLDERS[name]}/instances.json": json_bytes(instances)}
        members |= {f"{FOLDERS[name]}/refs({authors}).p": pickle.dumps(some, 2) for authors, some in refs.items()}
        write_zip(folder / f"refer/{FOLDERS[name]}.zip", members)
        splits = {
            split: _split(refs[authors], of, instances, clef_photos if is_clef else coco_photos, is_coco=not is_clef)
            for split, (authors, of) in SPLITS[name].items()
        }
        found.append(OfficialSet(name, splits))
    return found


def _is_known(record: Json, whole: Json) -> bool:
    """Whether it is an image, or an annotation of one of the 80 categories; the panoptic sample has 133."""
    return "image_id" not in record or record["category_id"] in {one["id"] for one in whole["categories"]}


def _clef_name(image_id: int) -> str:
    return f"{image_id % 40:02d}/images/{image_id}.jpg" if image_id % 2 else f"{image_id}.jpg"


def _instances(whole: Json, wanted: set[int], *, is_clef: bool) -> Json:
    images = []
    sizes = {}
    for one in whole["images"]:
        if one["id"] in wanted:
            name = _clef_name(one["id"]) if is_clef else f"COCO_train2014_{one['id']:012d}.jpg"
            images.append({**one, "file_name": name})
            sizes[one["id"]] = one["height"], one["width"]
    annotations = [one for one in whole["annotations"] if one["image_id"] in wanted]
    if is_clef:  # a list of compressed run lengths for each region; here one for each polygon
        annotations = [{**one, "segmentation": _run_lengths(one, sizes[one["image_id"]])} for one in annotations]
    return {"info": {}, "images": images, "annotations": annotations, "categories": whole["categories"]}


def _run_lengths(annotation: Json, size_hw: tuple[int, int]) -> list[Json]:
    segmentation = annotation["segmentation"]
    parts = [[one] for one in segmentation] if isinstance(segmentation, list) else [segmentation]
    return [{"size": list(size_hw), "counts": rle(one, size_hw)} for one in parts]


def _refs(refs: list[Ref], instances: Json) -> list[Json]:
    """The records of a refs file; a sentence's ``raw`` is not its ``sent``, and ``file_name`` names no file."""
    found = []
    for ref_id, (split, image_id, place, sentences) in enumerate(refs, 40):
        annotation = [one for one in instances["annotations"] if one["image_id"] == image_id][place]
        found.append(
            {
                "sent_ids": list(range(len(sentences))),
                "file_name": f"COCO_train2014_{image_id:012d}_{place}.jpg",
                "ann_id": annotation["id"],
                "ref_id": ref_id,
                "image_id": image_id,
                "split": split,
                "sentences": [
                    {"tokens": one.split(), "raw": one.upper(), "sent_id": k, "sent": one} for k, one in enumerate(sentences)
                ],
                "category_id": annotation["category_id"],
            }
        )
    return found


def _split(refs: list[Json], split: str, instances: Json, photos: dict[str, bytes], *, is_coco: bool) -> Split:
    is_letter = split in ("testA", "testB", "testC")
    chosen = [one for one in refs if (split[-1] in one["split"] if is_letter else split == one["split"])]
    annotations = {one["id"]: one for one in instances["annotations"]}
    names = [one["name"] for one in instances["categories"]]
    places = {one["id"]: k for k, one in enumerate(instances["categories"])}
    images = {one["id"]: one for one in instances["images"]}
    rows, rejects, lost = [], [], 0
    for image_id in sorted({one["image_id"] for one in chosen}):
        image, regions = images[image_id], []
        size_hw = image["height"], image["width"]
        for ref in (one for one in chosen if one["image_id"] == image_id):
            annotation = annotations[ref["ann_id"]]
            if not ref["sentences"]:
                rejects.append((image_id, ref["ref_id"], "phrase_missing"))
                continue
            place = places[annotation["category_id"]]
            phrases = [one["sent"] for one in ref["sentences"]]
            counts = rle(annotation["segmentation"], size_hw)
            box = tuple(annotation["bbox"])
            regions.append(Region(ref["ref_id"], box, phrases, place, counts, bool(annotation["iscrowd"])))
        photo = photos.get(image["file_name"])
        if photo is None:
            rejects.append((image_id, -1, "image_missing"))
            lost += len(regions)
        else:
            rows.append(Row(image_id, image["file_name"], photo, size_hw, regions, image_id if is_coco else -1))
    images_listed = len({one["image_id"] for one in chosen})
    return Split(rows, images_listed, len(chosen), rejects, lost, categories=names)
