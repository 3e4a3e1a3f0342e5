"""Rows of a shard, read in place: what a reader of rows does, and the one that slices the mapped file in microseconds."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa

from regioncache.cache.damage import REMEDY
from regioncache.cache.offsets import BOXES_INSIDE, Leaf, leaves, record_names
from regioncache.cache.pread import read_at
from regioncache.cache.ragged import ByteStrings
from regioncache.errors import CacheError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from regioncache.cache.mapping import MappedFile


Reader = Callable[[tuple[int, ...]], list[Any]]


class Rows(Protocol):
    """What both readers of a shard do. ``row`` counts from 0 within the shard."""

    path: Path
    boxes_inside: bool
    """Whether every box of the shard is known to lie inside its image, so that none needs to be cut."""

    def __len__(self) -> int:
        """How many rows the shard has."""

    def record(self, row: int) -> tuple[int, ...]:
        """The row's handle, to be passed to the other methods."""

    def integer(self, record: tuple[int, ...], name: str) -> int:
        """A whole-number field of the row."""

    def text(self, record: tuple[int, ...], name: str) -> str:
        """A text field of the row."""

    def binary(self, record: tuple[int, ...], name: str) -> NDArray[np.uint8]:
        """A binary field of the row: uint8, read-only, not copied where the file is mapped."""

    def count(self, record: tuple[int, ...], name: str) -> int:
        """How many values the row's list has."""

    def array(self, record: tuple[int, ...], name: str) -> NDArray[Any]:
        """A numeric list of the row: a read-only view that may be unaligned (n,), boxes (n, 4)."""

    def reader(self, names: Sequence[str]) -> Reader:
        """A function from a record to the values of these whole-number and numeric list fields; the quickest way to many."""

    def byte_strings(self, record: tuple[int, ...], name: str) -> ByteStrings:
        """A list of texts of the row, nested lists joined, as UTF-8."""


