"""Opening a large cache, and what its readers keep in memory.

The large cache is one shard of 4,096 rows under many names (hard links), so it costs no disk. Its shards share the page
cache; so nothing is said here of a cold disk, and memory is counted as private dirty pages, which no link can hide.

``python -m benchmarks.opening CACHE INDICES`` is the measured process: nothing else has touched its memory.
"""

from __future__ import annotations

import gc
import json
import os
import pickle
import statistics
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from benchmarks import ours
from benchmarks.examples import grid_example, stored_image
from benchmarks.machine import smaps
from benchmarks.measure import Scale, Table
from benchmarks.peers import Encoded, peers
from benchmarks.vocabulary import MAX_LENGTH
from regioncache import ParquetRegionDataset
from regioncache.cache.index import CacheIndex, SidecarEntry, read_index, write_index
from regioncache.cache.layout import META_NAME, SAMPLES, TOKENS, part_name, sidecar_folder
from regioncache.cache.offsets import offsets_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.stores import Stores
    from regioncache.encode.tokenizer import Tokenizer

SHARD_ROWS = 4096
_EPOCHS, _WORKERS, _BATCHES = 3, 2, 8
_MIB = 1 << 20


def linked_cache(root: Path, shards: int, rows: int, tokenizer: Tokenizer) -> Path:
    """A cache of ``shards`` shards that are one file each under many names.

    Args:
        root: folder for it and its one real shard.
        shards: how many.
        rows: of a shard.
        tokenizer: of its tokens.
    """
    real, cache = root / f"shard_of_{rows}", root / f"{shards}_shards_of_{rows}"
    if not (real / "index.json").exists():
        example = grid_example()
        image = stored_image(example, "jpeg")
        ids, counts = tokenizer.encode(example.phrases, template="sca", max_length=MAX_LENGTH)
        encoded = [Encoded(replace(example, image_id=index), image, ids, counts) for index in range(rows)]
        ours.write(real, encoded, "jpeg", tokenizer)
    if (cache / "index.json").exists():
        return cache
    index = read_index(real)
    folders = {SAMPLES: index.shards[0], f"{TOKENS}/{ours.TOKENS_NAME}": index.tokens[ours.TOKENS_NAME].shards[0]}
    names = [part_name(shard, shards) for shard in range(shards)]
    for folder, entry in folders.items():
        (cache / folder).mkdir(parents=True, exist_ok=True)
        for name in names:
            for source, target in _file_and_offsets(real / folder / entry.name, cache / folder / name):
                target.unlink(missing_ok=True)
                os.link(source, target)
    tokens = sidecar_folder(cache, TOKENS, ours.TOKENS_NAME)
    (tokens / META_NAME).write_bytes((sidecar_folder(real, TOKENS, ours.TOKENS_NAME) / META_NAME).read_bytes())
    samples, side = ([replace(entry, name=name) for name in names] for entry in folders.values())
    sidecar = SidecarEntry(index.tokens[ours.TOKENS_NAME].key, side)
    write_index(cache, CacheIndex("bench", "train", "benchmark", samples, {ours.TOKENS_NAME: sidecar}))
    return cache


def _file_and_offsets(source: Path, target: Path) -> list[tuple[Path, Path]]:
    return [(source, target), (offsets_path(source), offsets_path(target))]


def tables(stores: Stores, scale: Scale) -> list[Table]:
    """Times, memory and sizes of large caches, and every peer's time to a first sample of its small store."""
    shard_rows = scale.shard_rows
    table = Table("open", f"opening a cache of shards of {shard_rows:,} rows with 35 regions each, and reading it")
    for key, count in scale.shards.items():
        cache = linked_cache(stores.root / "opening", count, shard_rows, stores.tokenizer)
        found = _measured(cache, scale.epoch_rows)
        rows = f"{count * shard_rows:,} rows"
        table.add(f"open_{key}", f"{rows}: open to first sample", found["open_cpu_ms"], "ms", "CPU, median of 5")
        table.add(f"open_wall_{key}", f"{rows}: open to first sample", found["open_wall_ms"], "ms", "wall, median of 5")
        table.add(f"memory_{key}", f"{rows}: private memory after it", found["open_private"] / _MIB, "MiB")
        note = f"{found['shard_us']:.0f} us of CPU a shard"
        table.add(f"touched_{key}", f"{rows}: after a row of every shard", found["touched_private"] / _MIB, "MiB", note)
        table.add(f"pickle_{key}", f"{rows}: pickled dataset", found["pickle_bytes"], "bytes")
        for worker, epochs in enumerate(found["worker_private"]):
            ends = ", ".join(f"{one / _MIB:.1f}" for one in epochs)
            title = f"{rows}: worker {worker}, private memory at the end of epoch {_EPOCHS}"
            table.add(f"worker_{key}_{worker}", title, epochs[-1] / _MIB, "MiB", f"ends of epochs: {ends} MiB")
            growth = (epochs[-1] - epochs[0]) / _MIB
            title = f"{rows}: worker {worker}, growth from epoch 1 to {_EPOCHS}"
            table.add(f"growth_{key}_{worker}", title, growth, "MiB")
    _add_first_samples(table, stores)
    return [table]


