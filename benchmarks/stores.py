"""All stores of one size, written once and kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import regioncache
from benchmarks import ours
from benchmarks.examples import COMMON_HW, draw_examples, panoptic_png, stored_image
from benchmarks.peers import Encoded, peers
from benchmarks.vocabulary import MAX_LENGTH, bench_tokenizer
from regioncache.atomic import write_bytes, write_json
from regioncache.hashing import content_key, sha256_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from regioncache.encode.tokenizer import Tokenizer

VERSION = 1
KINDS = ("none", "jpeg", "raw")
FRAMED_KINDS = ("jpeg1024", "raw1024")
FRAMED_PEERS = ("floor", "lmdb_pickle")
_MAPS = 40


class Stores:
    """Where the stores of some size lie.

    Args:
        root: folder of this size and tokenizer.
        images: how many images every store holds.
        framed: how many images the stores of resized images hold.
        tokenizer: of all stores.
        vocabulary: folder of its files.
    """

    def __init__(self, root: Path, images: int, framed: int, tokenizer: Tokenizer, vocabulary: Path) -> None:
        self.root, self.images, self.framed, self.tokenizer, self.vocabulary = root, images, framed, tokenizer, vocabulary

    def folder(self, peer: str, kind: str) -> Path:
        """The folder of one store."""
        return self.root / kind / peer

    def open(self, peer: str, kind: str) -> Callable[[int], Any]:
        """A peer's function from index to sample."""
        return peers()[peer].open_store(self.folder(peer, kind), kind)

    def has(self, peer: str, kind: str) -> bool:
        """Whether a peer is measured with images of a kind."""
        if kind in FRAMED_KINDS:
            return peer in FRAMED_PEERS
        return kind == "none" or not peer.endswith("_full")

    def warm(self, kind: str) -> None:
        """Read every file of a kind once, so that all of them come from the page cache."""
        block = memoryview(bytearray(1 << 20))
        for path in (self.root / kind).rglob("*"):
            if path.is_file():
                with path.open("rb", buffering=0) as handle:
                    while handle.readinto(block):
                        pass

    def maps(self) -> list[bytes]:
        """Panoptic PNGs of 640 x 480."""
        return [path.read_bytes() for path in sorted((self.root / "maps").iterdir())]

    def phrases(self) -> list[str]:
        """The captions of all regions of all images, in order."""
        found: list[str] = json.loads((self.root / "phrases.json").read_bytes())
        return found


def prepare(data: Path, images: int, vocabulary: Path | None, say: Callable[[str], None]) -> Stores:
    """Write every store that is not there yet.

    Args:
        data: folder that keeps stores between runs.
        images: how many images.
        vocabulary: folder of a tokenizer, or None to train one.
        say: called with a line of progress.
    """
    present = peers()
    key = content_key("bench", VERSION, vocabulary=str(vocabulary), peers=sorted(present), writer=_writer_sha256s())
    root, framed = data / f"{images}_images", min(images, 200)
    phrases, done = root / "phrases.json", root / "done.json"
    if done.exists() and json.loads(done.read_bytes())["key"] == key:
        tokenizer = bench_tokenizer(root / "vocabulary", vocabulary, json.loads(phrases.read_bytes()))
        return Stores(root, images, framed, tokenizer, vocabulary or root / "vocabulary")
    shutil.rmtree(root, ignore_errors=True)
    say(f"drawing {images} images with regions, once; they stay in {root}")
    examples = draw_examples(images, min(images, 80, max(images // 4, 4)))
    texts = [phrase for example in examples for phrase in example.phrases]
    write_json(phrases, texts)
    tokenizer = bench_tokenizer(root / "vocabulary", vocabulary, texts)
    stores = Stores(root, images, framed, tokenizer, vocabulary or root / "vocabulary")
    maps = [panoptic_png(example.ids) for example in examples if example.size_hw == COMMON_HW][:_MAPS]
    for index, png in enumerate(maps):
        write_bytes(root / "maps" / f"{index:04d}.png", png)
    tokens = [tokenizer.encode(example.phrases, template="sca", max_length=MAX_LENGTH) for example in examples]
    for kind in (*KINDS, *FRAMED_KINDS):
        say(f"writing the stores with images as {kind}")
        chosen = examples if kind in KINDS else examples[:framed]
        rows = [Encoded(one, stored_image(one, kind), *ids) for one, ids in zip(chosen, tokens, strict=False)]
        for peer, module in present.items():
            if stores.has(peer, kind):
                folder = stores.folder(peer, kind)
                folder.mkdir(parents=True)
                module.write(folder, rows, kind, tokenizer)
        if kind in KINDS:
            ours.write(stores.folder("ours", kind), rows, kind, tokenizer)
        if kind == "jpeg" and "hf_natural" in present:
            from benchmarks.peers import on_the_fly  # noqa: PLC0415  (imports transformers, datasets and torch)

            on_the_fly.write(stores.folder("on_the_fly", kind), rows)
    write_json(done, {"key": key})
    return stores


def _writer_sha256s() -> dict[str, str]:
    """What decides our files' bytes; the stores are written anew when it changes."""
    home = Path(regioncache.__file__).parent
    return {path.name: sha256_file(path) for path in sorted([*(home / "cache").glob("*.py"), home / "schema.py"])}
