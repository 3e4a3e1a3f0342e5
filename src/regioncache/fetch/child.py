"""Outside programs: started with an argument list, logged line by line, gone when this process is gone."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from regioncache.fetch.redact import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_LEASH = Path(__file__).with_name("leash.py")
_KEPT_LINES = 30
_POLL_S = 0.1
_PROGRESS_BYTES = 65536


@dataclass(frozen=True)
class Outcome:
    """How a program ended.

    Args:
        status: its exit status, negative for the signal that killed it.
        lines: the last lines of its output, redacted.
    """

    status: int
    lines: tuple[str, ...]


@dataclass
class Watch:
    """A program is killed when it shows no progress for a while: where the system tells, when it reads next to nothing.

    Args:
        limit_s: for how long.
    """

    limit_s: float
    _last_s: float = field(default_factory=time.monotonic)

    def see_progress(self) -> None:
        """Count the time from now on."""
        self._last_s = time.monotonic()

    @property
    def is_over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() - self._last_s > self.limit_s


def run_child(
    program: Sequence[str],
    *,
    secret_input: str = "",
    inherited_fds: Sequence[int],
    variables: Mapping[str, str] | None = None,
    watch: Watch | None = None,
    log: Callable[[str], None],
) -> Outcome:
    """Run a program to its end. It is killed if this process, or the thread that called, ends before it.

    Args:
        program: the argument list; no shell sees it, but every user of the machine can, as that of the program alone.
        secret_input: its standard input, for what must not stand in the argument list.
        inherited_fds: descriptors that it keeps open, such as a held lock.
        variables: its environment beside this process's.
        watch: kills it, if given.
        log: receives every line of its output, redacted.
    """
    program_fd, writing_fd = os.pipe()
    # -I -S: the leash needs nothing but the standard library, and starts in some 10 ms.
    command = [sys.executable, "-I", "-S", str(_LEASH), str(os.getpid()), str(program_fd)]
    lines: deque[str] = deque(maxlen=_KEPT_LINES)
    with os.fdopen(writing_fd, "wb", buffering=0) as arguments, _closing(program_fd):
        process = subprocess.Popen(  # noqa: S603  (an argument list of ours, no shell)
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[*inherited_fds, program_fd],
            env={**os.environ, "LC_ALL": "C", **(variables or {})},  # messages are compared with English ones
            encoding="utf-8",
            errors="replace",
        )
        with suppress(BrokenPipeError):
            arguments.write(b"".join(os.fsencode(word) + b"\0" for word in program))
    with process, _watching(process, watch):
        try:
            if process.stdin is None or process.stdout is None:
                raise AssertionError("both pipes were asked for")
            with suppress(BrokenPipeError):  # a program that ended at once says why in its status
                process.stdin.write(secret_input)
                process.stdin.close()
            for line in process.stdout:
                text = redact(line.rstrip())
                if text:
                    lines.append(text)
                    log(text)
            status = process.wait()
        finally:
            process.kill()  # an interrupt of ours must not leave it writing; without effect once it has ended
    return Outcome(status, tuple(lines))


@contextmanager
def _closing(descriptor: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _watching(process: subprocess.Popen[str], watch: Watch | None) -> Iterator[None]:
    """Look at the watch from another thread, because this one waits for output."""
    if watch is None:
        yield
        return
    ended = threading.Event()

    def look() -> None:
        seen_bytes = 0
        while not ended.wait(_POLL_S):
            now_bytes = _read_bytes(process.pid)
            if now_bytes - seen_bytes >= _PROGRESS_BYTES:
                seen_bytes = now_bytes
                watch.see_progress()
            if watch.is_over:
                process.kill()

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _read_bytes(pid: int) -> int:
    """What a process has read so far, from files and from the network; 0 where that cannot be known."""
    try:
        return int(Path(f"/proc/{pid}/io").read_text(encoding="ascii").split()[1])  # proc(5): `rchar: n`, first
    except (OSError, ValueError, IndexError):
        return 0