def _measured(cache: Path, indices: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.opening", str(cache), str(indices)]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return found


def _add_first_samples(table: Table, stores: Stores) -> None:
    """Open to first sample of every peer at the size of the stores, libraries imported."""
    work = {key: (module.TITLE, stores.folder(key, "none")) for key, module in peers().items()}

    def first_ms(key: str, folder: Path) -> float:
        start = time.process_time()
        if key == "ours":
            _open(folder)[0]
        else:
            peers()[key].open_store(folder, "none")(0)
        return (time.process_time() - start) * 1000

    for key, (title, folder) in {"ours": (ours.TITLE, stores.folder("ours", "none")), **work}.items():
        times = [first_ms(key, folder) for _ in range(6)][1:]
        name = f"{stores.images:,} rows: {title}: open to first sample"
        table.add(f"first_{key}", name, statistics.median(times), "ms", "CPU")


def _open(cache: Path) -> ParquetRegionDataset:
    return ParquetRegionDataset(cache, tokens=ours.TOKENS_NAME, image=None, masks="rle")


def private_bytes() -> int:
    """Memory of this process that is its own: private dirty pages."""
    return smaps()["Private_Dirty"]


class _Probe(torch.utils.data.Dataset[int]):
    """Reads samples and returns their number of regions, so that only the reader's own memory counts."""

    def __init__(self, dataset: ParquetRegionDataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> int:
        return len(self.dataset[index]["metadata_region_id"])


class _Shuffled(torch.utils.data.Sampler[list[int]]):
    """A few batches of random indices: a worker reads its memory once a batch, which takes the kernel long."""

    def __init__(self, rows: int, indices: int) -> None:
        self.rows, self.indices, self.epoch = rows, indices, 0

    def __iter__(self) -> Iterator[list[int]]:
        rng = np.random.default_rng([3, self.epoch])
        self.epoch += 1
        for _ in range(_BATCHES):
            yield rng.integers(0, self.rows, self.indices // _BATCHES).tolist()

    def __len__(self) -> int:
        return _BATCHES


def _report(counts: list[int]) -> tuple[int, int]:
    del counts
    return os.getpid(), private_bytes()


def main(cache: Path, indices: int) -> None:
    """Measure in this process, and print JSON."""
    # One core is the rule here; the warning counts cores.
    warnings.filterwarnings("ignore", message="This DataLoader will create")
    gc.collect()
    smaps()
    before = private_bytes()
    start = time.process_time(), time.perf_counter()
    dataset = _open(cache)
    dataset[len(dataset) // 2]
    times = [(time.process_time() - start[0], time.perf_counter() - start[1])]
    opened = private_bytes()
    for _ in range(4):
        start = time.process_time(), time.perf_counter()
        again = _open(cache)
        again[len(again) // 2]
        times.append((time.process_time() - start[0], time.perf_counter() - start[1]))
        del again
    first = time.process_time()
    firsts = range(0, len(dataset), len(dataset) // len(read_index(cache).shards))
    for row in firsts:
        dataset[row]
    touch_s = time.process_time() - first
    gc.collect()
    touched = private_bytes()
    loader = torch.utils.data.DataLoader(
        _Probe(_open(cache)),
        batch_sampler=_Shuffled(len(dataset), indices),
        num_workers=_WORKERS,
        collate_fn=_report,
        persistent_workers=True,
        multiprocessing_context="fork",
    )
    ends = [dict(iter(loader)) for _ in range(_EPOCHS)]
    found = {
        "open_cpu_ms": statistics.median(cpu for cpu, _ in times) * 1000,
        "open_wall_ms": statistics.median(wall for _, wall in times) * 1000,
        "open_private": opened - before,
        "touched_private": touched - before,
        "shard_us": touch_s / len(firsts) * 1e6,
        "pickle_bytes": len(pickle.dumps(dataset)),
        "worker_private": [[end[worker] for end in ends] for worker in sorted(ends[0])],
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
