"""What a path names: a published cache folder, or one Parquet file of samples."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regioncache.cache.index import check_sizes, read_index
from regioncache.cache.layout import META_NAME, PROMPTS, SAMPLES, TOKENS, sidecar_folder
from regioncache.cache.open_rows import footer_metadata, open_rows
from regioncache.errors import CacheError, TokenizerError
from regioncache.schema import PROMPTS as PROMPTS_SCHEMA
from regioncache.schema import SAMPLES as SAMPLES_SCHEMA
from regioncache.schema import TOKENS as TOKENS_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from regioncache.cache.rows import ArraysReader, Rows


@dataclass(frozen=True, slots=True)
class TokenizerInfo:
    """What a batch must know of the tokenizer: its key, how to pad, and where a sequence ends."""

    key: str
    pad_token_id: int
    eos_token_id: int
    padding_side: str


@dataclass(frozen=True, slots=True)
class Shard:
    """One shard of samples and its side-cars, as paths; opened when its first row is asked for."""

    samples: Path
    tokens: Path | None
    prompts: Path | None
    tokenizer: TokenizerInfo | None
    archives: Path | None
    rows: int
    use_pread: bool

    def open(self) -> OpenShard:
        """Map the files.

        Raises:
            CacheError: a file is missing, not whole, or a side-car does not belong to the samples.
            TokenizerError: the tokens were made with another tokenizer than the side-car's ``meta.json`` says.
        """
        samples = open_rows(self.samples, SAMPLES_SCHEMA, use_pread=self.use_pread)
        tokens = self._sidecar(self.tokens, len(samples), "tokens")
        if self.tokens is not None and self.tokenizer is not None:
            _check_token_key(self.tokens, self.tokenizer)
        return OpenShard(
            samples,
            tokens,
            self._sidecar(self.prompts, len(samples), "prompts"),
            self,
            samples.arrays_reader(("box_xyxy", "region_id", "category_index")),
            _no_sequences if tokens is None else tokens.arrays_reader(("input_ids", "token_count")),
        )

    def _sidecar(self, path: Path | None, rows: int, kind: str) -> Rows | None:
        if path is None:
            return None
        opened = open_rows(path, TOKENS_SCHEMA if kind == "tokens" else PROMPTS_SCHEMA)
        if len(opened) != rows:
            raise CacheError(
                path,
                f"does not belong to {self.samples}",
                expected=f"{rows} rows",
                found=f"{len(opened)} rows",
                remedy="Run the target that builds this cache again",
            )
        return opened


def _check_token_key(path: Path, tokenizer: TokenizerInfo) -> None:
    found = footer_metadata(path).get("regioncache.tokenizer_key")
    if found != tokenizer.key:
        raise TokenizerError(
            f"{path}: made with another tokenizer than {path.parent / META_NAME} says (expected key {tokenizer.key}, found"
            f" {found}). The tokenizer changed while its side-car was built: run the target again"
        )


@dataclass(frozen=True, slots=True)
class OpenShard:
    """A shard's readers; ``regions`` gives boxes, ids and categories of a record, ``sequences`` its token ids and counts."""

    samples: Rows
    tokens: Rows | None
    prompts: Rows | None
    shard: Shard
    regions: ArraysReader
    sequences: ArraysReader


def _no_sequences(record: tuple[int, ...]) -> list[NDArray[Any]]:  # noqa: ARG001  (the shape of an ArraysReader)
    return []


def find_shards(path: Path, *, tokens: str | None, prompts: str | None, archives: Path | None, use_pread: bool) -> list[Shard]:
    """The shards behind a path, after cheap checks: versions, sizes, and that the side-cars are there.

    Args:
        path: a cache folder (with ``index.json``) or one Parquet file of samples.
        tokens: name of the tokens side-car, or None.
        prompts: name of the prompts side-car, or None.
        archives: folder of the archives that ``reference`` images lie in; None takes the one that the cache was built with.
        use_pread: read images by ``pread`` instead of through the map.

    Raises:
        CacheError: something is missing, cut short, or of a newer version.
    """
    if path.is_file():
        return [_single_shard(path, tokens=tokens, prompts=prompts, archives=archives, use_pread=use_pread)]
    index = read_index(path)
    check_sizes(path, SAMPLES, index.shards)
    for kind, name, sidecars in ((TOKENS, tokens, index.tokens), (PROMPTS, prompts, index.prompts)):
        if name is not None:
            _check_present(path, kind, name, sorted(sidecars))
            check_sizes(path, f"{kind}/{name}", sidecars[name].shards)
    tokenizer = None if tokens is None else read_tokenizer_info(sidecar_folder(path, TOKENS, tokens))
    if tokens is not None and tokenizer is not None and index.tokens[tokens].key != tokenizer.key:
        raise TokenizerError(
            f"{sidecar_folder(path, TOKENS, tokens) / META_NAME}: the tokenizer changed since the cache was published"
            f" (expected key {index.tokens[tokens].key}, found {tokenizer.key}). Run the target that builds this cache again"
        )
    if archives is None and index.archives_dir:
        archives = (path / index.archives_dir).resolve()
    return [
        Shard(
            path / SAMPLES / entry.name,
            None if tokens is None else sidecar_folder(path, TOKENS, tokens) / entry.name,
            None if prompts is None else sidecar_folder(path, PROMPTS, prompts) / entry.name,
            tokenizer,
            archives,
            entry.rows,
            use_pread,
        )
        for entry in index.shards
    ]


def _single_shard(path: Path, *, tokens: str | None, prompts: str | None, archives: Path | None, use_pread: bool) -> Shard:
    import pyarrow.parquet as pq  # noqa: PLC0415  (only the footer of a lone file is parsed here)

    cache = path.parent.parent
    for kind, name in ((TOKENS, tokens), (PROMPTS, prompts)):
        if name is not None:
            folders = sorted(folder.name for folder in (cache / kind).glob("*") if (folder / path.name).is_file())
            _check_present(cache, kind, name, folders)
    footer_metadata(path)
    return Shard(
        path,
        None if tokens is None else sidecar_folder(cache, TOKENS, tokens) / path.name,
        None if prompts is None else sidecar_folder(cache, PROMPTS, prompts) / path.name,
        None if tokens is None else read_tokenizer_info(sidecar_folder(cache, TOKENS, tokens)),
        archives,
        pq.read_metadata(path).num_rows,
        use_pread,
    )


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
