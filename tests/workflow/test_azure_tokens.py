"""A token reaches azcopy and nothing else: no other process's arguments, no log, no file, whatever becomes of the run."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from azurite import Azurite, container_sas
from fault_server import Fault, serving
from pack_archives import panoptic_entry, write_entry
from watching import assert_in_no_file, needles_of, sampling
from workspace import Workspace, make_workspace

CONTAINERS = {"TRAIN_SAS_KEY": "train-2017", "ANNOTATIONS_SAS_KEY": "annotations"}


@pytest.fixture
def workspace(drawn: Path, tmp_path: Path, azurite: Azurite, azcopy_folder: Path) -> Workspace:
    """A dataset whose archives lie in two containers, and tokens: one in the environment, one in .env."""
    made = make_workspace(tmp_path / "run")
    entry = panoptic_entry(drawn, name="drawn", shards={"val": 1}, expected_categories=None)
    for archive in entry["archives"].values():
        local = Path(archive.pop("local"))
        container = "annotations" if "annotations" in local.name else "train-2017"
        archive["urls"] = [azurite.put(container, local.name, local.read_bytes())]
    write_entry(made.catalog, entry)
    made.configure(**configuration(azurite))
    made.environment.update(PATH=f"{azcopy_folder}{os.pathsep}{made.variables()['PATH']}", no_proxy="127.0.0.1")
    return made


def configuration(azurite: Azurite, **fetch: Any) -> dict[str, Any]:
    names = {f"{azurite.url}/{container}/": name for name, container in CONTAINERS.items()}
    known = {"sas": names, "azure_hosts": [azurite.host], "tries": 2, "timeout_s": 3}
    return {"fetch": {**known, **fetch}, "prompts": {"frames": []}}


def set_tokens(workspace: Workspace, **changes: str) -> list[str]:
    tokens = {name: changes.get(name, container_sas(container)) for name, container in CONTAINERS.items()}
    workspace.environment["TRAIN_SAS_KEY"] = tokens["TRAIN_SAS_KEY"]
    (workspace.folder / ".env").write_text(f"ANNOTATIONS_SAS_KEY='?{tokens['ANNOTATIONS_SAS_KEY']}'\n")
    return list(tokens.values())


def test_a_cache_is_built_from_azure_and_no_process_but_azcopy_shows_a_token(workspace: Workspace, azurite: Azurite) -> None:
    tokens = set_tokens(workspace)
    # Mirrors of the dataset, in this order, are tried before the general one, which does not answer.
    places = [f"{azurite.url}/{container}/" for container in CONTAINERS.values()]
    workspace.configure(**configuration(azurite, mirrors_of={"drawn": places}, mirrors=["http://127.0.0.1:1/"]))
    with sampling(tokens) as sampler:
        printed = workspace.snakemake("cache_drawn")
    assert (workspace.cache_dir / "drawn" / "val" / "index.json").exists()
    assert sampler.rounds > 20
    assert sampler.programs == {"azcopy_linux_amd64"}
    assert_in_no_file(workspace, tokens, but=(".env",))
    assert not any(needle in printed.encode() for token in tokens for needle in needles_of(token))


def test_runs_that_are_refused_name_the_variable_and_show_no_token(workspace: Workspace) -> None:
    wrong = container_sas("annotations", key=b"x" * 64)
    expired = container_sas("train-2017", expiry_s=-60)
    tokens = set_tokens(workspace, TRAIN_SAS_KEY=expired, ANNOTATIONS_SAS_KEY=wrong)
    with sampling(tokens) as sampler:
        printed = workspace.snakemake("--keep-going", "cache_drawn", ok=False)
    assert "the token in TRAIN_SAS_KEY, for " in printed
    assert "expired at " in printed
    assert "asked with the token in ANNOTATIONS_SAS_KEY" in printed
    assert sampler.programs == set()
    assert_in_no_file(workspace, tokens, but=(".env",))
    assert not any(needle in printed.encode() for token in tokens for needle in needles_of(token))


def test_a_run_that_is_killed_in_mid_file_leaves_no_token(workspace: Workspace) -> None:
    with serving() as server:
        url, served = server.serve("/acct/c/a.zip", bytes(30_000_000), every=Fault(slow_s=0.01))
        entry = panoptic_entry(workspace.folder, name="slow", shards={"val": 1}, expected_categories=None)
        key = next(iter(entry["archives"]))
        entry["archives"][key].pop("local")
        entry["archives"][key]["urls"] = [url]
        write_entry(workspace.catalog, entry)
        tokens = set_tokens(workspace)
        command = workspace.command("regioncache", "fetch", "catalog/slow.yaml", key, "--sas", f"{server.url}=TRAIN_SAS_KEY")
        command += ["--azure-host", server.url.removeprefix("http://")]
        process = subprocess.Popen(command, cwd=workspace.folder, env=workspace.variables(), start_new_session=True)
        server.wait_until_sent(served, 1_000_000)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert list(workspace.folder.rglob("*.steV*"))  # azcopy's plan was there
        assert_in_no_file(workspace, tokens, but=(".env",))


@pytest.mark.parametrize("key", ["mirrors_of", "sas"])
def test_a_token_in_the_configuration_itself_is_refused_and_not_shown(workspace: Workspace, azurite: Azurite, key: str) -> None:
    token, address = container_sas("train-2017"), f"{azurite.url}/train-2017/"
    workspace.configure(fetch={key: {address: token} if key == "sas" else {"drawn": [f"{address}?{token}"]}})
    printed = workspace.snakemake("-n", "cache_drawn", ok=False)
    assert ("carries a token" if key == "mirrors_of" else "is no name of a variable") in printed
    assert not any(needle in printed.encode() for needle in needles_of(token))
