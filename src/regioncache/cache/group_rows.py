"""Rows of any Parquet file with the right columns, decoded a row group at a time: for a shard that somebody rewrote."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from regioncache.cache.damage import REMEDY
from regioncache.cache.offsets import check_row_count
from regioncache.cache.ragged import ByteStrings
from regioncache.errors import CacheError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from regioncache.cache.rows import Reader


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
        check_row_count(path, metadata.num_rows)
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
        value = value[inner[0]] if inner and value.is_valid else value
        if not value.is_valid:
            raise CacheError(self.path, f"column {name} holds a null", remedy=REMEDY)
        return value

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

    def reader(self, names: Sequence[str]) -> Reader:
        """See ``Rows.reader``."""
        whole = {name for name in names if pa.types.is_integer(self._schema.field(name).type)}
        return lambda record: [self.integer(record, name) if name in whole else self.array(record, name) for name in names]

    def byte_strings(self, record: tuple[int, ...], name: str) -> ByteStrings:
        """See ``Rows.byte_strings``."""
        values = self._value(record, name).as_py()
        flat = [item for value in values for item in (value if isinstance(value, list) else [value])]
        return ByteStrings.of([item.encode() for item in flat])
