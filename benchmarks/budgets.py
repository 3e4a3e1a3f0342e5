"""What the project promises of these rows, and whether this run held it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from benchmarks.measure import Table


@dataclass(frozen=True, slots=True)
class Budget:
    """One promise.

    Attributes:
        promise: in words, with what it is compared to.
        bound: the number.
        at_least: whether the measured number must be at least the bound; else at most.
        measured: from a function that gives the value of a row by ``table.row``.
    """

    promise: str
    bound: float
    at_least: bool
    measured: Callable[[Callable[[str], float]], float]


def _over(table: str, row: str, *others: str) -> Callable[[Callable[[str], float]], float]:
    """A row as a multiple of the largest of some others."""
    return lambda value: value(f"{table}.{row}") / max(value(f"{table}.{other}") for other in others)


def _largest(*rows: str) -> Callable[[Callable[[str], float]], float]:
    return lambda value: max(value(row) for row in rows)


_FRAMED = ("lmdb_pickle_framed", "lmdb_pickle_resized")
_NATIVE = ("lmdb_pickle", "hf_tuned", "hf_natural")

BUDGETS = [
    Budget(
        "sample without image: of the floor that gives the same fields", 0.5, True, _over("sample_none", "ours", "floor_full")
    ),
    Budget(
        "sample without image: of the bare floor (fewer fields, ready-made boxes)",
        0.5,
        True,
        _over("sample_none", "ours", "floor"),
    ),
    Budget(
        "sample without image: x fastest peer with the same fields",
        2,
        True,
        _over("sample_none", "ours", "lmdb_full", "hf_tuned"),
    ),
    Budget(
        "sample without image: x fastest peer, fewer fields", 2, True, _over("sample_none", "ours", "lmdb_pickle", "hf_tuned")
    ),
    Budget("sample without image: x Hugging Face natural", 50, True, _over("sample_none", "ours", "hf_natural")),
    Budget("sample from JPEG: of the bare decode", 0.95, True, _over("sample_jpeg", "ours", "limit")),
    Budget("sample from raw: of the bare copy", 0.8, True, _over("sample_raw", "ours", "limit")),
    Budget("batch from JPEG, native size: x best peer to 8x3x1024x1024", 2, True, _over("batch_jpeg", "ours", *_FRAMED)),
    Budget("batch from JPEG, native size: x best peer, like for like", 2, True, _over("batch_jpeg", "ours", *_NATIVE)),
    Budget("batch from JPEG, native size: x on the fly, float32", 20, True, _over("batch_jpeg", "ours", "on_the_fly_float32")),
    Budget(
        "batch from JPEG, resized on the CPU: x on the fly, float32",
        8,
        True,
        _over("batch_jpeg", "ours_fast", "on_the_fly_float32"),
    ),
    Budget("batch from raw, native size: x best peer to 8x3x1024x1024", 4, True, _over("batch_raw", "ours", *_FRAMED)),
    Budget("batch from raw, native size: x best peer, like for like", 4, True, _over("batch_raw", "ours", *_NATIVE)),
    Budget("batch without image: x best peer", 2, True, _over("batch_none", "ours", "lmdb_pickle", "hf_tuned")),
    Budget("panoptic kernel: of the PNG's decode time", 0.5, False, _over("panoptic", "kernel", "png")),
    Budget("panoptic kernel: x as fast as the panopticapi loop", 12, True, _over("panoptic", "panopticapi", "kernel")),
    Budget("panoptic kernel: x as fast as the pycocotools loop", 12, True, _over("panoptic", "naive", "kernel")),
    Budget("open 10 M rows, ms", 50, False, _largest("open.open_10M")),
    Budget("open 10 M rows, MiB of private memory", 20, False, _largest("open.memory_10M")),
    Budget("1 M rows: growth of a worker over 3 epochs, MiB", 1, False, _largest("open.growth_1M_0", "open.growth_1M_1")),
    Budget("pickled dataset of 10 M rows, bytes", 1000, False, _largest("open.pickle_10M")),
    Budget("tokens: of the library's own batch rate", 0.9, True, _over("tokens", "ours", "library")),
    Budget("build with storage original: x (PNG decode + kernel + tokens)", 1.3, False, _over("build", "original", "needed")),
    Budget("build without label maps: x (PNG decode + kernel + tokens)", 1.3, False, _over("build", "no_map", "needed")),
]


def judge(tables: Mapping[str, Table]) -> list[dict[str, Any]]:
    """Every budget whose rows were measured: ``promise``, ``bound`` in words, ``measured``, ``held``."""

    def value(row: str) -> float:
        table, _, key = row.partition(".")
        return tables[table].rows[key].value

    found = []
    for budget in BUDGETS:
        try:
            measured = budget.measured(value)
        except KeyError:
            continue
        held = measured >= budget.bound if budget.at_least else measured <= budget.bound
        bound = f"{'>=' if budget.at_least else '<='} {budget.bound:g}"
        found.append({"promise": budget.promise, "bound": bound, "measured": measured, "held": held})
    return found
