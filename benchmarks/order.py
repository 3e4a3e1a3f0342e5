"""Orders of many samples, beside the ways of numpy and torch.

``python -m benchmarks.order ROW COUNT`` is the measured process: nothing else has touched its memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.measure import Scale, Table
from regioncache.data.mix_orders import WeightedMix
from regioncache.data.orders import RandomOrder, RepeatFactorOrder, WeightedOrder
from regioncache.data.samplers import OrderBatchSampler

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from benchmarks.stores import Stores

_MIB = 1 << 20
_RANKS, _BATCH = 8, 32
_LARGEST = (1 << 24) - 1  # more weights torch refuses; numpy takes minutes
_LIMITED = ("weighted_numpy", "weighted_torch")


def _torch_sampler(count: int, _: NDArray[np.float64] | None) -> int:
    from torch.utils.data.distributed import DistributedSampler  # noqa: PLC0415  (only this row loads torch)

    rows: Any = range(count)  # it asks for the length only
    sampler: DistributedSampler[int] = DistributedSampler(rows, _RANKS, 0, shuffle=True)
    return int(next(iter(sampler)))


def _torch_permutation(count: int, _: NDArray[np.float64] | None) -> object:
    import torch  # noqa: PLC0415  (only this row loads torch)

    return torch.randperm(count)


def _torch_multinomial(count: int, weights: NDArray[np.float64] | None) -> object:
    import torch  # noqa: PLC0415  (only this row loads torch)

    return torch.multinomial(torch.from_numpy(weights), count, replacement=True)


def _numpy_choice(count: int, weights: NDArray[np.float64]) -> object:
    return np.random.default_rng(0).choice(count, count, p=weights / weights.sum())


def _thirds(count: int) -> dict[str, int]:
    return {"a": count // 2, "b": count // 3, "c": count - count // 2 - count // 3}


# key: title, needs weights, what is measured; what torch takes to be imported is not counted.
_ROWS: dict[str, tuple[str, bool, Callable[[int, Any], Any]]] = {
    "permutation": ("regioncache: RandomOrder, one epoch", False, lambda count, _: RandomOrder(count).indices(0)),
    "permutation_numpy": ("numpy: Generator.permutation", False, lambda count, _: np.random.default_rng(0).permutation(count)),
    "permutation_torch": ("torch: randperm", False, _torch_permutation),
    "distributed": (
        f"regioncache: OrderBatchSampler on one of {_RANKS} ranks, to its first batch",
        False,
        lambda count, _: next(iter(OrderBatchSampler(RandomOrder(count), _BATCH, rank=0, ranks=_RANKS))),
    ),
    "distributed_torch": (f"torch: DistributedSampler on one of {_RANKS} ranks, to its first index", False, _torch_sampler),
    "weighted": (
        "regioncache: WeightedOrder with replacement, one epoch",
        True,
        lambda count, weights: WeightedOrder(weights, count).indices(0),
    ),
    "weighted_numpy": ("numpy: Generator.choice with p", True, _numpy_choice),
    "weighted_torch": ("torch: multinomial, as WeightedRandomSampler draws", True, _torch_multinomial),
    "weighted_once": (
        "regioncache: WeightedOrder without replacement, one epoch",
        True,
        lambda count, weights: WeightedOrder(weights, count, replacement=False).indices(0),
    ),
    "repeat_factor": (
        "regioncache: RepeatFactorOrder, one epoch",
        True,
        lambda _, weights: RepeatFactorOrder(1 + weights / 2).indices(0),
    ),
    "mix": (
        "regioncache: WeightedMix of three sources, one epoch",
        False,
        lambda count, _: WeightedMix(_thirds(count), stop="stop_first").indices(0),
    ),
}


def tables(stores: Stores, scale: Scale) -> list[Table]:
    """CPU seconds and the most memory of each."""
    del stores
    count = scale.order_indices
    times = Table("order_time", f"orders of {count:,} samples: CPU time", beside="permutation")
    memory = Table("order_memory", f"orders of {count:,} samples: the most memory beside the arguments", beside="permutation")
    for key, (title, _, _) in _ROWS.items():
        size = min(count, _LARGEST) if key in _LIMITED else count
        note = f"{size:,} measured, scaled up" if size < count else ""
        found = json.loads(subprocess.check_output([sys.executable, "-m", "benchmarks.order", key, str(size)]))
        times.add(key, title, found["cpu_s"] * count / size, "s", note)
        memory.add(key, title, found["peak_bytes"] * count / size / _MIB, "MiB", note)
    return [times, memory]


def _memory(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {field}")


def main(key: str, count: int) -> None:
    """Measure one row in this process, and print JSON."""
    _, weighted, make = _ROWS[key]
    weights = np.random.default_rng(1).random(count) if weighted else None
    make(1000, None if weights is None else weights[:1000].copy())  # imports, and what is made once
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark begins anew
    before, start = _memory("VmRSS"), time.process_time()
    kept = make(count, weights)
    spent = time.process_time() - start
    print(json.dumps({"cpu_s": spent, "peak_bytes": _memory("VmHWM") - before}))
    del kept


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
