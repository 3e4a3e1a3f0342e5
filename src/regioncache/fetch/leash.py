"""Run a program that is killed when the process that started it dies, however it dies.

Run as a script, ``leash.py PARENT_PID DESCRIPTOR``, in a fresh interpreter between parent and program. The request must be
made by the child itself, and doing it in a ``preexec_fn`` would run Python between fork and exec, which can deadlock when
the parent has threads. The program's argument list comes through the descriptor, each argument ended by a zero byte: every
user of the machine can see the arguments of this process. Where there is no ``prctl`` (outside Linux) the program runs
without it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Ask the kernel for SIGKILL at the parent's death, then become the program."""
    parent_pid, descriptor = map(int, sys.argv[1:])
    with os.fdopen(descriptor, "rb") as pipe:
        program = pipe.read().split(b"\0")[:-1]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent_pid:  # it died before the request was made
            sys.exit(1)
    os.execvp(program[0], program)  # noqa: S606  (an argument list of ours, and a shell is what is not wanted)


if __name__ == "__main__":
    main()
