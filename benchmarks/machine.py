"""The machine, and one core of it."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = ("numpy", "pyarrow", "pillow", "simplejpeg", "torch", "transformers", "datasets", "lmdb", "pycocotools")
_QUIET = {
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
}


def pin_to_one_core() -> int:
    """Keep this process and its children on one core, with one thread per library; call before any is imported.

    Returns:
        The core.
    """
    os.environ.update(_QUIET)
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return core


def describe() -> dict[str, str]:
    """The machine and the libraries, in words."""
    found = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {_memory_gib():.0f} GiB memory",
        "python": platform.python_version(),
    }
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _memory_gib() -> float:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / (1 << 30)


def smaps(process: str = "self") -> dict[str, int]:
    """Bytes by kind, from the kernel's ``smaps_rollup`` of a process: ``Anonymous``, ``Private_Dirty`` and so on."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]
    return {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
