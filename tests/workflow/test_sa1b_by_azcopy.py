"""SA1B-Cap from tars and TSV files in Azurite, by the real azcopy, through the workflow, on a disk with room for two tars."""

from __future__ import annotations

import io
import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from azurite import Azurite, container_sas
from dying import kill_when
from official.files import write_file, write_tar
from official.sets import shipped_entry
from official.streams import line, record
from pack_archives import write_entry
from watching import assert_in_no_file, looking, needles_of, sampling
from workspace import Workspace, assert_same_files, file_bytes, make_workspace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

TARS, PHOTOS = 5, 2
DISK_MB = {"tars": 400, "annotations": 60, "captions": 40}
# A shard takes its archives and what converting writes, 2500 MB as the rules have it: there is room for two.
BUDGET_MB = 2 * (sum(DISK_MB.values()) + 2500)
LIMITS = ("--resources", "downloads=2", f"disk_mb={BUDGET_MB}")
BOX_XYWH = (10, 20, 60, 50)
# A tar or what it is made of; not its annotation files, and not the small files that stay.
TAR = re.compile(r"sa_\d{6}\.tar(?!\.(tsv|captions|lock|verified))")
VARIABLE = "SA1B_TAR_URL_SAS_KEY"


def photo_of(image_id: int) -> bytes:
    """A photo that no other tar holds."""
    pixels = np.random.default_rng(image_id).integers(0, 256, (96, 128, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def image_ids(number: int) -> list[int]:
    return [100 * (number + 1) + k for k in range(PHOTOS)]


def pack(folder: Path, number: int) -> None:
    """A tar, the masks of its photos and their captions."""
    base = folder / f"sa_{number:06d}.tar"
    write_tar(base, {f"./sa_{one}.jpg": photo_of(one) for one in image_ids(number)})
    said = {one: [{"caption": f"caption of {one}", "conf": 0.9}] for one in image_ids(number)}
    masks = [line(one, 0, 10 * one, record(10 * one, BOX_XYWH)) for one in image_ids(number)]
    captions = [line(one, 0, 10 * one, said[one]) for one in image_ids(number)]
    for suffix, lines in (("tsv", masks), ("captions.tsv", captions)):
        write_file(base.with_name(f"{base.name}.{suffix}"), "".join(lines).encode())


@pytest.fixture(scope="module")
def store(azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a container with everything in it."""
    folder = tmp_path_factory.mktemp("store")
    for number in range(TARS):
        pack(folder, number)
    for path in folder.iterdir():
        azurite.put("sa1b-cap", path.name, path.read_bytes())
    return f"{azurite.url}/sa1b-cap"


def make_sa1b_workspace(folder: Path, azurite: Azurite, store: str, azcopy_folder: Path, tars: str) -> Workspace:
    """A workspace with the project's entry, its series and its disk_mb cut down; the token is in the environment."""
    made = make_workspace(folder)
    entry = shipped_entry("sa1b_cap")
    for key, archive in entry["archives"].items():
        archive.update(numbers=[0, TARS - 1], disk_mb=DISK_MB[key])
    entry["splits"]["train"]["stream"] = [0, TARS - 1]
    write_entry(made.catalog, entry)
    made.environment.update(
        {
            "PATH": f"{made.variables()['PATH']}{os.pathsep}{azcopy_folder}",
            "no_proxy": "127.0.0.1",
            VARIABLE: container_sas("sa1b-cap"),
        }
    )
    choose(made, azurite, store, tars)
    return made


def choose(workspace: Workspace, azurite: Azurite, store: str, tars: str, **fetch: Any) -> None:
    places = {"mirrors_of": {"sa1b_cap": [store]}, "sas": {f"{store}/": VARIABLE}, "azure_hosts": [azurite.host]}
    workspace.configure(tars={"sa1b_cap": tars}, fetch={**places, **fetch})


class Disk:
    """What lies in the folder of archives while a run goes on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.most_tars = 0
        self.seen: set[str] = set()

    def tars(self) -> list[str]:
        """Tars that are there or on their way: azcopy makes a file of full size first, in a folder beside its place."""
        # `os.walk` does not mind folders that vanish.
        found = (TAR.search(name) for _, folders, files in os.walk(self.folder) for name in (*folders, *files))
        return sorted({match[0] for match in found if match is not None})

    def look(self) -> None:
        found = self.tars()
        self.seen.update(found)
        self.most_tars = max(self.most_tars, len(found))


def check_rows(workspace: Workspace, numbers: Sequence[int]) -> None:
    """The cache has the photos, boxes and captions of these tars, in order."""
    folder = workspace.cache_dir / "sa1b_cap" / "train" / "samples"
    rows = [row for part in sorted(folder.glob("*.parquet")) for row in pq.read_table(part).to_pylist()]
    ids = [one for number in numbers for one in image_ids(number)]
    assert [row["image_id"] for row in rows] == ids
    assert [row["image"]["bytes"] for row in rows] == [photo_of(one) for one in ids]
    assert [row["region_id"] for row in rows] == [[10 * one] for one in ids]
    assert [row["phrases"] for row in rows] == [[[f"caption of {one}"]] for one in ids]
    x, y, width, height = BOX_XYWH
    assert {tuple(row["mask_box_xyxy"][0]) for row in rows} == {(x, y, x + width, y + height)}


class Begun(NamedTuple):
    """A workspace after a run for two tars, the caches it made, and what was printed."""

    workspace: Workspace
    caches: Mapping[str, bytes]
    printed: str


@pytest.fixture(scope="module")
def begun(azurite: Azurite, store: str, azcopy_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Begun:
    workspace = make_sa1b_workspace(tmp_path_factory.mktemp("begun") / "run", azurite, store, azcopy_folder, "0-1")
    with sampling([workspace.environment[VARIABLE]]) as sampler:
        printed = workspace.snakemake("cache_sa1b_cap", *LIMITS, cores=4)
    assert sampler.programs == {"azcopy_linux_amd64"}
    check_rows(workspace, [0, 1])
    return Begun(workspace, file_bytes(workspace.cache_dir), printed)


def test_an_interrupted_run_then_ends_with_the_same_bytes(
    begun: Begun, azurite: Azurite, store: str, azcopy_folder: Path, tmp_path: Path
) -> None:
    workspace = make_sa1b_workspace(tmp_path / "run", azurite, store, azcopy_folder, "0-1")
    command = workspace.snakemake_command("cache_sa1b_cap", *LIMITS, cores=1)
    kill_when(workspace, command, lambda: list(workspace.cache_dir.rglob("samples/*.parquet")))  # one of two shards is there
    assert_in_no_file(workspace, [workspace.environment[VARIABLE]])
    workspace.snakemake("--unlock")
    workspace.snakemake("cache_sa1b_cap", *LIMITS, cores=4)
    assert_same_files(workspace.cache_dir, begun.caches)
    assert Disk(workspace.folder / ".data" / "archives").tars() == []


def test_more_tars_come_and_go_within_the_budget_of_the_disk_and_the_first_are_not_fetched_again(
    begun: Begun, azurite: Azurite, store: str
) -> None:
    workspace, token = begun.workspace, begun.workspace.environment[VARIABLE]
    choose(workspace, azurite, store, f"0-{TARS - 1}")
    disk = Disk(workspace.folder / ".data" / "archives")
    with sampling([token]) as sampler, looking(disk.look, 0.01):
        printed = begun.printed + workspace.snakemake("cache_sa1b_cap", *LIMITS, cores=4)
    check_rows(workspace, range(TARS))
    assert disk.seen == {f"sa_{number:06d}.tar" for number in range(2, TARS)}
    assert disk.most_tars <= 2
    assert disk.tars() == []
    assert sampler.programs == {"azcopy_linux_amd64"}
    assert_in_no_file(workspace, [token])
    assert not any(needle in printed.encode() for needle in needles_of(token))
