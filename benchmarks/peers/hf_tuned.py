"""Hugging Face ``datasets`` tuned: flat Arrow lists, read in its Arrow format and viewed as arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import datasets
import numpy as np
import pyarrow as pa

from benchmarks.peers.floor import pixels

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmarks.peers import Encoded, Sample
    from regioncache.encode.tokenizer import Tokenizer

TITLE = "Hugging Face datasets, tuned: flat columns, Arrow format"


def write(folder: Path, rows: Sequence[Encoded], kind: str, tokenizer: Tokenizer) -> None:
    """See ``Peer.write``."""
    del tokenizer
    examples = [row.example for row in rows]
    columns: dict[str, Any] = {
        "image_id": [example.image_id for example in examples],
        "height": [row.image.size_hw[0] for row in rows],
        "width": [row.image.size_hw[1] for row in rows],
        "region_id": [example.region_id for example in examples],
        "boxes": [example.box_in_frame.reshape(-1) for example in examples],
        "input_ids": [row.input_ids for row in rows],
        "token_count": [row.token_count for row in rows],
        "rle": [b"".join(example.counts) for example in examples],
        "rle_length": [np.array([len(counts) for counts in example.counts], np.int32) for example in examples],
    }
    table = pa.table(columns)
    if kind != "none":
        table = table.append_column("image", pa.array([row.image.data for row in rows], pa.large_binary()))
    datasets.Dataset(table).save_to_disk(str(folder))


def open_store(folder: Path, kind: str) -> Callable[[int], Sample]:
    """See ``Peer.open_store``."""
    dataset = datasets.load_from_disk(str(folder)).with_format("arrow")

    def sample(index: int) -> Sample:
        table = dataset[index]
        height, width = table.column("height")[0].as_py(), table.column("width")[0].as_py()
        found = {
            "image_id": table.column("image_id")[0].as_py(),
            "size_hw": (height, width),
            "region_id": _flat(table, "region_id"),
            "boxes": _flat(table, "boxes").reshape(-1, 4),
            "input_ids": _flat(table, "input_ids"),
            "token_count": _flat(table, "token_count"),
            "rle": table.column("rle")[0].as_buffer(),
            "rle_length": _flat(table, "rle_length"),
        }
        if kind != "none":
            data = np.frombuffer(table.column("image")[0].as_buffer(), np.uint8)
            found["image"] = pixels(data, height, width, kind)
        return found

    return sample


def _flat(table: pa.Table, name: str) -> NDArray[Any]:
    values: NDArray[Any] = table.column(name)[0].values.to_numpy()
    return values
