"""All sets of the catalog, packed into one folder of archives, and the project's own entries for them."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from official.coco import pack_coco
from official.detection import pack_objects365, pack_v3det
from official.genome import pack_genome
from official.openimages import pack_openimages
from official.others import pack_ade20k, pack_sbu
from official.refer import held_by, pack_refer
from official.streams import pack_sa1b
from pack_archives import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from official.expected import OfficialSet, Split

CATALOG = REPOSITORY / "workflow" / "catalog"
MAIN = tuple(sorted(path.stem for path in CATALOG.glob("*.yaml") if path.stem != "demo"))
VARIANTS = tuple(sorted(path.stem for path in (CATALOG / "variants").glob("*.yaml")))
BY_HAND = ("sbu/images.zip", "visual_genome/mask_region_descriptions.json.zip")


@dataclass(frozen=True)
class Official:
    """The archives of all sets.

    Attributes:
        folder: where they lie, each under its entry's path.
        sets: by name.
        held_by: who holds each guarded photo.
    """

    folder: Path
    sets: dict[str, OfficialSet]
    held_by: Mapping[int, Sequence[str]]

    def split(self, name: str, split: str, *, guard: bool = True) -> Split:
        """What a split must become; with the guard, where the entry asks for it."""
        expected = self.sets[name].splits[split]
        asks = shipped_entry(name)["splits"][split].get("leakage_guard", False)
        return expected.guarded(self.held_by) if guard and asks else expected


def pack_official(folder: Path, shared: Path) -> Official:
    """Write the archives of every entry of the catalog and of its variants."""
    folder.mkdir(parents=True, exist_ok=True)
    packed = [
        *pack_coco(folder, shared),
        *pack_refer(folder, shared),
        *pack_genome(folder, shared),
        pack_objects365(folder, shared),
        pack_v3det(folder, shared),
        pack_ade20k(folder, shared),
        pack_sbu(folder, shared),
        *pack_sa1b(folder, shared),
        *pack_openimages(folder, shared),
    ]
    return Official(folder, {one.name: one for one in packed}, held_by())


def shipped_entry(name: str) -> dict[str, Any]:
    """The project's entry, as it is."""
    path = CATALOG / f"{name}.yaml"
    entry: dict[str, Any] = yaml.safe_load((path if path.exists() else CATALOG / "variants" / f"{name}.yaml").read_text())
    return entry


def official_entry(
    official: Official, name: str, *, base_url: str | None = None, shards: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """The project's entry for the packed archives: members, prefixes, options, guards and series are its own.

    Args:
        official: the archives.
        name: of the entry.
        base_url: where the archives are served under their paths; None names them as local files.
        shards: of each split that is kept; None keeps all, with the shards that they are expected in.
    """
    entry = copy.deepcopy(shipped_entry(name))
    expected = official.sets[name]
    for key, archive in entry["archives"].items():
        urls = archive.pop("urls", None)
        if archive.pop("numbers", None) is not None:
            archive["numbers"] = list(expected.numbers[key])
            archive["disk_mb"] = 1
        elif urls is not None:
            data = (official.folder / archive["path"]).read_bytes()
            archive.update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
        archive.update(_origin(official, archive, base_url))
    wanted = {one: split.shards for one, split in expected.splits.items()} if shards is None else shards
    entry["splits"] = {one: entry["splits"][one] for one in wanted}
    for one, split in entry["splits"].items():
        if "stream" in split:
            images = split["folders"]["images"]
            split["stream"] = list(expected.numbers[images["archive"]])
        else:
            split["shards"] = wanted[one]
        for key, listed in (("images", expected.splits[one].images_listed), ("regions", expected.splits[one].regions_listed)):
            if f"expected_{key}" in split:
                split[f"expected_{key}"] = listed
    return entry


def _origin(official: Official, archive: Mapping[str, Any], base_url: str | None) -> dict[str, Any]:
    """Where an archive of an entry is had from; a folder is packed from where its entry looks for it."""
    if archive["kind"] == "folder":
        return {"local": str(official.folder / archive["local"].removeprefix(".data/"))}
    if base_url is None:
        return {"local": str(official.folder / archive["path"])}
    return {} if archive["path"] in BY_HAND else {"urls": [f"{base_url}/{archive['path']}"]}
