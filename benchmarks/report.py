"""Tables and budgets as text, as Markdown and as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from benchmarks.machine import describe

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.measure import Row, Table

HEADING = "## The last numbers"


def table_text(table: Table) -> str:
    """One table, to be printed."""
    beside = _beside(table)
    width = max(len(row.name) for row in table.rows.values())
    lines = [f"\n{table.title}"]
    for row in table.rows.values():
        ratio = "" if beside is None else f"  {row.value / beside:8.3f} x"
        lines.append(f"  {row.name:{width}}  {row.value:12,.2f} {row.unit}{ratio}{_note(row)}")
    return "\n".join(lines)


def budgets_text(budgets: Sequence[dict[str, Any]]) -> str:
    """The budgets, to be printed."""
    lines = ["\nbudgets"]
    for one in budgets:
        verdict = "held    " if one["held"] else "NOT HELD"
        lines.append(f"  {verdict}  {one['measured']:10,.2f}  {one['bound']:8}  {one['promise']}")
    return "\n".join(lines)


def write_json(path: Path, tables: Sequence[Table], budgets: Sequence[dict[str, Any]]) -> None:
    """Everything that was measured, and where."""
    content = {**describe(), "tables": [table.to_json() for table in tables], "budgets": list(budgets)}
    path.write_text(json.dumps(content, indent=1) + "\n")


def write_markdown(path: Path, tables: Sequence[Table], budgets: Sequence[dict[str, Any]]) -> None:
    """Replace all that follows ``HEADING`` in a file by this run's tables, or write them to a new file."""
    before = path.read_text().partition(HEADING)[0] if path.exists() else ""
    machine = describe()
    where = f"{machine.pop('machine')}; {', '.join(f'{name} {version}' for name, version in machine.items())}."
    parts = [HEADING, where, *map(_table_markdown, tables)]
    if budgets:
        rows = [
            f"| {one['promise']} | {one['bound']} | {one['measured']:.3g} | {'held' if one['held'] else '**not held**'} |"
            for one in budgets
        ]
        parts.append("\n".join(["### Budgets", "", "| | bound | measured | |", "|---|--:|--:|---|", *rows]))
    path.write_text(before + "\n\n".join(parts) + "\n")


def _table_markdown(table: Table) -> str:
    beside = _beside(table)
    lines = [
        f"### {table.title[0].upper()}{table.title[1:]}",
        "",
        "| | | | |" if beside is None else "| | | | x |",
        "|---|--:|---|--:|",
    ]
    for row in table.rows.values():
        number = f"{row.value:,.0f}" if row.value >= 100 else f"{row.value:.2f}"
        ratio = "" if beside is None else f"{row.value / beside:.3g}"
        lines.append(f"| {row.name}{_note(row)} | {number} | {row.unit} | {ratio} |")
    return "\n".join(lines)


def _beside(table: Table) -> float | None:
    return table.rows[table.beside].value if table.beside else None


def _note(row: Row) -> str:
    return f" ({row.note})" if row.note else ""
