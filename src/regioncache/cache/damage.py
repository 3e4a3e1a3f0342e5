"""What a damaged file makes its readers raise, as one error that names the file."""

from __future__ import annotations

import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa

from regioncache.cache.pages import NotMappableError
from regioncache.errors import CacheError, RegioncacheError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAMAGE = (pa.ArrowException, OSError, ValueError, TypeError, LookupError, ArithmeticError, RecursionError, struct.error)
"""pyarrow's own errors, and those of whatever meets a number, a length or a text that cannot be."""

REMEDY = "Run regioncache verify --full on the cache, then the target that builds it"


@contextmanager
def named_damage(path: Path | str, problem: str) -> Iterator[None]:
    """Turn what damage raises within the block into an error with the file's name.

    Args:
        path: the file that is read.
        problem: what is wrong with it if anything is raised.

    Raises:
        CacheError: any of ``DAMAGE`` was raised.
    """
    try:
        yield
    except (RegioncacheError, NotMappableError):
        raise
    except DAMAGE as error:
        raise CacheError(path, f"{problem} ({type(error).__name__}: {error})", remedy=REMEDY) from error
