"""Backdrops: four landscapes, each of several kinds of stuff, and where things may stand in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from regioncache.demo.canvas import Brush, Canvas
from regioncache.demo.palette import chance
from regioncache.demo.stuff import paint_glitter, paint_ground, paint_ridge, scatter, wavy_edge

if TYPE_CHECKING:
    from regioncache.demo.canvas import Colour

_FLOWERS: list[Colour] = [(236, 196, 52), (226, 82, 96), (240, 240, 232), (168, 104, 190)]


@dataclass(frozen=True, slots=True)
class Place:
    """Where things of one kind may stand: rows as parts of the ground between horizon and foot of the picture."""

    kind: str
    share: float
    near: float = 1.0
    far: float = 0.04


@dataclass(slots=True)
class Stage:
    """A canvas with a camera: at ``camera_m`` above the ground, looking level."""

    canvas: Canvas
    rng: np.random.Generator
    horizon_px: float
    camera_m: float

    def metre_px(self, y: float) -> float:
        """Pixels per metre of what stands at row ``y``: the pinhole camera's own law."""
        return max(y - self.horizon_px, 1.0) / self.camera_m

    def row(self, part: float) -> float:
        """The row that lies this part of the way from the horizon to the foot of the picture."""
        return self.horizon_px + part * (self.canvas.height - self.horizon_px)

    def haze(self, y: float) -> float:
        """How much of the horizon's colour covers what stands at row ``y``."""
        return float(0.45 * np.exp(-9.0 * (y - self.horizon_px) / self.canvas.height))


def _meadow(stage: Stage) -> list[Place]:
    canvas, rng = stage.canvas, stage.rng
    if chance(rng, 0.8):
        _mountains(stage)
    if chance(rng, 0.7):
        _forest(stage)
    grass = canvas.brush("grass")
    edge = wavy_edge(grass, stage.row(0.0), 0.008 * canvas.height)
    paint_ground(grass, stage.horizon_px, edge, (112, 142, 58), (150, 164, 106), texture="tuft", contrast=0.13)
    if chance(rng, 0.5):
        _winding_road(stage)
    if chance(rng, 0.6):
        flowers = canvas.brush("flowers")
        scatter(flowers, stage.row(0.2), stage.horizon_px, _FLOWERS, count=int(rng.integers(40, 140)), on=grass.label)
    if chance(rng, 0.5):
        _fence(stage, stage.row(rng.uniform(0.12, 0.35)))
    return [
        Place("house", 0.1, 0.3, 0.1),
        Place("tree", 0.22, 0.45),
        Place("sheep", 0.22, 0.9, 0.1),
        Place("person", 0.14, 0.95, 0.08),
        Place("dog", 0.05, 0.95, 0.25),
        Place("ball", 0.06, 1.0, 0.3),
        Place("stone", 0.06, 0.9, 0.1),
        Place("kite", 0.06),
        Place("balloon", 0.05),
        Place("bird", 0.08),
    ]


def _coast(stage: Stage) -> list[Place]:
    canvas, rng = stage.canvas, stage.rng
    if chance(rng, 0.6):
        _mountains(stage, rise=0.02)
    shore = stage.row(rng.uniform(0.22, 0.45))
    sea = _water(stage, "sea", (34, 98, 128), (96, 150, 172))
    sand = canvas.brush("sand")
    edge = wavy_edge(sand, shore, 0.012 * canvas.height, tilt_px=rng.uniform(-60, 60))
    wet = edge - 0.012 * canvas.height
    surf = Brush(canvas, sea.label)
    paint_ground(surf, stage.horizon_px, wet, (238, 240, 236), (238, 240, 236), texture="leaf", contrast=0.05)
    paint_ground(sand, stage.horizon_px, edge, (214, 188, 140), (206, 184, 146), texture="grain", contrast=0.05)
    afloat = (shore - stage.horizon_px) / (canvas.height - stage.horizon_px) - 0.08
    return [
        Place("boat", 0.2, max(afloat, 0.06), 0.02),
        Place("umbrella", 0.16, 0.85, afloat + 0.2),
        Place("person", 0.26, 0.95, afloat + 0.15),
        Place("dog", 0.04, 0.95, afloat + 0.2),
        Place("ball", 0.08, 1.0, afloat + 0.2),
        Place("stone", 0.06, 0.9, afloat + 0.1),
        Place("kite", 0.1),
        Place("bird", 0.1),
    ]


