"""Token ids of the regions of a batch, padded as the tokenizer pads, and their labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from regioncache.errors import TokenizerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from regioncache.data.open_cache import TokenizerInfo

IGNORED_LABEL = -100


def token_fields(
    samples: Sequence[Mapping[str, Any]], kept: NDArray[np.int64], place: Callable[..., NDArray[Any]]
) -> dict[str, NDArray[np.int64]]:
    """``input_ids``, ``attention_mask`` and ``labels`` of a batch, int64.

    Args:
        samples: of the batch.
        kept: how many regions of each sample are kept, always its first ones; int64 (B,).
        place: puts per-region values of each sample in the places of their regions.

    Raises:
        TokenizerError: the samples' tokens come from different tokenizers.
    """
    tokenizer = _one_tokenizer(samples)
    lengths = [sample["input_ids_length"] for sample in samples]
    longest = int(np.concatenate(lengths).max(initial=0))  # before any cut, as the original pads
    ids = [sample["input_ids"] for sample in samples]
    if sum(map(len, lengths)) != int(kept.sum()):  # of cut samples the first regions' ids, which stand first
        ids = [some[: int(sizes[:count].sum())] for some, sizes, count in zip(ids, lengths, kept, strict=True)]
    placed = place(lengths, np.int64, 0)[..., None]
    column = np.arange(longest)
    # Which places hold a token: row-major, the order of the ids.
    mask = column >= longest - placed if tokenizer.padding_side == "left" else column < placed
    input_ids = np.empty(mask.shape, np.int64)
    input_ids.fill(tokenizer.pad_token_id)
    input_ids[mask] = np.concatenate(ids)
    labels = np.empty((*mask.shape[:-1], longest + 1), np.int64)
    labels[..., 0] = IGNORED_LABEL
    labels[..., 1:] = np.where(mask, input_ids, IGNORED_LABEL)
    return {"input_ids": input_ids, "attention_mask": mask.astype(np.int64), "labels": labels}


def _one_tokenizer(samples: Sequence[Mapping[str, Any]]) -> TokenizerInfo:
    tokenizer: TokenizerInfo = samples[0]["tokenizer"]
    for sample in samples:
        if sample["tokenizer"] is not tokenizer and sample["tokenizer"] != tokenizer:
            raise TokenizerError(
                f"a batch mixes tokens of two tokenizers (image {samples[0]['image_id']}: key {tokenizer.key}; image"
                f" {sample['image_id']}: key {sample['tokenizer'].key}). Build all caches with the same tokenizer"
            )
    return tokenizer
