"""One sample at a time, in shuffled order: without image, with a decoded JPEG, with raw pixels."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
import simplejpeg

from benchmarks import ours
from benchmarks.measure import Pace, Scale, Table, cpu_rates
from benchmarks.peers import peers
from benchmarks.peers.floor import open_flat
from regioncache import ParquetRegionDataset

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.stores import Stores

_PASS_IMAGES, _ON_THE_FLY_IMAGES = 200, 8
_TITLES = {
    "none": "one sample without image (boxes, tokens, RLE, ids)",
    "jpeg": "one sample with image, JPEG decoded to uint8",
    "raw": "one sample with image, raw uint8, pixels copied into a recycled buffer",
}


def tables(stores: Stores, scale: Scale) -> list[Table]:
    """Samples per second of CPU time."""
    return [_table(stores, kind, scale.pace) for kind in _TITLES]


def _table(stores: Stores, kind: str, pace: Pace) -> Table:
    order = np.random.default_rng(0).permutation(stores.images).tolist()
    ours_reads = our_dataset(stores, kind, "none" if kind == "none" else "uint8")
    touch = _pixels_into_buffer() if kind == "raw" else _nothing
    titles = {"ours": f"{ours.TITLE}: ParquetRegionDataset, masks as RLE"}
    work = {"ours": _pass(ours_reads.__getitem__, order, touch)}
    for key, module in peers().items():
        if not stores.has(key, kind):
            continue
        titles[key] = module.TITLE
        work[key] = _pass(stores.open(key, kind), order, touch)
    if kind == "jpeg":
        titles["limit"], work["limit"] = "limit: bare libjpeg-turbo decode of the same bytes", _bare_decode(stores, order)
        if "hf_natural" in titles:
            for key, title, do in on_the_fly_rows(stores):
                titles[key], work[key] = title, _pass(do, order[:_ON_THE_FLY_IMAGES], _nothing)
    if kind == "raw":
        titles["limit"], work["limit"] = "limit: bare copy from the map", _bare_copy(stores, order)
    stores.warm(kind)
    table = Table(f"sample_{kind}", f"{_TITLES[kind]}, shuffled, {stores.images} images", beside="ours")
    for key, rate in cpu_rates(work, pace).items():
        table.add(key, titles[key], rate, "samples/s")
    return table


def our_dataset(stores: Stores, kind: str, image: str) -> ParquetRegionDataset:
    """Our reader of one store; ``image`` is ``none``, ``uint8`` or ``bytes``."""
    chosen: Any = None if image == "none" else image
    return ParquetRegionDataset(stores.folder("ours", kind), tokens=ours.TOKENS_NAME, image=chosen, masks="rle")


def on_the_fly_rows(stores: Stores) -> list[tuple[str, str, Callable[[int], Any]]]:
    """Key, title and reader of the way without a cache."""
    from benchmarks.peers import on_the_fly  # noqa: PLC0415  (imports transformers and datasets)

    folder = stores.folder("on_the_fly", "jpeg")
    return [
        (
            f"on_the_fly_{name}",
            f"{on_the_fly.TITLE}, {name}",
            on_the_fly.open_store(folder, stores.tokenizer, as_float=name == "float32"),
        )
        for name in ("float32", "uint8")
    ]


def _nothing(sample: object) -> None:
    del sample


def _pixels_into_buffer() -> Callable[[dict[str, Any]], None]:
    buffer = np.zeros(1024 * 1024 * 3, np.uint8)

    def touch(sample: dict[str, Any]) -> None:
        pixels = sample["image"]
        np.copyto(buffer[: pixels.size].reshape(pixels.shape), pixels)

    return touch


def _pass(read: Callable[[int], Any], order: list[int], touch: Callable[[Any], None]) -> Callable[[], int]:
    """Reads the next part of the order each time it is called, and begins again after the last."""
    parts = cycle(order[start : start + _PASS_IMAGES] for start in range(0, len(order), _PASS_IMAGES))

    def do() -> int:
        part = next(parts)
        for index in part:
            touch(read(index))
        return len(part)

    return do


def _bare_decode(stores: Stores, order: list[int]) -> Callable[[], int]:
    flat = open_flat(stores.folder("floor", "jpeg"))
    files = [flat["image"][start:stop].tobytes() for start, stop in flat["table"][:, 6:8].tolist()]

    return _pass(lambda index: simplejpeg.decode_jpeg(files[index], "RGB"), order, _nothing)


def _bare_copy(stores: Stores, order: list[int]) -> Callable[[], int]:
    flat = open_flat(stores.folder("floor", "raw"))
    table, image = flat["table"], flat["image"]
    places = table[:, 6:8].tolist()
    buffer = np.zeros(1024 * 1024 * 3, np.uint8)

    def copy(index: int) -> None:
        start, stop = places[index]
        np.copyto(buffer[: stop - start], image[start:stop])

    return _pass(copy, order, _nothing)
