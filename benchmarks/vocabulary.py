"""The tokenizer of all rows: GPT-2's if its files are given, else byte-level BPE trained on the phrases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regioncache.encode.tokens import load_tokenizer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from regioncache.encode.tokenizer import Tokenizer

END_OF_TEXT = "<|endoftext|>"
MAX_LENGTH = 20
_VOCABULARY = 4000


def bench_tokenizer(folder: Path, given: Path | None, phrases: Sequence[str]) -> Tokenizer:
    """The tokenizer, trained into ``folder`` where none is given."""
    if given is not None:
        return load_tokenizer(str(given))
    if not (folder / "merges.txt").exists():
        from tokenizers import ByteLevelBPETokenizer  # noqa: PLC0415  (not needed when a vocabulary is given)

        folder.mkdir(parents=True, exist_ok=True)
        model = ByteLevelBPETokenizer()
        model.train_from_iterator(phrases, vocab_size=_VOCABULARY, special_tokens=[END_OF_TEXT], show_progress=False)
        model.save_model(str(folder))
    return load_tokenizer(str(folder))
