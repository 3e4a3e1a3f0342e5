"""Catalog entries, and mixes of caches."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from hostile.mutation import VALUES, damaged
from regioncache.catalog import Dataset
from regioncache.cli.mix_file import mix_of, order_of
from regioncache.entries import load_dataset_entry
from regioncache.plain_yaml import read_plain_yaml

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

CATALOG = Path(__file__).resolve().parents[3] / "workflow/catalog"
_PIECES = (
    b"!!python/object/apply:os.system [id]",
    b"&a [*a]",
    b"<<: *b",
    b"2020-99-99",
    b"!!int 'x'",
    b"? [a]\n: b",
    b"%YAML 9",
    b"---\n---",
    b"\x00",
    b"\xff",
    b"!!binary '@'",
    b"0o9",
    b"1_0:99",
    b"!!timestamp x",
    b"{" * 300,
    b"[" * 300,
    b"!!set {a}",
    b"!!float x",
    b"!!bool x",
    b"\xed\xa0\x80",
    b"2001-12-14t21:59:43.10-99:99",
    b"!!omap [1]",
    b"!!null x",
    b"{? {a: 1} : 1}",
    b".inf",
    b"9" * 5000,
    b"0x",
    b"- - -",
    b"\xe2\x80\xa8",
)


def catalog(folder: Path) -> Callable[[Random], None]:
    """Damaged texts of the project's own entries, and entries with other values in their tree."""
    texts = [path.read_bytes() for path in sorted(CATALOG.glob("*.yaml"))]
    texts = sorted(texts, key=len)[:4]  # YAML in Python is slow
    trees = [yaml.safe_load(text) for text in texts]
    path = folder / "entry.yaml"

    def attempt(random: Random) -> None:
        path.write_bytes(
            _damaged_text(texts, random) if random.random() < 0.4 else _text_of(_changed(random.choice(trees), random))
        )
        assert isinstance(load_dataset_entry(path), Dataset)

    return attempt


def mixes(folder: Path) -> Callable[[Random], None]:
    """Damaged mixes of caches, to the number of samples of each source."""
    tree = {
        "sources": {"coco": {"cache": "a/train", "weight": 2}, "vg": {"cache": "b/train", "weight": 0.5}},
        "batches": "ratio",
        "batch_size": 8,
        "ranks": 4,
        "stop": "exhaust_once",
    }
    repeated = {"sources": {"coco": {"cache": "a/train", "repeat": 2}, "vg": {"cache": "b/train", "repeat": 0.1}}}
    by_length = {**tree, "batches": "mixed", "stop": "repeat", "epoch_length": 1000}
    trees = [tree, repeated, by_length]
    texts = [_text_of(one) for one in trees]
    path = folder / "mix.yaml"

    def attempt(random: Random) -> None:
        path.write_bytes(
            _damaged_text(texts, random) if random.random() < 0.4 else _text_of(_changed(random.choice(trees), random))
        )
        mix = mix_of(read_plain_yaml(path, "mix"), "mix.yaml")
        order = order_of(mix, dict.fromkeys(mix.sources, 100))
        assert all(count >= 0 for count in order.counts.values())
        assert sum(order.counts.values()) == len(order) > 0

    return attempt


def _damaged_text(texts: list[bytes], random: Random) -> bytes:
    """One of the texts, damaged, and now and then with something that YAML has for everybody who reads it."""
    data = damaged(random.choice(texts), random, texts)
    if random.random() < 0.5:
        at = random.randrange(len(data) + 1)
        data = data[:at] + random.choice(_PIECES) + data[at:]
    return data


def _changed(tree: Any, random: Random) -> Any:
    """The tree with one to three values, keys or sections exchanged; what is not changed is shared."""
    holder = {"": tree}
    for _ in range(random.choice((1, 1, 2, 3))):
        place, key = holder, ""
        while isinstance(place[key], dict | list) and place[key] and random.random() < 0.75:
            place[key] = place[key].copy()
            place = place[key]
            key = random.choice(list(place) if isinstance(place, dict) else range(len(place)))
        if place is not holder and isinstance(place, dict) and random.random() < 0.2:
            new = random.choice(
                ("", "x", "kind", 1, None, True, 1.5, "../x", "numbers", "stream", "shards", "a.b", "a[0]", "`$", "[...]")
            )
            place[new] = place.pop(key)
        elif place is not holder and random.random() < 0.2:
            del place[key]
        else:
            place[key] = random.choice(
                (*VALUES, [0, 3], [3, 0], [0, 10**6], "a/{n}", "a/{n:09d}", "{n:0d}", "https://x/{n}", "zip", "folder")
            )
    return holder[""]


def _text_of(tree: Any) -> bytes:
    text = yaml.dump(tree, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), allow_unicode=True, sort_keys=False)
    return text.encode("utf-8", "surrogatepass")
