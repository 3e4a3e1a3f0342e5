"""The random numbers of orders, and the integers that hold indices.

``regioncache.data.rng`` gives every sample its own counter range under the key (seed, epoch); orders draw from ranges of the
same key that no sample has: the third counter word, 0 there, is the purpose here.
"""

from __future__ import annotations

import zlib
from enum import IntEnum
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regioncache.errors import ConfigError

Indices = NDArray[Any]  # int32, or int64 from 2^31 rows on


class Purpose(IntEnum):
    """What numbers are drawn for."""

    PERMUTATION = 1
    CHOICE = 2
    COPIES = 3
    BATCHES = 4
    SOURCES = 5
    PASS = 6
    REST = 7


def order_generator(seed: int, epoch: int, purpose: Purpose, *, source: int = 0, visit: int = 0) -> np.random.Generator:
    """The generator of one purpose in one epoch.

    Args:
        seed: the run's seed, 0 or more.
        epoch: the epoch, 0 or more.
        purpose: what the numbers are for.
        source: the place of the source in a mix.
        visit: which pass over that source within the epoch.

    Raises:
        ConfigError: a number is negative.
    """
    if seed < 0 or epoch < 0:
        raise ConfigError(f"an order is drawn from a seed and an epoch of 0 or more, not from seed {seed}, epoch {epoch}")
    return np.random.Generator(np.random.Philox(key=[seed, epoch], counter=[0, source, int(purpose), visit]))


def index_dtype(length: int) -> type[np.int32 | np.int64]:
    """The smaller integer that can count to ``length``: 4 bytes an index below 2^31 rows, else 8."""
    return np.int32 if length <= np.iinfo(np.int32).max else np.int64


def counting(length: int) -> Indices:
    """0, 1, 2, ... as ``index_dtype`` (length,)."""
    return np.arange(length, dtype=index_dtype(length))


@lru_cache(maxsize=1)
def draws_crc32() -> int:
    """A fingerprint of how numpy turns random bits into shuffles and draws.

    numpy keeps Philox' bits for ever, but not what its generators make of them; a run that resumes under a numpy that shuffles
    differently must be told so, instead of repeating and skipping samples.
    """
    generator = np.random.Generator(np.random.Philox(key=[1, 2]))
    numbers = counting(1000)
    generator.shuffle(numbers)
    parts: list[NDArray[Any]] = [
        numbers,
        generator.integers(0, 1000, 100, dtype=np.int32),
        generator.random(100),
        generator.standard_exponential(100),
        generator.permuted(np.arange(64, dtype=np.uint8).reshape(4, 16), axis=1),
    ]
    return zlib.crc32(b"".join(part.tobytes() for part in parts))


def array_crc32(array: NDArray[Any]) -> int:
    """A fingerprint of an array's type, shape and values."""
    return zlib.crc32(np.ascontiguousarray(array).data, zlib.crc32(f"{array.dtype.str}{array.shape}".encode()))
