"""A policy whose parts are chosen one by one: which regions, how many, in which order, with which phrases."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from regioncache.data.regions import (
    CROWD_CHOICES,
    Crowd,
    RegionChoice,
    RegionFacts,
    RegionPolicy,
    ShuffledRegions,
    check_choice,
    check_count,
    check_size,
    crowds_to_ignore,
)
from regioncache.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_PICK_CHOICES = ("random", "largest", "smallest", "category")
_ORDER_CHOICES = ("stored", "random", "picked")
_PHRASE_CHOICES = ("first", "random", "all")


@dataclass(frozen=True)
class SelectedRegions:
    """Crowds and small regions are taken out, at most so many of the others are picked, ordered, and given their phrases.

    Args:
        at_most: how many regions are picked at most; None for all.
        pick: which ones: ``random``, each equally likely; ``largest`` or ``smallest`` by area, of equal ones the first
            stored; ``category``, as many of each category as of the others, where it has them: at random within each
            category, and at random which categories have one more.
        order: ``stored``; ``random``; or ``picked``: the largest first, the smallest first, or for ``category`` one of each
            category before the second of any.
        phrases: the ``first`` of each region; a ``random`` one; or ``all``, where a region stands once for each of its
            phrases, one after the other, and counts once towards ``at_most``.
        min_side_px: a region whose clipped box is narrower or lower than this is dropped; source pixels.
        min_area_px: a region whose area is smaller than this is dropped; source pixels.
        crowd: ``ignore`` makes crowds no targets but the sample's ignored regions; ``keep`` treats them as any other region.

    Raises:
        ConfigError: an argument cannot be used.
    """

    at_most: int | None = None
    pick: Literal["random", "largest", "smallest", "category"] = "random"
    order: Literal["stored", "random", "picked"] = "stored"
    phrases: Literal["first", "random", "all"] = "first"
    min_side_px: float = 1e-5
    min_area_px: float = 0.0
    crowd: Crowd = "ignore"

    def __post_init__(self) -> None:
        if self.at_most is not None:
            check_count(self, "at_most")
        check_choice(self, "pick", _PICK_CHOICES)
        check_choice(self, "order", _ORDER_CHOICES)
        check_choice(self, "phrases", _PHRASE_CHOICES)
        check_size(self, "min_side_px")
        check_size(self, "min_area_px")
        check_choice(self, "crowd", CROWD_CHOICES)

    def choose(self, generator: np.random.Generator, facts: RegionFacts) -> RegionChoice:
        """See ``RegionPolicy.choose``."""
        sides_px = facts.box_xyxy[:, 2:] - facts.box_xyxy[:, :2]
        usable = (sides_px >= self.min_side_px).all(1) & (facts.area >= self.min_area_px)
        ignored = crowds_to_ignore(facts, self.crowd)
        usable[ignored] = False
        picked = self._ranked(generator, np.flatnonzero(usable), facts)[: self.at_most]
        if self.order == "stored":
            picked = np.sort(picked)
        elif self.order == "random":
            picked = generator.permutation(picked)
        regions, phrases = self._spoken(generator, picked, facts.phrase_count[picked])
        return RegionChoice(regions, phrases, ignored)

    def _ranked(self, generator: np.random.Generator, usable: NDArray[np.int64], facts: RegionFacts) -> NDArray[np.int64]:
        """The usable regions, first those that are picked first."""
        if self.pick == "largest":
            return usable[np.argsort(-facts.area[usable], kind="stable")]
        if self.pick == "smallest":
            return usable[np.argsort(facts.area[usable], kind="stable")]
        drawn = generator.permutation(usable)
        return drawn if self.pick == "random" else drawn[_in_turn(generator, facts.category_index[drawn])]

    def _spoken(
        self, generator: np.random.Generator, picked: NDArray[np.int64], phrase_count: NDArray[np.int32]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The regions, each as often as it has phrases wanted, and the index of each one's phrase."""
        if self.phrases == "first":
            return picked, np.zeros(len(picked), np.int64)
        if self.phrases == "random":
            return picked, generator.integers(0, phrase_count)
        first = np.cumsum(phrase_count) - phrase_count
        return np.repeat(picked, phrase_count), np.arange(phrase_count.sum()) - np.repeat(first, phrase_count)


def _in_turn(generator: np.random.Generator, category_index: NDArray[np.int32]) -> NDArray[np.intp]:
    """An order in which one of each category comes before the second of any; the categories' own order is drawn."""
    categories, category, counts = np.unique(category_index, return_inverse=True, return_counts=True)
    by_category = np.argsort(category, kind="stable")
    turn = np.empty(len(category), np.int64)
    turn[by_category] = np.arange(len(category)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.lexsort((generator.permutation(len(categories))[category], turn))


_POLICIES: dict[str, type[ShuffledRegions | SelectedRegions]] = {
    "ShuffledRegions": ShuffledRegions,
    "SelectedRegions": SelectedRegions,
}


def region_policy(config: Mapping[str, Any]) -> RegionPolicy:
    """The policy that a configuration describes, such as ``{"type": "SelectedRegions", "at_most": 16, "pick": "largest"}``.

    Args:
        config: plain values, as YAML gives them: ``type`` names the policy, the other keys are its arguments.

    Raises:
        ConfigError: there is no such policy, it has no such argument, or a value cannot be used.
    """
    kind = config.get("type")
    policy = _POLICIES.get(kind) if isinstance(kind, str) else None
    if policy is None:
        raise ConfigError(f"regions: type={kind!r} is none of {', '.join(_POLICIES)}")
    arguments = {name: value for name, value in config.items() if name != "type"}
    known = [field.name for field in fields(policy)]
    unknown = sorted(map(str, arguments.keys() - set(known)))
    if unknown:
        raise ConfigError(f"regions: {kind} has no argument {', '.join(unknown)}; it has {', '.join(known)}")
    return policy(**arguments)
