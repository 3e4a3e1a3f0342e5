"""A folder to run the workflow in: the project's rules, configuration and profiles, and nothing else of this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from pack_archives import panoptic_entry, write_entry

if TYPE_CHECKING:
    from collections.abc import Mapping

REPOSITORY = Path(__file__).resolve().parents[1]
PROGRAMS = Path(sys.executable).parent
PARTS = ("Snakefile", "config.yaml", "rules", "envs", "workflow")
RUN_LIMIT_S = 180
DRAWN_SHARDS = {"train": 3, "val": 1}


@dataclass
class Workspace:
    """One working directory of the workflow.

    Attributes:
        folder: where commands run.
        environment: variables beside a minimal environment with its own home.
    """

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def cache_dir(self) -> Path:
        """The caches."""
        return self.folder / ".data.cache"

    @property
    def catalog(self) -> Path:
        """The only catalog folder, until ``configure`` names others."""
        return self.folder / "catalog"

    def configure(self, **config: Any) -> None:
        """Values over those of ``config.yaml``; replaces what an earlier call said."""
        (self.folder / "overrides.yaml").write_text(yaml.safe_dump({"catalog_dirs": ["catalog"], **config}))

    def command(self, program: str, *arguments: str | Path) -> list[str]:
        """The argument list of a program of this environment."""
        return [str(PROGRAMS / program), *map(str, arguments)]

    def snakemake_command(self, *arguments: str, cores: int = 2) -> list[str]:
        """A run of the workflow with this workspace's configuration."""
        return self.command("snakemake", "--cores", str(cores), *arguments, "--configfile", "overrides.yaml")

    def variables(self) -> dict[str, str]:
        """The environment of every command; the package is found whether it is installed or not."""
        path = os.pathsep.join([str(PROGRAMS), os.environ.get("PATH", os.defpath)])
        home = self.folder / "home"
        return {
            "PATH": path,
            "HOME": str(home),
            "XDG_CACHE_HOME": str(home / ".cache"),
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": str(REPOSITORY / "src"),
            **self.environment,
        }

    def run(self, command: list[str], *, ok: bool = True) -> subprocess.CompletedProcess[str]:
        """Run to the end; ``output`` is standard output and error together."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.variables(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=RUN_LIMIT_S,
            check=False,
        )
        assert not ok or done.returncode == 0, done.stdout
        return done

    def snakemake(self, *arguments: str, cores: int = 2, ok: bool = True) -> str:
        """Run the workflow; what it printed."""
        done = self.run(self.snakemake_command(*arguments, cores=cores), ok=ok)
        assert ok or done.returncode != 0, done.stdout
        return done.stdout

    def regioncache(self, *arguments: str | Path, ok: bool = True) -> str:
        """Run a verb; what it printed."""
        done = self.run(self.command("regioncache", *arguments), ok=ok)
        assert ok or done.returncode == 1, done.stdout
        return done.stdout


def make_workspace(folder: Path, **config: Any) -> Workspace:
    """A fresh workspace; ``config`` goes over ``config.yaml``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in PARTS:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, folder / name)
        else:
            shutil.copy(source, folder / name)
    (folder / "profiles").symlink_to("workflow/profiles")
    workspace = Workspace(folder)
    workspace.configure(**config)
    workspace.catalog.mkdir()
    (folder / "home").mkdir()
    return workspace


def make_drawn_workspace(folder: Path, drawn: Path) -> Workspace:
    """A workspace whose target ``cache_drawn`` builds the demo's archives in ``drawn``."""
    workspace = make_workspace(folder)
    entry = panoptic_entry(drawn, name="drawn", shards=DRAWN_SHARDS, expected_categories=None)
    write_entry(workspace.catalog, entry)
    return workspace


def file_bytes(folder: Path) -> Mapping[str, bytes]:
    """Every file below a folder, by its relative path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def assert_same_files(folder: Path, expected: Mapping[str, bytes]) -> None:
    """Compare names first and bytes second, so that a failure names files and does not print them."""
    found = file_bytes(folder)
    assert sorted(found) == sorted(expected)
    assert [name for name in expected if found[name] != expected[name]] == []
