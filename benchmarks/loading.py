"""A training loop's loader: batches per second with and without workers, from one and from three mixed sources.

``python -m benchmarks.loading CACHE SOURCES WORKERS BATCHES`` is the measured process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import ours
from benchmarks.machine import smaps
from benchmarks.measure import Scale, Table
from regioncache import ParquetRegionDataset, RegionCollator, ShuffledRegions
from regioncache.data.loader import RegionLoader
from regioncache.data.mix_orders import WeightedMix
from regioncache.data.mixing import MixedDataset
from regioncache.data.samplers import OrderBatchSampler

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.stores import Stores

_BATCH, _EPOCHS, _MIB = 8, 3, 1 << 20
_SOURCES, _WORKERS = (1, 3), (0, 1, 2)


def tables(stores: Stores, scale: Scale) -> list[Table]:
    """Batches per second, and the memory of every worker."""
    cores = os.cpu_count()
    cache, batches = stores.folder("ours", "jpeg"), max(scale.images // _BATCH, 2)
    stores.warm("jpeg")
    rates = Table("loading", f"RegionLoader, batches of {_BATCH} from JPEG, uint8; wall time on {cores} cores", beside="rate_1_0")
    memory = Table("loading_memory", f"private memory of its workers, the least seen in epochs of {batches} batches")
    for sources in _SOURCES:
        for workers in _WORKERS:
            command = [sys.executable, "-m", "benchmarks.loading", str(cache), str(sources), str(workers), str(batches)]
            found = json.loads(subprocess.check_output(command))
            named = f"{sources} source{'s mixed' if sources > 1 else ''}, {workers} worker{'' if workers == 1 else 's'}"
            rates.add(f"rate_{sources}_{workers}", named, found["batches_per_s"], "batches/s", "median of 3 epochs")
            for worker, ends in enumerate(found["private"]):
                shown = ", ".join(f"{end / _MIB:.1f}" for end in ends)
                key, title = f"{sources}_{workers}_{worker}", f"{named}: worker {worker}"
                memory.add(f"memory_{key}", f"{title}, epoch {_EPOCHS}", ends[-1] / _MIB, "MiB", f"epochs: {shown} MiB")
                growth = (ends[-1] - ends[0]) / _MIB
                memory.add(f"growth_{key}", f"{title}, growth from epoch 1 to {_EPOCHS}", growth, "MiB")
    return [rates, memory]


def _mix(cache: Path, sources: int) -> MixedDataset:
    """One source with everything, and beside it, if three are wanted, one without masks and one without tokens."""
    opened = partial(ParquetRegionDataset, cache, image="bytes", regions=ShuffledRegions())
    found = {"all": opened(tokens=ours.TOKENS_NAME, masks="rle")}
    if sources > 1:
        found |= {"no_masks": opened(tokens=ours.TOKENS_NAME), "no_tokens": opened(masks="rle")}
    return MixedDataset(found)


class _Reporting:
    """A collator that also says which process it ran in, and how much memory is that process's own.

    The masks of a batch, bytes in Python objects, stay in the worker: how they are sent is not this loader's doing.
    """

    def __init__(self, batches: int) -> None:
        self.collate, self.every, self.made = RegionCollator(), max(batches // 4, 1), 0

    def __call__(self, samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        batch = self.collate(samples)
        del batch["segmentation"], batch["metadata_captions"]
        self.made += 1
        if self.made % self.every == 0:  # the kernel takes long to count
            batch["worker"] = os.getpid(), smaps()["Private_Dirty"]
        return batch


def main(cache: Path, sources: int, workers: int, batches: int) -> None:
    """Measure in this process, and print JSON."""
    os.sched_setaffinity(0, range(os.cpu_count() or 1))  # workers are for several cores
    warnings.filterwarnings("ignore", message="This DataLoader will create")
    mixed = _mix(cache, sources)
    order = WeightedMix(mixed.lengths, epoch_length=batches * _BATCH)
    options: dict[str, Any] = {"num_workers": workers}
    if workers:
        options |= {"multiprocessing_context": "fork", "persistent_workers": True}
    loader = RegionLoader(mixed, OrderBatchSampler(order, _BATCH), _Reporting(batches // max(workers, 1)), **options)
    next(iter(loader))  # starts the workers
    seconds, ends = [], []
    for epoch in range(_EPOCHS):
        loader.set_epoch(epoch)
        start = time.perf_counter()
        least: dict[int, int] = {}  # between batches; at other times one or two of them are in the worker too
        for batch in loader:
            if "worker" in batch:
                worker, private = batch["worker"]
                least[worker] = min(private, least.get(worker, private))
        seconds.append(time.perf_counter() - start)
        ends.append(least)
    found = {
        "batches_per_s": batches / sorted(seconds)[_EPOCHS // 2],
        "private": [[end[worker] for end in ends] for worker in sorted(ends[0])] if workers else [],
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
