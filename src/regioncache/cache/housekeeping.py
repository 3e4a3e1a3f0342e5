"""How much room caches take, and what in them nobody needs any more."""

from __future__ import annotations

import shutil
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from regioncache.cache.index import read_index
from regioncache.cache.layout import INDEX_NAME, PROMPTS, TOKENS, part_name
from regioncache.cache.offsets import offsets_path

if TYPE_CHECKING:
    from regioncache.cache.index import CacheIndex


def disk_use(cache_dir: Path) -> dict[str, int]:
    """Bytes of each folder of each cache, by ``<dataset>/<split>/<folder>``; files beside the folders count as ``index``."""
    use: defaultdict[str, int] = defaultdict(int)
    for path in sorted(cache_dir.rglob("*")):
        if not path.is_file() or path.is_symlink():
            continue
        parts = path.relative_to(cache_dir).parts
        if len(parts) > 2:  # noqa: PLR2004  (dataset, split, and something inside)
            inner = parts[2:-1]
            use["/".join([*parts[:2], *(inner[:2] or ("index",))])] += path.stat().st_size
    return dict(use)


def unneeded(cache_dir: Path) -> list[Path]:
    """What may be deleted below a folder of caches: files of killed writers, shards and side-cars that no index lists.

    Caches without an index are left alone: a build may be under way there.
    """
    found: list[Path] = []
    for index_path in sorted(cache_dir.glob(f"*/*/{INDEX_NAME}")):
        cache = index_path.parent
        index = read_index(cache)
        sidecars = {cache / TOKENS / name for name in index.tokens} | {cache / PROMPTS / name for name in index.prompts}
        for kind in (TOKENS, PROMPTS):
            found += [folder for folder in sorted((cache / kind).glob("*")) if folder.is_dir() and folder not in sidecars]
        found += unlisted_shards(cache, index)
        found += [path for path in sorted(cache.rglob(".tmp-*")) if not any(above in found for above in path.parents)]
    return found


def unlisted_shards(cache: Path, index: CacheIndex) -> list[Path]:
    """Shards and offsets in a cache's folders that its index does not list, such as those of another number of shards."""
    listed = {cache / folder / entry.name for folder, entry in index.files()}
    listed |= {offsets_path(path) for path in listed}
    folders = sorted({path.parent for path in listed})
    return [path for folder in folders for path in sorted(folder.glob("part-*-of-*")) if path not in listed]


def is_of_count(shard: Path, count: int) -> bool:
    """Whether a shard, or its offsets, belongs to a split of so many shards; an index may list only some of them."""
    return shard.stem == Path(part_name(int(shard.stem.split("-")[1]), count)).stem


def collect(paths: list[Path]) -> int:
    """Delete what ``unneeded`` found.

    Returns:
        The bytes that were freed.
    """
    freed = 0
    for path in paths:
        if path.is_dir():
            freed += sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
            shutil.rmtree(path)
        else:
            freed += path.stat().st_size
            path.unlink()
    return freed
