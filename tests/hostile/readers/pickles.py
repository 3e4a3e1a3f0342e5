"""Pickles of referring expressions."""

from __future__ import annotations

import contextlib
import pickle
import pickletools
from typing import TYPE_CHECKING

from hostile.mutation import damaged
from regioncache.errors import AnnotationError
from regioncache.sources.plain_pickle import read_plain_pickle
from regioncache.sources.record import AnnotationFile
from regioncache.sources.refcoco import Ref, read_refs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from random import Random

REFS = [
    {
        "ref_id": k,
        "ann_id": 10 + k,
        "image_id": 1 + k % 2,
        "split": split,
        "file_name": "x_1.jpg",
        "sentences": [{"sent": "left è"}] * 2,
    }
    for k, split in enumerate(("train", "val", "testA", "testAB"))
]
PLAIN = (list, dict, tuple, set, str, bytes, int, float, bool, type(None))
_CODES = [opcode.code.encode("latin-1") for opcode in pickletools.opcodes]


def refs(_: Path) -> Callable[[Random], None]:
    """Damaged pickles of every protocol; opcodes are put in anywhere."""
    valid = [pickle.dumps(REFS, protocol) for protocol in range(6)]
    valid += [pickle.dumps([1.5, -3, 10**20, b"x", {"a": (1, 2)}, [True, None]], protocol) for protocol in (3, 5)]

    def attempt(random: Random) -> None:
        data = bytearray(damaged(random.choice(valid), random, valid))
        for _ in range(random.choice((0, 0, 1, 3))):
            at = random.randrange(len(data) + 1)
            data[at : at + random.randrange(2)] = random.choice(_CODES)
        found = read_plain_pickle("refs.p", bytes(data))
        assert type(found) in PLAIN
        with contextlib.suppress(AnnotationError):
            assert all(type(one) is Ref for one in read_refs(AnnotationFile("refs.p", memoryview(data))))

    return attempt
