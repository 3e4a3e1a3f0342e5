"""Processes that are killed: a whole run of the workflow from outside, or a step at one of its file operations."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from workspace import RUN_LIMIT_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from workspace import Workspace

# Python runs this at the start of every process that has its folder on the path. Files that C++ writes are not seen, but
# each of them is opened for syncing, renamed, or followed by a file that Python writes.
SITECUSTOMIZE = """
import os
import signal
import sys

below, moment = os.environ["DIE_BELOW"], int(os.environ["DIE_AT"])
seen = 0


def count(event, arguments):
    global seen
    changes = event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate") or (
        event == "open" and (arguments[2] & (os.O_WRONLY | os.O_RDWR) or os.path.isdir(arguments[0]))
    )
    if changes and isinstance(arguments[0], (str, bytes, os.PathLike)) and below in os.path.abspath(arguments[0]):
        seen += 1
        if seen == moment:
            os.kill(os.getpid(), signal.SIGKILL)


sys.addaudithook(count)
"""


@contextmanager
def started(workspace: Workspace, command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A command in a process group of its own, which is killed in the end if the command still runs."""
    process = subprocess.Popen(
        command,
        cwd=workspace.folder,
        env=workspace.variables(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def kill_during(workspace: Workspace, command: list[str], after_s: float) -> int:
    """Start a command and kill it and what it started after a while; the exit status, 0 if it was done before."""
    with started(workspace, command) as process, suppress(subprocess.TimeoutExpired):
        return process.wait(after_s)
    deadline = time.monotonic() + 5
    with suppress(ProcessLookupError):  # raised when the last process of the group is gone
        while time.monotonic() < deadline:
            os.killpg(process.pid, 0)
            time.sleep(0.01)
    return process.wait()


def kill_when(workspace: Workspace, command: list[str], condition: Callable[[], object], every_s: float = 0.01) -> None:
    """Start a command and kill it and what it started as soon as a condition holds, which is looked at so often."""
    with started(workspace, command) as process:
        deadline = time.monotonic() + RUN_LIMIT_S
        while not condition():
            assert process.poll() is None, "it ended before"
            assert time.monotonic() < deadline
            time.sleep(every_s)


def die_at(workspace: Workspace, below: Path, moment: int, *arguments: str) -> int:
    """Run a verb that is killed just before its ``moment``-th file operation below a folder; its exit status."""
    folder = workspace.folder / "dying"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(SITECUSTOMIZE)
    variables = workspace.variables()
    done = subprocess.run(
        workspace.command("regioncache", *arguments),
        cwd=workspace.folder,
        env={
            **variables,
            "PYTHONPATH": os.pathsep.join([str(folder), variables["PYTHONPATH"]]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "DIE_BELOW": str(below),
            "DIE_AT": str(moment),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode
