"""Open a shard: in place where its values can be addressed, through row groups where somebody rewrote it."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from regioncache.cache.damage import named_damage
from regioncache.cache.group_rows import GroupRows
from regioncache.cache.layout import META_NAME
from regioncache.cache.mapping import MappedFile
from regioncache.cache.offsets import build_offsets, check_row_count, open_offsets
from regioncache.cache.pages import NotMappableError
from regioncache.cache.rows import MappedRows
from regioncache.errors import CacheError, TokenizerError

if TYPE_CHECKING:
    from pathlib import Path

    from regioncache.cache.rows import Rows


class SlowShardWarning(UserWarning):
    """A shard is read through row groups, and the text says why."""


def open_rows(path: Path, schema: pa.Schema, *, use_pread: bool = False) -> Rows:
    """Open a shard for reading.

    Args:
        path: the Parquet file.
        schema: the columns that it must have, in order.
        use_pread: read large values by ``pread`` instead of through the map.

    Returns:
        ``MappedRows`` where the values can be addressed in place (stale or missing offsets are derived again, in memory),
        else ``GroupRows``.

    Raises:
        CacheError: the file is missing, not whole, or lacks a column.

    Warns:
        SlowShardWarning: the file was rewritten in a form that cannot be mapped.
    """
    with named_damage(path, "cannot be opened"):
        return _opened(path, schema, use_pread=use_pread)


def _opened(path: Path, schema: pa.Schema, *, use_pread: bool) -> Rows:
    file = MappedFile(path)
    records = open_offsets(path, file.data, schema)
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
                stacklevel=3,
            )
            return GroupRows(path, schema)
    return MappedRows(file, schema, records, use_pread=use_pread)


def read_schema(path: Path) -> pa.Schema:
    """The Arrow schema of a Parquet file, with its metadata.

    Raises:
        CacheError: the footer cannot be read.
    """
    with named_damage(path, "not a readable Parquet file"):
        return pq.read_schema(path)


def footer_metadata(path: Path) -> dict[str, str]:
    """The key-value metadata of a shard's footer, as text."""
    found: dict[bytes, bytes] = read_schema(path).metadata or {}
    with named_damage(path, "has metadata that is no text"):
        return {key.decode(): value.decode() for key, value in found.items() if key != b"ARROW:schema"}


def count_rows(path: Path) -> int:
    """How many rows a Parquet file has.

    Raises:
        CacheError: the footer cannot be read.
    """
    with named_damage(path, "not a readable Parquet file"):
        rows: int = pq.read_metadata(path).num_rows
    check_row_count(path, rows)
    return rows


def check_token_key(path: Path, key: str) -> None:
    """Compare the tokenizer that a tokens shard was made with to the one that its side-car is said to have.

    Raises:
        TokenizerError: they differ.
    """
    found = footer_metadata(path).get("regioncache.tokenizer_key")
    if found != key:
        raise TokenizerError(
            f"{path}: made with another tokenizer than {path.parent / META_NAME} says (expected key {key}, found {found})."
            " The tokenizer changed while its side-car was built: run the target again"
        )
