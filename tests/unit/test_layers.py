"""Imports go down only, and heavy packages are imported in one place each."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import regioncache

ROOT = Path(regioncache.__file__).parent

# What each room may import of the package. Rooms that are not named together never import one another.
GROUND = {
    "errors",
    "entry_problems",
    "plain_yaml",
    "selection",
    "atomic",
    "hashing",
    "archive",
    "geometry",
    "masks",
    "rle",
    "panoptic_runs",
}
MIDDLE = GROUND | {"schema", "catalog", "entries"}
ALLOWED = {
    **dict.fromkeys(GROUND, GROUND),
    "schema": GROUND,
    "catalog": GROUND,
    "entries": GROUND | {"catalog"},
    "demo": GROUND | {"demo"},
    "sources": MIDDLE | {"sources"},
    "fetch": MIDDLE | {"fetch"},
    "encode": MIDDLE | {"encode"},
    "cache": MIDDLE | {"cache"},
    "data": MIDDLE | {"cache", "data"},
    "interop": MIDDLE | {"cache", "data", "interop"},
    "report": MIDDLE | {"cache", "data", "report"},
    "steps": MIDDLE | {"cache", "sources", "fetch", "encode", "steps"},
    "cli": MIDDLE | {"cache", "data", "sources", "fetch", "encode", "steps", "report", "interop", "demo", "cli"},
    "__main__": {"cli"},
    "__init__": {"data"},
}
ONLY_IN = {
    "torch": {"data"},
    "transformers": {"encode/tokens.py"},
    "fiftyone": {"fetch/programs/open_images/__main__.py"},
    "snakemake": set(),
    "typer": {"cli"},
    "rich": {"cli"},
    "msgspec": {"catalog.py", "entries.py", "entry_problems.py", "sources", "steps", "fetch", "cli/mix_file.py"},
    "yaml": {"plain_yaml.py"},
    "cv2": {"encode"},
}
PROGRAMS = ROOT / "fetch/programs"
FILES = sorted(ROOT.rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Absolute module names that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if PROGRAMS in path.parents:  # they run where there is no regioncache
                assert node.level <= 1, f"{path}: a program imports its own files alone"
            else:
                assert not node.level, f"{path}: imports are absolute"
            if not node.level:
                found.add(node.module or "")
    return found


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down_only(path: Path) -> None:
    for name in imports(path):
        parts = name.split(".")
        assert PROGRAMS not in path.parents or parts[0] != "regioncache", f"{path} imports {name}"
        if parts[0] == "regioncache" and len(parts) > 1:
            assert parts[1] in ALLOWED[room(path)], f"{path} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_heavy_packages_have_one_home(path: Path) -> None:
    where = str(path.relative_to(ROOT))
    for name in imports(path):
        homes = ONLY_IN.get(name.split(".")[0])
        if homes is not None and path.name != "__main__.py":
            assert where in homes or room(path) in homes, f"{where} imports {name}"


def test_files_hold_one_idea() -> None:
    assert {str(path): lines for path in FILES if (lines := len(path.read_text().splitlines())) > 340} == {}


def test_the_reader_needs_none_of_the_builders_packages() -> None:
    program = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "transformers", "snakemake", "typer", "rich", "msgspec", "yaml", "cv2", "jsonschema"}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Refuse())
from regioncache import ParquetRegionDataset, RegionCollator
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
