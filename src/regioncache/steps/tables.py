"""Arrow tables between steps: IPC files that later jobs map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from regioncache.atomic import atomic_path

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_BATCH_ROWS = 4096


KEY = b"key"


def write_table(out: Path, table: pa.Table, key: str, metadata: Mapping[bytes, str] | None = None) -> None:
    """Write a table with the content key of its step, whole or not at all; a slice of it can be mapped alone."""
    table = table.replace_schema_metadata({KEY: key, **(metadata or {})})
    with (
        atomic_path(out) as temporary,
        pa.OSFile(str(temporary), "wb") as sink,
        pa.ipc.new_file(sink, table.schema) as writer,
    ):
        writer.write_table(table, max_chunksize=_BATCH_ROWS)


def map_table(path: Path) -> pa.Table:
    """Map a table; nothing is read until a slice of it is used."""
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


def table_key(path: Path) -> str | None:
    """The content key of a table, or None where the file is no such table."""
    try:
        metadata = pa.ipc.open_file(pa.memory_map(str(path))).schema.metadata or {}
    except (pa.ArrowInvalid, OSError):
        return None
    key: bytes | None = metadata.get(KEY)
    return None if key is None else key.decode()
