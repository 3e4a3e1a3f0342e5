"""One writer per file: an advisory lock beside it, held by this process and by the programs that it starts."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from regioncache.errors import FetchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_POLL_S = 0.2


@contextmanager
def file_lock(path: Path, *, wait_s: float, log: Callable[[str], None]) -> Iterator[int]:
    """Hold the lock and yield its descriptor; a child that inherits it keeps the lock as long as it lives.

    The file is never removed: a waiter may hold it open, and would then own a lock that nobody else sees.

    Args:
        path: the lock file, created if missing; it says who holds it.
        wait_s: how long to wait for another holder.
        log: receives one line if there is something to wait for.

    Raises:
        FetchError: another process still holds the lock after ``wait_s``.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        # flock and not lockf: it belongs to the open file, so a child inherits it.
        if not _try_lock(descriptor):
            log(f"{path}: held by {_holder(descriptor)}; waiting up to {wait_s:g} s")
            deadline = time.monotonic() + wait_s
            while not _try_lock(descriptor):
                if time.monotonic() > deadline:
                    raise FetchError(
                        f"{path}: still held by {_holder(descriptor)} after {wait_s:g} s. That process is fetching the"
                        " same file: wait for it, or end it if it is stuck; what it has fetched so far is kept"
                    )
                time.sleep(_POLL_S)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(descriptor: int) -> str:
    return os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "another process"
