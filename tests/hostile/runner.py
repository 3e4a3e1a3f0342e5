"""Feeds one reader thousands of damaged inputs, in a process of its own: ``python -m hostile.runner READER FOLDER COUNT``.

A crash, a hang or a flood of memory ends only this process, and a file beside its folder names the seed that did it.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import resource
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path
from random import Random

from regioncache.errors import RegioncacheError

SECONDS_PER_INPUT = 20  # so many that a busy machine does not look like a hang
GROWTH_BYTES = 256 << 20  # of resident memory, by all inputs together
ROOM_BYTES = 2 << 30  # of address space, by any one of them


def main() -> int:
    """Run the inputs; prints a line of JSON, or of what went wrong, and returns 0 if nothing did."""
    where, folder, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    module, name = where.split(":")
    attempt = getattr(importlib.import_module(f"hostile.readers.{module}"), name)(folder)
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", "__array__ implementation doesn't accept a copy keyword")  # pycocotools; see pyproject.toml
    address_space = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGESIZE") + ROOM_BYTES
    faulthandler.enable()
    faulthandler.register(signal.SIGALRM, chain=True)  # the stack of a hang, then the end
    before = sorted(path.name for path in folder.rglob("*"))
    taken, refused, slowest = 0, 0, (0.0, -1)
    with folder.with_name(f"{folder.name}.seed").open("wb", buffering=0) as note:
        for seed in range(count):
            os.pwrite(note.fileno(), b"%-8d" % seed, 0)
            if seed == 1:  # the first one imports and fills caches
                base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
                resource.setrlimit(resource.RLIMIT_AS, (address_space, resource.RLIM_INFINITY))
            signal.setitimer(signal.ITIMER_REAL, SECONDS_PER_INPUT)
            start = time.perf_counter()
            try:
                attempt(Random(f"{where} {seed}"))  # noqa: S311  (reproducible damage, no secret)
                taken += 1
            except RegioncacheError as error:
                refused += 1
                str(error)
            except BaseException:  # noqa: BLE001  (whatever else escapes a reader is what is looked for)
                sys.stdout.write(f"{where}: seed {seed}\n{traceback.format_exc()}\n")
                return 1
            slowest = max(slowest, (time.perf_counter() - start, seed))
            if seed and (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) << 10 > GROWTH_BYTES:
                sys.stdout.write(
                    f"{where}: seed {seed} took the resident memory beyond {GROWTH_BYTES >> 20} MiB more than the first seed\n"
                )
                return 1
        signal.setitimer(signal.ITIMER_REAL, 0)
    left = [name for name in (path.name for path in folder.rglob("*")) if name not in before and ".tmp" in name]
    if left:
        sys.stdout.write(f"{where}: unfinished files are left: {left}\n")
        return 1
    sys.stdout.write(json.dumps({"taken": taken, "refused": refused, "slowest_s": slowest[0], "slowest_seed": slowest[1]}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
