"""These tests need FiftyOne in an environment of its own: `make test-fiftyone` makes it and runs them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

PYTHON = Path(os.environ.get("FIFTYONE_PYTHON", Path(__file__).resolve().parents[2] / ".venv-fiftyone/bin/python"))

collect_ignore_glob = [] if PYTHON.exists() else ["test_*.py"]


@pytest.fixture(scope="session")
def fiftyone_python() -> Path:
    """The interpreter of the environment that has FiftyOne."""
    return PYTHON


def pytest_report_header() -> str:
    """Say why nothing is run where FiftyOne is missing."""
    return f"FiftyOne: {PYTHON}" if PYTHON.exists() else f"FiftyOne is missing, {PYTHON}: `make test-fiftyone` installs it"
