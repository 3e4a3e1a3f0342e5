"""What people play with, on the ground and in the air.

Each stands with its foot at (x, y), drawn at ``metre`` pixels per metre.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from regioncache.demo.palette import BRIGHT, choose, darker

if TYPE_CHECKING:
    import numpy as np

    from regioncache.demo.canvas import Brush


def draw_ball(brush: Brush, x: float, y: float, metre: float, rng: np.random.Generator) -> None:
    """A striped ball, 0.4 to 0.9 m across."""
    radius = rng.uniform(0.2, 0.45) * metre
    brush.canvas.shade(x, y, 1.3 * radius, 0.35 * radius)
    panels = (choose(rng, BRIGHT), int(rng.integers(3, 8)))
    brush.ellipse(x, y - radius, radius, radius, choose(rng, BRIGHT), panels=panels, contrast=0.03)
    shine = x + 0.35 * radius * brush.canvas.light.side
    brush.ellipse(shine, y - 1.45 * radius, 0.16 * radius, 0.12 * radius, (255, 255, 250), contrast=0.0)


def draw_umbrella(brush: Brush, x: float, y: float, metre: float, rng: np.random.Generator) -> None:
    """A parasol, 2.3 m tall."""
    m = metre
    brush.canvas.shade(x - 0.5 * m * brush.canvas.light.side, y, 1.3 * m, 0.25 * m)
    brush.line((x, y), (x, y - 2.2 * m), 0.07 * m, (222, 214, 200))
    panels = (choose(rng, BRIGHT), int(rng.integers(5, 10)))
    brush.ellipse(x, y - 1.75 * m, 1.3 * m, 0.6 * m, choose(rng, BRIGHT), panels=panels, below=0.0)


def draw_kite(brush: Brush, x: float, y: float, metre: float, rng: np.random.Generator) -> None:
    """A kite in four colours with a tail of bows, 1.5 m tall."""
    m, lean = metre, rng.uniform(-0.35, 0.35) * metre
    top, foot = (x + lean, y - 0.8 * m), (x - lean, y + 0.8 * m)
    left, right = (x - 0.5 * m, y - 0.25 * m - 0.4 * lean), (x + 0.5 * m, y - 0.25 * m + 0.4 * lean)
    middle = (x + 0.3 * lean, y - 0.25 * m)
    tail = foot
    for knot in range(1, 5):
        after = (foot[0] + rng.uniform(-0.25, 0.25) * m, foot[1] + 0.3 * knot * m)
        brush.line(tail, after, 0.035 * m, (70, 66, 70))
        brush.ellipse(*after, 0.11 * m, 0.06 * m, choose(rng, BRIGHT))
        tail = after
    first, second = choose(rng, BRIGHT), choose(rng, BRIGHT)
    for a, b, colour in ((top, left, first), (top, right, second), (foot, left, second), (foot, right, first)):
        brush.polygon([middle, a, b], colour)


def draw_balloon(brush: Brush, x: float, y: float, metre: float, rng: np.random.Generator) -> None:
    """A hot-air balloon, 2 m tall as it is seen, far off."""
    m = metre
    panels = (choose(rng, BRIGHT), int(rng.integers(7, 12)))
    colour = choose(rng, BRIGHT)
    for side in (-1, 1):
        brush.line((x + side * 0.4 * m, y - 0.1 * m), (x + side * 0.12 * m, y + 0.75 * m), 0.02 * m, (80, 66, 56))
    brush.polygon(
        [(x - 0.66 * m, y), (x + 0.66 * m, y), (x + 0.16 * m, y + 0.58 * m), (x - 0.16 * m, y + 0.58 * m)],
        darker(panels[0], 0.8),
    )
    brush.ellipse(x, y - 0.25 * m, 0.76 * m, 0.8 * m, colour, panels=panels, contrast=0.03)
    brush.rectangle(x - 0.14 * m, y + 0.72 * m, x + 0.14 * m, y + 0.92 * m, (122, 86, 52), contrast=0.15)
