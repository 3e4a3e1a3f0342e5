"""Scenes: which stuff lies where, which things stand on it, and the camera that sees them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFilter

from regioncache.demo import beings, things, toys
from regioncache.demo.backdrops import BACKDROPS, Place, Stage
from regioncache.demo.canvas import Canvas, Light
from regioncache.demo.palette import chance
from regioncache.demo.stuff import paint_sky
from regioncache.demo.textures import SIDE_PX

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from regioncache.demo.canvas import Brush, Segment
    from regioncache.demo.textures import Textures

    Draw = Callable[[Brush, float, float, float, np.random.Generator], None]

SIZES_HW = ((480, 640), (427, 640), (640, 480), (375, 500), (640, 427), (333, 500), (500, 375), (426, 640), (612, 612))
_SIZE_WEIGHTS = (0.27, 0.22, 0.13, 0.08, 0.1, 0.06, 0.05, 0.05, 0.04)
MIN_SEGMENTS, MAX_SEGMENTS = 8, 40

_LIGHTS = (
    Light((84, 142, 208), (200, 222, 238), (1.0, 1.0, 0.98), 1.0, 0.42),
    Light((60, 112, 190), (226, 232, 232), (1.04, 1.0, 0.94), -1.0, 0.5),
    Light((96, 112, 156), (246, 190, 132), (1.1, 0.96, 0.82), 1.0, 0.46),
    Light((150, 162, 176), (216, 220, 224), (0.96, 0.98, 1.0), -1.0, 0.22),
    Light((64, 70, 124), (236, 150, 128), (1.0, 0.86, 0.9), -1.0, 0.34),
)

_DRAW: dict[str, Draw] = {
    "person": beings.draw_person,
    "car": things.draw_car,
    "house": things.draw_house,
    "tree": things.draw_tree,
    "boat": things.draw_boat,
    "bird": beings.draw_bird,
    "sheep": beings.draw_sheep,
    "dog": beings.draw_dog,
    "ball": toys.draw_ball,
    "umbrella": toys.draw_umbrella,
    "kite": toys.draw_kite,
    "balloon": toys.draw_balloon,
    "street lamp": things.draw_lamp,
    "stone": things.draw_stone,
}
_UNLABELLED = {"stone"}
_FUZZY = {"tree", "sheep"}
_GREGARIOUS = {"person", "sheep"}
_SKY_SHARE = {"kite": (0.04, 0.14), "balloon": (0.04, 0.16), "bird": (0.025, 0.13)}
"""What flies, and its size as a part of the picture's height."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One drawn image.

    Attributes:
        rgb: uint8, shape (height, width, 3).
        label: uint8, shape (height, width): 0 for void, n for ``segments[n - 1]``.
        segments: all that were painted; some may be hidden.
    """

    rgb: NDArray[np.uint8]
    label: NDArray[np.uint8]
    segments: tuple[Segment, ...]


def draw_scene(seed: tuple[int, ...], textures: Textures, *, with_crowd: bool) -> Picture:
    """Draw one picture.

    Args:
        seed: of everything in it.
        textures: of ``make_textures``.
        with_crowd: whether one segment is a crowd.
    """
    rng = np.random.default_rng(seed)
    size_hw = SIZES_HW[rng.choice(len(SIZES_HW), p=_SIZE_WEIGHTS)]
    canvas = Canvas(size_hw, _LIGHTS[rng.integers(len(_LIGHTS))], textures, rng)
    stage = Stage(canvas, rng, canvas.height * rng.uniform(0.34, 0.54), rng.uniform(2.0, 4.2))
    paint_sky(canvas, cloudiness=rng.uniform(0.0, 0.75))
    places = BACKDROPS[rng.integers(len(BACKDROPS))](stage)
    _populate(stage, places, with_crowd=with_crowd)
    while np.count_nonzero(canvas.visible()[1:]) < MIN_SEGMENTS:
        _fly(stage, "bird")
    return Picture(_photograph(canvas, rng), canvas.label, tuple(canvas.segments))


def _photograph(canvas: Canvas, rng: np.random.Generator) -> NDArray[np.uint8]:
    """What a camera makes of the canvas: tint, vignette, a lens that is not quite sharp, and noise."""
    y = np.linspace(-1, 1, canvas.height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, canvas.width, dtype=np.float32)[None, :]
    vignette = 1.0 - 0.11 * (x * x + y * y)
    rgb = canvas.rgb * (vignette[..., None] * np.array(canvas.light.tint, np.float32))
    image = Image.fromarray(np.clip(rgb, 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.6))
    sharp = np.asarray(image, np.float32)
    red, green, blue, grey = (_sensor_noise(canvas, rng) for _ in range(4))
    noise = np.stack([grey + 0.6 * red, grey + 0.6 * green, grey + 0.6 * blue], axis=-1)
    return np.clip(sharp + rng.uniform(2.0, 3.6) * noise + 0.5, 0, 255).astype(np.uint8)


def _sensor_noise(canvas: Canvas, rng: np.random.Generator) -> NDArray[np.float32]:
    y, x = rng.integers(0, SIDE_PX, 2)
    rows = np.arange(y, y + canvas.height)[:, None] % SIDE_PX
    noise: NDArray[np.float32] = canvas.textures["sensor"][rows, np.arange(x, x + canvas.width) % SIDE_PX]
    return noise


def _populate(stage: Stage, places: list[Place], *, with_crowd: bool) -> None:
    """Hang things in the sky, then stand the others on the ground, the far ones first."""
    canvas, rng = stage.canvas, stage.rng
    shares = np.array([place.share for place in places])
    count = int(rng.integers(6, MAX_SEGMENTS - len(canvas.segments)))
    standing: list[tuple[float, str, bool]] = []
    for index in rng.choice(len(places), count, p=shares / shares.sum()):
        place = places[index]
        if place.kind in _SKY_SHARE:
            _fly(stage, place.kind)
        else:
            part = place.far + (place.near - place.far) * rng.uniform() ** 1.5
            standing.append((stage.row(part), place.kind, False))
    if with_crowd:
        crowds = [place for place in places if place.kind in _GREGARIOUS]
        place = crowds[rng.integers(len(crowds))]
        standing.append((stage.row(place.far + rng.uniform(0.05, 0.45) * (place.near - place.far)), place.kind, True))
    crowd: tuple[str, float, float] | None = None
    centres = rng.uniform(0.1, 0.9, 3)
    for y, kind, is_crowd in sorted(standing):
        alone = chance(rng, 0.5)
        x = canvas.width * (rng.uniform(0.02, 0.98) if alone else rng.normal(centres[rng.integers(3)], 0.1))
        if is_crowd:
            crowd = kind, float(np.clip(x, 0.15 * canvas.width, 0.85 * canvas.width)), y
            _gather(stage, *crowd)
            continue
        brush = canvas.brush(None if kind in _UNLABELLED else kind, haze=stage.haze(y))
        _DRAW[kind](brush, x, y, stage.metre_px(y), rng)
        if kind not in _FUZZY and chance(rng, 0.35):
            brush.void_border()
    seen = (segment.is_crowd for segment, area in zip(canvas.segments, canvas.visible()[1:], strict=True) if area)
    if crowd is not None and not any(seen):
        _gather(stage, *crowd)  # a house or a tree hid it: once more, in front


def _fly(stage: Stage, kind: str) -> None:
    canvas, rng = stage.canvas, stage.rng
    size_px = canvas.height * rng.uniform(*_SKY_SHARE[kind])
    x, y = rng.uniform(0.04, 0.96) * canvas.width, rng.uniform(0.08, 0.85) * stage.horizon_px
    _DRAW[kind](canvas.brush(kind), x, y, size_px, rng)


def _gather(stage: Stage, kind: str, x: float, y: float) -> None:
    """Many of a kind, close together, as one segment."""
    rng = stage.rng
    brush = stage.canvas.brush(kind, haze=stage.haze(y), is_crowd=True)
    metre = stage.metre_px(y)
    for row in np.sort(rng.uniform(-0.25, 0.25, int(rng.integers(10, 26)))):
        _DRAW[kind](brush, x + rng.normal(0, 2.2) * metre, y + row * metre, metre, rng)
