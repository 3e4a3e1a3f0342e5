"""What a path names: a published cache folder, or one Parquet file of samples."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regioncache.cache.index import check_schema_version, check_sizes, read_index
from regioncache.cache.layout import META_NAME, PROMPTS, SAMPLES, TOKENS, sidecar_folder
from regioncache.cache.open_rows import check_token_key, count_rows, footer_metadata, open_rows
from regioncache.errors import CacheError, TokenizerError
from regioncache.schema import PROMPTS as PROMPTS_SCHEMA
from regioncache.schema import SAMPLES as SAMPLES_SCHEMA
from regioncache.schema import TOKENS as TOKENS_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from regioncache.cache.rows import Reader, Rows


REGION_FIELDS = ("image_id", "height", "width", "box_xyxy", "region_id", "category_index", "is_crowd")
TOKEN_FIELDS = ("image_id", "input_ids", "token_count")


@dataclass(frozen=True, slots=True)
class TokenizerInfo:
    """What a batch must know of the tokenizer: its key, how to pad, and where a sequence ends."""

    key: str
    pad_token_id: int
    eos_token_id: int
    padding_side: str


@dataclass(frozen=True, slots=True)
class ShardSet:
    """The shards behind one path; nothing is opened before ``open``.

    Attributes:
        samples: folder of the samples.
        names: file name of each shard, the same in the side-cars.
        rows: rows of each shard.
        tokens: folder of the tokens side-car, or None.
        prompts: folder of the prompts side-car, or None.
        tokenizer: of the tokens side-car.
        archives: folder of the archives that ``reference`` images lie in.
        use_pread: read images by ``pread`` instead of through the map.
    """

    samples: Path
    names: list[str]
    rows: list[int]
    tokens: Path | None
    prompts: Path | None
    tokenizer: TokenizerInfo | None
    archives: Path | None
    use_pread: bool

    def open(self, shard: int) -> OpenShard:
        """Map the files of one shard.

        Raises:
            CacheError: a file is missing, not whole, or a side-car does not belong to the samples.
        """
        name = self.names[shard]
        samples = open_rows(self.samples / name, SAMPLES_SCHEMA, use_pread=self.use_pread)
        tokens = prompts = None
        if self.tokens is not None:
            tokens = open_rows(self.tokens / name, TOKENS_SCHEMA)
            _check_same_rows(samples, tokens)
        if self.prompts is not None:
            prompts = open_rows(self.prompts / name, PROMPTS_SCHEMA)
            _check_same_rows(samples, prompts)
        sequences = _no_sequences if tokens is None else tokens.reader(TOKEN_FIELDS)
        return OpenShard(samples, tokens, prompts, samples.reader(REGION_FIELDS), sequences, self)


def _check_same_rows(samples: Rows, side: Rows) -> None:
    if len(side) != len(samples):
        raise CacheError(
            side.path,
            f"does not belong to {samples.path}",
            expected=f"{len(samples)} rows",
            found=f"{len(side)} rows",
            remedy="Run the target that builds this cache again",
        )


@dataclass(frozen=True, slots=True)
class OpenShard:
    """A shard's readers; ``regions`` gives a record's ``REGION_FIELDS``, ``sequences`` its ``TOKEN_FIELDS``."""

    samples: Rows
    tokens: Rows | None
    prompts: Rows | None
    regions: Reader
    sequences: Reader
    origin: ShardSet


def _no_sequences(record: tuple[int, ...]) -> list[NDArray[Any]]:  # noqa: ARG001  (the shape of a Reader)
    return []


def find_shards(path: Path, *, tokens: str | None, prompts: str | None, archives: Path | None, use_pread: bool) -> ShardSet:
    """The shards behind a path, after cheap checks: versions, sizes, and that the side-cars are there.

    Args:
        path: a cache folder (with ``index.json``) or one Parquet file of samples.
        tokens: name of the tokens side-car, or None.
        prompts: name of the prompts side-car, or None.
        archives: folder of the archives that ``reference`` images lie in; None takes the one that the cache was built with.
        use_pread: read images by ``pread`` instead of through the map.

    Raises:
        CacheError: something is missing, cut short, or of a newer version.
        TokenizerError: the tokenizer changed since the cache was published.
    """
    if path.is_file():
        version = footer_metadata(path).get("regioncache.schema_version")
        if version is not None:
            check_schema_version(path, int(version) if version.isdecimal() else version)
        cache, samples, names, rows = path.parent.parent, path.parent, [path.name], [count_rows(path)]
        for kind, name in ((TOKENS, tokens), (PROMPTS, prompts)):
            if name is not None:
                folders = sorted(folder.name for folder in (cache / kind).glob("*") if (folder / path.name).is_file())
                _check_present(cache, kind, name, folders)
        tokenizer = None if tokens is None else read_tokenizer_info(sidecar_folder(cache, TOKENS, tokens))
        if tokens is not None and tokenizer is not None:
            check_token_key(sidecar_folder(cache, TOKENS, tokens) / path.name, tokenizer.key)
    else:
        index = read_index(path)
        cache, samples = path, path / SAMPLES
        names, rows = [entry.name for entry in index.shards], [entry.rows for entry in index.shards]
        check_sizes(path, SAMPLES, index.shards)
        for kind, name, sidecars in ((TOKENS, tokens, index.tokens), (PROMPTS, prompts, index.prompts)):
            if name is not None:
                _check_present(path, kind, name, sorted(sidecars))
                check_sizes(path, f"{kind}/{name}", sidecars[name].shards)
        tokenizer = None if tokens is None else _published_tokenizer(path, tokens, index.tokens[tokens].key)
        if archives is None and index.archives_dir:
            archives = (path / index.archives_dir).resolve()
    return ShardSet(
        samples,
        names,
        rows,
        None if tokens is None else sidecar_folder(cache, TOKENS, tokens),
        None if prompts is None else sidecar_folder(cache, PROMPTS, prompts),
        tokenizer,
        archives,
        use_pread,
    )


def _published_tokenizer(cache: Path, tokens: str, key: str) -> TokenizerInfo:
    folder = sidecar_folder(cache, TOKENS, tokens)
    tokenizer = read_tokenizer_info(folder)
    if tokenizer.key != key:
        raise TokenizerError(
            f"{folder / META_NAME}: the tokenizer changed since the cache was published (expected key {key}, found"
            f" {tokenizer.key}). Run the target that builds this cache again"
        )
    return tokenizer


def _check_present(cache: Path, kind: str, name: str, present: Sequence[str]) -> None:
    if name not in present:
        raise CacheError(
            cache,
            f"has no {kind} side-car of that name",
            expected=name,
            found=", ".join(present) or "none",
            remedy="Name one that is there, or add it to config.yaml and run the target again",
        )


def read_tokenizer_info(folder: Path) -> TokenizerInfo:
    """What ``meta.json`` of a tokens side-car says of its tokenizer.

    Raises:
        CacheError: the file is missing or damaged.
    """
    path = folder / META_NAME
    try:
        meta = json.loads(path.read_bytes())
        return TokenizerInfo(str(meta["key"]), int(meta["pad_token_id"]), int(meta["eos_token_id"]), str(meta["padding_side"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CacheError(
            path, f"the tokenizer's description cannot be read ({error!r})", remedy="Run the target again"
        ) from error


def as_paths(path: str | Path | Sequence[str | Path]) -> list[Path]:
    """One path or several, as a list of absolute paths."""
    several = [path] if isinstance(path, str | Path) else list(path)
    return [Path(one).absolute() for one in several]
