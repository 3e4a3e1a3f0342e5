"""Other ways to keep and read the same examples, each in its best form and in the one that people write."""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from benchmarks.examples import Example, Stored
    from regioncache.encode.tokenizer import Tokenizer

Sample = dict[str, Any]
"""What every peer gives for one image; arrays are flat over regions:

``image`` uint8 (H, W, 3), where there is one; ``size_hw``; ``image_id``; ``region_id`` (n,); ``boxes`` (n, 4) in the 1024
frame; ``input_ids`` of all regions and ``token_count`` (n,); ``rle`` bytes of all regions and ``rle_length`` (n,).
"""


class Encoded(NamedTuple):
    """An example as stores take it: its image, and the token ids and counts of its phrases."""

    example: Example
    image: Stored
    input_ids: Any
    token_count: Any


class Peer(Protocol):
    """One module of this folder."""

    TITLE: str

    def write(self, folder: Path, rows: Sequence[Encoded], kind: str, tokenizer: Tokenizer) -> None:
        """Store the rows in an empty folder; ``kind`` as in ``stored_image``."""

    def open_store(self, folder: Path, kind: str) -> Callable[[int], Any]:
        """A function from index to sample; JPEG is decoded by simplejpeg."""


_NEEDS = {
    "floor": None,
    "floor_full": None,
    "lmdb_pickle": "lmdb",
    "lmdb_full": "lmdb",
    "hf_tuned": "datasets",
    "hf_natural": "datasets",
}


def peers() -> dict[str, Peer]:
    """The peers whose library is installed, by key."""
    return {
        key: cast("Peer", importlib.import_module(f"benchmarks.peers.{key}"))
        for key, library in _NEEDS.items()
        if library is None or importlib.util.find_spec(library)
    }
