"""Run the benchmarks on one core and print their tables."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.machine import describe, pin_to_one_core
from benchmarks.measure import Pace, Scale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.measure import Table

GROUPS = ("samples", "batches", "panoptic", "opening", "tokens", "masks", "build")
_FULL = Scale(1000, Pace(5, 0.15), {"1M": 245, "10M": 2442}, 4096, 60_000, 400)
_QUICK = Scale(24, Pace(1, 0.0), {"1M": 3, "10M": 5}, 64, 256, 6)


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
            _print_table(table)
    verdicts = importlib.import_module("benchmarks.budgets").judge(found) if not options.quick else []
    _print_verdicts(verdicts)
    say("done")
    if options.json is not None:
        tables = [table.to_json() for table in found.values()]
        options.json.write_text(json.dumps({**describe(), "tables": tables, "budgets": verdicts}, indent=1) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few images and one round: does it run; its numbers mean nothing")
    parser.add_argument("--only", nargs="+", choices=GROUPS, metavar="GROUP", help=f"some of: {', '.join(GROUPS)}")
    parser.add_argument("--data", type=Path, default=Path(".data/bench"), help="folder that keeps stores between runs")
    parser.add_argument(
        "--vocabulary", type=Path, help="folder with GPT-2's encoder.json and vocab.bpe; else a small BPE is trained"
    )
    parser.add_argument("--json", type=Path, help="write everything to this file")
    return parser


def _print_table(table: Table) -> None:
    print(f"\n{table.title}")
    beside = table.rows[table.beside].value if table.beside else None
    width = max(len(row.name) for row in table.rows.values())
    for row in table.rows.values():
        ratio = "" if beside is None or row.unit == "bytes" else f"  {row.value / beside:8.3f} x"
        print(f"  {row.name:{width}}  {row.value:12,.2f} {row.unit}{ratio}{'  (' + row.note + ')' if row.note else ''}")
    sys.stdout.flush()


def _print_verdicts(verdicts: list[dict[str, Any]]) -> None:
    if verdicts:
        print("\nbudgets")
    for one in verdicts:
        print(f"  {'held    ' if one['held'] else 'NOT HELD'}  {one['measured']:10,.2f}  {one['bound']:8}  {one['promise']}")


if __name__ == "__main__":
    main(sys.argv[1:])
