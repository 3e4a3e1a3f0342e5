"""Texts and byte strings of one row, as they lie in the file: made in no time, decoded when asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, overload

from regioncache.cache.damage import REMEDY
from regioncache.errors import CacheError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class ByteStrings(Sequence[bytes]):
    """Byte strings, each behind its u32 length in one run of memory.

    A sequence of ``bytes`` that is split on first access. Pickles as one copy of its own bytes, never the mapped file.

    Args:
        packed: uint8, the run of prefixed values.
        count: how many values it holds.
    """

    __slots__ = ("_count", "_items", "_packed")

    def __init__(self, packed: NDArray[np.uint8] | bytes, count: int) -> None:
        self._packed = packed
        self._count = count
        self._items: list[bytes] | None = None

    @property
    def items(self) -> list[bytes]:
        """All values."""
        if self._items is None:
            data = bytes(self._packed)
            found = []
            at = 0
            for _ in range(self._count):
                start = at + 4
                at = start + int.from_bytes(data[at:start], "little")
                found.append(data[start:at])
                if at > len(data):  # damage, which could also declare billions of values
                    break
            if at != len(data):
                problem = "its texts do not have the lengths that stand before them"
                expected, found_bytes = f"{self._count} values in {len(data)} bytes", f"{at} bytes"
                raise CacheError("a row of a cache", problem, expected=expected, found=found_bytes, remedy=REMEDY)
            self._items = found
        return self._items

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        return self.items[index]

    def __reduce__(self) -> tuple[type[ByteStrings], tuple[bytes, int]]:
        return ByteStrings, (bytes(self._packed), self._count)

    @classmethod
    def of(cls, values: Sequence[bytes]) -> ByteStrings:
        """Pack values."""
        packed = b"".join(len(value).to_bytes(4, "little") + value for value in values)
        return cls(packed, len(values))
