"""One page about all caches of a folder: what they hold, what was left out, and samples to look at."""

from __future__ import annotations

import base64
import html
import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from regioncache.atomic import write_bytes
from regioncache.cache.layout import INDEX_NAME, STATS_NAME
from regioncache.data.dataset import ParquetRegionDataset
from regioncache.report.facts import cache_facts, sidecars
from regioncache.report.overlay import draw_overlay

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_STYLE = (
    "body{font:15px/1.5 sans-serif;margin:2em auto;max-width:72em;padding:0 1em}"
    "table{border-collapse:collapse}td{border-top:1px solid #ccc;padding:.2em .8em}"
    "img{width:100%;margin:.3em 0}h2{margin-top:2em}"
)
_JPEG_QUALITY = 85


def find_caches(cache_dir: Path) -> list[Path]:
    """The finished caches below a folder, ``<dataset>/<split>``, in order of name."""
    return sorted(path.parent for path in cache_dir.glob(f"*/*/{INDEX_NAME}"))


def write_report(cache_dir: Path, out: Path, *, pictures: int = 3) -> int:
    """Write the page, self-contained.

    Args:
        cache_dir: the folder of caches.
        out: the HTML file.
        pictures: samples drawn of each cache, spread over it; none of a cache without images.

    Returns:
        How many caches it shows.

    Raises:
        CacheError: a cache cannot be read.
    """
    caches = find_caches(cache_dir)
    sections = [_section(cache, pictures) for cache in caches]
    title = f"{len(caches)} caches"
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f"<h1>{title}</h1>{''.join(sections)}</html>\n"
    )
    write_bytes(out, page.encode())
    return len(caches)


def _section(cache: Path, pictures: int) -> str:
    facts = cache_facts(cache)
    stats: dict[str, Any] = json.loads((cache / STATS_NAME).read_bytes())
    rows: list[tuple[str, object]] = [("size on disk", f"{facts['bytes'] / 2**20:.1f} MiB in {facts['shards']} shards")]
    rows += [(name.replace("_", " "), amount) for name, amount in facts["counts"].items()]
    rows += [(f"rejected: {reason}", times) for reason, times in stats["rejects"].items()]
    rows += [(f"licence of {what}", text) for what, text in facts["licence"].items()]
    shown = [] if facts["counts"].get("storage_none") else _spread(facts["rows"], pictures)
    drawn = "".join(_picture(cache, index) for index in shown)
    return f"<h2>{html.escape(facts['dataset'])}, {html.escape(facts['split'])}</h2>{_table(rows)}{drawn}"


def _spread(rows: int, pictures: int) -> list[int]:
    return sorted({int(index) for index in np.linspace(0, rows - 1, min(rows, pictures)).round()}) if rows else []


def _table(rows: Iterable[tuple[str, object]]) -> str:
    cells = "".join(f"<tr><td>{html.escape(name)}</td><td>{html.escape(str(value))}</td></tr>" for name, value in rows)
    return f"<table>{cells}</table>"


def _picture(cache: Path, index: int) -> str:
    _, prompts = sidecars(cache)
    sample = ParquetRegionDataset(cache, prompts=prompts, masks="dense")[index]
    buffer = io.BytesIO()
    draw_overlay(sample).save(buffer, "JPEG", quality=_JPEG_QUALITY)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f'<img alt="image {sample["image_id"]}" src="data:image/jpeg;base64,{data}">'
