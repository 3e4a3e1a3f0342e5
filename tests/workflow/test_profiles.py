"""The profiles: links, comments, known options, plans, and what Snakemake makes of two profiles at once."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from workspace import REPOSITORY, Workspace, make_workspace

PROFILES = REPOSITORY / "workflow" / "profiles"
NAMES = sorted(path.name for path in PROFILES.iterdir())
# What the template language of profiles reads, and Snakemake does not see.
TEMPLATE = re.compile(r"__use_yte__|__definitions__|\?if .*")
# What a profile must leave to those that are named beside the one that always applies.
LEFT_TO_NAMED = {"cores", "jobs", "executor", "resources", "default-resources", "groups", "group-components"}
# Prints what Snakemake makes of its arguments and profiles.
PARSED = """
import json, sys
from snakemake.cli import parse_args
args = parse_args(sys.argv[1:])[1]
limits = {name: args.resources.get(name).value for name in ("downloads", "disk_mb")}
print(json.dumps({"cores": args.cores, "jobs": args.jobs, "executor": args.executor, "limits": limits,
    "rerun": args.rerun_incomplete, "triggers": sorted(str(one) for one in args.rerun_triggers),
    "components": dict(args.group_components), "targets": list(args.targets)}))
"""


def lines_and_keys(name: str) -> tuple[list[str], list[tuple[str, int]]]:
    """The lines of a profile, and its keys with their line from 0; those below a condition count as well."""
    text = (PROFILES / name / "config.yaml").read_text()
    found = []
    for key, value in yaml.compose(text).value:
        if not TEMPLATE.fullmatch(key.value):
            found.append((key.value, key.start_mark.line))
        elif key.value.startswith("?if"):
            found += [(inner.value, inner.start_mark.line) for inner, _ in value.value]
    return text.splitlines(), found


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory, snakemake_azure_folder: Path, snakemake_slurm_folder: Path) -> Workspace:
    """A workspace with the links of the repository and the plugins that profiles name."""
    made = make_workspace(tmp_path_factory.mktemp("linked"), catalog_dirs=["workflow/catalog"])
    for name in NAMES:
        (made.folder / name).symlink_to(f"workflow/profiles/{name}")
    paths = [made.variables()["PYTHONPATH"], str(snakemake_azure_folder), str(snakemake_slurm_folder)]
    made.environment.update(
        PYTHONPATH=os.pathsep.join(paths), REGIONCACHE_CONTAINER="caches", REGIONCACHE_IMAGE="registry.example/regioncache:1"
    )
    return made


def parsed(workspace: Workspace, *arguments: str) -> dict[str, object]:
    done = workspace.run([sys.executable, "-W", "ignore", "-c", PARSED, *arguments])
    return yaml.safe_load(done.stdout.splitlines()[-1])


def test_there_are_profiles_for_this_machine_slurm_and_azure() -> None:
    assert NAMES == ["azure", "default", "slurm"]


@pytest.mark.parametrize("name", NAMES)
def test_each_profile_is_found_by_its_name_from_the_root(name: str) -> None:
    link = REPOSITORY / name
    assert link.is_symlink()
    assert link.readlink() == Path("workflow/profiles") / name
    assert (link / "config.yaml").is_file()
    tracked = subprocess.run(["git", "check-ignore", "--quiet", name], cwd=REPOSITORY, check=False)
    assert tracked.returncode == 1, "git must keep the link"


@pytest.mark.parametrize("name", NAMES)
def test_every_key_of_a_profile_has_a_comment_above_it(name: str) -> None:
    lines, keys = lines_and_keys(name)
    assert keys
    assert [key for key, line in keys if not lines[line - 1].strip().startswith("# ")] == []


def test_every_key_of_a_profile_is_an_option_of_snakemake_or_of_its_plugins(linked: Workspace) -> None:
    text = linked.run(linked.command("snakemake", "--help")).stdout
    known = set(re.findall(r"--([a-z][a-z-]+)", text))
    assert {name: [key for key, _ in lines_and_keys(name)[1] if key not in known] for name in NAMES} == {
        name: [] for name in NAMES
    }


def test_without_a_named_profile_a_run_takes_this_machine_and_keeps_to_the_limits(linked: Workspace) -> None:
    plain = parsed(linked, "cache_demo")
    assert plain["cores"] == len(os.sched_getaffinity(0))
    assert plain["limits"] == {"downloads": 4, "disk_mb": 500_000}
    assert plain["rerun"] is True
    assert plain["targets"] == ["cache_demo"]
    assert parsed(linked, "--profile", "default", "cache_demo") == parsed(linked, "--profile=default", "cache_demo") == plain
    fewer = parsed(linked, "cache_demo", "--cores", "1", "--resources", "downloads=2")
    assert fewer["cores"] == 1
    assert fewer["limits"] == {"downloads": 2, "disk_mb": None}


def test_a_named_profile_decides_what_the_one_that_always_applies_leaves_to_it(linked: Workspace) -> None:
    (linked.folder / "mine").mkdir(exist_ok=True)
    mine = {"cores": 3, "resources": ["downloads=7"], "rerun-incomplete": True}
    (linked.folder / "mine" / "config.yaml").write_text(yaml.safe_dump(mine))
    for arguments in (["--profile", "mine"], ["--profile=mine"]):
        own = parsed(linked, *arguments, "cache_demo")
        assert own["cores"] == 3
        assert own["limits"] == {"downloads": 7, "disk_mb": None}
    linked.environment["SNAKEMAKE_PROFILE"] = "mine"
    assert parsed(linked, "cache_demo") == own
    del linked.environment["SNAKEMAKE_PROFILE"]
    assert own["triggers"] == parsed(linked, "cache_demo")["triggers"]
    slurm = parsed(linked, "--profile", "slurm", "cache_demo")
    wanted = yaml.safe_load((PROFILES / "slurm" / "config.yaml").read_text())
    assert (slurm["cores"], slurm["jobs"], slurm["executor"]) == (wanted["cores"], wanted["jobs"], "slurm")
    assert slurm["limits"] == {"downloads": 4, "disk_mb": 500_000}
    assert slurm["components"] == {"shards": 8}
    assert slurm["rerun"] is True


def test_the_profile_that_always_applies_overrides_nothing_that_a_named_one_must_say() -> None:
    always = yaml.safe_load((PROFILES / "default" / "config.yaml").read_text())
    assert LEFT_TO_NAMED & set(always) == set()


def test_plain_default_and_slurm_plan_the_same_jobs(linked: Workspace) -> None:
    def plan(*arguments: str) -> list[str]:
        text = linked.run(linked.command("snakemake", "-n", *arguments, "cache_demo")).stdout
        table = text.split("Job stats:")[1].split("total")[0]
        return re.findall(r"^\w+ +\d+$", table, flags=re.MULTILINE)

    plain = plan()
    assert len(plain) > 5
    assert plan("--profile", "default") == plan("--profile", "slurm") == plain
