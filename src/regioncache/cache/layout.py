"""Where the files of a cache lie.

::

    <cache_dir>/<dataset>/<split>/
      index.json                              written last; its presence says that the cache is whole
      samples/part-00000-of-00058.parquet     one row = one image with its regions
      samples/part-00000-of-00058.offsets     where each row's bytes lie; derived, safe to delete
      tokens/<tokenizer>/part-…parquet        side-car, same rows in the same order; meta.json and the tokenizer's files beside
      prompts/<frame>/part-…parquet           side-car of one SAM frame; meta.json beside
      rejects.parquet  stats.json             what was left out and why; counts
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

INDEX_NAME = "index.json"
REJECTS_NAME = "rejects.parquet"
STATS_NAME = "stats.json"
META_NAME = "meta.json"
TOKENIZER_NAME = "tokenizer.zip"
SAMPLES, TOKENS, PROMPTS = "samples", "tokens", "prompts"


def part_name(shard: int, shards: int) -> str:
    """The file name of one shard, such as ``part-00003-of-00058.parquet``."""
    return f"part-{shard:05d}-of-{shards:05d}.parquet"


def shard_rows(images: int, shards: int, shard: int) -> range:
    """Which positions of the sorted image list a shard holds: contiguous, as equal as can be, known without reading any."""
    return range(images * shard // shards, images * (shard + 1) // shards)


def sidecar_folder(cache: Path, kind: str, name: str) -> Path:
    """The folder of a side-car; ``kind`` is ``tokens`` or ``prompts``."""
    return cache / kind / name
