"""The offsets file: where each row's values lie in a shard.

``part-00000-of-00058.offsets`` is a plain ``.npy`` of one record of int64 per row, which the reader maps. It is derived from the
finished Parquet file, checked against pyarrow's own decode of it, and bound to it by size and footer checksum, so it
is safe to delete. Per row it holds:

* integers of the row themselves (``image_id``, ``width``, ...),
* for text and binary columns, the position of the value's u32 length prefix,
* for lists, the position of the first value (of booleans: in bits), and of byte strings also the position after the last,
* ``n:<column>``, how many values a list of the row has (``n:region_id`` is its number of regions).

Record 0 is not a row; its first numbers are the layout version, the shard's bytes, the CRC-32 of its footer, its rows, the CRC-32
of all numbers after this one, and 1 if every ``box_xyxy`` of the shard lies inside its image (then a reader need not cut them).
"""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from regioncache.atomic import write_bytes
from regioncache.cache.damage import REMEDY
from regioncache.cache.mapping import MappedFile
from regioncache.cache.pages import NotMappableError, ValuesRange, values_range
from regioncache.errors import CacheError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

LAYOUT_VERSION = 1
BOXES_INSIDE = 5
_BOUND = slice(0, BOXES_INSIDE)
_MAGIC = b"PAR1"
_HEADER_BYTES = 128


@dataclass(frozen=True, slots=True)
class Leaf:
    """One physical column: its dotted name, Arrow type of a value, list depth, and values per list element."""

    name: str
    kind: pa.DataType
    depth: int
    width: int

    @property
    def is_bytes(self) -> bool:
        """Whether values are byte arrays with a length prefix."""
        return bool(pa.types.is_string(self.kind) or pa.types.is_binary(self.kind))

    @property
    def inline(self) -> bool:
        """Whether the offsets file holds the value itself."""
        return self.depth == 0 and bool(pa.types.is_integer(self.kind))


@lru_cache(maxsize=16)
def leaves(schema: pa.Schema) -> tuple[Leaf, ...]:
    """The physical columns of a schema, in the order of the file."""
    found: list[Leaf] = []

    def walk(name: str, kind: pa.DataType, depth: int) -> None:
        if pa.types.is_struct(kind):
            for field in kind:
                walk(f"{name}.{field.name}", field.type, depth)
        elif pa.types.is_fixed_size_list(kind):
            found.append(Leaf(name, kind.value_type, depth, kind.list_size))
        elif pa.types.is_list(kind):
            walk(name, kind.value_type, depth + 1)
        else:
            found.append(Leaf(name, kind, depth, 1))

    for field in schema:
        walk(field.name, field.type, 0)
    return tuple(found)


@lru_cache(maxsize=16)
def record_names(schema: pa.Schema) -> tuple[str, ...]:
    """The names of one record's numbers, in order; the layout of the offsets file of this schema."""
    names: list[str] = []
    for leaf in leaves(schema):
        if leaf.depth and leaf.width == 1:
            names.append(f"n:{leaf.name}")
        names.append(leaf.name)
        if leaf.depth and leaf.is_bytes:
            names.append(f"end:{leaf.name}")
    return tuple(names)


def footer_crc32(path: Path, data: NDArray[np.uint8]) -> int:
    """The CRC-32 of a Parquet file's footer.

    Raises:
        CacheError: the file does not end as a Parquet file does.
    """
    if len(data) < 12 or data[-4:].tobytes() != _MAGIC:  # noqa: PLR2004  (two magics and a length)
        raise CacheError(
            path,
            "not a whole Parquet file; it was cut short or is something else",
            expected="PAR1 at its end",
            found=data[-4:].tobytes(),
            remedy="Delete it and run the target that builds this cache again",
        )
    length = int.from_bytes(data[-8:-4].tobytes(), "little")
    return zlib.crc32(data[max(len(data) - 8 - length, 0) : -8])


def _flat(array: pa.Array) -> NDArray[Any]:
    """The values of a primitive array without nulls, as numpy, without pandas."""
    dtype = np.dtype(array.type.to_pandas_dtype())
    return np.frombuffer(array.buffers()[1], dtype, len(array), array.offset * dtype.itemsize)


def _list_offsets(array: pa.ListArray) -> NDArray[np.int64]:
    return _flat(array.offsets).astype(np.int64)


