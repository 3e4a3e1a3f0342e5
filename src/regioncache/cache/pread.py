"""Large values read by ``pread`` instead of through the map: page faults over a network are one round trip each."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from regioncache.errors import CacheError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_OPEN_FILES = 64


class _OpenFile:
    """A file descriptor that is closed when the object goes."""

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self) -> None:
        os.close(self.descriptor)


@lru_cache(maxsize=_OPEN_FILES)
def _opened(path: Path, process: int) -> _OpenFile:  # noqa: ARG001  (each process opens for itself)
    return _OpenFile(path)


def read_at(path: Path, offset: int, length: int) -> NDArray[np.uint8]:
    """Read bytes of a file in one call; a few dozen files stay open.

    Args:
        path: the file.
        offset: where to begin, in bytes.
        length: how many bytes.

    Returns:
        uint8 (length,), read-only.

    Raises:
        CacheError: the file ends before.
    """
    data = os.pread(_opened(path, os.getpid()).descriptor, length, offset)
    if len(data) != length:
        raise CacheError(path, "ends too early", expected=f"{length} bytes at {offset}", found=f"{len(data)} bytes")
    return np.frombuffer(data, np.uint8)
