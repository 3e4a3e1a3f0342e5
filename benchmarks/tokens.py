"""Phrases to token ids: our columns beside the tokenizer library's own batch call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.measure import Scale, Table, cpu_rates
from benchmarks.vocabulary import MAX_LENGTH

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.stores import Stores
    from regioncache.encode.tokenizer import Tokenizer

_NAMES = 133  # of COCO panoptic's categories
_LIMIT = MAX_LENGTH - 2


def tables(stores: Stores, scale: Scale) -> list[Table]:
    """Phrases per second of CPU time."""
    tokenizer = stores.tokenizer
    distinct = list(dict.fromkeys(stores.phrases()))
    repeated = (distinct[:_NAMES] * (len(distinct) // _NAMES + 1))[: len(distinct)]
    table = Table(
        "tokens", f"{len(distinct):,} distinct phrases to token ids of {type(tokenizer.library).__name__}", beside="ours"
    )
    work = {
        "ours": ("regioncache: Tokenizer.encode, flat int32", _encode(tokenizer, distinct)),
        "library": ("the library's own call on a batch of 256", _library(tokenizer, distinct)),
        "backend": ("its Rust backend: encode_batch_fast on a batch of 256", _backend(tokenizer, distinct)),
        "ours_repeated": (f"regioncache, as many phrases, {_NAMES} of them distinct", _encode(tokenizer, repeated)),
        "library_repeated": ("the library's own call on these", _library(tokenizer, repeated)),
    }
    for key, rate in cpu_rates({key: do for key, (_, do) in work.items()}, scale.pace).items():
        table.add(key, work[key][0], rate, "phrases/s")
    return [table]


def _encode(tokenizer: Tokenizer, texts: Sequence[str]) -> Callable[[], int]:
    def do() -> int:
        return len(tokenizer.encode(texts, template="sca", max_length=MAX_LENGTH)[1])

    return do


def _library(tokenizer: Tokenizer, texts: list[str]) -> Callable[[], int]:
    library = tokenizer.library

    def do() -> int:
        return sum(len(library(batch, truncation=True, max_length=_LIMIT)["input_ids"]) for batch in _batches(texts))

    return do


def _backend(tokenizer: Tokenizer, texts: list[str]) -> Callable[[], int]:
    backend = tokenizer.library.backend_tokenizer

    def do() -> int:
        backend.enable_truncation(_LIMIT)
        return sum(len([one.ids for one in backend.encode_batch_fast(batch)]) for batch in _batches(texts))

    return do


def _batches(texts: list[str]) -> list[list[str]]:
    return [texts[start : start + 256] for start in range(0, len(texts), 256)]
