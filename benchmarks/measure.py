"""Rates by CPU time: medians of rounds in which every row has its turn."""

from __future__ import annotations

import statistics
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table.

    Attributes:
        name: what was measured.
        value: the number.
        unit: of the number.
        note: what a reader must know of it.
    """

    name: str
    value: float
    unit: str
    note: str = ""


@dataclass(slots=True)
class Table:
    """The rows of one question.

    Attributes:
        key: short name, for the JSON and for budgets.
        title: the question.
        rows: by key.
        beside: key of the row that all rates are shown as multiples of, or "".
    """

    key: str
    title: str
    rows: dict[str, Row] = field(default_factory=dict)
    beside: str = ""

    def add(self, key: str, name: str, value: float, unit: str, note: str = "") -> None:
        """Add a row."""
        self.rows[key] = Row(name, value, unit, note)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to measure.

    Attributes:
        rounds: turns of every row.
        turn_s: least CPU time of a turn; short work is repeated.
    """

    rounds: int
    turn_s: float


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured.

    Attributes:
        images: of every store.
        pace: how long.
        shards: of the large caches, by name.
        shard_rows: rows of each of their shards.
        epoch_rows: random rows that an epoch reads there.
        build_images: of the drawn archives.
        annotation_images: of the large detection file.
        openimages_boxes: of the large CSV.
        stream_images: of the large tar.
        order_indices: of every order.
    """

    images: int
    pace: Pace
    shards: dict[str, int]
    shard_rows: int
    epoch_rows: int
    build_images: int
    annotation_images: int
    openimages_boxes: int
    stream_images: int
    order_indices: int


def cpu_rates(work: Mapping[str, Callable[[], int]], pace: Pace) -> dict[str, float]:
    """Items per second of CPU time of this process, all its threads together.

    Rows take turns, so that a slow minute of the machine falls on all of them; the first turn of each is not counted.

    Args:
        work: by row key, a function that does one pass and returns how many items it made.
        pace: how long.

    Returns:
        The median rate of each row.
    """
    found: dict[str, list[float]] = {key: [] for key in work}
    for do in work.values():
        do()
    for _ in range(pace.rounds):
        for key, do in work.items():
            items = 0
            start = time.process_time()
            while (spent := time.process_time() - start) < pace.turn_s or not items:
                items += do()
            found[key].append(items / spent)
    return {key: statistics.median(rates) for key, rates in found.items()}
