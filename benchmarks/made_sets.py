"""The drawn images in the layouts of the datasets: what each source reads, from the same pictures."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
from PIL import Image

from benchmarks.examples import panoptic_png
from regioncache.catalog import Archive, Dataset, Folder, Licence, Member, Split

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from benchmarks.examples import Example

_CATEGORIES, _CAPTIONS, _THINGS = 80, 5, (8, 9, 11, 13)  # of ADE20K, a few that are things, by their place in its list


class MadeSet(NamedTuple):
    """One dataset's archives, and what they hold as it must be decoded by anybody.

    Attributes:
        dataset: the catalog entry; its archives lie under their paths in the folder of archives.
        texts: annotation files.
        maps: PNG files.
    """

    dataset: Dataset
    texts: list[bytes]
    maps: list[bytes]


def make_sets(examples: Sequence[Example], folder: Path) -> dict[str, MadeSet]:
    """Write the archives of every format into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    photos = {_name(one): one.jpeg for one in examples}
    _pack(folder / "photos.zip", photos)
    _pack(folder / "visual_genome.zip", {f"VG_100K/{one.image_id}.jpg": one.jpeg for one in examples})
    _pack(folder / "openimages.zip", {f"{one.image_id:016x}.jpg": one.jpeg for one in examples})
    _pack(folder / "sa1b.zip", {f"sa_{one.image_id}.jpg": one.jpeg for one in examples})
    makers: dict[str, Callable[[Sequence[Example]], dict[str, bytes]]] = {
        "coco_instance": lambda some: {"annotations": _instances(some)},
        "coco_captions": lambda some: {"annotations": _captions(some)},
        "objects365": lambda some: {"annotations": _boxes(some)},
        "v3det": lambda some: {"annotations": _boxes(some)},
        "openimages": _open_images,
        "sa1b": sa1b_lines,
        "visual_genome": _visual_genome,
        "refcoco": _refcoco,
        "table": lambda some: {"table": _json_lines(some)},
        "coco_panoptic": lambda some: {"annotations": _panoptic(some)},
        "ade20k_panoptic": lambda _: {},
    }
    pngs = {
        "coco_panoptic": {"panoptic": {_name(one, "png"): panoptic_png(one.ids) for one in examples}},
        "ade20k_panoptic": {
            "semantic": {_name(one, "png"): _semantic_png(one) for one in examples},
            "instances": {_name(one, "png"): _instance_png(one) for one in examples},
        },
    }
    made = {}
    for kind, make in makers.items():
        texts = make(examples)
        for file, text in texts.items():
            (folder / f"{kind}.{file}").write_bytes(text)
        for name, files in pngs.get(kind, {}).items():
            _pack(folder / f"{kind}.{name}.zip", files)
        maps = [png for files in pngs.get(kind, {}).values() for png in files.values()]
        made[kind] = MadeSet(_entry(kind, texts, list(pngs.get(kind, ()))), list(texts.values()), maps)
    return made


def _entry(kind: str, files: Sequence[str] | dict[str, bytes], folders: Sequence[str]) -> Dataset:
    photos = f"{kind}.zip" if kind in ("openimages", "sa1b", "visual_genome") else "photos.zip"
    archives = {"photos": Archive(path=photos, kind="zip", local=photos)}
    for file in files:
        archives[file] = Archive(path=f"{kind}.{file}", kind="file", local=f"{kind}.{file}")
    for name in folders:
        archives[name] = Archive(path=f"{kind}.{name}.zip", kind="zip", local=f"{kind}.{name}.zip")
    split = Split(
        shards=1,
        files={file: Member(archive=file) for file in files},
        folders={"images": Folder(archive="photos"), **{name: Folder(archive=name) for name in folders}},
        options={"split": "train"} if kind == "refcoco" else {},
    )
    return Dataset(
        name=kind,
        title=kind,
        format=kind,
        homepage="",
        licence=Licence(annotations="CC0 1.0", images="CC0 1.0"),
        citation="none",
        exif="ignore",
        task_type="recognition",
        archives=archives,
        splits={"train": split},
    )


