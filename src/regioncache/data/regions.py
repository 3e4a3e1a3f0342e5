"""Which regions of an image become targets, in which order, and which phrase speaks for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class RegionChoice(NamedTuple):
    """Regions in the order wanted, int64 (m,), and for each the index of its phrase, int64 (m,)."""

    regions: NDArray[np.int64]
    phrases: NDArray[np.int64]


class RegionPolicy(Protocol):
    """Chooses regions and phrases of one image; a function of its arguments alone."""

    def choose(
        self, generator: np.random.Generator, box_xyxy: NDArray[np.float64], phrase_count: NDArray[np.int32]
    ) -> RegionChoice:
        """Choose.

        Args:
            generator: the sample's own generator.
            box_xyxy: float64 (n, 4), source pixels, cut to the image.
            phrase_count: int32 (n,), phrases of each region, at least one.
        """


@dataclass(frozen=True)
class ShuffledRegions:
    """The original's training rule: all regions in random order with a random phrase each, without degenerate boxes, cut.

    Args:
        max_regions: how many regions are kept at most.
        min_side_px: a box whose clipped width or height is not larger than this is dropped.
    """

    max_regions: int = 64
    min_side_px: float = 1e-5

    def choose(
        self, generator: np.random.Generator, box_xyxy: NDArray[np.float64], phrase_count: NDArray[np.int32]
    ) -> RegionChoice:
        """See ``RegionPolicy.choose``."""
        order = generator.permutation(len(box_xyxy))
        return self.keep(RegionChoice(order, generator.integers(0, phrase_count[order])), box_xyxy)

    def keep(self, drawn: RegionChoice, box_xyxy: NDArray[np.float64]) -> RegionChoice:
        """What is left of an order after degenerate boxes are dropped and the rest is cut.

        Args:
            drawn: all regions in random order, and the phrase of each.
            box_xyxy: float64 (n, 4), source pixels, cut to the image, in stored order.
        """
        sides = box_xyxy[drawn.regions, 2:] - box_xyxy[drawn.regions, :2]
        kept = np.flatnonzero((sides > self.min_side_px).all(1))[: self.max_regions]
        return RegionChoice(drawn.regions[kept], drawn.phrases[kept])