def _leaf_array(column: pa.Array, leaf: Leaf) -> tuple[pa.Array, NDArray[np.int64]]:
    """The leaf's values, and for each row (plus one) the index of its first value.

    Raises:
        NotMappableError: something is null.
    """
    array = column
    for part in leaf.name.split(".")[1:]:
        if array.null_count:
            raise NotMappableError(f"{leaf.name} holds a null")
        array = array.field(part)
    rows: NDArray[np.int64] = np.arange(len(array) + 1, dtype=np.int64)
    for _ in range(leaf.depth):
        if array.null_count:
            raise NotMappableError(f"{leaf.name} holds a null list")
        offsets = _list_offsets(array)
        rows = offsets[rows] - offsets[0]
        array = array.flatten()
    if leaf.width > 1:
        if array.null_count:
            raise NotMappableError(f"{leaf.name} holds a null element")
        rows = rows * leaf.width
        array = array.flatten()
    if array.null_count:
        raise NotMappableError(f"{leaf.name} holds a null value")
    return array, rows


def _byte_positions(data: NDArray[np.uint8], array: pa.Array, values: ValuesRange, name: str) -> NDArray[np.int64]:
    """Position of each value's length prefix, and after the last; every prefix is compared with pyarrow's decode."""
    offsets = np.frombuffer(array.buffers()[1], np.int32, len(array) + 1, array.offset * 4).astype(np.int64)
    lengths = np.diff(offsets)
    positions = np.empty(len(array) + 1, np.int64)
    positions[0] = values.start
    np.cumsum(lengths + 4, out=positions[1:])
    positions[1:] += values.start
    if positions[-1] != values.end:
        raise NotMappableError(f"{name} does not fill its page")
    if len(array):
        prefix = data[positions[:-1, None] + np.arange(4)].copy().view("<u4")[:, 0]
        if not np.array_equal(prefix, lengths):
            raise NotMappableError(f"{name} has other lengths in the file than pyarrow decodes")
    return positions


def _fixed_positions(
    data: NDArray[np.uint8], array: pa.Array, values: ValuesRange, rows: NDArray[np.int64], name: str
) -> NDArray[np.int64]:
    """Position of each row's first value; the bytes are compared with pyarrow's decode."""
    if pa.types.is_boolean(array.type):
        if values.start + (len(array) + 7) // 8 != values.end:
            raise NotMappableError(f"{name} does not fill its page")
        return values.start * 8 + rows
    decoded = _flat(array)
    stored = decoded.astype(np.int32) if decoded.itemsize < 4 else decoded  # noqa: PLR2004  (Parquet's narrowest integer)
    if values.start + stored.nbytes != values.end or not np.array_equal(stored.view(np.uint8), data[values.start : values.end]):
        raise NotMappableError(f"{name} has other values in the file than pyarrow decodes")
    return values.start + rows * stored.itemsize


def check_row_count(path: Path, rows: int) -> None:
    """Refuse a footer that declares more rows than its file has bytes, before anything is made for each.

    Raises:
        CacheError: it does.
    """
    size = path.stat().st_size
    if not 0 <= rows <= size:
        problem = "its footer declares an impossible number of rows"
        raise CacheError(path, problem, expected=f"0 to {size}", found=rows, remedy=REMEDY)


def build_offsets(path: Path) -> NDArray[np.int64]:
    """Derive the records of a finished Parquet file.

    Returns:
        int64 of shape (rows + 1, ``len(record_names(schema))``); row 0 binds the table to the file.

    Raises:
        NotMappableError: the file is not laid out for mapping (compressed, dictionary, several pages, nulls).
        CacheError: the file is not whole.
    """
    data = MappedFile(path).data
    crc = footer_crc32(path, data)
    with pq.ParquetFile(path, memory_map=True, pre_buffer=False) as file:
        schema, metadata = file.schema_arrow, file.metadata
        names = record_names(schema)
        check_row_count(path, metadata.num_rows)
        place = {name: k for k, name in enumerate(names)}
        records = np.zeros((metadata.num_rows + 1, len(names)), np.int64)
        row = 1
        inside = True
        for group in range(metadata.num_row_groups):
            chunks = metadata.row_group(group)
            table = file.read_row_group(group, use_threads=False)
            stop = row + len(table)
            for index, leaf in enumerate(leaves(schema)):
                name = f"column {leaf.name} of row group {group}"
                values = values_range(data, chunks.column(index), repeats=leaf.depth > 0 or leaf.width > 1, name=name)
                array, rows = _leaf_array(table.column(leaf.name.split(".")[0]).combine_chunks(), leaf)
                block = records[row:stop]
                if leaf.is_bytes:
                    positions = _byte_positions(data, array, values, name)[rows]
                    block[:, place[leaf.name]] = positions[:-1]
                    if leaf.depth:
                        block[:, place[f"end:{leaf.name}"]] = positions[1:]
                else:
                    positions = _fixed_positions(data, array, values, rows, name)
                    block[:, place[leaf.name]] = _flat(array) if leaf.inline else positions[:-1]
                if leaf.depth and leaf.width == 1:
                    block[:, place[f"n:{leaf.name}"]] = np.diff(rows)
            inside = inside and _boxes_inside(table)
            row = stop
        records[0, BOXES_INSIDE] = inside
        records[0, _BOUND] = LAYOUT_VERSION, len(data), crc, metadata.num_rows, _records_crc32(records)
    return records


