"""Rows of a shard, read in place.

``open_rows`` gives one of two readers with the same methods and the same results: ``MappedRows`` slices the mapped file
(microseconds a row), ``GroupRows`` decodes whole row groups through pyarrow, for a file that somebody rewrote.
"""

from __future__ import annotations

import struct
import threading
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from regioncache.cache.mapping import MappedFile
from regioncache.cache.offsets import BOXES_INSIDE, Leaf, build_offsets, leaves, open_offsets, record_names
from regioncache.cache.pages import NotMappableError
from regioncache.cache.ragged import ByteStrings
from regioncache.errors import CacheError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray


ArraysReader = Callable[[tuple[int, ...]], list["NDArray[Any]"]]


class SlowShardWarning(UserWarning):
    """A shard is read through row groups, and the text says why."""


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

    def arrays_reader(self, names: Sequence[str]) -> ArraysReader:
        """A function from a record to ``array`` of each name; faster than asking for one after the other."""

    def byte_strings(self, record: tuple[int, ...], name: str) -> ByteStrings:
        """A list of texts of the row, nested lists joined, as UTF-8."""


class MappedRows:
    """Rows of a mapped shard.

    Args:
        file: the mapped Parquet file.
        schema: its schema.
        records: its offsets, int64 (rows + 1, columns).
    """

    __slots__ = ("_buffer", "_data", "_file", "_lists", "_record", "_records", "boxes_inside", "path", "place")

    def __init__(self, file: MappedFile, schema: pa.Schema, records: NDArray[np.int64]) -> None:
        self.path = file.path
        self._file = file
        self._data = file.data
        self._buffer = memoryview(file.data)
        self._records = memoryview(records).cast("B")
        self._record = struct.Struct(f"<{records.shape[1]}q")
        self.boxes_inside = bool(records[0, BOXES_INSIDE])
        self.place = {name: k for k, name in enumerate(record_names(schema))}
        self._lists = {leaf.name: _ListPlace.of(leaf, self.place) for leaf in leaves(schema) if leaf.depth}

    def __len__(self) -> int:
        return len(self._records) // self._record.size - 1

    def record(self, row: int) -> tuple[int, ...]:
        """See ``Rows.record``."""
        return self._record.unpack_from(self._records, (row + 1) * self._record.size)

    def integer(self, record: tuple[int, ...], name: str) -> int:
        """See ``Rows.integer``."""
        return record[self.place[name]]

    def text(self, record: tuple[int, ...], name: str) -> str:
        """See ``Rows.text``."""
        at = record[self.place[name]]
        return str(self._buffer[at + 4 : at + 4 + _LENGTH(self._buffer, at)[0]], "utf-8")

    def binary(self, record: tuple[int, ...], name: str) -> NDArray[np.uint8]:
        """See ``Rows.binary``; the system is asked to read the value ahead."""
        at = record[self.place[name]] + 4
        length = _LENGTH(self._buffer, at - 4)[0]
        if length > _READ_AHEAD_BYTES:
            self._file.will_need(at, length)
        return self._data[at : at + length]

    def count(self, record: tuple[int, ...], name: str) -> int:
        """See ``Rows.count``."""
        return record[self._lists[name].count]

    def array(self, record: tuple[int, ...], name: str) -> NDArray[Any]:
        """See ``Rows.array``."""
        place = self._lists[name]
        at, count = record[place.start], record[place.count]
        if place.dtype is None:
            return self._flags(at, count)
        return np.ndarray((count, *place.tail), place.dtype, self._buffer, at)

    def _flags(self, at: int, count: int) -> NDArray[np.bool_]:
        """Booleans, one bit each; ``at`` counts bits."""
        first, shift = at >> 3, at & 7
        packed = self._buffer[first : (at + count + 7) >> 3]
        if count <= len(_NO_FLAGS) and not int.from_bytes(packed, "little") >> shift & ((1 << count) - 1):
            return _NO_FLAGS[:count]
        bits = np.unpackbits(np.frombuffer(packed, np.uint8), bitorder="little")
        return bits[shift : shift + count].view(np.bool_)

    def arrays_reader(self, names: Sequence[str]) -> ArraysReader:
        """See ``Rows.arrays_reader``."""
        plan = [(place.count, place.tail, place.dtype, place.start) for place in (self._lists[name] for name in names)]
        buffer, view = self._buffer, np.ndarray

        def read(record: tuple[int, ...]) -> list[NDArray[Any]]:
            return [view((record[count], *tail), dtype, buffer, record[start]) for count, tail, dtype, start in plan]

        return read

    def byte_strings(self, record: tuple[int, ...], name: str) -> ByteStrings:
        """See ``Rows.byte_strings``."""
        place = self._lists[name]
        return ByteStrings(self._data[record[place.start] : record[place.end]], record[place.count])


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


