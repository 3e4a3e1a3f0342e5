"""Collated batches of eight, for a device that resizes and for one that does not."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from benchmarks.measure import Pace, Scale, Table, cpu_rates
from benchmarks.peers import peers
from benchmarks.peers.collate import collate
from benchmarks.samples import on_the_fly_rows, our_dataset
from benchmarks.stores import FRAMED_PEERS
from regioncache import RegionCollator

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.stores import Stores

BATCH = 8
_TITLES = {
    "none": "batch of 8 without image",
    "jpeg": "batch of 8 from JPEG, uint8",
    "raw": "batch of 8 from raw pixels, uint8",
}
_FRAMED = {"jpeg": "jpeg1024", "raw": "raw1024"}
_NATIVE, _FRAME = "native size, 8xHxWx3", "8x3x1024x1024"


def tables(stores: Stores, scale: Scale) -> list[Table]:
    """Samples per second of CPU time."""
    return [_table(stores, kind, scale.pace) for kind in _TITLES]


def _table(stores: Stores, kind: str, pace: Pace) -> Table:
    rows = _our_rows(stores, kind) + _peer_rows(stores, kind)
    for needed in (kind, _FRAMED.get(kind, kind)):
        stores.warm(needed)
    table = Table(f"batch_{kind}", f"{_TITLES[kind]}, shuffled, {stores.images} images", beside="ours")
    rates = cpu_rates({key: do for key, _, do in rows}, pace)
    for key, title, _ in rows:
        table.add(key, title, rates[key], "samples/s")
    return table


def _our_rows(stores: Stores, kind: str) -> list[tuple[str, str, Callable[[], int]]]:
    order = _order(stores.images)
    reads = our_dataset(stores, kind, "none" if kind == "none" else "bytes").__getitem__
    if kind == "none":
        return [("ours", "regioncache: RegionCollator", _pass(reads, order, RegionCollator()))]
    ready = RegionCollator(buffers=2)
    rows = [("ours", f"regioncache: RegionCollator(buffers=2), {_NATIVE}", _pass(reads, order, ready))]
    kernels: tuple[Literal["exact", "fast"], ...] = ("exact", "fast")
    for resize in kernels:
        framing = RegionCollator(size="frame", resize=resize, buffers=2)
        title = f'regioncache: size="frame", resize="{resize}", 8x1024x1024x3'
        rows.append((f"ours_{resize}", title, _pass(reads, order, framing)))
    return rows


def _peer_rows(stores: Stores, kind: str) -> list[tuple[str, str, Callable[[], int]]]:
    order, framed_order = _order(stores.images), _order(stores.framed)
    rows = []
    for key, module in peers().items():
        if key.endswith("_full"):  # the fields that this batch needs are those of the others
            continue
        read = stores.open(key, kind)
        if kind == "none":
            rows.append((key, module.TITLE, _pass(read, order, _collator(stores, "none"))))
            continue
        rows.append((key, f"{module.TITLE}; {_NATIVE}", _pass(read, order, _collator(stores, "native"))))
        if key in FRAMED_PEERS:
            title = f"{module.TITLE}; resized by Pillow to {_FRAME}"
            rows.append((f"{key}_resized", title, _pass(read, order, _collator(stores, "resized"))))
            title = f"{module.TITLE}; stored at 1024 beforehand, {_FRAME}"
            framed = stores.open(key, _FRAMED[kind])
            rows.append((f"{key}_framed", title, _pass(framed, framed_order, _collator(stores, "frame"))))
    if kind == "jpeg" and "hf_natural" in peers():
        for key, title, read in on_the_fly_rows(stores):
            rows.append((key, f"{title}; {_FRAME}", _pass(read, order, _collator(stores, "stacked"))))
    return rows


def _order(images: int) -> list[int]:
    order: list[int] = np.random.default_rng(0).permutation(images).tolist()
    return order


def _collator(stores: Stores, pixels: str) -> Callable[[list[Any]], Any]:
    pad = stores.tokenizer.pad_token_id or 0
    return lambda samples: collate(samples, pad, pixels)


def _pass(read: Callable[[int], Any], order: list[int], make: Callable[[list[Any]], Any]) -> Callable[[], int]:
    """Makes the next batch of the order each time it is called, and begins again after the last."""
    batches = cycle(order[start : start + BATCH] for start in range(0, len(order) // BATCH * BATCH, BATCH))

    def do() -> int:
        make([read(index) for index in next(batches)])
        return BATCH

    return do
