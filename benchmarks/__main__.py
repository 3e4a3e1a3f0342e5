"""Run the benchmarks on one core and print their tables."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import report
from benchmarks.budgets import judge
from benchmarks.machine import pin_to_one_core
from benchmarks.measure import Pace, Scale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.measure import Table

GROUPS = (
    "samples",
    "batches",
    "panoptic",
    "opening",
    "tokens",
    "masks",
    "transforms",
    "build",
    "conversion",
    "annotations",
    "openimages",
    "streams",
    "order",
    "loading",
)
_FULL = Scale(1000, Pace(5, 0.15), {"1M": 245, "10M": 2442}, 4096, 60_000, 400, 350_000, 14_600_000, 10_000, 100_000_000)
_QUICK = Scale(24, Pace(1, 0.0), {"1M": 3, "10M": 5}, 64, 256, 6, 30, 20_000, 40, 2_000_000)


def main(arguments: Sequence[str]) -> None:
    """Prepare, measure, print."""
    options = _parser().parse_args(arguments)
    scale = _QUICK if options.quick else _FULL
    core = pin_to_one_core()
    stores_module = importlib.import_module("benchmarks.stores")  # after the pin: libraries count cores when imported
    start = time.perf_counter()

    def say(line: str) -> None:
        print(f"[{time.perf_counter() - start:4.0f} s] {line}", file=sys.stderr)

    stores = stores_module.prepare(options.data, scale.images, options.vocabulary, say)
    found: dict[str, Table] = {}
    print(f"CPU time on one core (core {core}), median of {scale.pace.rounds} rounds in turn, in one run")
    for group in options.only or GROUPS:
        say(f"measuring {group}")
        for table in importlib.import_module(f"benchmarks.{group}").tables(stores, scale):
            found[table.key] = table
            print(report.table_text(table), flush=True)
    verdicts = [] if options.quick else judge(found)
    if verdicts:
        print(report.budgets_text(verdicts))
    if options.json is not None:
        report.write_json(options.json, list(found.values()), verdicts)
    if options.markdown is not None:
        report.write_markdown(options.markdown, list(found.values()), verdicts)
    say("done")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few images and one round: does it run; its numbers mean nothing")
    parser.add_argument("--only", nargs="+", choices=GROUPS, metavar="GROUP", help=f"some of: {', '.join(GROUPS)}")
    parser.add_argument("--data", type=Path, default=Path(".data/bench"), help="folder that keeps stores between runs")
    parser.add_argument(
        "--vocabulary", type=Path, help="folder with GPT-2's encoder.json and vocab.bpe; else a small BPE is trained"
    )
    parser.add_argument("--json", type=Path, help="write everything to this file")
    parser.add_argument(
        "--markdown", type=Path, help="write the tables to this file, after its heading 'The last numbers' if it has one"
    )
    return parser


if __name__ == "__main__":
    main(sys.argv[1:])
