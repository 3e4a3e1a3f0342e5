"""Which archives of a streamed split are built: numbers and ranges, such as ``0-10`` or ``0-3,8``."""

from __future__ import annotations

import re

from regioncache.errors import ConfigError

_RANGE = re.compile(r"(\d+)(?:-(\d+))?")


def selected_shards(selection: str, numbers: tuple[int, int]) -> list[int]:
    """The shards, from 0, of the archives that a selection names; rising, each once.

    Args:
        selection: ``all``, or numbers and ranges with both ends included, apart by commas; what is beyond ``numbers`` is not
            looked at, so that one selection serves streams of several lengths.
        numbers: first and last number of the archives.

    Raises:
        ConfigError: it cannot be read, or names no number that there is.
    """
    first, last = numbers
    if selection.strip() == "all":
        return list(range(last - first + 1))
    chosen: set[int] = set()
    for part in selection.split(","):
        found = _RANGE.fullmatch(part.strip())
        if found is None:
            raise ConfigError(f"tars: {selection!r} cannot be read, expected `all` or numbers and ranges, such as 0-10 or 0-3,8")
        start, end = int(found[1]), int(found[2] or found[1])
        if start > end:
            raise ConfigError(f"tars: {part.strip()!r} falls, expected the smaller number first")
        chosen.update(range(max(start, first) - first, min(end, last) - first + 1))
    if not chosen:
        raise ConfigError(f"tars: {selection!r} names none of the archives, whose numbers are {first}-{last}")
    return sorted(chosen)
