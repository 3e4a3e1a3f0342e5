"""Images of COCO's sizes with about 35 regions each, drawn by procedure; every store holds these."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import simplejpeg
from PIL import Image, ImageFilter

from benchmarks.phrases import draw_phrases
from regioncache.demo.scene import draw_scene
from regioncache.demo.textures import make_textures
from regioncache.geometry import FRAMES
from regioncache.panoptic_runs import label_runs

if TYPE_CHECKING:
    from numpy.typing import NDArray

COMMON_HW = 480, 640
_FEWEST, _MOST = 20, 50  # regions, 35 in the mean
_CROP_PX = 8
_QUALITIES = (88, 98)
_BRUSH_PX = 7
_FRAME_JPEG_QUALITY = 95


@dataclass(frozen=True, slots=True)
class Example:
    """One image and its n regions.

    Attributes:
        image_id: from 0.
        jpeg: the image, as a JPEG file of its own size.
        ids: uint32 (H, W), the panoptic id map; 0 is void.
        region_id: int64 (n,), the ids.
        box_xyxy: float32 (n, 4), source pixels.
        area: float64 (n,), pixels.
        counts: n COCO compressed RLEs.
        phrases: n captions.
    """

    image_id: int
    jpeg: bytes
    ids: NDArray[np.uint32]
    region_id: NDArray[np.int64]
    box_xyxy: NDArray[np.float32]
    area: NDArray[np.float64]
    counts: list[bytes]
    phrases: list[str]

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of the source."""
        return self.ids.shape[0], self.ids.shape[1]

    @property
    def box_in_frame(self) -> NDArray[np.float64]:
        """Boxes as the model takes them: float64 (n, 4), xyxy in the 1024 frame."""
        return self.box_xyxy.astype(np.float64) * FRAMES["sam"].scale_xyxy(*self.size_hw)


@dataclass(frozen=True, slots=True)
class Stored:
    """An image as one store keeps it: a JPEG file or RGB uint8 pixels, and its height and width."""

    data: bytes
    size_hw: tuple[int, int]


def stored_image(example: Example, kind: str) -> Stored:
    """The image of an example in one form.

    Args:
        example: the example.
        kind: ``none``, ``jpeg``, ``raw``; ``jpeg1024``, ``raw1024``: resized to the frame beforehand.
    """
    size_hw = example.size_hw
    if kind == "none":
        return Stored(b"", size_hw)
    if kind == "jpeg":
        return Stored(example.jpeg, size_hw)
    pixels = simplejpeg.decode_jpeg(example.jpeg, "RGB")
    if kind == "raw":
        return Stored(pixels.tobytes(), size_hw)
    framed_hw = FRAMES["sam"].resized_hw(*size_hw)
    framed = Image.fromarray(pixels).resize(framed_hw[::-1], Image.Resampling.BILINEAR)
    if kind == "raw1024":
        return Stored(framed.tobytes(), framed_hw)
    return Stored(_jpeg(framed, _FRAME_JPEG_QUALITY), framed_hw)


def draw_examples(count: int, scenes: int) -> list[Example]:
    """Draw ``count`` examples from ``scenes`` distinct pictures, flipped, cropped and encoded anew each time."""
    textures = make_textures(0)
    drawn = []
    for index in range(scenes):
        picture = draw_scene((0, index), textures, with_crowd=False)
        other = draw_scene((1, index), textures, with_crowd=False).label
        drawn.append((picture.rgb, _cut(picture.label, other)))
    return [_example(index, *drawn[index % scenes]) for index in range(count)]


def grid_example() -> Example:
    """A tiny image with 35 square regions, of which a large cache can be made quickly."""
    ids = np.kron(np.arange(1, 36, dtype=np.uint32).reshape(5, 7), np.ones((8, 8), np.uint32))
    pixels = np.repeat((ids * 7).astype(np.uint8)[..., None], 3, axis=2)
    return _annotated(0, pixels, ids, np.random.default_rng(4))


def panoptic_png(ids: NDArray[np.uint32]) -> bytes:
    """An id map as COCO's panoptic archives keep it: RGB with id = R + 256 G + 65536 B."""
    stream = io.BytesIO()
    Image.fromarray(np.stack([ids & 0xFF, ids >> 8 & 0xFF, ids >> 16], axis=-1).astype(np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def _cut(label: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Segments of one picture cut by the outlines of another, as smooth as an annotator's, numbered from 1."""
    height, width = label.shape
    outlines = Image.fromarray(other).resize((width, height), Image.Resampling.NEAREST)
    smooth = (np.asarray(image.filter(ImageFilter.ModeFilter(_BRUSH_PX))) for image in (Image.fromarray(label), outlines))
    of_label, of_other = smooth
    _, inverse = np.unique(of_label.astype(np.uint32) << 8 | of_other, return_inverse=True)
    numbered: NDArray[np.uint32] = inverse.reshape(height, width).astype(np.uint32) + 1
    return numbered


def _example(index: int, rgb: NDArray[np.uint8], cut: NDArray[np.uint32]) -> Example:
    rng = np.random.default_rng([2, index])
    top, bottom, left, right = rng.integers(0, _CROP_PX, 4)
    window = np.s_[top : len(rgb) - bottom, left : rgb.shape[1] - right]
    if rgb.shape[:2] == COMMON_HW:
        window = np.s_[:, :]
    mirror = np.s_[:, :: 1 if rng.integers(2) else -1]
    pixels, segments = rgb[window][mirror], cut[window][mirror]
    areas = np.bincount(segments.ravel())
    largest = np.argsort(areas)[::-1][: rng.integers(_FEWEST, _MOST + 1)]
    id_of = np.zeros(len(areas), np.uint32)
    kept = largest[areas[largest] > 0]
    id_of[kept] = rng.permutation(1 << 20)[: len(kept)] + 1
    ids = np.ascontiguousarray(id_of[segments])
    return _annotated(index, pixels, ids, rng)


def _annotated(image_id: int, pixels: NDArray[np.uint8], ids: NDArray[np.uint32], rng: np.random.Generator) -> Example:
    found = label_runs(ids).segments()
    return Example(
        image_id=image_id,
        jpeg=_jpeg(Image.fromarray(pixels), int(rng.integers(*_QUALITIES))),
        ids=ids,
        region_id=found.label.astype(np.int64),
        box_xyxy=found.box_xyxy.astype(np.float32),
        area=found.area.astype(np.float64),
        counts=found.counts,
        phrases=draw_phrases(len(found.counts), rng),
    )


def _jpeg(image: Image.Image, quality: int) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return stream.getvalue()
