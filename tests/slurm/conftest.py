"""These tests start a Slurm cluster on this machine, which only root can: `make test-slurm` installs it and runs them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from slurm_cluster import running_cluster, what_is_missing
from workspace import file_bytes, make_drawn_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

collect_ignore_glob = [] if os.environ.get("TEST_SLURM") else ["test_*.py"]


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """A running cluster of one node."""
    missing = what_is_missing()
    assert missing == [], f"no Slurm cluster can be started here without {', '.join(missing)}"
    with running_cluster():
        yield


@pytest.fixture(scope="session")
def expected(tmp_path_factory: pytest.TempPathFactory, drawn: Path) -> Mapping[str, bytes]:
    """The files of the caches as a run on this machine makes them."""
    workspace = make_drawn_workspace(tmp_path_factory.mktemp("local"), drawn)
    workspace.snakemake("cache_drawn")
    return file_bytes(workspace.cache_dir)
