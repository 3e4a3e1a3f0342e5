"""The chosen phrases of an image, decoded when they are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, overload

from regioncache.cache.damage import REMEDY
from regioncache.errors import CacheError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from regioncache.cache.ragged import ByteStrings


class Captions(Sequence[str]):
    """A sequence of one phrase per chosen region.

    Args:
        phrases: all phrases of the image, UTF-8.
        positions: which of them, int64 (n,), or None for all in order.
    """

    __slots__ = ("_phrases", "_positions")

    def __init__(self, phrases: ByteStrings, positions: NDArray[np.int64] | None) -> None:
        self._phrases = phrases
        self._positions = positions

    def __len__(self) -> int:
        return len(self._phrases) if self._positions is None else len(self._positions)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"caption {index} of {len(self)}")
        at = index if self._positions is None else int(self._positions[index])
        try:
            return self._phrases[at].decode()
        except (UnicodeDecodeError, IndexError) as error:  # an IndexError would end a loop over the captions without a word
            raise CacheError("a row of a cache", f"caption {index} cannot be read ({error})", remedy=REMEDY) from error

    def __repr__(self) -> str:
        return repr(list(self))
