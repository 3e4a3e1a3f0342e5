"""Files that are there whole or not at all.

A step writes to a temporary name in the folder of its output, syncs, and renames. A kill at any moment leaves either the
old file, the new file, or a stray ``.tmp-*`` that the next run removes.
"""

from __future__ import annotations

import errno
import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from regioncache.errors import DiskFullError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def temporary_name(path: Path) -> Path:
    """The name beside ``path`` under which it is written before it is renamed; one per process."""
    return path.with_name(f".tmp-{os.getpid()}-{path.name}")


def remove_stray(path: Path) -> None:
    """Remove what killed writers of ``path`` left behind. Writers of one output never run at the same time."""
    for stray in path.parent.glob(f".tmp-*-{path.name}"):
        stray.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make renames in ``folder`` durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def atomic_path(path: Path, *, shared: bool = False) -> Iterator[Path]:
    """Yield a temporary name to write to; on success it is synced and renamed to ``path``, on failure removed.

    Args:
        path: the output.
        shared: whether several processes may write the same content at once, so that what another one is writing is
            left alone; else it is what a killed writer left behind.

    Raises:
        DiskFullError: the disk is full (``ENOSPC``) or a quota is reached.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not shared:
        remove_stray(path)
    temporary = temporary_name(path)
    try:
        yield temporary
        with temporary.open("rb+") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise write_error(path, error) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_error(path: Path, error: OSError) -> OSError:
    """The error for a failed write to ``path``: a ``DiskFullError`` where there was no room, else ``error`` itself."""
    if isinstance(error, DiskFullError) or error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return error
    return DiskFullError(
        error.errno,
        f"no space left while writing {path} ({os.strerror(error.errno)}). Nothing half-written was kept: free space on"
        " that disk, or set cache_dir and work_dir to a larger one, and run the same command again",
    )


def write_bytes(path: Path, data: bytes, *, shared: bool = False) -> None:
    """Write ``data`` to ``path``, whole or not at all; ``shared`` as in ``atomic_path``."""
    with atomic_path(path, shared=shared) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, value: Any, *, shared: bool = False) -> None:  # noqa: ANN401  (any JSON value)
    """Write ``value`` as JSON with sorted keys, so that equal values are equal bytes; ``shared`` as in ``atomic_path``."""
    write_bytes(path, (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode(), shared=shared)
