"""A cache as a data set of Hugging Face ``datasets``: the shards are plain Parquet already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from regioncache.data.open_cache import find_shards
from regioncache.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def load_hugging_face(cache: Path, *, streaming: bool = False, **options: Any) -> Any:  # noqa: ANN401  (a class of datasets)
    """``datasets.load_dataset("parquet")`` of a cache's shards, in the cache's order; ``image`` decodes to a picture.

    Without ``streaming``, ``datasets`` copies the shards into a cache of its own. Images that the cache refers to in their
    archive, or keeps as raw pixels, are no files, and do not decode there.

    Args:
        cache: a cache folder, or one Parquet file of samples.
        streaming: read the shards in turn, without a copy.
        options: further ones of ``load_dataset``, such as ``cache_dir`` or ``columns``.

    Raises:
        CacheError: there is no whole cache.
        ConfigError: ``datasets`` is not installed.
    """
    try:
        from datasets import load_dataset  # noqa: PLC0415  (optional)
    except ImportError as error:
        raise ConfigError("Hugging Face datasets is not installed; pip install datasets") from error
    shards = find_shards(cache.absolute(), tokens=None, prompts=None, archives=None, use_pread=False)
    files = [str(shards.samples / name) for name in shards.names]
    return load_dataset("parquet", data_files=files, split="train", streaming=streaming, **options)
