"""Random numbers that belong to a sample, never to a worker.

Philox is counter-based: its output is a function of a key and a counter. The key is (seed, epoch) and the counter starts at the
index, so the draws for a sample are the same in every process, on every rank, under any number of workers.
Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3 (SC 2011).
"""

from __future__ import annotations

import numpy as np


def sample_generator(seed: int, epoch: int, index: int) -> np.random.Generator:
    """The generator of one sample in one epoch.

    Args:
        seed: the run's seed, 0 or more.
        epoch: the epoch, 0 or more.
        index: the sample's position in its dataset, 0 or more.
    """
    return np.random.Generator(np.random.Philox(key=[seed, epoch], counter=[0, 0, 0, index]))
