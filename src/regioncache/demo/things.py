"""What is built or grows.

Each stands with its foot at (x, y), drawn at ``metre`` pixels per metre.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from regioncache.demo.palette import (
    BRIGHT,
    GLASS,
    LEAF,
    PAINT,
    ROOF,
    RUBBER,
    WALL,
    WOOD,
    chance,
    choose,
    darker,
    left_or_right,
)

if TYPE_CHECKING:
    import numpy as np

    from regioncache.demo.canvas import Brush


def draw_car(brush: Brush, x: float, y: float, metre: float, rng: np.random.Generator) -> None:
    """A car from the side, 4.2 m long."""
    m, way = metre, left_or_right(rng)
    paint = choose(rng, PAINT)
    brush.canvas.shade(x, y, 2.5 * m, 0.35 * m)

    def at(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
        return [(x + way * across * m, y - up * m) for across, up in points]

    roof = rng.uniform(1.38, 1.62)
    brush.polygon(at([(-1.85, 0.9), (-1.3, roof - 0.06), (-1.0, roof), (0.35, roof), (0.62, roof - 0.08), (1.15, 0.9)]), paint)
    brush.polygon(at([(-1.6, 0.92), (-1.18, roof - 0.12), (-0.4, roof - 0.1), (-0.4, 0.92)]), GLASS, contrast=0.02)
    brush.polygon(at([(-0.3, 0.92), (-0.3, roof - 0.1), (0.42, roof - 0.12), (0.95, 0.92)]), GLASS, contrast=0.02)
    brush.polygon(at([(-1.3, roof - 0.18), (-0.9, roof - 0.14), (-1.25, 0.95), (-1.5, 0.95)]), (150, 170, 182), contrast=0.0)
    brush.polygon(
        at([(-2.1, 0.32), (-2.12, 0.8), (-1.9, 0.94), (1.2, 0.94), (1.95, 0.78), (2.12, 0.6), (2.1, 0.3), (-2.0, 0.24)]),
        paint,
    )
    brush.polygon(at([(-2.1, 0.34), (2.1, 0.34), (2.0, 0.24), (-2.0, 0.24)]), darker(paint, 0.5))
    brush.line((x - 2.0 * m, y - 0.7 * m), (x + 1.9 * m, y - 0.7 * m), 0.03 * m, darker(paint, 0.8))
    brush.line((x - way * 0.35 * m, y - 0.3 * m), (x - way * 0.35 * m, y - 0.92 * m), 0.02 * m, darker(paint, 0.6))
    for across in (-1.3, 1.3):
        brush.ellipse(x + across * m, y - 0.33 * m, 0.36 * m, 0.36 * m, RUBBER)
        brush.ellipse(x + across * m, y - 0.33 * m, 0.2 * m, 0.2 * m, (176, 178, 182))
    brush.ellipse(x + way * 2.0 * m, y - 0.66 * m, 0.1 * m, 0.09 * m, (255, 244, 206))
    brush.ellipse(x - way * 2.05 * m, y - 0.72 * m, 0.07 * m, 0.1 * m, (190, 24, 24))


def draw_house(brush: Brush, x: float, y: float, metre: float, rng: np.random.Generator) -> None:
    """A gabled house seen across a corner, 7 to 11 m wide."""
    m = metre
    half, wall, roof = rng.uniform(2.6, 4.0) * m, rng.uniform(2.8, 5.2) * m, rng.uniform(1.8, 3.0) * m
    deep = rng.uniform(2.0, 3.6) * m * left_or_right(rng)
    colour, tiles = choose(rng, WALL), choose(rng, ROOF)
    brush.canvas.shade(x + 0.4 * deep, y, 1.5 * half + 0.5 * abs(deep), 0.8 * m)
    edge = x + half if deep > 0 else x - half
    brush.polygon([(edge, y), (edge, y - wall), (edge + deep, y - wall), (edge + deep, y - 0.35 * m)], darker(colour, 0.72))
    brush.polygon(
        [(x - half, y), (x + half, y), (x + half, y - wall), (x, y - wall - roof), (x - half, y - wall)],
        colour,
        contrast=0.09,
    )
    eave = 0.4 * m if deep > 0 else -0.4 * m
    top, low = y - wall - roof, y - wall
    brush.polygon(
        [
            (x, top - 0.2 * m),
            (edge + eave, low + 0.2 * m),
            (edge + eave + deep, low + 0.2 * m),
            (x + deep, top - 0.2 * m),
        ],
        tiles,
        texture="wave",
        contrast=0.12,
    )
    for row in range(1, 7):
        t = row / 7
        start = x + t * (edge + eave - x)
        row_y = top + t * (low - top)
        brush.line((start, row_y), (start + deep, row_y), 0.04 * m, darker(tiles, 0.75))
    brush.line((x, top - 0.1 * m), (2 * x - edge - eave, low + 0.2 * m), 0.3 * m, darker(tiles, 0.85))
    chimney = x + 0.55 * deep
    brush.rectangle(chimney - 0.35 * m, top - 0.9 * m, chimney + 0.35 * m, top + 0.5 * m, (142, 84, 68), contrast=0.12)
    door = x + rng.uniform(-0.25, 0.25) * half
    brush.rectangle(door - 0.5 * m, y - 2.1 * m, door + 0.5 * m, y, choose(rng, BRIGHT))
    for floor in range(max(1, round(wall / (2.6 * m)))):
        for across in (-0.62, 0.62):
            _draw_window(brush, x + across * half, y - (1.7 + 2.6 * floor) * m, m)
    _draw_window(brush, x, y - wall - 0.25 * roof, 0.8 * m)
    _draw_window(brush, edge + 0.5 * deep, y - 1.8 * m, m)


def _draw_window(brush: Brush, x: float, y: float, m: float) -> None:
    brush.rectangle(x - 0.6 * m, y - 0.75 * m, x + 0.6 * m, y + 0.75 * m, (244, 242, 236))
    brush.rectangle(x - 0.48 * m, y - 0.62 * m, x + 0.48 * m, y + 0.62 * m, GLASS, contrast=0.03)
    brush.polygon([(x - 0.48 * m, y - 0.62 * m), (x, y - 0.62 * m), (x - 0.48 * m, y + 0.2 * m)], (150, 176, 194), contrast=0.0)
    brush.line((x, y - 0.6 * m), (x, y + 0.6 * m), 0.08 * m, (244, 242, 236))
    brush.line((x - 0.5 * m, y), (x + 0.5 * m, y), 0.08 * m, (244, 242, 236))


def draw_tree(brush: Brush, x: float, y: float, metre: float, rng: np.random.Generator) -> None:
    """A broad-leaved tree or a conifer, 4 to 9 m tall."""
    tall = rng.uniform(4.0, 9.0) * metre
    leaf = choose(rng, LEAF)
    trunk = 0.035 * tall
    brush.canvas.shade(x, y, 0.35 * tall, 0.06 * tall)
    if chance(rng, 0.35):
        brush.polygon([(x - trunk, y), (x + trunk, y), (x + trunk, y - 0.2 * tall), (x - trunk, y - 0.2 * tall)], WOOD)
        leaf = darker(leaf, 0.8)
        for tier in range(9):
            t = tier / 9
            radius = (0.23 - 0.2 * t) * tall
            middle = y - (0.2 + 0.76 * t) * tall
            brush.ellipse(x, middle, radius, 0.09 * tall, leaf, texture="leaf", contrast=0.3, rough=0.16, below=0.5)
        return
    bend = rng.uniform(-0.04, 0.04) * tall
    brush.polygon(
        [
            (x - 1.5 * trunk, y),
            (x + 1.5 * trunk, y),
            (x + bend + 0.6 * trunk, y - 0.6 * tall),
            (x + bend - 0.6 * trunk, y - 0.6 * tall),
        ],
        WOOD,
        texture="tuft",
        contrast=0.25,
    )
    for side in (-1, 1):
        brush.line((x + 0.5 * bend, y - 0.36 * tall), (x + side * 0.18 * tall, y - 0.58 * tall), 0.8 * trunk, WOOD)
    for blob in range(11):
        angle = 2.4 * blob + rng.uniform(0, 1)
        away = 0.19 * tall * (blob / 10) ** 0.5
        across, up = away * 1.25 * math.cos(angle), away * math.sin(angle)
        radius = rng.uniform(0.1, 0.17) * tall
        shade = darker(leaf, 0.78 + 0.3 * (0.5 + 0.5 * up / (0.2 * tall)))
        brush.ellipse(
            x + bend + across,
            y - 0.72 * tall - up,
            1.1 * radius,
            radius,
            shade,
            texture="leaf",
            contrast=0.26,
            rough=0.12,
        )


def draw_boat(brush: Brush, x: float, y: float, metre: float, rng: np.random.Generator) -> None:
    """A sailing boat, 6 m long, or a rowing boat."""
    m, way = metre, left_or_right(rng)
    hull, sail = choose(rng, BRIGHT), choose(rng, ((246, 242, 232), (232, 226, 206), (214, 96, 70), (70, 110, 160)))
    brush.canvas.shade(x, y + 0.1 * m, 3.4 * m, 0.4 * m)
    if chance(rng, 0.75):
        brush.line((x, y - 0.6 * m), (x, y - 7.6 * m), 0.12 * m, (88, 70, 52))
        billow = rng.uniform(0.2, 0.7) * m
        brush.polygon(
            [
                (x - way * 0.15 * m, y - 7.4 * m),
                (x - way * (1.5 * m + billow), y - 4.2 * m),
                (x - way * 2.7 * m, y - 1.3 * m),
                (x - way * 0.15 * m, y - 1.1 * m),
            ],
            sail,
            texture="tuft",
            contrast=0.04,
        )
        brush.polygon(
            [
                (x + way * 0.15 * m, y - 6.6 * m),
                (x + way * (1.2 * m + billow), y - 3.6 * m),
                (x + way * 2.6 * m, y - 1.1 * m),
                (x + way * 0.15 * m, y - 1.2 * m),
            ],
            darker(sail, 0.88),
            texture="tuft",
            contrast=0.04,
        )
    brush.polygon(
        [
            (x - 2.7 * m, y - 0.95 * m),
            (x + way * 3.2 * m, y - 1.15 * m),
            (x + 2.8 * m, y - 0.95 * m),
            (x + 2.0 * m, y),
            (x - 2.0 * m, y),
            (x - way * 2.9 * m, y - 0.95 * m),
        ],
        hull,
    )
    brush.line((x - 2.7 * m, y - 0.75 * m), (x + 2.7 * m, y - 0.75 * m), 0.14 * m, (244, 240, 230))


def draw_lamp(brush: Brush, x: float, y: float, metre: float, rng: np.random.Generator) -> None:
    """A street lamp, 4.5 m tall."""
    m = metre
    reach = rng.uniform(0.5, 0.9) * m * left_or_right(rng)
    brush.line((x, y), (x, y - 4.4 * m), 0.1 * m, (66, 70, 74))
    brush.rectangle(x - 0.12 * m, y - 0.6 * m, x + 0.12 * m, y, (56, 60, 62))
    brush.line((x, y - 4.35 * m), (x + reach, y - 4.5 * m), 0.08 * m, (66, 70, 74))
    brush.ellipse(x + reach, y - 4.46 * m, 0.3 * m, 0.11 * m, (250, 240, 206))


def draw_stone(brush: Brush, x: float, y: float, metre: float, rng: np.random.Generator) -> None:
    """A boulder."""
    m = metre * rng.uniform(0.5, 1.3)
    grey = rng.uniform(104, 150)
    brush.canvas.shade(x, y, 0.8 * m, 0.16 * m)
    brush.ellipse(
        x,
        y - 0.26 * m,
        0.6 * m,
        0.36 * m,
        (grey, 0.97 * grey, 0.92 * grey),
        texture="leaf",
        contrast=0.14,
        rough=0.08,
        below=0.75,
    )
    brush.ellipse(
        x + 0.35 * m,
        y - 0.14 * m,
        0.32 * m,
        0.2 * m,
        (0.9 * grey, 0.88 * grey, 0.84 * grey),
        texture="leaf",
        contrast=0.14,
        rough=0.08,
        below=0.75,
    )
