"""Visual Genome: two archives of photos, an image list, and a file of every kind of annotation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from official.expected import Json, OfficialSet, Region, Row, Split, rle
from official.files import json_bytes, photo_of, resized, size_of, write_file, write_zip
from official.genome_records import (
    COCO_IDS,
    IN_SECOND_ARCHIVE,
    MISSING,
    NOT_LISTED,
    OBJECTS,
    QUESTIONS,
    REGIONS,
    RELATIONS,
    SPLITS,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from official.genome_records import Box

ANNOTATION_FILES = {
    "visual_genome": "region_descriptions.json",
    "visual_genome_objects": "objects.json",
    "visual_genome_attributes": "attributes.json",
    "visual_genome_relationships": "relationships.json",
    "visual_genome_question_answers": "question_answers.json",
    "visual_genome_masks": "mask_region_descriptions.json",
}


def pack_genome(folder: Path, shared: Path) -> list[OfficialSet]:
    """Write ``visual_genome/``; the main entry and its seven variants."""
    photos = _photos(shared)
    write_zip(
        folder / "visual_genome/images.zip",
        {_name(one): photo for one, photo in photos.items() if one not in (*IN_SECOND_ARCHIVE, MISSING)},
        0,
    )
    write_zip(folder / "visual_genome/images2.zip", {_name(one): photos[one] for one in IN_SECOND_ARCHIVE}, 0)
    write_file(folder / "visual_genome/densecap_splits.json", json_bytes(SPLITS))
    image_data = [_photo_record(one, photo) for one, photo in photos.items()]
    first_release = [{"id": one.pop("image_id"), **one} for one in map(dict, image_data)]
    _write_json_zip(folder, "image_data.json.zip", image_data)
    _write_json_zip(folder, "image_data_v1.json.zip", first_release)

    contents = {
        "visual_genome": _descriptions(),
        "visual_genome_objects": _objects(),
        "visual_genome_attributes": _attributes(),
        "visual_genome_relationships": _relationships(),
        "visual_genome_question_answers": _questions(photos),
        "visual_genome_masks": _masks(photos),
    }
    found = []
    for name, (document, regions, rejects) in contents.items():
        _write_json_zip(folder, f"{ANNOTATION_FILES[name]}.zip", document)
        found.append(OfficialSet(name, {one: _split(SPLITS[one], photos, regions, rejects) for one in SPLITS}))
    old = [{"id": one, "regions": [_old_region(*region) for region in some]} for one, some in REGIONS.items()]
    write_zip(folder / "visual_genome/region_descriptions_v1.json.zip", {"region_descriptions.json": json_bytes(old)})
    found.append(OfficialSet("visual_genome_v1_0", found[0].splits))
    found.append(_grit(folder, shared, photos))
    return found


def _photos(shared: Path) -> dict[int, bytes]:
    """By image id, in the order of the image list; in the sizes of the real records where records are real."""
    elephant = (shared / "samples/visual_genome/elephant.jpg").read_bytes()
    return {
        1: resized(elephant, (600, 800)),
        51: resized(photo_of(shared, 58636), (533, 800)),
        **{image_id: photo_of(shared, coco_id) for image_id, coco_id in COCO_IDS.items()},
        4: photo_of(shared, 226111),
        MISSING: photo_of(shared, 6818),
        7: photo_of(shared, 502136),
        8: photo_of(shared, 480985),
    }


def _name(image_id: int) -> str:
    return f"VG_100K{'_2' if image_id in IN_SECOND_ARCHIVE else ''}/{image_id}.jpg"


def _photo_record(image_id: int, photo: bytes) -> Json:
    height, width = size_of(photo)
    url = f"https://cs.stanford.edu/people/rak248/{_name(image_id)}"
    coco_id = COCO_IDS.get(image_id)
    return {"width": width, "url": url, "height": height, "image_id": image_id, "coco_id": coco_id, "flickr_id": None}


def _write_json_zip(folder: Path, name: str, document: Any) -> None:
    member = name.removesuffix(".zip").replace("_v1", "")
    write_zip(folder / "visual_genome" / name, {member: json_bytes(document)})


Content = tuple[list[Json], dict[int, list[Region]], list[tuple[int, int, str]]]


def _descriptions() -> Content:
    document = [
        {
            "id": image_id,
            "regions": [
                {
                    "region_id": region_id,
                    "image_id": image_id,
                    "phrase": texts[0] if len(texts) == 1 else texts,
                    **dict(zip(("x", "y", "width", "height"), box, strict=True)),
                }
                for region_id, box, texts in some
            ],
        }
        for image_id, some in REGIONS.items()
    ]
    return document, {one: [Region(*region) for region in some] for one, some in REGIONS.items()}, _degenerate()


def _degenerate() -> list[tuple[int, int, str]]:
    return [(7, 701, "box_degenerate")]


def _old_region(region_id: int, box: Box, texts: list[str]) -> Json:
    """A region as version 1.0 has it."""
    sides = dict(zip(("x", "y", "width", "height"), box, strict=True))
    return {"id": region_id, "image": 1, "phrase": texts[0] if len(texts) == 1 else texts, **sides}


def _masks(photos: Mapping[int, bytes]) -> Content:
    """The descriptions with a mask of each box but one, and none of no width."""
    document, regions, rejects = _descriptions()
    masked = {image_id: [*some] for image_id, some in regions.items()}
    for entry in document:
        size_hw = size_of(photos[entry["id"]])
        for k, region in enumerate(entry["regions"]):
            region["phrases"] = regions[entry["id"]][k].phrases
            del region["phrase"]
            region["mask"] = None
            x0, y0, x1, y1 = regions[entry["id"]][k].box_xyxy(size_hw).tolist()
            if region["region_id"] not in (1384, 701):
                counts = rle([[x0, y0, x1, y0, x1, y1, x0, y1]], size_hw)
                region["mask"] = {"size": list(size_hw), "counts": counts}
                one = regions[entry["id"]][k]
                masked[entry["id"]][k] = Region(one.region_id, one.box_xywh, one.phrases, counts=counts)
    return document, masked, rejects


def _object_record(object_id: int, box: Box, names: list[str]) -> Json:
    sides = dict(zip("xywh", box, strict=True))
    return {"object_id": object_id, **sides, "names": names, "synsets": [], "merged_object_ids": []}


def _objects() -> Content:
    document = [
        {"image_id": one, "image_url": "", "objects": [_object_record(*some[:3]) for some in objects]}
        for one, objects in OBJECTS.items()
    ]
    regions = {
        one: [Region(object_id, box, names) for object_id, box, names, _ in some if names] for one, some in OBJECTS.items()
    }
    return document, regions, [(2, 2002, "phrase_missing")]


def _attributes() -> Content:
    document = [
        {"image_id": one, "attributes": [{**_object_record(*some[:3]), "attributes": some[3]} for some in objects]}
        for one, objects in OBJECTS.items()
    ]
    regions = {
        one: [
            Region(object_id, box, [f"{attribute} {names[0]}" for attribute in attributes] or names)
            for object_id, box, names, attributes in some
            if names
        ]
        for one, some in OBJECTS.items()
    }
    return document, regions, [(2, 2002, "phrase_missing")]


def _relationships() -> Content:
    """An object without a name has none in a relationship either; a single name may stand alone there."""
    document, regions = [], {}
    for image_id, some in RELATIONS.items():
        records, found = [], []
        for relationship_id, predicate, *places in some:
            ends = [OBJECTS[image_id][place] for place in places]
            subject, thing = (_object_record(*end[:3]) for end in ends)
            thing["name"] = (thing.pop("names") or [None])[0]
            records.append({"relationship_id": relationship_id, "predicate": predicate, "subject": subject, "object": thing})
            (x, y, width, height), (u, v, w, h) = (end[1] for end in ends)
            left, top, right, bottom = min(x, u), min(y, v), max(x + width, u + w), max(y + height, v + h)
            if all(end[2] for end in ends):
                phrase = f"{ends[0][2][0]} {predicate} {ends[1][2][0]}"
                found.append(Region(relationship_id, (left, top, right - left, bottom - top), [phrase]))
        document.append({"image_id": image_id, "relationships": records})
        regions[image_id] = found
    return document, regions, [(2, 15928, "phrase_missing")]


def _questions(photos: Mapping[int, bytes]) -> Content:
    document, regions = [], {}
    for image_id, some in QUESTIONS.items():
        height, width = size_of(photos[image_id])
        document.append(
            {
                "id": image_id,
                "qas": [
                    {"qa_id": one, "image_id": image_id, "question": asked, "answer": said, "a_objects": [], "q_objects": []}
                    for one, asked, said in some
                ],
            }
        )
        regions[image_id] = [Region(one, (0, 0, width, height), [f"{asked} {said}"]) for one, asked, said in some]
    return document, regions, []


def _split(
    ids: list[int], photos: Mapping[int, bytes], regions: Mapping[int, list[Region]], rejects: list[tuple[int, int, str]]
) -> Split:
    """The images of a split; ``rejects`` are regions that are left out one by one, listed here or in ``regions``."""
    of_split = [one for one in rejects if one[0] in ids]
    left_out = {region_id for _, region_id, _ in of_split}
    kept = {one: [region for region in regions.get(one, []) if region.region_id not in left_out] for one in ids}
    usable = sorted(one for one in ids if one not in (MISSING, NOT_LISTED))
    rows = [Row(one, _name(one), photos[one], size_of(photos[one]), kept[one], COCO_IDS.get(one, -1)) for one in usable]
    reasons = {MISSING: "image_missing", NOT_LISTED: "image_record_missing"}
    lost = [(one, -1, reasons[one]) for one in ids if one in reasons]
    regions_lost = sum(len(kept[one]) for one, *_ in lost)
    listed = sum(map(len, kept.values())) + len(of_split)
    return Split(rows, len(ids), listed, [*of_split, *lost], regions_lost)


def _grit(folder: Path, shared: Path, photos: Mapping[int, bytes]) -> OfficialSet:
    """GRiT's file with its two real records for training, one of which is of a photo that the image list lacks."""
    fragment = json.loads((shared / "samples/visual_genome/grit_train_fragment.json").read_bytes())
    real = {one["image_id"]: one for one in fragment["annotations"]}
    made = {"iscrowd": 0, "area": 1, "category_id": 1}
    listed = {
        "train": (
            [2, 51, 4],
            [real[51], real[2396322], {**made, "id": 3, "image_id": 2, "bbox": [1, 2, 3.5, 4], "caption": "a"}],
        ),
        "test": ([7], [{**made, "id": 1, "image_id": 7, "bbox": [5.5, 6.5, 20.2, 21.9], "caption": "a thing"}]),
    }
    splits = {}
    for name, (ids, records) in listed.items():
        images = [{"id": one, "file_name": f"{one}.jpg"} for one in ids]
        document = {"images": images, "annotations": records, "categories": fragment["categories"]}
        write_file(folder / f"visual_genome/grit/{name}.json", json_bytes(document))
        regions: dict[int, list[Region]] = {}
        for one in records:
            regions.setdefault(one["image_id"], []).append(Region(one["id"], tuple(one["bbox"]), [one["caption"]]))
        rows = [
            Row(one, _name(one), photos[one], size_of(photos[one]), regions.get(one, []), COCO_IDS.get(one, -1))
            for one in sorted(ids)
        ]
        unknown = sorted(set(regions) - set(ids))
        rejects = [(one, -1, "image_record_missing") for one in unknown]
        splits[name] = Split(rows, len(ids) + len(unknown), len(records), rejects, len(unknown))
    return OfficialSet("visual_genome_grit", splits)
