"""COCO 2017: instances, captions and panoptic segments of the same archives of photos."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from typing import TYPE_CHECKING

from official.expected import Json, OfficialSet, Region, Row, Split, coco_split
from official.files import json_bytes, photo_of, size_of, write_zip
from pack_archives import PANOPTIC_ZIP, PanopticSplit, pack_panoptic

if TYPE_CHECKING:
    from pathlib import Path

TRAIN_IDS = [403385, 87038, 37777, 331352, 226111]
VAL_IDS = [502136, 296649, 58636]
MISSING_ID = 6818  # listed for training, and in no archive
PANOPTIC_IDS = {"train": [439180, 142238], "val": [439180]}
UNLISTED_ID = 1
MADE_ID = 990000000000

CAPTIONS = {
    "train": [
        (37777, 101, "A kitchen with a white refrigerator."),
        (331352, 102, "a bathroom with a toilet, café style "),
        (37777, 103, "Two windows above the sink on the left"),
        (87038, 104, "A group of people at a skate park."),
        (403385, 105, "A bathroom in white."),
        (MISSING_ID, 106, "A toilet in the missing photo."),
        (87038, 103, "An id that stands above."),
        (UNLISTED_ID, 107, "A photo that is not listed."),
    ],
    "val": [(502136, 1, "A photo of something."), (296649, 2, "A street with cars."), (296649, 3, "Traffic.\nTwo lines.")],
}


def file_name(image_id: int) -> str:
    return f"{image_id:012d}.jpg"


def pack_coco(folder: Path, shared: Path) -> list[OfficialSet]:
    """Write the archives of ``coco/``; ``coco_instance``, ``coco_caption`` and ``coco_panoptic``."""
    panoptic = _panoptic(shared)
    photos = {
        "train": {file_name(one): photo_of(shared, one) for one in (*TRAIN_IDS, *PANOPTIC_IDS["train"])},
        "val": {file_name(one): photo_of(shared, one) for one in (*VAL_IDS, *PANOPTIC_IDS["val"])},
    }
    pack_panoptic(
        folder / "packed",
        {name: PanopticSplit(document, photos[name], pngs) for name, (document, pngs) in panoptic.items()},
    )
    (folder / "coco").mkdir(exist_ok=True)
    for name in ("train2017.zip", "val2017.zip", PANOPTIC_ZIP):
        shutil.move(folder / "packed" / name, folder / "coco" / name)
    instances = _instances(shared)
    captions = _captions(instances)
    members = {f"annotations/instances_{name}2017.json": json_bytes(one) for name, one in instances.items()}
    members |= {f"annotations/captions_{name}2017.json": json_bytes(one) for name, one in captions.items()}
    write_zip(folder / "coco" / "annotations_trainval2017.zip", members)
    return [
        OfficialSet("coco_instance", {name: _instance_split(one, photos[name]) for name, one in instances.items()}),
        OfficialSet("coco_caption", {name: _caption_split(one, photos[name]) for name, one in captions.items()}),
        OfficialSet("coco_panoptic", {name: _panoptic_split(one, photos[name], shared) for name, (one, _) in panoptic.items()}),
    ]


def tinycoco(shared: Path) -> Json:
    """32 real photos' instances, as published."""
    document: Json = json.loads((shared / "samples/coco_instance/tinycoco/annotations/instances_train2017.json").read_bytes())
    return document


def _instances(shared: Path) -> dict[str, Json]:
    """The real records of some photos, and to those of the training photos some with a fault each, at the end."""
    document = tinycoco(shared)
    made = [
        {"image_id": 37777, "id": MADE_ID + 1, "bbox": [-12.5, -3, 40, 30.25], "category_id": 1},  # sticks out
        {"image_id": 37777, "id": MADE_ID + 2, "bbox": [400, 10, 20, 20], "category_id": 1},
        {"image_id": 331352, "id": MADE_ID + 1, "bbox": [1, 2, 30, 40], "category_id": 1},
        {"image_id": 331352, "id": MADE_ID + 3, "bbox": [1, 2, 30, 40], "category_id": 9999},
        {"image_id": UNLISTED_ID, "id": MADE_ID + 4, "bbox": [1, 2, 30, 40], "category_id": 1},
        {"image_id": 331352, "id": MADE_ID + 5, "bbox": [1, 2, 30, 40], "category_id": 1, "segmentation": [[1, 2, 30, 40]]},
    ]
    splits = {}
    for name, ids in (("train", [*TRAIN_IDS, MISSING_ID]), ("val", VAL_IDS)):
        annotations = [one for one in document["annotations"] if one["image_id"] in ids]
        if name == "train":
            annotations += [{"segmentation": [], "area": 100.0, "iscrowd": 0, **one} for one in made]
        splits[name] = {
            **document,
            "images": [one for one in document["images"] if one["id"] in ids],
            "annotations": annotations,
        }
    return splits


