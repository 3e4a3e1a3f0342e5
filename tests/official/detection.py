"""Objects365 and V3Det: real names of categories, made boxes, photos in series of archives."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from official.coco import tinycoco
from official.expected import Json, OfficialSet, coco_split
from official.files import json_bytes, photo_of, resized, write_file, write_tar_gz, write_zip

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# Objects365: name in the JSON, COCO photo; None for photos that no archive has.
TRAIN_PHOTOS = {
    "images/v2/patch9/objects365_v2_00900002.jpg": 37777,
    "images/v1/patch8/objects365_v1_00420917.jpg": 458054,
    "images/v2/patch9/objects365_v2_00900001.jpg": 331352,
    "images/v2/patch9/objects365_v2_00900003.jpg": 226111,
    "images/v1/patch6/objects365_v1_00320532.jpg": None,
    "images/v1/patch8/objects365_v1_00420999.jpg": None,
}
VAL_PHOTOS = {
    "images/v2/patch16/objects365_v2_00900011.jpg": 403385,
    "images/v1/patch0/objects365_v1_00000010.jpg": 480985,
    "images/v2/patch16/objects365_v2_00908726.jpg": None,
}
DEAD = ("patch6/objects365_v1_00320532.jpg", "patch16/objects365_v2_00908726.jpg", "Q494417/34_1125_10108827626_78b07f281b_c.jpg")

V3DET_PHOTOS = {
    "train": {
        "images/n07745046/21_371_29405651261_633d076053_c.jpg": 37777,
        "images/a00000066/4_1.jpg": 331352,
        "images/Q494417/34_1125_10108827626_78b07f281b_c.jpg": None,
        "images/Q1/8_z.jpg": 58636,
    },
    "val": {"images/a00000066/11_2.jpg": 480985, "images/n07745046/12_3.jpg": None},
}


def pack_objects365(folder: Path, shared: Path) -> OfficialSet:
    """Write ``objects365/``: tars of patches whose members lack the first folders that the JSON names."""
    fragment = json.loads((shared / "samples/objects365/zhiyuan_objv2_fragment.json").read_bytes())
    record = fragment["images"][0]
    photos = _photos(shared, {**TRAIN_PHOTOS, **VAL_PHOTOS})
    photos[record["file_name"]] = resized(photos[record["file_name"]], (record["height"], record["width"]))
    for path, names in (
        ("train/patch8.tar.gz", [record["file_name"]]),
        ("train/patch9.tar.gz", [one for one in TRAIN_PHOTOS if "patch9" in one]),
        ("val/v1/patch0.tar.gz", [one for one in VAL_PHOTOS if "patch0" in one]),
        ("val/v2/patch16.tar.gz", [one for one in VAL_PHOTOS if "patch16" in one and one in photos]),
    ):
        write_tar_gz(folder / "objects365" / path, {one.split("/", 2)[2]: photos[one] for one in names})

    sizes = {one["id"]: one for one in tinycoco(shared)["images"]}
    train = _document(TRAIN_PHOTOS, sizes, fragment["categories"])
    train["images"][list(TRAIN_PHOTOS).index(record["file_name"])].update(record)
    first, _, last, _, dead, missing = (one["id"] for one in train["images"])
    train["annotations"] = [
        _region(61, first, 1, (10.25, 20, 30, 40.5), iscrowd=1),
        _region(62, last, 365, (-3, 400, 30, 400), isfake=1),
        *fragment["annotations"],
        _region(63, first, 2, (5, 5, 50, 50), isreflected=1),
        _region(64, first, 2, (5, 5, 50, 50)),  # once more
        _region(65, first, 3, (5, 5, 50, 50)),
        _region(66, dead, 3, (5, 5, 50, 50)),
        _region(67, missing, 3, (5, 5, 50, 50)),
        _region(68, last, 3, (5, 5, 0, 50)),
    ]
    val = _document(VAL_PHOTOS, sizes, fragment["categories"])
    val["annotations"] = [_region(k, one["id"], 5, (1, 2, 3, 4)) for k, one in enumerate(val["images"], 1)]
    write_tar_gz(folder / "objects365/train/zhiyuan_objv2_train.tar.gz", {"zhiyuan_objv2_train.json": json_bytes(train)})
    write_file(folder / "objects365/val/zhiyuan_objv2_val.json", json_bytes(val))
    bad = {4: "duplicate_region", 8: "box_degenerate"}
    splits = {
        "train": coco_split(train, photos, bad_regions=bad, bad_images=_bad_images(train, photos), shards=2),
        "val": coco_split(val, photos, bad_regions={}, bad_images=_bad_images(val, photos)),
    }
    numbers = {"train_patch": (8, 9), "val_patch_v1": (0, 0), "val_patch_v2": (16, 16)}
    return OfficialSet("objects365", splits, numbers)


def pack_v3det(folder: Path, shared: Path) -> OfficialSet:
    """Write ``v3det/``: two zips, one with the folder that file names begin with and one without; and the tree."""
    names = (shared / "samples/v3det/category_name_13204_v3det_2023_v1.txt").read_text(encoding="utf-8").split("\n")
    categories = [{"id": k, "name": name, "name_zh": "", "novel": False} for k, name in enumerate(filter(None, names), 1)]
    photos = _photos(shared, {**V3DET_PHOTOS["train"], **V3DET_PHOTOS["val"]})
    first, *rest = sorted(photos)
    write_zip(folder / "v3det/00000.zip", {first: photos[first]}, 0)
    write_zip(folder / "v3det/00001.zip", {one.removeprefix("images/"): photos[one] for one in rest}, 0)
    tree = {
        "categoryid2treeid": {str(one["id"]): f"t{one['id']}" for one in categories},
        "treeid2categoryid": {f"t{one['id']}": str(one["id"]) for one in categories},
        "id2name": {"t0": "thing", **{f"t{one['id']}": one["name"] for one in categories}},
        "child2father": {f"t{one['id']}": "t0" for one in categories},
        "father2child": {"t0": [f"t{one['id']}" for one in categories]},
        "sameid": {},
    }
    write_file(folder / "v3det/v3det_2023_v1_category_tree.json", json_bytes(tree))
    sizes = {one["id"]: one for one in tinycoco(shared)["images"]}
    splits = {}
    for name, names_of in V3DET_PHOTOS.items():
        document = _document(names_of, sizes, categories)
        document["annotations"] = [
            _region(10 * place + k, one["id"], category, box)
            for place, one in enumerate(document["images"], 1)
            for k, (category, box) in enumerate([(13204, (1.5, 2.5, 33, 44.25)), (place, (100, 100, 1000, 1000))])
            if one["file_name"] != "images/Q1/8_z.jpg"
        ]
        write_file(folder / f"v3det/v3det_2023_v1_{name}.json", json_bytes(document))
        splits[name] = coco_split(document, photos, bad_regions={}, bad_images=_bad_images(document, photos))
    return OfficialSet("v3det", splits, {"images": (0, 1)})


def _photos(shared: Path, sources: dict[str, int | None]) -> dict[str, bytes]:
    return {name: photo_of(shared, one) for name, one in sources.items() if one is not None}


def _document(sources: dict[str, int | None], sizes: dict[int, Json], categories: list[Json]) -> Json:
    """Images numbered downwards, so that sorting shows; a photo that nobody has is said to be of some size."""
    images = []
    for place, (name, coco_id) in enumerate(sources.items()):
        size = {"width": 640, "height": 480} if coco_id is None else {key: sizes[coco_id][key] for key in ("width", "height")}
        images.append({"id": 900 - place, "file_name": name, "license": 1, "url": "", **size})
    return {"images": images, "annotations": [], "categories": categories}


def _region(region_id: int, image_id: int, category_id: int, box: Sequence[float], **flags: int) -> Json:
    area = box[2] * box[3]
    return {"id": region_id, "image_id": image_id, "category_id": category_id, "bbox": box, "area": area, "iscrowd": 0, **flags}


def _bad_images(document: Json, photos: dict[str, bytes]) -> dict[int, str]:
    absent = [one for one in document["images"] if one["file_name"] not in photos]
    return {one["id"]: "dead_upstream" if one["file_name"].endswith(DEAD) else "image_missing" for one in absent}
