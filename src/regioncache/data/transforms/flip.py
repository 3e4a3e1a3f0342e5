"""Mirroring, with captions that stay true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from regioncache.data.transforms.arguments import is_number, require
from regioncache.data.transforms.compose import Transform
from regioncache.data.transforms.side_words import flip_stays_true, with_swapped_sides

if TYPE_CHECKING:
    import numpy as np

    from regioncache.data.region_sample import RegionSample

Direction = Literal["horizontal", "vertical", "diagonal"]
SideWords = Literal["skip", "swap", "ignore"]

DIRECTIONS = ("horizontal", "vertical", "diagonal")
SIDE_WORD_CHOICES = ("skip", "swap", "ignore")


def flipped_truly(
    sample: RegionSample,
    *,
    horizontal: bool,
    vertical: bool,
    side_words: SideWords,
    tokenize: Any = None,  # noqa: ANN401  (a Tokenize)
) -> RegionSample:
    """The mirrored sample with true captions; or the sample itself where that cannot be.

    Args:
        sample: to be mirrored.
        horizontal: left becomes right.
        vertical: top becomes bottom.
        side_words: ``skip`` leaves an image as it is when a caption speaks of left or right (a horizontal flip) or of up or
            down (a vertical one); ``swap`` swaps left and right in the captions instead, while words of up and down, which
            have too many other meanings, still stop a vertical flip; ``ignore`` mirrors whatever the captions say.
        tokenize: for ``swap`` where the sample has tokens; see ``RandomFlip``.
    """
    if side_words != "ignore":
        swap = side_words == "swap"
        if not flip_stays_true(sample.captions, horizontal=horizontal, vertical=vertical, swap=swap):
            return sample
        if swap and horizontal:
            sample = with_swapped_sides(sample, tokenize)
    return sample.flipped(horizontal=horizontal, vertical=vertical)


@dataclass(frozen=True)
class RandomFlip(Transform):
    """Mirror at random.

    Args:
        prob: how likely a flip is; for several directions the sum, shared equally, or one number for each.
        direction: ``horizontal``, ``vertical``, ``diagonal`` (both at once), or several of these, of which at most one is done.
        side_words: ``skip``, ``swap`` or ``ignore``: what becomes of captions that the mirror makes false; see
            ``flipped_truly``. Skipped images lower the rate of flips by their share.
        tokenize: for ``swap`` where samples have tokens: ``(list of phrases) -> (ids, lengths)``, such as
            ``functools.partial(tokenizer.encode, template="sca", max_length=20)``. It must be what made the side-car.
    """

    prob: float | tuple[float, ...] = 0.5
    direction: Direction | tuple[Direction, ...] = "horizontal"
    side_words: SideWords = "skip"
    tokenize: Any = None

    def __post_init__(self) -> None:
        known = len(self._directions) > 0 and all(one in DIRECTIONS for one in self._directions)
        require(known, self, "direction", f"one or more of {', '.join(DIRECTIONS)}")
        if isinstance(self.prob, tuple):
            each = len(self.prob) == len(self._directions) and all(is_number(one, 0, 1) for one in self.prob)
            require(each and sum(self.prob) <= 1, self, "prob", "one number for each direction, 1 together at most")
        else:
            require(is_number(self.prob, 0, 1), self, "prob", "a number from 0 to 1")
        require(self.side_words in SIDE_WORD_CHOICES, self, "side_words", ", ".join(SIDE_WORD_CHOICES))
        require(self.tokenize is None or callable(self.tokenize), self, "tokenize", "a function of a list of phrases")

    @property
    def _directions(self) -> tuple[Direction, ...]:
        return self.direction if isinstance(self.direction, tuple) else (self.direction,)

    def apply(self, sample: RegionSample, generator: np.random.Generator) -> RegionSample:
        """See ``Transform.apply``."""
        directions = self._directions
        shares = self.prob if isinstance(self.prob, tuple) else (self.prob / len(directions),) * len(directions)
        drawn = generator.random()
        for direction, share in zip(directions, shares, strict=True):
            if drawn < share:
                return flipped_truly(
                    sample,
                    horizontal=direction != "vertical",
                    vertical=direction != "horizontal",
                    side_words=self.side_words,
                    tokenize=self.tokenize,
                )
            drawn -= share
        return sample
