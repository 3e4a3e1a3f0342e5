"""All official sets built in this process, split by split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from built_cache import build
from official.sets import official_entry
from pack_archives import write_entry
from regioncache.entries import load_catalog
from regioncache.fetch.archive import fetch_archive
from regioncache.steps.guard import list_guarded_images
from regioncache.steps.paths import BuildPaths, guard_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from official.sets import Official


@dataclass(frozen=True)
class Builder:
    """Entries whose archives are fetched and whose guarded photos are listed.

    Attributes:
        folder: of the build.
        paths: of each (dataset, split).
    """

    folder: Path
    paths: dict[tuple[str, str], BuildPaths]

    def build(self, name: str, split: str, *, has_sidecars: bool = True, guard: bool = True) -> Path:
        """The cache of one split; whatever it loses, as every set here has faults."""
        return build(
            self.paths[name, split],
            tokenizers=None if has_sidecars else {},
            frames=("sam",) if has_sidecars else (),
            reject_budget=1.0,
            region_budget=1.0,
            guard=guard_path(self.folder / "work") if guard else None,
        )


def make_builder(folder: Path, official: Official, names: Sequence[str], *, more_shards: int = 0) -> Builder:
    """Write the entries, fetch their archives, list the guarded photos.

    Args:
        folder: of the build; made here.
        official: the packed archives.
        names: of the entries.
        more_shards: added to those that each split is expected in.
    """
    for name in names:
        shards = {one: split.shards + more_shards for one, split in official.sets[name].splits.items()}
        write_entry(folder / "catalog", official_entry(official, name, shards=shards))
    datasets = load_catalog([folder / "catalog"])
    for dataset in datasets.values():
        for archive in dataset.archives.values():
            fetch_archive(archive, folder / "archives" / archive.path, log=lambda _: None)
    guarding = [one for one in datasets.values() if one.guards]
    out = guard_path(folder / "work")
    list_guarded_images(guarding, archives_dir=folder / "archives", spool_dir=folder / "work/spool", out=out)
    places = [folder / one for one in ("archives", "work", "cache")]
    return Builder(
        folder,
        {(name, split): BuildPaths(dataset, split, *places) for name, dataset in datasets.items() for split in dataset.splits},
    )