def _name(example: Example, suffix: str = "jpg") -> str:
    return f"image_{example.image_id:08d}.{suffix}"


def _pack(path: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)


def _images(examples: Sequence[Example]) -> list[dict[str, Any]]:
    return [{"id": one.image_id, "file_name": _name(one), "height": one.size_hw[0], "width": one.size_hw[1]} for one in examples]


def _categories(count: int = _CATEGORIES) -> list[dict[str, Any]]:
    return [{"id": k + 1, "name": f"kind {k + 1}", "isthing": 1} for k in range(count)]


def _regions(examples: Sequence[Example]) -> list[tuple[Example, int, int, list[float]]]:
    """Every region: its example, its place there, its number in the set and its box, xywh."""
    found: list[tuple[Example, int, int, list[float]]] = []
    for one in examples:
        for k, (x1, y1, x2, y2) in enumerate(one.box_xyxy.tolist()):
            found.append((one, k, len(found) + 1, [x1, y1, x2 - x1, y2 - y1]))
    return found


def _instances(examples: Sequence[Example]) -> bytes:
    annotations = [
        {
            "id": number,
            "image_id": one.image_id,
            "category_id": number % _CATEGORIES + 1,
            "bbox": box,
            "area": one.area[k],
            "iscrowd": 0,
            "segmentation": _polygons(one, k),
        }
        for one, k, number, box in _regions(examples)
    ]
    return json.dumps({"images": _images(examples), "annotations": annotations, "categories": _categories()}).encode()


def _polygons(example: Example, region: int) -> list[list[float]]:
    mask = (example.ids == example.region_id[region]).astype(np.uint8)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_TC89_L1)
    polygons = [one.reshape(-1).astype(float).tolist() for one in outlines if len(one) >= 3]
    x1, y1, x2, y2 = example.box_xyxy[region].tolist()
    return polygons or [[x1, y1, x2, y1, x2, y2, x1, y2]]


def _boxes(examples: Sequence[Example]) -> bytes:
    annotations = [
        {
            "id": number,
            "image_id": one.image_id,
            "category_id": number % _CATEGORIES + 1,
            "bbox": box,
            "area": one.area[k],
            "iscrowd": 0,
        }
        for one, k, number, box in _regions(examples)
    ]
    return json.dumps({"images": _images(examples), "annotations": annotations, "categories": _categories()}).encode()


def _captions(examples: Sequence[Example]) -> bytes:
    annotations = [
        {"id": one.image_id * _CAPTIONS + k, "image_id": one.image_id, "caption": one.phrases[k]}
        for one in examples
        for k in range(_CAPTIONS)
    ]
    return json.dumps({"images": _images(examples), "annotations": annotations}).encode()


def _visual_genome(examples: Sequence[Example]) -> dict[str, bytes]:
    photos = [
        {
            "image_id": one["id"],
            "url": f"https://example.org/VG_100K/{one['id']}.jpg",
            "width": one["width"],
            "height": one["height"],
        }
        for one in _images(examples)
    ]
    regions: dict[int, list[dict[str, Any]]] = {one.image_id: [] for one in examples}
    for one, k, number, (x, y, width, height) in _regions(examples):
        regions[one.image_id].append(
            {
                "region_id": number,
                "image_id": one.image_id,
                "x": int(x),
                "y": int(y),
                "width": int(width),
                "height": int(height),
                "phrase": one.phrases[k],
            }
        )
    lists = [{"id": image_id, "regions": some} for image_id, some in regions.items()]
    return {"image_data": json.dumps(photos).encode(), "regions": json.dumps(lists).encode()}


def _refcoco(examples: Sequence[Example]) -> dict[str, bytes]:
    refs = [
        {
            "ref_id": number,
            "ann_id": number,
            "category_id": number % _CATEGORIES + 1,
            "image_id": one.image_id,
            "split": "train",
            "sentences": [{"sent_id": number, "sent": one.phrases[k], "raw": one.phrases[k], "tokens": one.phrases[k].split()}],
        }
        for one, k, number, _ in _regions(examples)
    ]
    return {"instances": _instances(examples), "refs": pickle.dumps(refs, protocol=2)}


