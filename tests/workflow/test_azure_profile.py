"""The profile `azure` with its files in Azurite: jobs of this machine, and jobs of nodes that share nothing with it."""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, NamedTuple

import pytest
import yaml

from azurite import ACCOUNT, KEY, Azurite, container_sas
from official.sets import Official, official_entry
from official.streams import pack_sa1b
from pack_archives import panoptic_entry, write_entry
from watching import Sampler, assert_in_no_file, needles_of, sampling
from workspace import Workspace, file_bytes, make_workspace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ACCOUNT_KEY = base64.b64encode(KEY).decode()
PREFIX = "regioncache"  # the profile's, below the container
# As a pool's node, a job of this one begins in an empty folder.
SUBMIT = """#!/bin/bash
node=$(mktemp -d NODES/XXXXXX)
cp "$1" "$node/job.sh"
{ cd "$node"; bash job.sh > job.log 2>&1; echo $? > status.tmp; mv status.tmp status; } > /dev/null 2>&1 &
echo "$node"
"""
STATUS = """#!/bin/bash
[ -e "$1/status" ] || { echo running; exit; }
[ "$(cat "$1/status")" = 0 ] && echo success || echo failed
"""


def make_azure_workspace(folder: Path, azurite: Azurite, plugins: Path, container: str) -> Workspace:
    """A workspace with the profile's environment, and nothing of a real account."""
    made = make_workspace(folder)
    (folder / "azure").symlink_to("workflow/profiles/azure")
    made.environment.update(
        PYTHONPATH=f"{made.variables()['PYTHONPATH']}{os.pathsep}{plugins}",
        AZURITE_CONNECTION_STRING=azurite.connection_string,
        SNAKEMAKE_STORAGE_AZURE_ACCOUNT_NAME=ACCOUNT,
        REGIONCACHE_CONTAINER=container,
        REGIONCACHE_IMAGE="registry.example/regioncache:1",
        no_proxy="127.0.0.1",
    )
    azurite.make_container(container)
    return made


def below(blobs: Mapping[str, bytes], folder: str) -> dict[str, bytes]:
    start = f"{PREFIX}/{folder}/"
    return {name.removeprefix(start): data for name, data in blobs.items() if name.startswith(start)}


class Stored(NamedTuple):
    """A workspace after a run of this machine, its blobs, what was printed, and who showed the account's key meanwhile."""

    workspace: Workspace
    blobs: dict[str, bytes]
    printed: str
    sampler: Sampler


