"""Fresh processes that are measured from outside."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

_POLL_S = 0.01


def measured(module: str, *arguments: str) -> dict[str, Any]:
    """The JSON that ``python -m module`` prints, with ``private_bytes``, the most private memory that was seen of it.

    Raises:
        RuntimeError: it failed.
    """
    command = [sys.executable, "-m", module, *arguments]
    private = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        while process.poll() is None:
            with contextlib.suppress(OSError, KeyError):  # it may end while it is looked at
                private = max(private, memory_bytes(str(process.pid))["RssAnon"])
            time.sleep(_POLL_S)
        output = b"" if process.stdout is None else process.stdout.read()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    found: dict[str, Any] = json.loads(output)
    return {**found, "private_bytes": private}


def memory_bytes(process: str = "self") -> dict[str, int]:
    """Bytes by kind, of a process: ``VmHWM`` (most ever resident), ``RssAnon`` (its own, now) and so on."""
    lines = (line.split() for line in Path(f"/proc/{process}/status").read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if words[-1:] == ["kB"]}
