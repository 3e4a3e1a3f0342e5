"""Shards are written so that their values can be read in place.

PLAIN, uncompressed, no dictionary, one page per column chunk, page checksums, row groups always cut at the same number of
rows. Then every value lies whole in the file, and the file is still the Parquet that every other tool opens.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from regioncache.atomic import remove_stray, sync_folder, temporary_name, write_error
from regioncache.cache.index import unpublish
from regioncache.cache.offsets import build_offsets, offsets_path, write_offsets

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

ROW_GROUP_ROWS = 64
_ONE_PAGE = 1 << 30


def _offsets(lengths: Sequence[int]) -> pa.Array:
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return pa.array(offsets)


def _column(kind: pa.DataType, values: Sequence[Any]) -> pa.Array:
    """One column of a row group; numeric lists arrive as arrays and are joined without touching their elements."""
    if pa.types.is_list(kind) and not pa.types.is_list(kind.value_type):
        element = kind.value_type
        offsets = _offsets([len(value) for value in values])
        if pa.types.is_fixed_size_list(element):
            dtype = np.dtype(element.value_type.to_pandas_dtype())
            flat = np.concatenate([np.asarray(value, dtype).reshape(-1) for value in values])
            inner = pa.FixedSizeListArray.from_arrays(pa.array(flat, element.value_type), type=element)
        elif pa.types.is_string(element):
            inner = pa.array([item for value in values for item in value], element)
        else:
            dtype = np.dtype(element.to_pandas_dtype())
            inner = pa.array(np.concatenate([np.asarray(value, dtype) for value in values]), element)
        return pa.ListArray.from_arrays(offsets, inner, type=kind)
    return pa.array(values, kind)


def row_group_table(schema: pa.Schema, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Rows as an Arrow table of ``schema``.

    Args:
        schema: the table's schema.
        rows: one mapping per row with a value for every field; numeric lists may be arrays, boxes (n, 4) arrays.
    """
    return pa.Table.from_arrays([_column(field.type, [row[field.name] for row in rows]) for field in schema], schema=schema)


class ShardWriter:
    """Write one shard and its offsets, whole or not at all; a cache that has an index loses it in that moment.

    Args:
        path: the Parquet file.
        schema: its schema, without metadata.
        metadata: file metadata; written in sorted order, so that equal metadata are equal bytes.
        row_group_rows: rows of every row group but the last, however rows arrive.

    Raises:
        DiskFullError: no room; nothing half-written is left.
    """

    def __init__(
        self, path: Path, schema: pa.Schema, metadata: Mapping[str, str], *, row_group_rows: int = ROW_GROUP_ROWS
    ) -> None:
        self.path = path
        self.schema = schema.with_metadata(dict(sorted(metadata.items())))
        self._row_group_rows = row_group_rows
        self._rows: list[Mapping[str, Any]] = []
        self._writer: pq.ParquetWriter | None = None
        self._temporary = temporary_name(path)

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        remove_stray(self.path)
        try:
            self._writer = pq.ParquetWriter(
                self._temporary,
                self.schema,
                compression="NONE",
                use_dictionary=False,
                data_page_size=_ONE_PAGE,
                data_page_version="1.0",
                write_page_checksum=True,
                write_statistics=["image_id"],
                store_schema=True,
            )
        except OSError as error:
            raise self._failed(error) from error
        return self

    def append(self, row: Mapping[str, Any]) -> None:
        """Add one row: a value for every field of the schema."""
        self._rows.append(row)
        if len(self._rows) == self._row_group_rows:
            self._flush()

    def _flush(self) -> None:
        if self._writer is None:
            raise RuntimeError("a ShardWriter is used inside its with block")
        try:
            self._writer.write_table(row_group_table(self.schema, self._rows), row_group_size=self._row_group_rows)
        except OSError as error:
            raise self._failed(error) from error
        self._rows = []

    def _failed(self, error: OSError) -> OSError:
        self._temporary.unlink(missing_ok=True)
        return write_error(self.path, error)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        writer = self._writer
        if kind is not None:
            self._abandon(writer)
            return
        try:
            if self._rows:
                self._flush()
            if writer is not None:
                writer.close()
            with self._temporary.open("rb+") as handle:
                os.fsync(handle.fileno())
            records = build_offsets(self._temporary)
            unpublish(self.path)
            self._temporary.replace(self.path)
            sync_folder(self.path.parent)
            write_offsets(offsets_path(self.path), records)
        except OSError as problem:
            self._abandon(writer)
            raise write_error(self.path, problem) from problem
        except BaseException:
            self._abandon(writer)
            raise

    def _abandon(self, writer: pq.ParquetWriter | None) -> None:
        if writer is not None:
            with suppress(OSError):  # the disk may still be full; the file goes anyway
                writer.close()
        self._temporary.unlink(missing_ok=True)
