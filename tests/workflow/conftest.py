"""What the tests of the workflow share: drawn archives, and two caches that Snakemake built of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from no_network import forbid_network
from regioncache.demo import draw_demo_archives
from workspace import Workspace, make_drawn_workspace

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Archives of 12 drawn training images and 4 for validation; not to be changed."""
    folder = tmp_path_factory.mktemp("drawn")
    draw_demo_archives(folder, train_images=12, val_images=4)
    return folder


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
