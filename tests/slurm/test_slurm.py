"""The profile `slurm` on a cluster: the same caches, few jobs, errors that one sees, and runs that go on after a kill."""

from __future__ import annotations

import os
import re
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from dying import kill_when
from slurm_cluster import NODE_CPUS, answer
from workspace import RUN_LIMIT_S, Workspace, assert_same_files, make_drawn_workspace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("cluster")

# A test looks at jobs more often than one should at those of others.
OFTEN = ("--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "2")
SUBMITTED = re.compile(r"has been submitted with SLURM jobid (\d+) \(log: (\S+)\)")


@pytest.fixture
def workspace(tmp_path: Path, drawn: Path, snakemake_slurm_folder: Path) -> Workspace:
    """A workspace whose Snakemake knows Slurm."""
    made = make_drawn_workspace(tmp_path, drawn)
    (made.folder / "slurm").symlink_to("workflow/profiles/slurm")
    made.environment["PYTHONPATH"] = os.pathsep.join([made.variables()["PYTHONPATH"], str(snakemake_slurm_folder)])
    return made


def slurm_command(workspace: Workspace, *arguments: str) -> list[str]:
    return workspace.command("snakemake", "--profile", "slurm", *OFTEN, *arguments, "--configfile", "overrides.yaml")


def test_slurm_builds_the_same_caches_in_few_jobs_that_small_nodes_take(
    workspace: Workspace, expected: Mapping[str, bytes]
) -> None:
    output = workspace.run(slurm_command(workspace, "cache_drawn")).stdout
    assert_same_files(workspace.cache_dir, expected)
    jobs = dict(SUBMITTED.findall(output))
    # Of 21 jobs, four are fetched here; two splits are parsed and published, and all four shards are one group.
    kinds = sorted(re.findall(r"logs/slurm/(\w+?)(?:_convert_shard_prompt_shard_tokenize_shard)?/", " ".join(jobs.values())))
    assert kinds == ["group_shards", *["rule_parse_annotations"] * 2, *["rule_publish_split"] * 2]
    for number in jobs:
        asked = answer("scontrol", "show", "job", number)
        cores, memory_mb = (int(re.search(pattern, asked)[1]) for pattern in (r"NumCPUs=(\d+)", r"mem=(\d+)M"))
        assert cores <= NODE_CPUS
        assert memory_mb <= 2000 * NODE_CPUS
    assert "Nothing to be done" in workspace.run(slurm_command(workspace, "cache_drawn")).stdout


def test_what_a_failed_step_wrote_on_a_node_is_shown_by_the_run(workspace: Workspace) -> None:
    workspace.run(slurm_command(workspace, "cache_drawn", "--until", "parse_annotations"))
    archive = workspace.folder / ".data/archives/drawn/train2017.zip"
    state, data = archive.stat(), archive.read_bytes()
    archive.unlink()  # it may be a link to the drawn one
    archive.write_bytes(data[: len(data) // 2])
    os.utime(archive, ns=(state.st_atime_ns, state.st_mtime_ns))
    done = workspace.run(slurm_command(workspace, "cache_drawn"), ok=False)
    assert done.returncode != 0
    assert "Error in rule convert_shard" in done.stdout
    assert re.search(r"regioncache: \.data/archives/drawn/train2017\.zip: member .* lies beyond the end of the file", done.stdout)


def running_group() -> str:
    """The number of a running job of four cores, or nothing."""
    lines = answer("squeue", "--noheader", "--states=RUNNING", "--format=%A %C").splitlines()
    return next((line.split()[0] for line in lines if int(line.split()[1]) > 1), "")


def test_a_run_that_is_killed_while_its_jobs_go_on_is_finished_by_the_next(
    workspace: Workspace, expected: Mapping[str, bytes]
) -> None:
    command = slurm_command(workspace, "cache_drawn")
    kill_when(workspace, command, running_group, every_s=0.2)
    assert running_group(), "the job was to outlive the run"
    workspace.run(slurm_command(workspace, "--unlock"))
    workspace.run(command)
    assert_same_files(workspace.cache_dir, expected)
    assert [path for path in workspace.cache_dir.rglob("*") if ".tmp-" in path.name] == []


def test_a_run_whose_group_is_cancelled_fails_and_is_finished_by_the_next(
    workspace: Workspace, expected: Mapping[str, bytes]
) -> None:
    command = slurm_command(workspace, "cache_drawn")
    with subprocess.Popen(
        command, cwd=workspace.folder, env=workspace.variables(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        deadline = time.monotonic() + RUN_LIMIT_S
        while not (number := running_group()):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
        answer("scancel", number)
        output, _ = process.communicate(timeout=RUN_LIMIT_S)
    assert process.returncode != 0
    assert "Error in group shards" in output
    workspace.run(command)
    assert_same_files(workspace.cache_dir, expected)
