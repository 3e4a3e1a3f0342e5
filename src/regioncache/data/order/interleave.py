"""The original's order: ``interleave_datasets`` of Hugging Face ``datasets``, index for index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

StoppingStrategy = Literal["first_exhausted", "all_exhausted"]
_DRAWN_AT_ONCE = 1000


def interleaved(
    lengths: Sequence[int], probabilities: Sequence[float] | None, seed: int, stopping_strategy: StoppingStrategy
) -> NDArray[np.int64]:
    """Flat indices in the order of ``interleave_datasets`` for map-style datasets.

    Without probabilities round robin: turn i takes row i mod n_j of every source j; there are max n_j turns
    (``all_exhausted``) or min n_j (``first_exhausted``), so the length is sources x max n_j, or sources x min n_j.
    With them each place's source is drawn by ``default_rng(seed).choice``, a thousand at a time; a source's cursor wraps; the
    last draw is the one that exhausts the last, or the first, source. A source with a small probability makes a long epoch.

    Args:
        lengths: rows of each source.
        probabilities: one for each source, or None; divided by their sum.
        seed: of the draws.
        stopping_strategy: as Hugging Face names it; the original trains with ``all_exhausted``.
    """
    rows, starts = np.array(lengths, np.int64), np.cumsum([0, *lengths[:-1]])
    every = stopping_strategy == "all_exhausted"
    if probabilities is None:
        turns = np.arange(rows.max() if every else rows.min())
        in_turn: NDArray[np.int64] = (turns[:, None] % rows + starts).reshape(-1)
        return in_turn
    share = np.array(probabilities, np.float64)
    share /= share.sum()
    rng = np.random.default_rng(seed)
    blocks: list[NDArray[np.int64]] = []
    taken = np.zeros(len(rows), np.int64)
    while not (taken >= rows).all() if every else not (taken >= rows).any():
        blocks.append(rng.choice(len(rows), size=_DRAWN_AT_ONCE, p=share))
        taken += np.bincount(blocks[-1], minlength=len(rows))
    drawn = np.concatenate(blocks)
    places = [np.flatnonzero(drawn == source) for source in range(len(rows))]
    ends = [int(place[length - 1]) + 1 for place, length in zip(places, lengths, strict=True) if len(place) >= length]
    end = max(ends) if every else min(ends)
    order = np.empty(end, np.int64)
    for place, length, start in zip(places, lengths, starts, strict=True):
        kept = place[place < end]
        order[kept] = np.arange(len(kept)) % length + start
    return order
