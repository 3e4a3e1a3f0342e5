"""Weights as exact fractions, and whole numbers of samples from them."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor, lcm
from typing import TYPE_CHECKING, Literal

from regioncache.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

Stop = Literal["stop_first", "exhaust_once", "repeat"]
STOPS = ("stop_first", "exhaust_once", "repeat")
_FINEST = 10**6


def shares_of(weights: Sequence[float]) -> list[Fraction]:
    """Weights divided by their sum, exactly: 0.1 is a tenth.

    Where the common denominator would exceed a million, shares are rounded to millionths (a weight far smaller than that
    becomes 0).

    Args:
        weights: positive and finite.
    """
    exact = [Fraction(str(weight)).limit_denominator(_FINEST) for weight in weights]
    total = sum(exact)
    if not total:
        return exact
    shares = [weight / total for weight in exact]
    if lcm(*(share.denominator for share in shares)) > _FINEST:
        return [Fraction(count, _FINEST) for count in apportion(shares, _FINEST)]
    return shares


def apportion(shares: Sequence[Fraction], total: int) -> list[int]:
    """``total`` in whole parts: floor(share x total) each, and one more for the largest remainders, the first of equals first.

    Args:
        shares: their sum is 1.
        total: 0 or more.
    """
    quotas = [share * total for share in shares]
    counts = [floor(quota) for quota in quotas]
    by_remainder = sorted(range(len(shares)), key=lambda k: counts[k] - quotas[k])
    for k in by_remainder[: total - sum(counts)]:
        counts[k] += 1
    return counts


def weighted_counts(lengths: Sequence[int], shares: Sequence[Fraction], stop: Stop, epoch_length: int | None) -> list[int]:
    """Samples of each source in an epoch that holds them in the proportion of their shares.

    n_j is a source's length and p_j its share. The epoch's length is

    - ``stop_first``: floor(min n_j / p_j), no source gives a row twice;
    - ``exhaust_once``: ceil(max n_j / p_j), every source gives each row at least once;
    - ``repeat``: ``epoch_length``;

    and each source's part of it is ``apportion``'s: p_j x length, rounded down or up.
    """
    if stop == "stop_first":
        total = floor(min(length / share for length, share in zip(lengths, shares, strict=True)))
    elif stop == "exhaust_once":
        total = ceil(max(length / share for length, share in zip(lengths, shares, strict=True)))
    else:
        total = epoch_length or 0
    return apportion(shares, total)


def repeated_counts(lengths: Sequence[int], repeats: Sequence[float]) -> list[int]:
    """Samples of each source in an epoch that holds it ``repeats`` times: floor(n r + 1/2)."""
    return [floor(length * Fraction(str(repeat)) + Fraction(1, 2)) for length, repeat in zip(lengths, repeats, strict=True)]


def check_stop(stop: str, name: str, length: int | None) -> None:
    """Refuse a rule that is none, ``repeat`` without a length, or a length with a rule that decides it.

    Raises:
        ConfigError: see above.
    """
    if stop not in STOPS:
        raise ConfigError(f"stop={stop!r} is none of {', '.join(STOPS)}")
    if (stop == "repeat") != (length is not None):
        needed = "needs it: no source ends the epoch" if stop == "repeat" else "decides the length itself"
        raise ConfigError(f"{name}={length}: stop={stop!r} {needed}")
    if length is not None and length < 1:
        raise ConfigError(f"{name}={length}; expected 1 or more")