class GroupRows:
    """Rows of any Parquet file with the right columns, decoded a row group at a time; one open file per thread.

    pyarrow's ``pre_buffer`` is off: sharing a file between threads with it on has crashed.

    Args:
        path: the Parquet file.
        schema: the columns that are read.
    """

    boxes_inside = False

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path = path
        self._schema = schema
        self._local = threading.local()
        metadata = pq.read_metadata(path)
        counts = [metadata.row_group(k).num_rows for k in range(metadata.num_row_groups)]
        self._starts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def record(self, row: int) -> tuple[int, ...]:
        """See ``Rows.record``; (row group, row in it)."""
        group = int(np.searchsorted(self._starts, row, "right")) - 1
        return group, row - int(self._starts[group])

    def _value(self, record: tuple[int, ...], name: str) -> Any:  # noqa: ANN401  (an Arrow scalar of any type)
        group, row = record
        if getattr(self._local, "group", None) != group:
            if not hasattr(self._local, "file"):
                self._local.file = pq.ParquetFile(self.path, pre_buffer=False)
            table = self._local.file.read_row_group(group, columns=self._schema.names, use_threads=False)
            self._local.table = table.select(self._schema.names).cast(self._schema)
            self._local.group = group
        column, *inner = name.split(".")
        value = self._local.table.column(column)[row]
        return value[inner[0]] if inner else value

    def integer(self, record: tuple[int, ...], name: str) -> int:
        """See ``Rows.integer``."""
        value: int = self._value(record, name).as_py()
        return value

    def text(self, record: tuple[int, ...], name: str) -> str:
        """See ``Rows.text``."""
        value: str = self._value(record, name).as_py()
        return value

    def binary(self, record: tuple[int, ...], name: str) -> NDArray[np.uint8]:
        """See ``Rows.binary``."""
        return np.frombuffer(self._value(record, name).as_buffer(), np.uint8)

    def count(self, record: tuple[int, ...], name: str) -> int:
        """See ``Rows.count``."""
        values = self._value(record, name).values
        while pa.types.is_list(values.type):
            values = values.flatten()
        return len(values)

    def array(self, record: tuple[int, ...], name: str) -> NDArray[Any]:
        """See ``Rows.array``."""
        values = self._value(record, name).values
        if pa.types.is_fixed_size_list(values.type):
            width = values.type.list_size
            return np.asarray(values.flatten().to_numpy(zero_copy_only=False)).reshape(-1, width)
        return np.asarray(values.to_numpy(zero_copy_only=False))

    def arrays_reader(self, names: Sequence[str]) -> ArraysReader:
        """See ``Rows.arrays_reader``."""
        return lambda record: [self.array(record, name) for name in names]

    def byte_strings(self, record: tuple[int, ...], name: str) -> ByteStrings:
        """See ``Rows.byte_strings``."""
        values = self._value(record, name).as_py()
        flat = [item for value in values for item in (value if isinstance(value, list) else [value])]
        return ByteStrings.of([item.encode() for item in flat])


def open_rows(path: Path, schema: pa.Schema) -> Rows:
    """Open a shard for reading.

    Args:
        path: the Parquet file.
        schema: the columns that it must have, in order.

    Returns:
        ``MappedRows`` where the values can be addressed in place (stale or missing offsets are derived again, in memory),
        else ``GroupRows``.

    Raises:
        CacheError: the file is missing, not whole, or lacks a column.

    Warns:
        SlowShardWarning: the file was rewritten in a form that cannot be mapped.
    """
    file = MappedFile(path)
    records = open_offsets(path, file.data, len(record_names(schema)))
    if records is None:
        found = read_schema(path)
        missing = [name for name in schema.names if name not in found.names]
        if missing:
            raise CacheError(path, f"lacks the columns {', '.join(missing)}", expected=schema.names, found=found.names)
        reason = None
        if [(field.name, field.type) for field in found] != [(field.name, field.type) for field in schema]:
            reason = "its columns have other types or another order"
        else:
            try:
                records = build_offsets(path)
            except NotMappableError as refusal:
                reason = str(refusal)
        if records is None:
            warnings.warn(
                f"{path}: {reason}; it is read through whole row groups, which is slower. Build the cache again to map it",
                SlowShardWarning,
                stacklevel=2,
            )
            return GroupRows(path, schema)
    return MappedRows(file, schema, records)


def read_schema(path: Path) -> pa.Schema:
    """The Arrow schema of a Parquet file, with its metadata.

    Raises:
        CacheError: the footer cannot be read.
    """
    try:
        return pq.read_schema(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise CacheError(
            path, f"not a readable Parquet file ({error})", remedy="Run the target that builds this cache again"
        ) from error


def footer_metadata(path: Path) -> dict[str, str]:
    """The key-value metadata of a shard's footer, as text."""
    found: dict[bytes, bytes] = read_schema(path).metadata or {}
    return {key.decode(): value.decode() for key, value in found.items() if key != b"ARROW:schema"}