@pytest.fixture(scope="module")
def stored(azurite: Azurite, snakemake_azure_folder: Path, drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Stored:
    workspace = make_azure_workspace(tmp_path_factory.mktemp("stored") / "run", azurite, snakemake_azure_folder, "stored")
    archives = shutil.copytree(drawn, workspace.folder.parent / "archives")
    for archive in archives.iterdir():
        os.utime(archive, (1e9, 1e9))  # older than what is put into the container, whose times are whole seconds
    write_entry(workspace.catalog, panoptic_entry(archives, name="drawn", shards={"val": 1}, expected_categories=None))
    azurite.put("stored", f"{PREFIX}/.data/archives/drawn/val2017.zip", (archives / "val2017.zip").read_bytes())
    with sampling([ACCOUNT_KEY]) as sampler:
        printed = workspace.snakemake("--profile", "azure", "--executor", "local", "cache_drawn")
    return Stored(workspace, azurite.blobs("stored"), printed, sampler)


def test_a_cache_in_a_container_has_the_bytes_of_a_local_one(stored: Stored, built: Workspace) -> None:
    found, expected = below(stored.blobs, ".data.cache"), file_bytes(built.cache_dir / "drawn" / "val")
    assert sorted(found) == [f"drawn/val/{name}" for name in sorted(expected)]
    assert [name for name, data in expected.items() if found[f"drawn/val/{name}"] != data] == []


def test_an_archive_that_lies_in_the_container_is_not_fetched(stored: Stored) -> None:
    place = f"az://stored/{PREFIX}/.data/archives/drawn"
    assert re.search(r"^fetch_archive +1$", stored.printed, re.MULTILINE)
    assert f"Storing in storage: {place}/panoptic_annotations_trainval2017.zip\n" in stored.printed
    assert f"Storing in storage: {place}/val2017.zip\n" not in stored.printed
    assert f"Retrieving from storage: {place}/val2017.zip\n" in stored.printed


def test_no_archive_and_no_shard_stays_on_this_machine(stored: Stored) -> None:
    left = [path for path in stored.workspace.folder.rglob("*") if path.suffix in (".zip", ".offsets", ".arrow")]
    assert left == []


def test_a_second_run_does_nothing(stored: Stored) -> None:
    assert "Nothing to be done" in stored.workspace.snakemake("--profile", "azure", "--executor", "local", "cache_drawn")


def test_the_account_key_is_in_no_file_and_in_no_argument(stored: Stored) -> None:
    assert stored.sampler.rounds > 20
    assert stored.sampler.programs == set()
    assert_in_no_file(stored.workspace, [ACCOUNT_KEY])
    assert not any(needle in stored.printed.encode() for needle in needles_of(ACCOUNT_KEY))
    assert [name for name, data in stored.blobs.items() for needle in needles_of(ACCOUNT_KEY) if needle in data] == []


def test_the_executor_of_azure_batch_takes_every_key_of_the_profile(stored: Stored) -> None:
    workspace = Workspace(stored.workspace.folder, dict(stored.workspace.environment))
    refused = workspace.run(workspace.command("snakemake", "--profile", "azure", "-n", "cache_drawn"), ok=False).stdout
    for variable in ("ACCOUNT_URL", "RESOURCE_GROUP_NAME", "SUBSCRIPTION_ID"):
        assert f"SNAKEMAKE_AZURE_BATCH_{variable}" in refused
        workspace.environment[f"SNAKEMAKE_AZURE_BATCH_{variable}"] = "https://account.region.batch.azure.com"
    command = workspace.command("snakemake", "--profile", "azure", "-n", "cache_drawn", "--configfile", "overrides.yaml")
    assert "Nothing to be done" in workspace.run(command).stdout


def test_a_streamed_shard_is_fetched_and_converted_on_one_node_and_its_tar_never_travels(
    azurite: Azurite, snakemake_azure_folder: Path, azcopy_folder: Path, shared: Path, tmp_path: Path
) -> None:
    """What Azure Batch does with the profile, but that a script starts the nodes: sources come out of the container."""
    workspace = make_azure_workspace(tmp_path / "run", azurite, snakemake_azure_folder, "noded")
    sets = pack_sa1b(tmp_path / "packed", shared)
    official = Official(tmp_path / "packed", {one.name: one for one in sets}, {})
    entry = official_entry(official, "sa1b_cap")
    for archive in entry["archives"].values():
        del archive["local"]
        archive["by_hand"] = "from the store"
    write_entry(workspace.catalog, entry)
    for path in (tmp_path / "packed" / "sa1b_cap").iterdir():
        azurite.put("sa1b", path.name, path.read_bytes())
    place = f"{azurite.url}/sa1b/"
    fetch = {"mirrors_of": {"sa1b_cap": [place]}, "sas": {place: "SA1B_SAS"}, "azure_hosts": [azurite.host]}
    workspace.configure(fetch=fetch, tars=1, prompts={"frames": []}, rejects={"budget": 1.0, "region_budget": 1.0})
    config = yaml.safe_load((workspace.folder / "config.yaml").read_text())
    (workspace.folder / "config.yaml").write_text(yaml.safe_dump({**config, "tokenizers": {}}))
    # Only the nodes have the token; they take it from where a vault would be.
    token = container_sas("sa1b")
    (tmp_path / "vault").write_text(f"SA1B_SAS={token}\n")
    workspace.environment["PATH"] = f"{workspace.variables()['PATH']}{os.pathsep}{azcopy_folder}"
    nodes = tmp_path / "run" / "nodes"
    for name, text in (("submit", SUBMIT.replace("NODES", str(nodes))), ("status", STATUS)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    for words in (["init", "--quiet"], ["add", "."]):  # the files of git travel
        subprocess.run(["git", *words], cwd=workspace.folder, check=True)
    nodes.mkdir()
    options = {"submit": tmp_path / "submit", "status": tmp_path / "status"}
    executor = [word for name, path in options.items() for word in (f"--cluster-generic-{name}-cmd", str(path))]
    executor += ["--executor", "cluster-generic", "--seconds-between-status-checks", "1"]
    with sampling([token]) as sampler:
        printed = workspace.snakemake(
            "--profile", "azure", *executor, "--precommand", f"cp {tmp_path / 'vault'} .env", "cache_sa1b_cap"
        )
    names = set(azurite.blobs("noded"))
    assert f"{PREFIX}/.data.cache/sa1b_cap/train/index.json" in names
    assert [name for name in names if ".tar" in name and "/logs/" not in name] == []
    # One node for the shard, from its fetching to its samples, and one that publishes.
    logs = sorted((path.read_text() for path in nodes.glob("*/job.log")), key=lambda text: "(Rule: publish_split)" in text)
    assert [text.count("(Rule: fetch_streamed_archive)") for text in logs] == [1, 0]
    assert [text.count("(Rule: fetch_rest_of_shard)") for text in logs] == [2, 0]
    assert [text.count("(Rule: convert_shard)") for text in logs] == [1, 0]
    assert sampler.programs == {"azcopy_linux_amd64"}
    assert_in_no_file(workspace, [token, ACCOUNT_KEY], but=(".env",))
    assert not any(needle in printed.encode() for needle in needles_of(token))
