"""Where an archive may be had, in order: the user's mirrors, then the catalog's own places."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from regioncache.errors import ConfigError, FetchError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from regioncache.catalog import Archive

_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def is_url(mirror: str) -> bool:
    """Whether a mirror is an address rather than a path on this machine."""
    return bool(_SCHEME.match(mirror))


def mirrors_of(archive: Archive, user_mirrors: Sequence[str]) -> list[str]:
    """Every place to try, each once, in order; URLs whole, paths as they were given.

    Args:
        archive: the catalog's entry; its ``local`` comes before its ``urls``.
        user_mirrors: local folders, local files, or URL prefixes, to which the archive's base name is added.
    """
    name = PurePosixPath(archive.path).name
    places = [_below(mirror, name) if is_url(mirror) else mirror for mirror in user_mirrors]
    if archive.local is not None:
        places.append(archive.local)
    return list(dict.fromkeys([*places, *archive.urls]))


def check_datasets(mirrors_of_datasets: Iterable[str], names: Iterable[str]) -> None:
    """Mirrors are set for datasets that exist.

    Raises:
        ConfigError: one is not in the catalog.
    """
    known = set(names)
    for name in mirrors_of_datasets:
        if name not in known:
            raise ConfigError(f"fetch.mirrors_of: there is no dataset {name!r}; there are {', '.join(sorted(known))}")


def find_local(mirror: str, archive: Archive) -> Path:
    """The archive's file in a local mirror, absolute and with links resolved; not yet verified.

    Raises:
        FetchError: it is not there; says where it was looked for.
    """
    place = Path(mirror).expanduser()
    if place.is_file():
        return _accept_file(place, mirror, archive)
    if not place.is_dir():
        raise FetchError("there is no such file or folder")
    name = PurePosixPath(archive.path).name
    for candidate in (place / archive.path, place / name):
        if candidate.is_file():
            return candidate.resolve()
    looked_for = archive.path if archive.path == name else f"{archive.path} nor {name}"
    raise FetchError(f"this folder does not hold {looked_for}")


def _accept_file(place: Path, mirror: str, archive: Archive) -> Path:
    """A user's file of another name is taken only if a checksum can tell that it is the right one."""
    name = PurePosixPath(archive.path).name
    if mirror == archive.local or archive.sha256 is not None or place.name == name:
        return place.resolve()
    raise FetchError(f"this file is not named {name}, and the catalog has no sha256 to know it by")


def _below(prefix: str, name: str) -> str:
    """``prefix/name``, with the prefix's query (a shared access signature) kept at the end."""
    parts = urlsplit(prefix)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{name}"))
