"""ADE20K from its real maps, and SBU from the toy archives of the goldens."""

from __future__ import annotations

import io
import json
import re
import shutil
import zipfile
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from pycocotools import mask as pycoco

from official.expected import OfficialSet, Region, Row, Split
from official.files import write_tar, write_zip

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

UNASSIGNED = 32
FOLDERS = {"train": "training", "val": "validation"}


def pack_ade20k(folder: Path, shared: Path) -> OfficialSet:
    """Write ``ade20k/``; to the real files comes a photo without maps."""
    root = shared / "samples/ade20k/ADEChallengeData2016"
    challenge = {"ADEChallengeData2016/objectInfo150.txt": b"", "ADEChallengeData2016/sceneCategories.txt": b""}
    instances = {}
    for path in sorted(root.rglob("*.*")):
        name = str(path.relative_to(root))
        if name.startswith("annotations_instance/"):
            instances[name] = path.read_bytes()
        else:
            challenge[f"ADEChallengeData2016/{name}"] = path.read_bytes()
    some_photo = challenge["ADEChallengeData2016/images/validation/ADE_val_00000003.jpg"]
    challenge["ADEChallengeData2016/images/validation/ADE_val_00000999.jpg"] = some_photo
    write_zip(folder / "ade20k/ADEChallengeData2016.zip", challenge)
    write_tar(folder / "ade20k/annotations_instance.tar", instances)
    table = (shared / "samples/ade20k/tables/categoryMapping.txt").read_text().splitlines()[1:]
    of_instance = {int(instance): int(scene) - 1 for instance, scene, _ in map(str.split, table)}
    categories = json.loads((shared / "samples/metadata/ade20k_150_mask2former.json").read_bytes())
    names = [one["name"] for one in categories]
    splits = {}
    for split, part in FOLDERS.items():
        rows, rejects = [], []
        for path in sorted((root / "images" / part).iterdir()):
            maps = [
                np.asarray(Image.open(root / kind / part / f"{path.stem}.png"))
                for kind in ("annotations", "annotations_instance")
            ]
            image_id = int(re.findall(r"\d+", path.stem)[0])
            regions, hidden = _regions(*maps, of_instance, names)
            rows.append(Row(image_id, path.name, path.read_bytes(), maps[0].shape, regions))
            rejects += [(image_id, region_id, "stuff_hidden") for region_id in hidden]
        if split == "val":
            rejects.append((999, -1, "map_missing"))
        listed = len(rows) + (split == "val")
        splits[split] = Split(rows, listed, None, rejects, categories=names)
    return OfficialSet("ade20k_panoptic", splits)


def _regions(
    semantic: NDArray[np.uint8], instances: NDArray[np.uint8], of_instance: dict[int, int], names: list[str]
) -> tuple[list[Region], list[int]]:
    """The regions by id: instances, and of the other pixels one for each category; and ids of stuff that has none left."""
    number = instances[..., 1]
    things = set(of_instance.values())
    found, hidden = [], []
    for one in np.unique(number[number > 0]).tolist():
        (kind,) = np.unique(instances[..., 0][number == one])
        found.append((of_instance[int(kind)], one, number == one))
    for one in np.unique(semantic[semantic > 0]).tolist():
        mask = (semantic == one) & (number == 0)
        if mask.any():
            found.append((one - 1, 0, mask))
        elif one - 1 not in things:
            hidden.append(one * 1000)
    regions = []
    for category, one, mask in sorted(found, key=lambda region: region[:2]):
        encoded = pycoco.encode(np.asfortranarray(mask.astype(np.uint8)))
        is_rest = one == 0 and category in things
        box = tuple(pycoco.toBbox(encoded).tolist())
        counts = str(encoded["counts"], "ascii")
        region_id = (category + 1) * 1000 + one
        regions.append(Region(region_id, box, [names[category]], category, counts, is_rest, UNASSIGNED * is_rest))
    return regions, hidden


def pack_sbu(folder: Path, shared: Path) -> OfficialSet:
    """Copy ``sbu/``: of four captions one has no photo and one a photo that is none."""
    source = shared / "goldens/sca/inputs/archives/sbu"
    (folder / "sbu").mkdir(parents=True)
    for name in ("sbu.json", "images.zip"):
        shutil.copyfile(source / name, folder / "sbu" / name)
    captions = json.loads((source / "sbu.json").read_bytes())
    rows = []
    with zipfile.ZipFile(source / "images.zip") as photos:
        for place in (0, 3):
            name = captions[place]["image"]
            data = photos.read(name)
            width, height = Image.open(io.BytesIO(data)).size
            rows.append(
                Row(place, name, data, (height, width), [Region(place, (0, 0, width, height), [captions[place]["caption"]])])
            )
    rejects = [(1, -1, "image_missing"), (2, -1, "image_undecodable")]
    return OfficialSet("sbu", {"train": Split(rows, 4, 4, rejects, 2)})
