"""Persons and animals.

Each stands with its foot at (x, y), drawn at ``metre`` pixels per metre.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from regioncache.demo.palette import BRIGHT, HAIR, PAINT, RUBBER, SKIN, choose, darker, left_or_right

if TYPE_CHECKING:
    import numpy as np

    from regioncache.demo.canvas import Brush


def draw_person(brush: Brush, x: float, y: float, metre: float, rng: np.random.Generator) -> None:
    """A standing or walking person, 1.5 to 1.85 m tall."""
    m = metre * rng.uniform(0.84, 1.03)
    stride, lean = rng.uniform(0.08, 0.3) * m, rng.uniform(-0.06, 0.06) * m
    trousers, shirt, skin = choose(rng, PAINT), choose(rng, BRIGHT), choose(rng, SKIN)
    brush.canvas.shade(x, y, 0.55 * m, 0.12 * m)
    for side in (-1, 1):
        foot = x + side * stride
        hip = x + side * 0.09 * m
        brush.polygon(
            [
                (hip - 0.11 * m, y - 0.86 * m),
                (hip + 0.11 * m, y - 0.86 * m),
                (foot + 0.08 * m, y),
                (foot - 0.08 * m, y),
            ],
            darker(trousers, 0.9 if side > 0 else 0.75),
        )
        brush.ellipse(foot + 0.05 * m, y - 0.03 * m, 0.14 * m, 0.06 * m, RUBBER)
    shoulder_y = y - 1.42 * m
    brush.polygon(
        [
            (x + lean - 0.22 * m, shoulder_y),
            (x + lean + 0.22 * m, shoulder_y),
            (x + 0.19 * m, y - 0.8 * m),
            (x - 0.19 * m, y - 0.8 * m),
        ],
        shirt,
        texture="tuft",
    )
    for side in (-1, 1):
        shoulder, elbow = x + lean + side * 0.22 * m, x + lean + side * rng.uniform(0.26, 0.42) * m
        hand_y = y - rng.uniform(0.75, 1.25) * m
        middle_y = y - 1.08 * m
        brush.line((shoulder, shoulder_y + 0.06 * m), (elbow, middle_y), 0.11 * m, darker(shirt, 0.85))
        brush.line((elbow, middle_y), (elbow + side * rng.uniform(-0.1, 0.2) * m, hand_y), 0.09 * m, skin)
    brush.rectangle(x + lean - 0.05 * m, y - 1.5 * m, x + lean + 0.05 * m, y - 1.4 * m, darker(skin, 0.9))
    brush.ellipse(x + lean, y - 1.61 * m, 0.115 * m, 0.145 * m, skin)
    brush.ellipse(x + lean, y - 1.66 * m, 0.13 * m, 0.12 * m, choose(rng, HAIR), texture="tuft", contrast=0.15, below=-0.15)


def draw_bird(brush: Brush, x: float, y: float, metre: float, rng: np.random.Generator) -> None:
    """A bird in flight, a metre across, gliding or flapping."""
    m = metre
    colour = choose(rng, ((70, 70, 78), (236, 238, 240), (52, 44, 40), (150, 152, 158)))
    lift, way = rng.uniform(-0.1, 0.32) * m, left_or_right(rng)
    for side in (-1, 1):
        brush.polygon(
            [
                (x - way * 0.08 * m, y),
                (x + side * 0.27 * m, y - lift - 0.12 * m),
                (x + side * 0.62 * m - way * 0.06 * m, y - 0.5 * lift),
                (x + side * 0.28 * m, y - lift + 0.01 * m),
                (x + way * 0.1 * m, y + 0.05 * m),
            ],
            darker(colour, 0.95 if side > 0 else 0.8),
        )
    brush.ellipse(x, y, 0.2 * m, 0.065 * m, colour)
    brush.ellipse(x + way * 0.19 * m, y - 0.03 * m, 0.06 * m, 0.055 * m, colour)
    brush.polygon(
        [(x + way * 0.23 * m, y - 0.05 * m), (x + way * 0.31 * m, y - 0.01 * m), (x + way * 0.23 * m, y)],
        (230, 170, 60),
    )


def draw_sheep(brush: Brush, x: float, y: float, metre: float, rng: np.random.Generator) -> None:
    """A grazing sheep, 1.1 m long."""
    m, way = metre * rng.uniform(0.8, 1.1), left_or_right(rng)
    wool = choose(rng, ((238, 232, 216), (226, 216, 196), (92, 80, 72)))
    face = choose(rng, ((58, 50, 46), (214, 200, 180)))
    brush.canvas.shade(x, y, 0.8 * m, 0.14 * m)
    for across in (-0.34, -0.2, 0.2, 0.34):
        brush.rectangle(x + across * m - 0.045 * m, y - 0.4 * m, x + across * m + 0.045 * m, y, darker(face, 0.9))
    brush.ellipse(x, y - 0.58 * m, 0.56 * m, 0.3 * m, wool, texture="leaf", contrast=0.12, rough=0.12)
    brush.ellipse(x - way * 0.12 * m, y - 0.66 * m, 0.36 * m, 0.25 * m, wool, texture="leaf", contrast=0.12, rough=0.12)
    down = rng.uniform(0.3, 0.8) * m
    brush.ellipse(x + way * 0.62 * m, y - down, 0.17 * m, 0.13 * m, face)
    brush.ellipse(x + way * 0.5 * m, y - down - 0.08 * m, 0.1 * m, 0.05 * m, darker(face, 0.8))


def draw_dog(brush: Brush, x: float, y: float, metre: float, rng: np.random.Generator) -> None:
    """A dog, 0.6 m tall."""
    m, way = metre, left_or_right(rng)
    coat = choose(rng, ((128, 86, 50), (44, 40, 40), (222, 206, 178), (176, 128, 74)))
    brush.canvas.shade(x, y, 0.55 * m, 0.1 * m)
    for across in (-0.3, -0.2, 0.22, 0.32):
        brush.line(
            (x + across * m, y - 0.35 * m),
            (x + (across + rng.uniform(-0.08, 0.08)) * m, y - 0.02 * m),
            0.09 * m,
            darker(coat, 0.8),
        )
    brush.line((x - way * 0.36 * m, y - 0.48 * m), (x - way * 0.6 * m, y - rng.uniform(0.5, 0.85) * m), 0.07 * m, coat)
    brush.ellipse(x, y - 0.44 * m, 0.42 * m, 0.16 * m, coat, texture="tuft", contrast=0.12)
    brush.line((x + way * 0.34 * m, y - 0.48 * m), (x + way * 0.46 * m, y - 0.66 * m), 0.16 * m, coat)
    brush.ellipse(x + way * 0.52 * m, y - 0.69 * m, 0.15 * m, 0.11 * m, coat)
    brush.ellipse(x + way * 0.65 * m, y - 0.66 * m, 0.09 * m, 0.06 * m, darker(coat, 0.8))
    brush.ellipse(x + way * 0.45 * m, y - 0.7 * m, 0.05 * m, 0.11 * m, darker(coat, 0.6))
