"""Which regions of an image become targets, in which order, and which phrase speaks for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

import numpy as np

from regioncache.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Crowd = Literal["ignore", "keep"]
CROWD_CHOICES = ("ignore", "keep")

_NO_REGIONS = np.zeros(0, np.int64)
_NO_REGIONS.flags.writeable = False


class RegionFacts(NamedTuple):
    """What a policy may know of the n regions of an image, in stored order. Arrays are not to be changed.

    Attributes:
        box_xyxy: float64 (n, 4), source pixels, cut to the image.
        phrase_count: int32 (n,), phrases of each region, at least one.
        area: float64 (n,), pixels of the mask, else as published.
        category_index: int32 (n,), dense category, -1 without one.
        is_crowd: bool (n,), one region for a group.
    """

    box_xyxy: NDArray[np.float64]
    phrase_count: NDArray[np.int32]
    area: NDArray[np.float64]
    category_index: NDArray[np.int32]
    is_crowd: NDArray[np.bool_]


class RegionChoice(NamedTuple):
    """What became of an image's regions.

    Attributes:
        regions: int64 (m,), the targets in the order wanted; a region may stand more than once.
        phrases: int64 (m,), for each the index of its phrase among those of its region.
        ignored: int64 (k,), regions that are no targets and no background either, such as crowds.
    """

    regions: NDArray[np.int64]
    phrases: NDArray[np.int64]
    ignored: NDArray[np.int64] = _NO_REGIONS


class RegionPolicy(Protocol):
    """Chooses regions and phrases of one image; a function of its arguments alone."""

    def choose(self, generator: np.random.Generator, facts: RegionFacts) -> RegionChoice:
        """Choose.

        Args:
            generator: the sample's own generator.
            facts: of the image's regions.
        """


def crowds_to_ignore(facts: RegionFacts, crowd: Crowd) -> NDArray[np.int64]:
    """The regions that a policy with this treatment of crowds sets aside, int64 (k,), in stored order."""
    return np.flatnonzero(facts.is_crowd) if crowd == "ignore" and facts.is_crowd.any() else _NO_REGIONS


@dataclass(frozen=True)
class ShuffledRegions:
    """The original's training rule: all regions in random order with a random phrase each, without degenerate boxes, cut.

    Args:
        max_regions: how many regions are kept at most.
        min_side_px: a box whose clipped width or height is not larger than this is dropped.
        crowd: ``ignore`` makes crowds no targets but the sample's ignored regions; ``keep`` trains on them as on any other
            region, as the original does.

    Raises:
        ConfigError: an argument cannot be used.
    """

    max_regions: int = 64
    min_side_px: float = 1e-5
    crowd: Crowd = "ignore"

    def __post_init__(self) -> None:
        check_count(self, "max_regions")
        check_size(self, "min_side_px")
        check_choice(self, "crowd", CROWD_CHOICES)

    def choose(self, generator: np.random.Generator, facts: RegionFacts) -> RegionChoice:
        """See ``RegionPolicy.choose``."""
        order = generator.permutation(len(facts.box_xyxy))
        return self.keep(RegionChoice(order, generator.integers(0, facts.phrase_count[order])), facts)

    def keep(self, drawn: RegionChoice, facts: RegionFacts) -> RegionChoice:
        """What is left of an order after degenerate boxes and crowds are taken out and the rest is cut.

        Args:
            drawn: all regions in random order, and the phrase of each.
            facts: of the image's regions.
        """
        is_wide, is_high = (facts.box_xyxy[:, 2:] - facts.box_xyxy[:, :2] > self.min_side_px).T
        usable = is_wide & is_high
        ignored = crowds_to_ignore(facts, self.crowd)
        usable[ignored] = False
        kept = np.flatnonzero(usable[drawn.regions])[: self.max_regions]
        return RegionChoice(drawn.regions[kept], drawn.phrases[kept], ignored)


def check_choice(policy: object, name: str, choices: tuple[str, ...]) -> None:
    """Refuse a field that is none of its choices."""
    value = getattr(policy, name)
    if value not in choices:
        raise ConfigError(f"{type(policy).__name__}: {name}={value!r} is none of {', '.join(choices)}")


def check_count(policy: object, name: str) -> None:
    """Refuse a field that is no whole number from 1 on."""
    value = getattr(policy, name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigError(f"{type(policy).__name__}: {name}={value!r} is no whole number from 1 on")


def check_size(policy: object, name: str) -> None:
    """Refuse a field that is no number from 0 on."""
    value = getattr(policy, name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < float("inf"):
        raise ConfigError(f"{type(policy).__name__}: {name}={value!r} is no number from 0 on")
