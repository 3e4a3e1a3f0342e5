"""Checks of the arguments that transforms share."""

from __future__ import annotations

import math
from typing import Any

from regioncache.errors import ConfigError


def require(holds: bool, transform: object, name: str, expected: str) -> None:
    """Refuse a field of a transform.

    Raises:
        ConfigError: it does not hold; the message names transform, field, what was expected and what was found.
    """
    if not holds:
        raise ConfigError(f"{type(transform).__name__}: {name}: expected {expected}, found {getattr(transform, name)!r}")


def is_number(value: Any, low: float = -math.inf, high: float = math.inf) -> bool:  # noqa: ANN401  (an argument, judged here)
    """Whether a value is a finite number from ``low`` to ``high``."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and low <= value <= high


def is_whole(value: Any, low: int) -> bool:  # noqa: ANN401  (an argument, judged here)
    """Whether a value is a whole number from ``low`` on."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= low


def is_size(value: Any) -> bool:  # noqa: ANN401  (an argument, judged here)
    """Whether a value is a width and a height of at least one pixel."""
    return isinstance(value, tuple) and len(value) == 2 and all(is_whole(side, 1) for side in value)  # noqa: PLR2004  (w, h)


def is_range(value: Any, low: float) -> bool:  # noqa: ANN401  (an argument, judged here)
    """Whether a value is a least and a most number, both from ``low`` on."""
    return (
        isinstance(value, tuple)
        and len(value) == 2  # noqa: PLR2004  (least, most)
        and all(is_number(end, low) for end in value)
        and value[0] <= value[1]
    )
