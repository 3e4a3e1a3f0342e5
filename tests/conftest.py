"""Fixtures that every test may use."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from built_cache import build, draw_and_fetch

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
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small cache of drawn scenes, 12 images in 3 shards, ByT5 tokens, both frames; not to be changed."""
    paths = draw_and_fetch(tmp_path_factory.mktemp("made"))
    return build(paths, frames=("sam", "square"), points_per_region=2)
