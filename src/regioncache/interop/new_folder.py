"""A folder of exported files that is there whole or not at all."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from regioncache.atomic import sync_folder, temporary_name, write_error
from regioncache.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``out``; on success it is synced and renamed to ``out``, on failure removed.

    Raises:
        ConfigError: ``out`` stands already, and is not an empty folder: nothing of a user is ever overwritten.
        DiskFullError: the disk is full.
    """
    out = out.absolute()
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise ConfigError(f"{out} stands already and is not an empty folder; name another one, or remove it first")
    out.parent.mkdir(parents=True, exist_ok=True)
    _remove_stray(out)
    temporary = temporary_name(out)
    try:
        temporary.mkdir()
        yield temporary
        os.sync()  # once, where a sync of each of many small files would take longer than writing them
        temporary.replace(out)
        sync_folder(out.parent)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise write_error(out, error) from error
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _remove_stray(out: Path) -> None:
    """Remove what killed exports to ``out`` left behind."""
    stray = re.compile(rf"\.tmp-\d+-{re.escape(out.name)}")
    for path in list(out.parent.iterdir()):
        if stray.fullmatch(path.name):
            shutil.rmtree(path)
