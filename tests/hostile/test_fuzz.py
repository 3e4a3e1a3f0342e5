"""Ten thousand damaged files for every reader: each is read, or refused by an error of this package, and nothing else happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hostile.fuzz import INPUTS, fuzz

if TYPE_CHECKING:
    from pathlib import Path

READERS = [
    "archives:zips",
    "archives:tars",
    "archives:gzips",
    "masks:run_lengths",
    "masks:polygons",
    "masks:unjudged_strings",
    "pickles:refs",
    "entries:catalog",
]


@pytest.mark.parametrize("reader", READERS)
def test_whatever_a_reader_is_given_it_reads_or_refuses(reader: str, tmp_path: Path) -> None:
    found = fuzz(reader, tmp_path / "made")
    assert found["taken"] + found["refused"] == INPUTS
    assert min(found["taken"], found["refused"]) > INPUTS // 100, f"one-sided damage proves little: {found}"
