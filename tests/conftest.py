"""Fixtures that every test may use."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from azurite import Azurite, running_azurite
from built_cache import build, draw_and_fetch
from regioncache.demo import draw_demo_archives

if TYPE_CHECKING:
    from collections.abc import Iterator

TOOLS = Path(__file__).resolve().parents[1] / ".tools"
SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real samples and goldens beside the checkout; CI must have it, a user's machine need not."""
    if not (SHARED / "goldens").is_dir():
        message = f"the real samples and goldens are not at {SHARED}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return SHARED


@pytest.fixture(scope="session")
def wget() -> str:
    """The downloader; CI must have it, a user's machine need not."""
    found = shutil.which("wget")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("wget is not installed")
        pytest.skip("wget is not installed")
    return found


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Archives of 12 drawn training images and 4 for validation; not to be changed."""
    folder = tmp_path_factory.mktemp("drawn")
    draw_demo_archives(folder, train_images=12, val_images=4)
    return folder


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small cache of drawn scenes, 12 images in 3 shards, ByT5 tokens, both frames; not to be changed."""
    paths = draw_and_fetch(tmp_path_factory.mktemp("made"))
    return build(paths, frames=("sam", "square"), points_per_region=2)


def _tool(path: str) -> Path:
    """A program that `make tools` installs; CI must have it, a user's machine need not."""
    found = TOOLS / path
    if not found.exists():
        message = f"{found} is not there; `make tools` installs it"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return found


@pytest.fixture(scope="session")
def azcopy_folder() -> Path:
    """Where azcopy lies, to be put on the path."""
    return _tool("azcopy/bin/azcopy").parent


@pytest.fixture(scope="session")
def snakemake_azure_folder() -> Path:
    """Where Snakemake's plugins for Azure lie, to be put on Python's path."""
    return _tool("snakemake-azure/ready").parent


@pytest.fixture(scope="session")
def snakemake_slurm_folder() -> Path:
    """Where Snakemake's plugin for Slurm lies, to be put on Python's path."""
    return _tool("snakemake-slurm/ready").parent


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """The emulator of Azure Blob Storage, running."""
    with running_azurite(_tool("azurite/node_modules/azurite/dist/src/blob/main.js")) as running:
        yield running
