"""Phrases to token ids, a column at a time."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from regioncache.atomic import write_json
from regioncache.encode import byt5
from regioncache.errors import ConfigError, TokenizerError
from regioncache.hashing import content_key, sha256_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import ArrayLike, NDArray

Template = Literal["sca", "plain"]
Ragged = tuple["NDArray[np.int32]", "NDArray[np.int32]"]  # flat ids (total,) and lengths (n,)

IDENTITY_FILE = "regioncache_tokenizer.json"
IDENTITY_VERSION = 1
BATCH_TEXTS = 256  # larger batches are slower: their lists outgrow the processor's caches
EOS_ROOM = 2  # the original leaves two places for the one EOS that it appends


@dataclass(frozen=True)
class TokenizerIdentity:
    """What decides a tokenizer's ids.

    Attributes:
        spec: what was asked for: ``byt5``, a hub name, or the last part of a local path.
        class_name: of the transformers class.
        files: name to sha256 of the vocabulary's files.
        special_tokens: name (``eos_token``) to token and id.
        padding_side: left or right.
        truncation_side: left or right.
        kind: what does the work: ``bytes`` (ByT5's rule, here), ``rust`` (the library's backend) or ``python`` (the
            library).
    """

    spec: str
    class_name: str
    files: dict[str, str] = field(default_factory=dict)
    special_tokens: dict[str, tuple[str, int]] = field(default_factory=dict)
    padding_side: str = "right"
    truncation_side: str = "right"
    kind: Literal["bytes", "rust", "python"] = "rust"


BYT5 = TokenizerIdentity("byt5", "ByT5Tokenizer", special_tokens=byt5.SPECIAL_TOKENS, kind="bytes")


class Tokenizer:
    """A tokenizer of the transformers library, called so that whole columns of phrases become arrays.

    Args:
        identity: what decides its ids.
        load_library: gives the transformers tokenizer; called once, when a text needs it.
    """

    def __init__(self, identity: TokenizerIdentity, load_library: Callable[[], Any]) -> None:
        self.identity = identity
        self._load_library = load_library

    @cached_property
    def library(self) -> Any:  # noqa: ANN401  (a class without types)
        """The transformers tokenizer that this one stands for."""
        return self._load_library()

    @property
    def name(self) -> str:
        """What was asked for."""
        return self.identity.spec

    @property
    def eos_token_id(self) -> int | None:
        """Id of the token that ends a text, None where there is none."""
        return self._special_id("eos_token")

    @property
    def pad_token_id(self) -> int | None:
        """Id of the padding; EOS where the tokenizer has no padding of its own, as in the original."""
        pad = self._special_id("pad_token")
        return self.eos_token_id if pad is None else pad

    @property
    def padding_side(self) -> str:
        """Where padding goes, ``left`` or ``right``."""
        return self.identity.padding_side

    def _special_id(self, name: str) -> int | None:
        return self.identity.special_tokens.get(name, ("", None))[1]

    def encode(self, texts: Sequence[str], *, template: Template, max_length: int) -> Ragged:
        """Token ids of phrases, in the order given; equal phrases are tokenized once.

        Args:
            texts: n phrases.
            template: ``sca`` tokenizes with the library's own special tokens, cuts to ``max_length - 2`` and appends
                EOS (which ByT5 then has twice, as in the original); ``plain`` tokenizes and cuts to ``max_length``.
            max_length: most ids of a phrase; with ``sca`` the result has at most ``max_length - 1``.

        Returns:
            ``ids`` int32 (total,) and ``lengths`` int32 (n,).

        Raises:
            ConfigError: an unknown template, or a ``max_length`` that leaves no room for text.
            TokenizerError: the template appends EOS and the tokenizer has none.
        """
        limit = self._limit(template, max_length)
        places: dict[str, int] = {}
        which = np.fromiter((places.setdefault(text, len(places)) for text in texts), np.int64, count=len(texts))
        ids, lengths = self._encode_distinct(list(places), limit)
        if len(places) < len(texts):
            ids, lengths = _take(ids, lengths, which)
        if template == "sca":
            ids = np.insert(ids, np.cumsum(lengths), self.eos_token_id or 0)
            lengths = lengths + np.int32(1)
        return ids, lengths

    def _limit(self, template: Template, max_length: int) -> int:
        """How many ids the library may give."""
        if template not in ("sca", "plain"):
            raise ConfigError(f"there is no token template {template!r}; choose sca or plain")
        limit = max_length - EOS_ROOM if template == "sca" else max_length
        if limit < 1:
            raise ConfigError(f"max_length {max_length} leaves no room for text with template {template}; raise it")
        if template == "sca" and self.eos_token_id is None:
            raise TokenizerError(
                f"template sca appends an end-of-sequence token and tokenizer {self.name!r} has none;"
                " choose template plain, or name an eos_token in its tokenizer_config.json"
            )
        return limit

    def _encode_distinct(self, texts: list[str], limit: int) -> Ragged:
        if self.identity.kind == "bytes":
            return self._encode_byt5(texts, limit)
        batches = [texts[start : start + BATCH_TEXTS] for start in range(0, len(texts), BATCH_TEXTS)]
        if self.identity.kind == "python":
            return _ragged(chain.from_iterable(self._encode_by_library(batch, limit) for batch in batches))
        backend = self.library.backend_tokenizer
        backend.enable_truncation(limit, stride=0, strategy="longest_first", direction=self.identity.truncation_side)
        backend.no_padding()
        backend.encode_special_tokens = self.library.split_special_tokens
        return _ragged(one.ids for batch in batches for one in backend.encode_batch_fast(batch))

    def _encode_byt5(self, texts: list[str], limit: int) -> Ragged:
        odd = [place for place, text in enumerate(texts) if byt5.may_hold_special_token(text)]
        if not odd:
            return byt5.encode_bytes(texts, limit)
        plain = sorted(set(range(len(texts))) - set(odd))
        ids, lengths = byt5.encode_bytes([texts[place] for place in plain], limit)
        odd_ids, odd_lengths = _ragged(self._encode_by_library([texts[place] for place in odd], limit))
        order = np.argsort(np.array(plain + odd))
        return _take(np.concatenate((ids, odd_ids)), np.concatenate((lengths, odd_lengths)), order)

    def _encode_by_library(self, texts: list[str], limit: int) -> list[list[int]]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # ByT5 warns of a phrase that spells "</s>" at its end; its ids stand
            found: list[list[int]] = self.library(texts, truncation=True, max_length=limit)["input_ids"]
        return found

    def decode(self, ids: ArrayLike) -> str:
        """The text of token ids, special tokens by name."""
        flat = np.asarray(ids, np.int64).tolist()
        if self.identity == BYT5:
            return byt5.decode_bytes(flat)
        text: str = self.library.decode(flat)
        return text

    def fingerprint(self, template: Template, max_length: int) -> str:
        """64 hexadecimal digits that are equal if and only if the same phrases get the same ids."""
        return content_key(
            "tokenizer",
            IDENTITY_VERSION,
            class_name=self.identity.class_name,
            files=self.identity.files,
            special_tokens=self.identity.special_tokens,
            truncation_side=self.identity.truncation_side,
            template=template,
            max_length=max_length,
        )

    def save(self, folder: Path) -> None:
        """Write all that ``load_saved`` needs into ``folder``: the library's files, and the identity last."""
        folder.mkdir(parents=True, exist_ok=True)
        for stray in folder.glob(".tmp-*"):  # of a run that was killed
            shutil.rmtree(stray, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".tmp-") as temporary:
            written = Path(temporary)
            if self.identity == BYT5:
                # All that transformers' AutoTokenizer needs to open the folder; the class holds the rest.
                write_json(written / "tokenizer_config.json", {"tokenizer_class": BYT5.class_name})
            else:
                if self.identity.kind == "rust":
                    self.library.backend_tokenizer.no_truncation()  # the limit of the last call is no part of it
                self.library.save_pretrained(written)
            saved_files = {path.name: sha256_file(path) for path in sorted(written.iterdir()) if path.is_file()}
            for name in saved_files:
                (written / name).replace(folder / name)
        parts = {
            "version": IDENTITY_VERSION,
            "spec": self.identity.spec,
            "class": self.identity.class_name,
            "files": self.identity.files,
            "special_tokens": self.identity.special_tokens,
            "eos_token_id": self.eos_token_id,
            "pad_token_id": self.pad_token_id,
            "padding_side": self.identity.padding_side,
            "truncation_side": self.identity.truncation_side,
            "kind": self.identity.kind,
            "saved_files": saved_files,
        }
        write_json(folder / IDENTITY_FILE, parts)


def _ragged(lists: Iterable[list[int]]) -> Ragged:
    rows = list(lists)
    lengths = np.fromiter(map(len, rows), np.int32, count=len(rows))
    return np.fromiter(chain.from_iterable(rows), np.int32, count=int(lengths.sum())), lengths


def _take(ids: NDArray[np.int32], lengths: NDArray[np.int32], which: NDArray[np.int64]) -> Ragged:
    """Rows ``which`` of a ragged array."""
    starts = np.cumsum(lengths, dtype=np.int64) - lengths
    taken = lengths[which]
    ends = np.cumsum(taken, dtype=np.int64)
    index = np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts[which] - ends + taken, taken)
    return ids[index], taken
