"""COCO files are lists of records: written one record after the other, so that memory does not grow with the dataset."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


def write_lists(path: Path, lists: Mapping[str, Iterable[Mapping[str, Any]]]) -> None:
    """Write a JSON object of lists, one record per line; equal records are equal bytes."""
    with path.open("w", encoding="utf-8") as file:
        before_list = "{"
        for name, records in lists.items():
            file.write(f'{before_list}\n"{name}": [')
            before_record = "\n"
            for record in records:
                file.write(before_record + json.dumps(record, ensure_ascii=False, separators=(",", ":")))
                before_record = ",\n"
            file.write("\n]")
            before_list = ","
        file.write("\n}\n")


def numbers(values: NDArray[np.float64]) -> list[int | float]:
    """Whole numbers as integers, as COCO has them."""
    return [int(value) if value.is_integer() else value for value in values.tolist()]
