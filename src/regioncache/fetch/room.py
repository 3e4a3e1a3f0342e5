"""Room on the disk: refused before the first byte what cannot fit, and one error for a disk that fills up."""

from __future__ import annotations

import errno
import re
import shutil
from typing import TYPE_CHECKING

from regioncache.errors import DiskFullError

if TYPE_CHECKING:
    from pathlib import Path

    from regioncache.catalog import Archive

NO_SPACE = re.compile(r"no space left on device|disk quota exceeded|file too large", re.IGNORECASE)


def check_room(path: Path, archive: Archive, present_bytes: int) -> None:
    """Refuse a download that cannot fit.

    Args:
        path: where it goes; its folder exists.
        archive: of which size; passes if that is not known.
        present_bytes: how much of it is there already.

    Raises:
        DiskFullError: there is no room for the rest.
    """
    if archive.bytes is None:
        return
    missing_bytes = archive.bytes - present_bytes
    free_bytes = shutil.disk_usage(path.parent).free
    if missing_bytes > free_bytes:
        raise disk_full(path, f"{missing_bytes} bytes are still to come and {free_bytes} are free")


def disk_full(path: Path, problem: str) -> DiskFullError:
    """The error of a download without room."""
    return DiskFullError(
        errno.ENOSPC,
        f"no space left for {path}: {problem}. Free space on that disk, or set the folder of archives to a larger one, and"
        " run the same command again; what wget or FiftyOne fetched so far is kept, and it goes on where it stopped",
    )
