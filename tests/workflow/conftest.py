"""What the tests of the workflow share: two caches that Snakemake built of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from no_network import forbid_network
from workspace import Workspace, make_drawn_workspace

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, drawn: Path) -> Workspace:
    """A workspace after an unbroken run on two cores; not to be changed."""
    workspace = make_drawn_workspace(tmp_path_factory.mktemp("built"), drawn)
    workspace.snakemake("cache_drawn")
    return workspace


@pytest.fixture(scope="session")
def rebuilt(tmp_path_factory: pytest.TempPathFactory, drawn: Path) -> Workspace:
    """The same in another folder, on one core, under another hash seed and time zone, with no network."""
    workspace = make_drawn_workspace(tmp_path_factory.mktemp("elsewhere") / "a folder with spaces", drawn)
    workspace.environment.update(PYTHONHASHSEED="12345", TZ="Asia/Tokyo")
    forbid_network(workspace)
    workspace.snakemake("cache_drawn", cores=1)
    return workspace
