"""Every set of the catalog, built once; and the same again in other shards, and without the leakage guard."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from official.build import Builder, make_builder
from official.sets import MAIN, VARIANTS, Official, pack_official, shipped_entry
from regioncache.steps.parse import open_annotations

if TYPE_CHECKING:
    from pathlib import Path

    from official.expected import Split
    from regioncache.sources.record import Parsed
    from regioncache.steps.paths import BuildPaths

NAMES = (*MAIN, *VARIANTS)
CASES = [(name, split) for name in NAMES for split in shipped_entry(name)["splits"]]


@dataclass(frozen=True)
class Case:
    """One split's build and what it must be.

    Attributes:
        cache: the folder.
        paths: of the build.
        expected: by the source's own records.
        rows: of ``samples``, of all shards in order.
        metadata: of the first shard.
        stats: ``stats.json``.
        rejects: rows of ``rejects.parquet``.
    """

    cache: Path
    paths: BuildPaths
    expected: Split
    rows: list[dict[str, Any]]
    metadata: dict[bytes, bytes]
    stats: dict[str, Any]
    rejects: list[dict[str, Any]]

    @property
    def parsed(self) -> Parsed:
        return open_annotations(self.paths.annotations_of(0))


@pytest.fixture(scope="session")
def official(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Official:
    return pack_official(tmp_path_factory.mktemp("official") / "archives", shared)


@pytest.fixture(scope="session")
def builder(official: Official, tmp_path_factory: pytest.TempPathFactory) -> Builder:
    return make_builder(tmp_path_factory.mktemp("contract"), official, NAMES)


@pytest.fixture(scope="session")
def rebuilder(official: Official, tmp_path_factory: pytest.TempPathFactory) -> Builder:
    """The same entries in two shards more."""
    return make_builder(tmp_path_factory.mktemp("again"), official, NAMES, more_shards=2)


@pytest.fixture(scope="session")
def unguarded(official: Official, tmp_path_factory: pytest.TempPathFactory) -> Builder:
    return make_builder(tmp_path_factory.mktemp("unguarded"), official, NAMES)


def read_rows(cache: Path) -> list[dict[str, Any]]:
    """The samples of all shards, in order."""
    return [row for part in sorted((cache / "samples").glob("*.parquet")) for row in pq.read_table(part).to_pylist()]


@pytest.fixture(scope="session", params=CASES, ids="-".join)
def case(request: pytest.FixtureRequest, official: Official, builder: Builder) -> Case:
    name, split = request.param
    cache = builder.build(name, split)
    first = min((cache / "samples").glob("*.parquet"))
    return Case(
        cache,
        builder.paths[name, split],
        official.split(name, split),
        read_rows(cache),
        pq.read_schema(first).metadata,
        json.loads((cache / "stats.json").read_bytes()),
        pq.read_table(cache / "rejects.parquet").to_pylist(),
    )
