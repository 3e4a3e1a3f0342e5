"""Ten thousand damaged files for every reader: each is read, or refused by an error of this package, and nothing else happens."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from hostile.fuzz import INPUTS, fuzz

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

READERS = {
    "archives": ("zips", "tars", "gzips", "whole_files"),
    "annotations": (
        "coco_instance",
        "objects365",
        "v3det",
        "coco_panoptic",
        "coco_captions",
        "refcoco",
        "visual_genome",
        "genome_objects",
        "genome_attributes",
        "genome_relationships",
        "genome_questions",
        "genome_grit",
        "table_json",
        "windows",
    ),
    "lines": ("tsv", "openimages_csv"),
    "pickles": ("refs",),
    "masks": ("run_lengths", "polygons", "unjudged_strings"),
    "maps": ("maps",),
    "images": ("jpegs", "pngs", "other_formats"),
    "caches": ("shards", "rows", "stale_offsets", "offsets", "index", "verify", "table_parquet"),
    "entries": ("catalog", "mixes"),
}


REFUSES_INSIDE = ("caches:stale_offsets", "caches:offsets")
"""These refuse single rows, or derive the offsets again."""


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[dict[str, int]]]]:
    """The readers that are asked for, each in a process of its own, as many at a time as there are cores."""
    readers = [item.callspec.params["reader"] for item in request.session.items if "runs" in getattr(item, "fixturenames", ())]
    folder = tmp_path_factory.mktemp("fuzz")
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        yield {one: pool.submit(fuzz, one, folder / one.replace(":", "_") / "made") for one in readers}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("reader", [f"{module}:{name}" for module, names in READERS.items() for name in names])
def test_whatever_a_reader_is_given_it_reads_or_refuses(reader: str, runs: dict[str, Future[dict[str, int]]]) -> None:
    found = runs[reader].result()
    assert found["taken"] + found["refused"] == INPUTS
    if reader not in REFUSES_INSIDE:
        assert min(found["taken"], found["refused"]) > INPUTS // 100, f"one-sided damage proves little: {found}"