class MappedRows:
    """Rows of a mapped shard.

    Args:
        file: the mapped Parquet file.
        schema: its schema.
        records: its offsets, int64 (rows + 1, columns).
        use_pread: read large binary values by ``pread``, for network file systems.
    """

    __slots__ = (
        "_file",
        "_layout",
        "_use_pread",
        "boxes_inside",
        "buffer",
        "data",
        "path",
        "record_bytes",
        "records",
        "unpack",
    )

    def __init__(self, file: MappedFile, schema: pa.Schema, records: NDArray[np.int64], *, use_pread: bool = False) -> None:
        self._use_pread = use_pread
        self.path = file.path
        self._file = file
        self.data = file.data
        self.buffer = memoryview(file.data)
        self.records = memoryview(records).cast("B")
        layout = struct.Struct(f"<{records.shape[1]}q")
        self.unpack, self.record_bytes = layout.unpack_from, layout.size
        self.boxes_inside = bool(records[0, BOXES_INSIDE])
        self._layout = _layout_of(schema)

    def __len__(self) -> int:
        return len(self.records) // self.record_bytes - 1

    def place_of(self, name: str) -> int:
        """Where a number of ``offsets.record_names`` stands in a record."""
        return self._layout.place[name]

    def record(self, row: int) -> tuple[int, ...]:
        """See ``Rows.record``."""
        return self.unpack(self.records, (row + 1) * self.record_bytes)

    def integer(self, record: tuple[int, ...], name: str) -> int:
        """See ``Rows.integer``."""
        return record[self._layout.place[name]]

    def text(self, record: tuple[int, ...], name: str) -> str:
        """See ``Rows.text``."""
        at = record[self._layout.place[name]]
        return str(self.buffer[at + 4 : at + 4 + _LENGTH(self.buffer, at)[0]], "utf-8")

    def binary(self, record: tuple[int, ...], name: str) -> NDArray[np.uint8]:
        """See ``Rows.binary``; the system is asked to read a large value ahead."""
        at = record[self._layout.place[name]] + 4
        length = _LENGTH(self.buffer, at - 4)[0]
        if length > _READ_AHEAD_BYTES:
            if at + length > len(self.data):
                problem, found = f"a value of {name} reaches beyond the end of the file", f"{at + length} bytes"
                raise CacheError(self.path, problem, expected=f"at most {len(self.data)} bytes", found=found, remedy=REMEDY)
            if self._use_pread:
                return read_at(self.path, at, length)
            self._file.will_need(at, length)
        return self.data[at : at + length]

    def count(self, record: tuple[int, ...], name: str) -> int:
        """See ``Rows.count``."""
        return record[self._layout.lists[name].count]

    def array(self, record: tuple[int, ...], name: str) -> NDArray[Any]:
        """See ``Rows.array``."""
        place = self._layout.lists[name]
        at, count = record[place.start], record[place.count]
        if place.dtype is None:
            return self.flags(at, count)
        return np.ndarray((count, *place.tail), place.dtype, self.buffer, at)

    def flags(self, at: int, count: int) -> NDArray[np.bool_]:
        """Booleans, one bit each; ``at`` counts bits."""
        first, shift = at >> 3, at & 7
        packed = self.buffer[first : (at + count + 7) >> 3]
        if count <= len(_NO_FLAGS) and not int.from_bytes(packed, "little") >> shift & ((1 << count) - 1):
            return _NO_FLAGS[:count]
        bits = np.unpackbits(np.frombuffer(packed, np.uint8), bitorder="little")
        return bits[shift : shift + count].view(np.bool_)

    def reader(self, names: Sequence[str]) -> Reader:
        """See ``Rows.reader``."""
        integers = [self._layout.place[name] for name in names if name not in self._layout.lists]
        lists = [self._layout.lists[name] for name in names if name in self._layout.lists]
        if [*names[: len(integers)]] != [name for name in names if name not in self._layout.lists]:
            raise ValueError(f"whole numbers come before lists: {names}")
        plan = [(place.count, place.tail, place.dtype, place.start) for place in lists]
        buffer, flags, view = self.buffer, self.flags, np.ndarray

        def read(record: tuple[int, ...]) -> list[Any]:
            found: list[Any] = [record[place] for place in integers]
            for count, tail, dtype, start in plan:
                if dtype is None:
                    found.append(flags(record[start], record[count]))
                else:
                    found.append(view((record[count], *tail) if tail else record[count], dtype, buffer, record[start]))
            return found

        return read

    def byte_strings(self, record: tuple[int, ...], name: str) -> ByteStrings:
        """See ``Rows.byte_strings``."""
        place = self._layout.lists[name]
        return ByteStrings(self.data[record[place.start] : record[place.end]], record[place.count])


class _Layout:
    """Where the numbers of each column stand in a record; shared by all shards of a schema."""

    def __init__(self, schema: pa.Schema) -> None:
        self.place = {name: k for k, name in enumerate(record_names(schema))}
        self.lists = {leaf.name: _ListPlace.of(leaf, self.place) for leaf in leaves(schema) if leaf.depth}


@lru_cache(maxsize=8)
def _layout_of(schema: pa.Schema) -> _Layout:
    return _Layout(schema)


_READ_AHEAD_BYTES = 16384
_LENGTH = struct.Struct("<I").unpack_from
_NO_FLAGS = np.zeros(4096, np.bool_)
_NO_FLAGS.flags.writeable = False
_BOX_COUNT = "n:region_id"


class _ListPlace:
    """Where a list column's numbers stand in a record."""

    __slots__ = ("count", "dtype", "end", "start", "tail")

    def __init__(self, count: int, start: int, end: int, dtype: np.dtype[Any] | None, tail: tuple[int, ...]) -> None:
        self.count, self.start, self.end, self.dtype, self.tail = count, start, end, dtype, tail

    @classmethod
    def of(cls, leaf: Leaf, place: dict[str, int]) -> _ListPlace:
        count = place[f"n:{leaf.name}"] if leaf.width == 1 else place[_BOX_COUNT]
        if leaf.is_bytes:
            return cls(count, place[leaf.name], place[f"end:{leaf.name}"], None, ())
        dtype = None if pa.types.is_boolean(leaf.kind) else np.dtype(leaf.kind.to_pandas_dtype())
        return cls(count, place[leaf.name], -1, dtype, () if leaf.width == 1 else (leaf.width,))
