"""The README's table of datasets says what the catalog says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from regioncache.entries import load_catalog

if TYPE_CHECKING:
    from regioncache.catalog import Dataset

REPOSITORY = Path(__file__).resolve().parents[2]
CATALOG = load_catalog([REPOSITORY / "workflow" / "catalog"])


@pytest.mark.parametrize("dataset", CATALOG.values(), ids=list(CATALOG))
def test_every_dataset_has_a_row_with_its_target_and_its_expected_counts(dataset: Dataset) -> None:
    rows = [line for line in (REPOSITORY / "README.md").read_text().splitlines() if f"| `cache_{dataset.name}` |" in line]
    assert len(rows) == 1
    for split in dataset.splits.values():
        for expected in (split.expected_images, split.expected_regions):
            assert expected is None or f"{expected:,}" in rows[0]


def test_the_formats_table_names_what_each_split_must_have() -> None:
    table = (REPOSITORY / "README.md").read_text().partition("| format | files |")[2]
    formats = {dataset.format: split for dataset in CATALOG.values() for split in dataset.splits.values()}
    for name in ("coco_instance", "coco_panoptic", "coco_captions", "table", "refcoco", "visual_genome", "ade20k_panoptic"):
        row = next(line for line in table.splitlines() if line.startswith(f"| `{name}` |"))
        for folder in formats[name].folders:
            assert folder == "images" or f"`{folder}`" in row
