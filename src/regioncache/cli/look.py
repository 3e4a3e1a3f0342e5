"""Verbs that look at a cache."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from regioncache.cache.housekeeping import collect, disk_use, unneeded
from regioncache.cache.index import read_index
from regioncache.cache.layout import STATS_NAME, TOKENIZER_NAME, TOKENS, sidecar_folder
from regioncache.cache.verify import verify_cache
from regioncache.cli.progress import progress_bar
from regioncache.data.dataset import ParquetRegionDataset
from regioncache.encode.tokenizer_file import open_tokenizer
from regioncache.errors import CacheError, ConfigError
from regioncache.report.facts import cache_facts, reading_facts, sidecars
from regioncache.report.gallery import write_report
from regioncache.report.overlay import draw_overlay

CachePath = Annotated[Path, typer.Argument(help="A cache folder (with index.json), or a Parquet file of samples.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _show(facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(facts, indent=1, ensure_ascii=False))
        return
    lines = [
        (f"{key}: {inner}" if inner else key, one)
        for key, value in facts.items()
        for inner, one in (value.items() if isinstance(value, dict) else (("", value),))
    ]
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        typer.echo(f"{name:<{width}}  {', '.join(map(str, value)) if isinstance(value, list) else value}")


def info(cache: CachePath, as_json: AsJson = False) -> None:
    """Say what a cache holds and what it was made from."""
    _show(cache_facts(cache), as_json=as_json)


def stats(cache: CachePath, as_json: AsJson = False) -> None:
    """Print the counts of the build: what was kept, what was left out and why."""
    read_index(cache)
    _show(json.loads((cache / STATS_NAME).read_bytes()), as_json=as_json)


def verify(
    cache: CachePath,
    full: Annotated[bool, typer.Option("--full", help="Hash every file and check every row.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check a cache against its index."""
    with progress_bar("verifying") as progress:
        checked = verify_cache(cache, full=full, progress=progress)
    _show({"path": str(cache), "sound": True, "full": full, **checked}, as_json=as_json)


def view(
    cache: CachePath,
    index: Annotated[int, typer.Argument(help="Which sample.")] = 0,
    out: Annotated[Path, typer.Option(help="The PNG to write.")] = Path("overlay.png"),
    as_json: AsJson = False,
) -> None:
    """Draw a sample: photo, masks, boxes, points, captions, decoded tokens."""
    if out.suffix.lower() != ".png":
        raise ConfigError(f"--out {out}: the picture is a PNG; name it so")
    tokens, prompts = sidecars(cache)
    dataset = ParquetRegionDataset(cache, tokens=tokens, prompts=prompts, masks="dense")
    try:
        sample = dataset[index]
    except IndexError as error:
        raise CacheError(cache, f"has no sample {index}", expected=f"0 to {len(dataset) - 1}", found=index) from error
    decoded = None
    if tokens is not None:
        tokenizer = open_tokenizer(sidecar_folder(cache, TOKENS, tokens) / TOKENIZER_NAME)
        ends = sample["input_ids_length"].cumsum()
        pieces = zip(ends - sample["input_ids_length"], ends, strict=True)
        decoded = [tokenizer.decode(sample["input_ids"][start:end].tolist()) for start, end in pieces]
    out.parent.mkdir(parents=True, exist_ok=True)
    draw_overlay(sample, decoded).save(out)
    facts = {
        "picture": str(out),
        "image_id": sample["image_id"],
        "regions": len(sample["metadata_region_id"]),
        "captions": list(sample["metadata_captions"]),
    }
    _show(facts, as_json=as_json)


def du(
    cache_dir: Annotated[Path, typer.Argument(help="Folder of caches.", file_okay=False)] = Path(".data.cache"),
    as_json: AsJson = False,
) -> None:
    """Say how many bytes each part of each cache takes."""
    _require_folder(cache_dir)
    use = disk_use(cache_dir)
    _show({**use, "total": sum(use.values())}, as_json=as_json)


def gc(
    cache_dir: Annotated[Path, typer.Argument(help="Folder of caches.", file_okay=False)] = Path(".data.cache"),
    delete: Annotated[bool, typer.Option("--delete", help="Delete; without it, only say what would go.")] = False,
    as_json: AsJson = False,
) -> None:
    """Find files that no index lists: left by killed writers, by another number of shards, by a side-car that was dropped."""
    _require_folder(cache_dir)
    found = unneeded(cache_dir)
    names = [str(path) for path in found]
    facts: dict[str, Any] = {"unneeded": names}
    if delete:
        facts["freed_bytes"] = collect(found)
    _show(facts, as_json=as_json)


def report(
    cache_dir: Annotated[Path, typer.Argument(help="Folder of caches.", file_okay=False)] = Path(".data.cache"),
    out: Annotated[Path, typer.Option(help="The HTML page to write.")] = Path(".data.cache/report.html"),
    pictures: Annotated[int, typer.Option(help="Samples drawn of each cache.", min=0)] = 3,
) -> None:
    """Write one page about all caches of a folder: counts, rejects, pictures."""
    _require_folder(cache_dir)
    typer.echo(f"{out}: {write_report(cache_dir, out, pictures=pictures)} caches")


def _require_folder(cache_dir: Path) -> None:
    if not cache_dir.is_dir():
        raise CacheError(cache_dir, "there is no such folder", remedy="Name the folder that cache_dir in config.yaml says")


def bench(
    cache: CachePath,
    batch_size: Annotated[int, typer.Option(min=1)] = 8,
    seconds: Annotated[float, typer.Option(min=0)] = 3.0,
    as_json: AsJson = False,
) -> None:
    """Collate batches in this process: their shapes and dtypes, and the samples per second."""
    _show(reading_facts(cache, batch_size=batch_size, seconds=seconds), as_json=as_json)
