"""A user's table of boxes and phrases with a folder of photos, as catalog entry and files."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from pack_archives import fetched_paths

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from regioncache.steps.paths import BuildPaths


def photo(width: int, height: int, seed: int = 0) -> bytes:
    """A PNG of noise: small, and the same after decoding."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def table_entry(folder: Path | str, **changes: Any) -> dict[str, Any]:
    """An entry that reads ``table.jsonl`` and ``photos/`` of a folder."""
    return {
        "name": "mine",
        "title": "Mine",
        "format": "table",
        "homepage": "https://example.org",
        "licence": {"annotations": "CC0", "images": "CC0"},
        "citation": "none",
        "exif": "ignore",
        "task_type": "caption",
        "archives": {
            "table": {"path": "mine/table.jsonl", "kind": "file", "local": f"{folder}/table.jsonl"},
            "photos": {"path": "mine/photos.tar", "kind": "folder", "local": f"{folder}/photos"},
        },
        "splits": {
            "train": {
                "shards": 1,
                "files": {"table": {"archive": "table"}},
                "folders": {"images": {"archive": "photos"}},
            }
        },
        **changes,
    }


def write_files(folder: Path, rows: Sequence[dict[str, Any]], sizes: dict[str, tuple[int, int]]) -> None:
    """The table, and photos of (width, height) by name."""
    (folder / "photos").mkdir(parents=True, exist_ok=True)
    (folder / "table.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for seed, (name, size) in enumerate(sizes.items()):
        (folder / "photos" / name).write_bytes(photo(*size, seed))


def table_paths(folder: Path, rows: Sequence[dict[str, Any]], sizes: dict[str, tuple[int, int]], **changes: Any) -> BuildPaths:
    """The same, fetched and ready to be built."""
    write_files(folder, rows, sizes)
    return fetched_paths(folder, table_entry(folder, **changes), "train")
