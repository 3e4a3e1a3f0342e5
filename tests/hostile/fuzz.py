"""Starts the fuzzing of a reader in a process of its own, and says which seed broke it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
INPUTS = 10_000


def fuzz(reader: str, folder: Path, count: int = INPUTS) -> dict[str, Any]:
    """Give a reader ``count`` damaged inputs; how many it took, refused, and the slowest.

    Args:
        reader: ``module:function`` below ``hostile.readers``. The function is given a folder and returns what is called with a
            ``Random`` of each seed; that may return, or raise a ``RegioncacheError``, and nothing else.
        folder: an empty folder of its own.
        count: how many.
    """
    folder.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent / "src")])}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "hostile.runner", reader, str(folder), str(count)],
        env=environment, capture_output=True, text=True, check=False, timeout=1800,
    )  # fmt: skip
    note = folder.with_name(f"{folder.name}.seed")
    seed = note.read_text().strip() if note.exists() else "none"
    assert done.returncode == 0, f"{reader}: exit {done.returncode} at seed {seed}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
