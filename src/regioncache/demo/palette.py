"""Colours, and the small choices of chance that draw with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from regioncache.demo.canvas import Colour

BRIGHT: tuple[Colour, ...] = (
    (206, 52, 44),
    (238, 178, 40),
    (42, 98, 186),
    (48, 142, 84),
    (236, 236, 230),
    (128, 62, 140),
    (238, 120, 40),
    (40, 160, 176),
    (232, 128, 160),
)
PAINT: tuple[Colour, ...] = (
    (178, 30, 36),
    (34, 62, 120),
    (214, 216, 220),
    (46, 48, 54),
    (120, 128, 136),
    (28, 96, 92),
)
WALL: tuple[Colour, ...] = ((222, 208, 184), (196, 118, 92), (236, 232, 222), (214, 186, 120), (168, 184, 196))
ROOF: tuple[Colour, ...] = ((150, 68, 52), (96, 84, 84), (120, 84, 58), (72, 80, 96))
LEAF: tuple[Colour, ...] = ((66, 112, 42), (92, 128, 44), (48, 92, 50), (134, 126, 46), (150, 98, 40))
SKIN: tuple[Colour, ...] = ((236, 198, 166), (206, 156, 116), (146, 98, 68), (98, 66, 48))
HAIR: tuple[Colour, ...] = ((48, 34, 26), (110, 76, 42), (24, 22, 24), (190, 152, 92))
GLASS: Colour = (84, 108, 126)
RUBBER: Colour = (34, 34, 36)
WOOD: Colour = (108, 76, 50)


def choose(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    """One of ``colours``, slightly varied."""
    r, g, b = colours[rng.integers(len(colours))]
    change = rng.uniform(0.86, 1.12)
    return min(r * change, 250.0), min(g * change, 250.0), min(b * change, 250.0)


def darker(colour: Colour, factor: float = 0.7) -> Colour:
    """``colour`` times ``factor``."""
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


def chance(rng: np.random.Generator, probability: float) -> bool:
    """True with this probability."""
    return rng.uniform() < probability


def left_or_right(rng: np.random.Generator) -> int:
    """-1 or 1."""
    return 1 if chance(rng, 0.5) else -1
