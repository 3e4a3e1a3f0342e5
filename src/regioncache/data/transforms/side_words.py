"""Words that a mirror makes false."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from regioncache.data.region_sample import PhraseTokens
from regioncache.errors import ConfigError
from regioncache.schema import has_side_word

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from regioncache.data.region_sample import RegionSample

    # From phrases to their token ids, one after the other, and how many each has: int32 (t,), int32 (n,).
    Tokenize = Callable[[list[str]], tuple[NDArray[np.int32], NDArray[np.int32]]]


_LEFT_OR_RIGHT = re.compile(r"\b(left|right)(?=(?:most|hand|side|wards?)?\b)", re.IGNORECASE)
_UP_OR_DOWN = re.compile(
    r"\b(?:top|bottom|upper|lower|up|down|above|below|over|under|underneath|beneath|upside)(?:most|wards?)?\b", re.IGNORECASE
)


def has_up_down_word(phrase: str) -> bool:
    """Whether a vertical flip could make the phrase false."""
    return _UP_OR_DOWN.search(phrase) is not None


def swap_side_words(phrase: str) -> str:
    """The phrase with left for right and right for left, in the same case; also in leftmost, right-hand and the like."""
    return _LEFT_OR_RIGHT.sub(_other_side, phrase)


def _other_side(found: re.Match[str]) -> str:
    word = found[0]
    other = "right" if word.lower() == "left" else "left"
    if word.isupper():
        return other.upper()
    return other.capitalize() if word[0].isupper() else other


def flip_stays_true(captions: Sequence[str], *, horizontal: bool, vertical: bool, swap: bool) -> bool:
    """Whether all captions hold, or with ``swap`` can be made to hold, for the mirrored image."""
    if horizontal and not swap and any(map(has_side_word, captions)):
        return False
    return not (vertical and any(map(has_up_down_word, captions)))


def with_swapped_sides(sample: RegionSample, tokenize: Tokenize | None) -> RegionSample:
    """The sample with left and right swapped in its captions, and the tokens of those that changed made anew.

    Raises:
        ConfigError: the sample has tokens and there is no tokenizer to make them anew, or it makes another number.
    """
    if sample.tokens is not None and tokenize is None:
        raise ConfigError(
            "side_words='swap' changes captions, and the sample holds the token ids of the unchanged ones. Give"
            " tokenize=, a function from phrases to ids and lengths; or use side_words='skip'; or read without tokens"
        )
    captions = list(sample.captions)
    changed = [at for at, caption in enumerate(captions) if has_side_word(caption)]
    for at in changed:
        captions[at] = swap_side_words(captions[at])
    tokens = sample.tokens
    if tokens is not None and tokenize is not None and changed:
        ids, lengths = tokenize([captions[at] for at in changed])
        if len(lengths) != len(changed) or int(np.sum(lengths)) != len(ids):
            raise ConfigError(f"tokenize gave {len(lengths)} lengths and {len(ids)} ids for {len(changed)} phrases")
        tokens = tokens.replaced(np.array(changed, np.int64), PhraseTokens(np.asarray(ids), np.asarray(lengths)))
    return sample.with_captions(captions, tokens)