def _street(stage: Stage) -> list[Place]:
    canvas, rng = stage.canvas, stage.rng
    if chance(rng, 0.4):
        _mountains(stage)
    if chance(rng, 0.7):
        _skyline(stage)
    else:
        _forest(stage)
    grass = canvas.brush("grass")
    edge = wavy_edge(grass, stage.row(0.0), 0.004 * canvas.height)
    paint_ground(grass, stage.horizon_px, edge, (104, 128, 60), (146, 156, 112), texture="tuft", contrast=0.12)
    pavement, road = canvas.brush("pavement"), canvas.brush("road")
    kerb, far_kerb = stage.row(rng.uniform(0.72, 0.86)), stage.row(rng.uniform(0.16, 0.24))
    flat = np.full(canvas.width, 1.0, np.float32)
    walk = stage.row(0.1) * flat
    paint_ground(pavement, stage.horizon_px, walk, (176, 172, 166), (182, 180, 176), texture="grain", contrast=0.07)
    paint_ground(road, stage.horizon_px, far_kerb * flat, (98, 98, 102), (130, 130, 134), texture="grain", contrast=0.1)
    middle = stage.horizon_px + ((kerb - stage.horizon_px) * (far_kerb - stage.horizon_px)) ** 0.5
    dash = 1.6 * stage.metre_px(middle)
    for start in np.arange(-rng.uniform(0, 2) * dash, canvas.width, 2.2 * dash):
        road.rectangle(start, middle, start + dash, middle + 0.1 * dash, (226, 224, 214), contrast=0.08)
    paint_ground(pavement, stage.horizon_px, kerb * flat, (176, 172, 166), (182, 180, 176), texture="grain", contrast=0.07)
    slab = stage.metre_px(kerb)
    pavement.rectangle(0, kerb, canvas.width, kerb + 0.12 * slab, (206, 204, 198))
    return [
        Place("house", 0.12, 0.1, 0.05),
        Place("tree", 0.14, 0.14, 0.05),
        Place("car", 0.26, 0.68, 0.22),
        Place("person", 0.22, 1.0, 0.86),
        Place("person", 0.06, 0.15, 0.1),
        Place("street lamp", 0.08, 0.16, 0.11),
        Place("dog", 0.04, 0.98, 0.86),
        Place("ball", 0.04, 1.0, 0.8),
        Place("bird", 0.06),
        Place("balloon", 0.03),
    ]


def _lake(stage: Stage) -> list[Place]:
    canvas, rng = stage.canvas, stage.rng
    _mountains(stage, rise=0.06)
    _forest(stage)
    _water(stage, "water", (52, 88, 92), (126, 152, 160))
    bank = stage.row(rng.uniform(0.3, 0.5))
    grass = canvas.brush("grass")
    edge = wavy_edge(grass, bank, 0.02 * canvas.height, tilt_px=rng.uniform(-90, 90))
    paint_ground(grass, stage.horizon_px, edge, (104, 134, 62), (128, 146, 84), texture="tuft", contrast=0.14)
    if chance(rng, 0.6):
        flowers = canvas.brush("flowers")
        scatter(flowers, bank + 0.1 * canvas.height, stage.horizon_px, _FLOWERS, count=60, on=grass.label)
    ashore = (bank - stage.horizon_px) / (canvas.height - stage.horizon_px)
    return [
        Place("boat", 0.14, max(ashore - 0.12, 0.06), 0.03),
        Place("tree", 0.16, ashore + 0.25, ashore + 0.08),
        Place("sheep", 0.2, 0.95, ashore + 0.1),
        Place("person", 0.18, 0.95, ashore + 0.1),
        Place("dog", 0.06, 0.95, ashore + 0.15),
        Place("umbrella", 0.05, 0.9, ashore + 0.15),
        Place("stone", 0.08, 0.95, ashore + 0.05),
        Place("bird", 0.1),
        Place("balloon", 0.05),
    ]