def _records_crc32(records: NDArray[np.int64]) -> int:
    """Of all numbers from the flag on; those before it are compared one by one."""
    return zlib.crc32(records.reshape(-1)[BOXES_INSIDE:].view(np.uint8))


def _boxes_inside(table: pa.Table) -> bool:
    """Whether all boxes of samples lie inside their images; False for other tables."""
    if "box_xyxy" not in table.column_names:
        return False
    lists = table.column("box_xyxy").combine_chunks()
    boxes = _flat(lists.flatten().flatten()).reshape(-1, 4)
    counts = np.diff(_list_offsets(lists))
    width, height = (np.repeat(_flat(table.column(name).combine_chunks()), counts) for name in ("width", "height"))
    return bool((boxes >= 0).all() and (boxes[:, [0, 2]] <= width[:, None]).all() and (boxes[:, [1, 3]] <= height[:, None]).all())


def write_offsets(path: Path, records: NDArray[np.int64]) -> None:
    """Write the records as a ``.npy``, whole or not at all."""
    buffer = io.BytesIO()
    np.save(buffer, records, allow_pickle=False)
    write_bytes(path, buffer.getvalue())


def _header(records: int, columns: int) -> bytes:
    """The beginning of the ``.npy``; compared rather than parsed, for numpy's parser trips over damaged text."""
    buffer = io.BytesIO()
    shape = (records, columns)
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<i8", "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def offsets_path(shard: Path) -> Path:
    """Where the offsets of a shard lie."""
    return shard.with_suffix(".offsets")


def _lie_inside(records: NDArray[np.int64], schema: pa.Schema, size: int) -> bool:
    """Whether all values of all rows lie in a file of ``size`` bytes; numpy would make views of whatever memory it is told."""
    numbers = dict(zip(record_names(schema), records[1:].T, strict=True))
    for leaf in leaves(schema):
        if leaf.inline:
            continue
        start = numbers[leaf.name]
        count = numbers.get(f"n:{leaf.name}", numbers.get("n:region_id", start)) if leaf.depth else np.ones_like(start)
        # First that both are small, so that no sum of them overflows.
        if ((start < 0) | (count < 0) | (start > 8 * size) | (count > 8 * size)).any():
            return False
        if leaf.is_bytes:
            end = numbers.get(f"end:{leaf.name}", start + 4)
        elif pa.types.is_boolean(leaf.kind):
            end = (start + count + 7) // 8
        else:
            end = start + count * (leaf.width * leaf.kind.bit_width // 8)
        if (end > size).any() or (leaf.is_bytes and (end < start).any()):
            return False
    return True


def open_offsets(shard: Path, data: NDArray[np.uint8], schema: pa.Schema) -> NDArray[np.int64] | None:
    """Map the offsets of a shard.

    Args:
        shard: the Parquet file.
        data: its bytes, mapped.
        schema: its columns.

    Returns:
        int64 of shape (rows + 1, columns), or None where the file is missing, damaged, or belongs to other bytes.
    """
    path = offsets_path(shard)
    if not path.exists() or not path.stat().st_size:
        return None
    mapped = MappedFile(path).data
    columns = len(record_names(schema))
    count, rest = divmod(len(mapped) - _HEADER_BYTES, columns * 8)
    if rest or count < 1 or mapped[:_HEADER_BYTES].tobytes() != _header(count, columns):
        return None
    records = mapped[_HEADER_BYTES:].view(np.int64).reshape(count, columns)
    bound = [LAYOUT_VERSION, len(data), footer_crc32(shard, data), count - 1, _records_crc32(records)]
    return records if records[0, _BOUND].tolist() == bound and _lie_inside(records, schema, len(data)) else None
