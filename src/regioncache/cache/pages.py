"""Where the values of a Parquet column chunk lie in the file.

A column chunk that was written PLAIN, uncompressed, without a dictionary and in one page is: a page header (Thrift compact
protocol), repetition levels (u32 length + bytes, where the column repeats), definition levels (the same, where it is
nullable), then the values one after the other (fixed-width little-endian; byte arrays with a u32 length before each;
booleans one bit each). Format: parquet-format's ``parquet.thrift`` and ``Encodings.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pyarrow.parquet as pq
    from numpy.typing import NDArray


class NotMappableError(Exception):
    """This file's values cannot be addressed in place; it reads through pyarrow instead. The text says why."""


@dataclass(frozen=True, slots=True)
class ValuesRange:
    """Byte range of a column chunk's values in the file."""

    start: int
    end: int


_PLAIN, _DATA_PAGE = 0, 0
_TYPE, _UNCOMPRESSED, _COMPRESSED, _DATA_HEADER, _DATA_ENCODING = 1, 2, 3, 5, 2


class _Thrift:
    """A walker over one Thrift compact-protocol struct: integers are read, everything else is stepped over."""

    def __init__(self, data: NDArray[np.uint8], at: int) -> None:
        self.data = data
        self.at = at

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = int(self.data[self.at])
            self.at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:  # noqa: PLR2004  (the continuation bit)
                return value
            shift += 7

    def integer(self) -> int:
        raw = self.varint()
        return (raw >> 1) ^ -(raw & 1)

    def struct(self) -> dict[int, object]:
        """Field id -> int, bool or nested struct; binary fields are stepped over."""
        fields: dict[int, object] = {}
        last = 0
        while True:
            head = int(self.data[self.at])
            self.at += 1
            if head == 0:
                return fields
            kind, delta = head & 15, head >> 4
            last = last + delta if delta else self.integer()
            fields[last] = self._value(kind)

    def _value(self, kind: int) -> object:
        match kind:
            case 1 | 2:
                return kind == 1
            case 3:
                self.at += 1
                return None
            case 4 | 5 | 6:
                return self.integer()
            case 7:
                self.at += 8
                return None
            case 8:
                length = self.varint()
                self.at += length
                return None
            case 12:
                return self.struct()
        raise NotMappableError(f"a page header holds a field of Thrift type {kind}")


def values_range(data: NDArray[np.uint8], chunk: pq.ColumnChunkMetaData, *, repeats: bool, name: str) -> ValuesRange:
    """Find the values of one column chunk.

    Args:
        data: the whole file, uint8.
        chunk: pyarrow's metadata of the chunk.
        repeats: whether the column has repetition levels.
        name: the column and row group, for the reason of a refusal.

    Raises:
        NotMappableError: the chunk is compressed, dictionary-encoded, or has several pages.
    """
    if chunk.compression != "UNCOMPRESSED":
        raise NotMappableError(f"{name} is compressed with {chunk.compression}")
    if chunk.has_dictionary_page:
        raise NotMappableError(f"{name} is dictionary-encoded")
    start = chunk.data_page_offset
    thrift = _Thrift(data, start)
    header = thrift.struct()
    page = header.get(_DATA_HEADER)
    if header.get(_TYPE) != _DATA_PAGE or not isinstance(page, dict):
        raise NotMappableError(f"{name} is not in version 1 data pages")
    if page.get(_DATA_ENCODING) != _PLAIN:
        raise NotMappableError(f"{name} is not PLAIN-encoded")
    size = header[_COMPRESSED]
    at = thrift.at
    if not isinstance(size, int) or at + size != start + chunk.total_compressed_size or size != header[_UNCOMPRESSED]:
        raise NotMappableError(f"{name} has more than one page")
    end = at + size
    for _ in range(2 if repeats else 1):
        at += 4 + int.from_bytes(data[at : at + 4].tobytes(), "little")
    if at > end:
        raise NotMappableError(f"{name} has levels that overrun its page")
    return ValuesRange(at, end)
