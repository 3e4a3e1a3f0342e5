"""Captions of regions, drawn from a small grammar: three to twelve words, few of them equal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_ADJECTIVES = [
    "small",
    "large",
    "red",
    "blue",
    "dark",
    "bright",
    "wooden",
    "wet",
    "old",
    "shiny",
    "striped",
    "round",
    "tall",
    "broken",
    "distant",
    "parked",
]
_NOUNS = [
    "dog",
    "cat",
    "horse",
    "bus",
    "bicycle",
    "bench",
    "umbrella",
    "window",
    "door",
    "table",
    "chair",
    "bottle",
    "kite",
    "boat",
    "tree",
    "fence",
    "wall",
    "road",
    "cloud",
    "lamp",
    "sign",
    "shirt",
    "helmet",
    "backpack",
    "laptop",
    "sandwich",
    "pillow",
    "mirror",
]
_RELATIONS = ["on the", "next to the", "behind the", "under a", "in front of the", "leaning against a", "above the"]
_DOINGS = ["standing", "lying", "covered in snow", "seen from above", "with its lights on", "half hidden", "in the sun"]


def draw_phrase(rng: np.random.Generator) -> str:
    """One caption."""
    adjective, noun, other, relation, doing = (
        words[rng.integers(len(words))] for words in (_ADJECTIVES, _NOUNS, _NOUNS, _RELATIONS, _DOINGS)
    )
    match rng.integers(4):
        case 0:
            return f"a {adjective} {noun}"
        case 1:
            return f"a {noun} {relation} {other}"
        case 2:
            return f"the {adjective} {noun} {doing} {relation} {other}"
        case _:
            return f"{adjective} {noun} {doing}"


def draw_phrases(count: int, rng: np.random.Generator) -> list[str]:
    """Captions, some of them equal."""
    return [draw_phrase(rng) for _ in range(count)]