def _mountains(stage: Stage, rise: float = 0.05) -> None:
    canvas, rng = stage.canvas, stage.rng
    far = canvas.brush("mountain", haze=0.6)
    near = Brush(canvas, far.label, 0.35)
    base = stage.horizon_px - rng.uniform(0.06, 0.12) * canvas.height
    paint_ridge(
        far,
        base,
        1.3 * rise * canvas.height,
        (112, 116, 128),
        texture="rock",
        outline="cloud",
        snow=chance(rng, 0.6),
    )
    base = stage.horizon_px - 0.03 * canvas.height
    paint_ridge(near, base, 0.8 * rise * canvas.height, (96, 108, 84), texture="rock", outline="cloud")


def _forest(stage: Stage) -> None:
    canvas, rng = stage.canvas, stage.rng
    brush = canvas.brush("forest", haze=0.2)
    base = stage.horizon_px - rng.uniform(0.015, 0.045) * canvas.height
    paint_ridge(brush, base, 0.012 * canvas.height, (62, 88, 52), texture="leaf", outline="leaf")


def _water(stage: Stage, category: str, near: Colour, far: Colour) -> Brush:
    canvas = stage.canvas
    water = canvas.brush(category)
    level = np.full(canvas.width, stage.row(0.0), np.float32)
    mixed = tuple(0.5 * a + 0.5 * b for a, b in zip(far, canvas.light.sky_low, strict=True))
    paint_ground(water, stage.horizon_px, level, near, (mixed[0], mixed[1], mixed[2]), texture="wave", contrast=0.16)
    paint_glitter(canvas, water.label)
    return water


def _skyline(stage: Stage) -> None:
    """Blocks of flats along the horizon, one segment."""
    canvas, rng = stage.canvas, stage.rng
    brush = canvas.brush("building", haze=0.18)
    x = -rng.uniform(0, 40)
    while x < canvas.width:
        wide, tall = rng.uniform(0.06, 0.16) * canvas.width, rng.uniform(0.08, 0.26) * canvas.height
        grey = rng.uniform(120, 190)
        warm = rng.uniform(0.86, 1.0)
        top = stage.horizon_px - tall
        brush.rectangle(x, top, x + wide, stage.horizon_px + 2, (grey, grey * warm, grey * warm * 0.96))
        step = rng.uniform(9, 14)
        for row in np.arange(top + 6, stage.horizon_px - 6, step):
            for column in np.arange(x + 5, x + wide - 7, step):
                lit = chance(rng, 0.12)
                glass = (232, 206, 130) if lit else (74, 88, 104)
                brush.rectangle(column, row, column + 0.4 * step, row + 0.5 * step, glass)
        x += wide + rng.uniform(-4, 14)


def _winding_road(stage: Stage) -> None:
    canvas, rng = stage.canvas, stage.rng
    road = canvas.brush("road")
    swing, start = rng.uniform(-1.2, 1.2), rng.uniform(0.25, 0.75)
    left, right = [], []
    for part in np.linspace(0.0, 1.0, 24) ** 2:
        middle = canvas.width * (start + 0.35 * swing * np.sin(2.6 * (1.0 - part)) * (1.0 - part) + 0.1 * swing * part)
        half = 1.9 * stage.metre_px(stage.row(part))
        left.append((middle - half, stage.row(part)))
        right.append((middle + half, stage.row(part)))
    road.polygon(left + right[::-1], (172, 152, 122), texture="grain", contrast=0.09)


def _fence(stage: Stage, y: float) -> None:
    brush = stage.canvas.brush("fence", haze=stage.haze(y))
    metre = stage.metre_px(y)
    wood = (146, 118, 88)
    for up in (0.45, 0.9):
        brush.line((0, y - up * metre), (stage.canvas.width, y - up * metre), 0.09 * metre, wood)
    for x in np.arange(0.4 * metre, stage.canvas.width, 1.6 * metre):
        brush.rectangle(x - 0.07 * metre, y - 1.15 * metre, x + 0.07 * metre, y, wood, contrast=0.15)


BACKDROPS = (_meadow, _coast, _street, _lake)
