"""Open Images: made boxes and masks over real photos, the real classes, and each fault once."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from pycocotools import mask as pycoco

from official.expected import OfficialSet, Region, Row, Split
from official.files import photo_of, size_of, write_file, write_tar, write_tar_gz, write_zip

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

HEADER = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside"
CLICKS = ",".join(f"XClick{k}{axis}" for axis in "XY" for k in range(1, 5))
MASK_HEADER = "MaskPath,ImageID,LabelName,BoxID,BoxXMin,BoxXMax,BoxYMin,BoxYMax,PredictedIoU,Clicks"
IMAGE_HEADER = (
    "ImageID,Subset,OriginalURL,OriginalLandingURL,License,AuthorProfileURL,Author,Title,OriginalSize,OriginalMD5,"
    "Thumbnail300KURL,Rotation"
)
PHOTOS = (37777, 331352, 480985)
BOXES_NAMES = {"train": "oidv6-train-annotations-bbox.csv"}
IMAGES_NAMES = {"train": "train-images-boxable-with-rotation.csv"}
DIGITS = "0123456789abcdef"
TRAIN_TARS = (0, 1)
UNKNOWN_FLAGS = 256 + 512 + 1024 + 2048 + 4096


def signed(image: str) -> int:
    return int.from_bytes(bytes.fromhex(image), "big", signed=True)


def blob(size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """An ellipse."""
    y, x = np.mgrid[: size_hw[0], : size_hw[1]]
    inside = ((y / size_hw[0] - 0.5) / 0.3) ** 2 + ((x / size_hw[1] - 0.5) / 0.2) ** 2 < 1
    return inside.astype(np.uint8)


class _Made:
    """The files of one split and what they must become.

    Four images have photos, two of which are one photo: ``a`` with boxes and a photo of a mask's size, ``b`` with a negative
    number, ``c`` without boxes, ``d`` with a mask alone. Of the whole splits, ``e`` has no photo; ``f`` is not listed.
    """

    def __init__(self, shared: Path, split: str, digit: str, mids: list[str], names: list[str]) -> None:
        self.split, self.names = split, names
        self.ids = {one: f"{first}{digit}00000000000{one}00" for one, first in zip("abcdef", "1e27b3", strict=True)}
        photos = [photo_of(shared, one) for one in PHOTOS]
        self.photos = dict(zip("abcd", [photos[0], photos[1], photos[2], photos[0]], strict=True))
        more = ",0.1" * 8 if split == "train" else ""
        a, b, e, f = (self.ids[one] for one in "abef")
        self.lines = [
            f"{b},xclick,{mids[3]},1,0.0125,0.195312,0.148438,0.5875,0,1,0,0,0{more}",
            f"{a},activemil,{mids[600]},1,0.022673031,0.9642005,0.07103825,0.80054647,-1,-1,-1,-1,-1{more}",
            f"{a},xclick,{mids[0]},1,0.5,0.25,0.1,0.2,0,0,0,0,0{more}",  # its sides are the wrong way round
            f"{b},xclick,{mids[4]},1,0.4,0.9,0.12,0.475,1,0,1,1,0{more}",
            f"{a},xclick,/m/none,1,0.1,0.25,0.1,0.2,0,0,0,0,0{more}",
            f"not an id,xclick,{mids[0]},1,0.1,0.25,0.1,0.2,0,0,0,0,0{more}",
            f"{a},xclick,{mids[0]}",
            f"{f},xclick,{mids[0]},1,0.1,0.25,0.1,0.2,0,0,0,0,0{more}",
            f"{a},xclick,{mids[1]},1,0.5,0.5,0.1,0.2,0,0,0,0,1{more}",  # no width
            *([f"{e},xclick,{mids[0]},1,0.1,0.25,0.1,0.2,0,0,0,0,0{more}"] if split != "train" else []),
        ]
        self.masks = {
            f"{a}_m.png": (self.ids["a"], mids[600], (0.022673, 0.964201, 0.071038, 0.800546), size_of(photos[0])),
            f"{b}_m.png": (self.ids["b"], mids[3], (0.0125, 0.195312, 0.148438, 0.5875), (31, 47)),
            f"{self.ids['d']}_m.png": (self.ids["d"], mids[9], (0.25, 0.75, 0.2, 0.8), (100, 90)),
        }

    def boxes(self) -> str:
        header = f"{HEADER},{CLICKS}" if self.split == "train" else HEADER
        return "\n".join([header, *self.lines, ""])

    def images(self) -> str:
        listed = "abcde" if self.split != "train" else "abcd"
        lines = [
            f'{self.ids[one]},{self.split},http://{one},,,,"x, ""y""\nz",,,,,{"0.0" if one != "b" else ""}' for one in listed
        ]
        return "\n".join([IMAGE_HEADER, *lines, ""])

    def segmentation(self) -> str:
        lines = [
            f"{path},{image},{mid},01234567,{','.join(map(str, sides))},0.8,0.1 0.5 1;0.2 0.7 0"
            for path, (image, mid, sides, _) in self.masks.items()
        ]
        return "\n".join([MASK_HEADER, *lines, ""])

    def pngs(self) -> dict[str, bytes]:
        found = {}
        for path, (*_, size_hw) in self.masks.items():
            buffer = io.BytesIO()
            Image.fromarray(blob(size_hw) * 255).convert("1").save(buffer, "PNG")
            found[path] = buffer.getvalue()
        return found

    def expected(self, *, with_masks: bool) -> Split:
        whole = self.split != "train"
        regions: dict[str, list[Region]] = {
            "a": [self._region("a", 1, (0.022673031, 0.9642005, 0.07103825, 0.80054647), 600, UNKNOWN_FLAGS + 8192, with_masks)],
            "b": [
                self._region("b", 0, (0.0125, 0.195312, 0.148438, 0.5875), 3, 4, with_masks),
                self._region("b", 3, (0.4, 0.9, 0.12, 0.475), 4, 1 + 2 + 8, False),
            ],
            "c": [],
            "d": [self._region("d", len(self.lines) + 2, (0.25, 0.75, 0.2, 0.8), 9, UNKNOWN_FLAGS, True)] if with_masks else [],
        }
        rows = [
            Row(signed(self.ids[one]), f"{self.ids[one]}.jpg", self.photos[one], size_of(self.photos[one]), regions[one])
            for one in "abcd"
        ]
        rows.sort(key=lambda row: row.image_id)
        a, e, f = (signed(self.ids[one]) for one in "aef")
        rejects = [
            (a, 2, "box_invalid"),
            (a, 4, "category_unknown"),
            (-1, 5, "file_record_invalid"),
            (-1, 6, "file_record_invalid"),
            (f, -1, "image_record_missing"),
            (a, 8, "box_degenerate"),
            *([(e, -1, "image_missing")] if whole else []),
        ]
        listed = len(self.lines) + with_masks
        return Split(rows, 5 + whole, listed, rejects, 1 + whole, 1 if whole else 2, self.names)

    def _region(self, image: str, region_id: int, sides: tuple[float, ...], category: int, flags: int, with_mask: bool) -> Region:
        height, width = size_of(self.photos[image])
        x_min, x_max, y_min, y_max = sides
        box = (x_min * width, y_min * height, (x_max - x_min) * width, (y_max - y_min) * height)
        counts = ""
        if with_mask:
            data = self.pngs()[f"{self.ids[image]}_m.png"]
            mask = Image.open(io.BytesIO(data)).resize((width, height), Image.Resampling.NEAREST)
            counts = str(pycoco.encode(np.asfortranarray(np.asarray(mask, np.uint8)))["counts"], "ascii")
        return Region(region_id, box, [self.names[category]], category, counts, bool(flags & 1), flags)


def pack_openimages(folder: Path, shared: Path) -> list[OfficialSet]:
    """Write ``openimages/`` and the folders that FiftyOne leaves."""
    classes = (shared / "samples/openimages/class-descriptions/class-descriptions-boxable.normalised.csv").read_text()
    mids, names = zip(*(one.split(",", 1) for one in classes.splitlines()), strict=True)
    root = folder / "openimages"
    write_file(root / "class-descriptions-boxable.csv", classes.encode())
    made = {
        split: _Made(shared, split, digit, list(mids), list(names))
        for split, digit in (("train", "0"), ("validation", "1"), ("test", "2"))
    }
    for split, one in made.items():
        write_file(root / BOXES_NAMES.get(split, f"{split}-annotations-bbox.csv"), one.boxes().encode())
        write_file(root / IMAGES_NAMES.get(split, f"{split}-images-with-rotation.csv"), one.images().encode())
        write_file(root / f"{split}-annotations-object-segmentation.csv", one.segmentation().encode())
        for digit in DIGITS:
            pngs = {name: data for name, data in one.pngs().items() if name.startswith(digit)}
            write_zip(root / f"{split}-masks-{digit}.zip", pngs or {"none.txt": b""})
        photos = {f"{one.ids[key]}.jpg": data for key, data in one.photos.items()}
        if split != "train":
            write_tar_gz(root / f"{split}.tar.gz", {f"{split}/{name}": data for name, data in photos.items()})
            _write_folder(folder / "fiftyone" / split, one, classes, photos)
    # In the tars, photos come in any order, each with a JSON of its own.
    train = {f"{made['train'].ids[key]}.jpg": data for key, data in made["train"].photos.items()}
    tars = [("b", "a"), ("d", "c")]
    for number, keys in zip(TRAIN_TARS, tars, strict=True):
        members = {}
        for key in reversed(keys):
            name = f"{made['train'].ids[key]}.jpg"
            members |= {name: train[name], name.replace(".jpg", ".json"): b"{}"}
        write_tar(root / "train" / f"openimages-train-{number:06d}.tar", members)
    numbers = {"train_photos": TRAIN_TARS}
    return [
        OfficialSet("openimages", {split: one.expected(with_masks=False) for split, one in made.items()}, numbers),
        OfficialSet("openimages_masks", {split: one.expected(with_masks=True) for split, one in made.items()}, numbers),
        OfficialSet(
            "openimages_fiftyone", {split: one.expected(with_masks=True) for split, one in made.items() if split != "train"}
        ),
    ]


def _write_folder(folder: Path, made: _Made, classes: str, photos: dict[str, bytes]) -> None:
    """A folder as FiftyOne leaves it."""
    files = {
        "metadata/classes.csv": classes.encode(),
        "metadata/image_ids.csv": made.images().encode(),
        "labels/detections.csv": made.boxes().encode(),
        "labels/segmentations.csv": made.segmentation().encode(),
        **{f"labels/masks/{name[0].upper()}/{name}": data for name, data in made.pngs().items()},
        **{f"data/{name}": data for name, data in photos.items()},
    }
    for name, data in files.items():
        write_file(folder / name, data)
