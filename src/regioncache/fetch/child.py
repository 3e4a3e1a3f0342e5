"""Outside programs: started with an argument list, logged line by line, gone when this process is gone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from regioncache.fetch.redact import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_LEASH = Path(__file__).with_name("leash.py")
_KEPT_LINES = 30


@dataclass(frozen=True)
class Outcome:
    """How a program ended.

    Args:
        status: its exit status, negative for the signal that killed it.
        lines: the last lines of its output, redacted.
    """

    status: int
    lines: tuple[str, ...]


def run_child(program: Sequence[str], *, secret_input: str, inherited_fds: Sequence[int], log: Callable[[str], None]) -> Outcome:
    """Run a program to its end. It is killed if this process, or the thread that called, ends before it.

    Args:
        program: the argument list; no shell sees it, but every user of the machine can.
        secret_input: its standard input, for what must not stand in the argument list.
        inherited_fds: descriptors that it keeps open, such as a held lock.
        log: receives every line of its output, redacted.
    """
    # -I -S: the leash needs nothing but the standard library, and starts in some 10 ms.
    command = [sys.executable, "-I", "-S", str(_LEASH), str(os.getpid()), *program]
    lines: deque[str] = deque(maxlen=_KEPT_LINES)
    process = subprocess.Popen(  # noqa: S603  (an argument list of ours, no shell)
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=inherited_fds,
        env={**os.environ, "LC_ALL": "C"},  # messages are compared with English ones
        encoding="utf-8",
        errors="replace",
    )
    with process:
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