def _instance_split(document: Json, photos: dict[str, bytes]) -> Split:
    reasons = {2: "box_degenerate", 3: "category_unknown", 4: "region_without_image", 5: "polygon_too_short"}
    bad = {k: reasons[one["id"] - MADE_ID] for k, one in enumerate(document["annotations"]) if one["id"] - MADE_ID in reasons}
    doubled = [k for k, one in enumerate(document["annotations"]) if one["id"] == MADE_ID + 1]
    bad |= dict.fromkeys(doubled[1:], "region_id_duplicate")
    missing = {one["id"]: "image_missing" for one in document["images"] if one["file_name"] not in photos}
    shards = 2 if missing else 1
    return coco_split(document, photos, bad_regions=bad, bad_images=missing, is_coco=True, shards=shards)


def _captions(instances: dict[str, Json]) -> dict[str, Json]:
    return {
        name: {
            "images": document["images"],
            "annotations": [{"image_id": image_id, "id": one, "caption": text} for image_id, one, text in CAPTIONS[name]],
        }
        for name, document in instances.items()
    }


def _caption_split(document: Json, photos: dict[str, bytes]) -> Split:
    rows, rejects, lost = [], [], 0
    seen: set[int] = set()
    captions = defaultdict(list)
    listed = {one["id"] for one in document["images"]}
    for one in document["annotations"]:
        if one["id"] in seen or one["image_id"] not in listed:
            reason = "region_id_duplicate" if one["id"] in seen else "region_without_image"
            rejects.append((one["image_id"], one["id"], reason))
            continue
        seen.add(one["id"])
        captions[one["image_id"]].append(one)
    for image in sorted(document["images"], key=lambda image: image["id"]):
        image_id, size_hw = image["id"], (image["height"], image["width"])
        box = (0, 0, image["width"], image["height"])
        regions = [Region(one["id"], box, [one["caption"]]) for one in captions[image_id]]
        photo = photos.get(image["file_name"])
        if photo is None or not regions:
            rejects.append((image_id, -1, "image_missing" if photo is None else "no_regions"))
            lost += len(regions)
        else:
            rows.append(Row(image_id, image["file_name"], photo, size_hw, regions, image_id))
    return Split(rows, len(document["images"]), len(document["annotations"]), rejects, lost)


def _panoptic(shared: Path) -> dict[str, tuple[Json, dict[str, bytes]]]:
    """The document and the PNGs of each split."""
    sample = shared / "samples/coco_panoptic/panopticapi_sample"
    whole = json.loads((sample / "panoptic_examples.json").read_bytes())
    found = {}
    for name, ids in PANOPTIC_IDS.items():
        annotations = [one for one in whole["annotations"] if one["image_id"] in ids]
        images = [one for one in whole["images"] if one["id"] in ids]
        if name == "train":  # and a photo that nobody annotated
            images = [*(one for one in tinycoco(shared)["images"] if one["id"] == TRAIN_IDS[0]), *images]
        pngs = {one["file_name"]: (sample / "panoptic_examples" / one["file_name"]).read_bytes() for one in annotations}
        found[name] = {**whole, "images": images, "annotations": annotations}, pngs
    return found


def _panoptic_split(document: Json, photos: dict[str, bytes], shared: Path) -> Split:
    """Segments of the JSON with the masks that panopticapi's own converter makes of the PNG."""
    golden = shared / "goldens/panopticapi_panoptic2detection_coco_format/sample.json"
    converted = defaultdict(list)
    for one in json.loads(golden.read_bytes())["annotations"]:
        converted[one["image_id"]].append(one["segmentation"]["counts"])
    places = {one["id"]: k for k, one in enumerate(document["categories"])}
    names = [one["name"] for one in document["categories"]]
    rows = []
    for annotation in sorted(document["annotations"], key=lambda one: one["image_id"]):
        image_id = annotation["image_id"]
        regions = []
        for one, counts in zip(annotation["segments_info"], converted[image_id], strict=True):
            place = places[one["category_id"]]
            regions.append(Region(one["id"], tuple(one["bbox"]), [names[place]], place, counts, bool(one["iscrowd"])))
        photo = photos[file_name(image_id)]
        rows.append(Row(image_id, file_name(image_id), photo, size_of(photo), regions, image_id))
    annotated = {row.image_id for row in rows}
    rejects = [(one["id"], -1, "annotation_missing") for one in document["images"] if one["id"] not in annotated]
    listed = sum(len(one["segments_info"]) for one in document["annotations"])
    return Split(rows, len(document["images"]), listed, rejects, categories=names)
