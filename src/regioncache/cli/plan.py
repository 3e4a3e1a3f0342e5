"""The verb that says what an epoch of several caches will hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from regioncache.cli.look import AsJson  # noqa: TC001  (typer reads annotations at run time)
from regioncache.cli.mix_file import mix_of, order_of
from regioncache.data.order.ranks import batch_count
from regioncache.errors import ConfigError
from regioncache.plain_yaml import read_plain_yaml
from regioncache.report.mix_plan import plan_facts, rows_and_regions

Caches = Annotated[
    list[str] | None, typer.Argument(help="Caches, as NAME=FOLDER or FOLDER; a folder's name is DATASET/SPLIT, its last two.")
]
Numbers = list[str]


def plan(
    caches: Caches = None,
    mix: Annotated[Path | None, typer.Option(help="A YAML file that says the mix, instead of caches and options.")] = None,
    weight: Annotated[Numbers | None, typer.Option(help="NAME=NUMBER, for each source: its part of the mix.")] = None,
    repeat: Annotated[Numbers | None, typer.Option(help="NAME=NUMBER: how often an epoch holds the source.")] = None,
    batches: Annotated[str, typer.Option(help="mixed, ratio (inside every batch), or one_source (per batch).")] = "mixed",
    batch_size: Annotated[int | None, typer.Option(help="Samples of one rank in a step.")] = None,
    ranks: Annotated[int, typer.Option(help="Processes that train together.")] = 1,
    stop: Annotated[str | None, typer.Option(help="stop_first, exhaust_once, or repeat.")] = None,
    epoch_length: Annotated[int | None, typer.Option(help="Samples of an epoch, with --stop repeat.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say what an epoch of several caches will hold: samples, share, epochs until exhausted, regions."""
    if (mix is None) == (not caches):
        raise ConfigError("name the caches to mix, or a file with --mix, and not both")
    if mix is not None:
        meant, where = read_plain_yaml(mix, "mix"), str(mix)
    else:
        sources = _sources(caches or [])
        _add("weight", weight or [], sources)
        _add("repeat", repeat or [], sources)
        options = {"batches": batches, "batch_size": batch_size, "ranks": ranks, "stop": stop, "epoch_length": epoch_length}
        meant, where = {"sources": sources, **options}, "plan"
    wanted = mix_of(meant, where)
    sizes = {name: rows_and_regions(Path(source.cache)) for name, source in wanted.sources.items()}
    order = order_of(wanted, {name: rows for name, (rows, _) in sizes.items()})
    facts: dict[str, Any] = {"sources": plan_facts(order, {name: regions for name, (_, regions) in sizes.items()})}
    if wanted.batch_size is not None:
        facts["steps"] = batch_count(len(order), wanted.batch_size * wanted.ranks, "pad")
    typer.echo(json.dumps(facts, indent=1, ensure_ascii=False) if as_json else _table(facts))


def _sources(caches: list[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for cache in caches:
        name, sign, folder = cache.partition("=")
        if not sign:
            name, folder = "/".join(Path(cache).absolute().parts[-2:]), cache
        if name in found:
            raise ConfigError(f"two caches have the name {name!r}; name them: NAME=FOLDER")
        found[name] = {"cache": folder}
    return found


def _add(key: str, numbers: list[str], sources: dict[str, dict[str, Any]]) -> None:
    for one in numbers:
        name, _, number = one.rpartition("=")
        if name not in sources:
            raise ConfigError(f"--{key} {one}: expected NAME=NUMBER with one of the names {', '.join(sources)}")
        try:
            sources[name][key] = float(number)
        except ValueError as error:
            raise ConfigError(f"--{key} {one}: {number!r} is no number") from error


def _table(facts: dict[str, Any]) -> str:
    rows = [("source", "rows", "samples", "share", "epochs until exhausted", "regions")]
    for name, one in facts["sources"].items():
        epochs = "never" if one["epochs"] is None else f"{one['epochs']:.2f}"
        rows.append((name, f"{one['rows']:,}", f"{one['samples']:,}", f"{one['share']:.1%}", epochs, f"{one['regions']:,}"))
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]
    if "steps" in facts:
        lines.append(f"steps of an epoch: {facts['steps']:,}")
    return "\n".join(lines)