def _json_lines(examples: Sequence[Example]) -> bytes:
    lines = [{"image": _name(one), "boxes": one.box_xyxy.tolist(), "phrases": one.phrases} for one in examples]
    return "\n".join(map(json.dumps, lines)).encode()


def _panoptic(examples: Sequence[Example]) -> bytes:
    annotations = [
        {
            "image_id": one.image_id,
            "file_name": _name(one, "png"),
            "segments_info": [
                {"id": int(region), "category_id": k % _CATEGORIES + 1, "iscrowd": 0, "area": int(area)}
                for k, (region, area) in enumerate(zip(one.region_id, one.area, strict=True))
            ],
        }
        for one in examples
    ]
    return json.dumps({"images": _images(examples), "annotations": annotations, "categories": _categories()}).encode()


def _semantic_png(example: Example) -> bytes:
    """Every second region a thing, the others stuff; ADE20K's own numbers start at 1."""
    return _png(_semantic_of(example))


def _semantic_of(example: Example) -> np.ndarray[Any, np.dtype[np.uint8]]:
    places = np.searchsorted(example.region_id, example.ids) + 1
    kinds = np.array(
        [_THINGS[k % len(_THINGS)] if k % 2 else 1 + k // 2 % 4 for k in range(len(example.region_id) + 2)], np.uint8
    )
    semantic: np.ndarray[Any, np.dtype[np.uint8]] = np.where(np.isin(example.ids, example.region_id), kinds[places], 0).astype(
        np.uint8
    )
    return semantic


def _instance_png(example: Example) -> bytes:
    semantic = _semantic_of(example)
    places = np.searchsorted(example.region_id, example.ids) + 1
    is_thing = np.isin(semantic, _THINGS)
    number = np.where(is_thing, places, 0).astype(np.uint8)
    kind = np.searchsorted(_THINGS, semantic).clip(0, len(_THINGS) - 1) + 1
    return _png(np.stack([np.where(is_thing, kind, 0).astype(np.uint8), number, number * 0], axis=-1))


def _png(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def sa1b_lines(examples: Sequence[Example]) -> dict[str, bytes]:
    """The masks and the captions of images as SA1B-Cap has them, a line per region each."""
    annotations, captions = [], []
    for one, k, _, box in _regions(examples):
        region_id, size = int(one.region_id[k]), list(one.size_hw)
        key = f"{one.image_id}-{k}-{region_id}"
        mask = {"size": size, "counts": one.counts[k].decode()}
        record = {"id": region_id, "bbox": box, "area": float(one.area[k]), "image_size": size, "segmentation": mask}
        annotations.append(f"{key}\t{json.dumps({**record, **_SAM})}\n")
        captions.append(f"{key}\t{json.dumps([{'caption': one.phrases[k], 'conf': 0.5}])}\n")
    return {"annotations": "".join(annotations).encode(), "captions": "".join(captions).encode()}


_SAM = {"predicted_iou": 0.97, "stability_score": 0.96, "crop_box": [0, 0, 640, 480], "point_coords": [[320.5, 240.5]]}


def _open_images(examples: Sequence[Example]) -> dict[str, bytes]:
    lines = ["ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside"]
    for one, _, number, (x, y, width, height) in _regions(examples):
        sides = x / one.size_hw[1], (x + width) / one.size_hw[1], y / one.size_hw[0], (y + height) / one.size_hw[0]
        shares = ",".join(f"{side:.6f}" for side in sides)
        lines.append(f"{one.image_id:016x},xclick,/m/{number % _CATEGORIES},1,{shares},0,0,0,0,0")
    classes = "".join(f"/m/{k},kind {k}\n" for k in range(_CATEGORIES))
    return {"boxes": ("\n".join(lines) + "\n").encode(), "classes": classes.encode()}
