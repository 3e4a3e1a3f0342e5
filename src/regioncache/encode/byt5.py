"""The ByT5 tokenizer's rule as arrays: an id is a byte of UTF-8 plus 3, and ``</s>`` ends a text. It needs no file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

SPECIAL_TOKENS = {"pad_token": ("<pad>", 0), "eos_token": ("</s>", 1), "unk_token": ("<unk>", 2)}
FIRST_BYTE_ID = 3
FIRST_EXTRA_ID = FIRST_BYTE_ID + 256
EXTRA_IDS = 125  # <extra_id_0> to <extra_id_124>
EOS_ID = SPECIAL_TOKENS["eos_token"][1]
END = b"\xfe"  # occurs in no UTF-8 text


def may_hold_special_token(text: str) -> bool:
    """Whether the text may hold one of the special tokens, which are ids of their own: all of them begin with ``<``."""
    return "<" in text


def encode_bytes(texts: Sequence[str], max_length: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Ids of texts without special tokens, each cut to ``max_length`` with its closing ``</s>``.

    Returns:
        ``ids`` int32 (total,) and ``lengths`` int32 (n,).
    """
    pieces = [text.encode()[: max_length - 1] + END for text in texts]
    ids = np.frombuffer(b"".join(pieces), np.uint8).astype(np.int32)
    ids += FIRST_BYTE_ID
    ids[ids == END[0] + FIRST_BYTE_ID] = EOS_ID
    return ids, np.fromiter(map(len, pieces), np.int32, count=len(pieces))


def decode_bytes(ids: Iterable[int]) -> str:
    """The text of ids; bytes that form no UTF-8 are left out, special tokens appear by name."""
    special = {number: token for token, number in SPECIAL_TOKENS.values()}
    special |= {FIRST_EXTRA_ID + extra: f"<extra_id_{extra}>" for extra in range(EXTRA_IDS)}
    return b"".join(special[one].encode() if one in special else bytes([one - FIRST_BYTE_ID]) for one in map(int, ids)).decode(
        errors="ignore"
    )
