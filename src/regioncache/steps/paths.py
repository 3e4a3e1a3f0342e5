"""Where a build keeps its files, for one split of one dataset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from regioncache.cache.layout import PROMPTS, SAMPLES, TOKENS, part_name
from regioncache.steps.inputs import SplitInputs

if TYPE_CHECKING:
    from pathlib import Path

    from regioncache.catalog import Dataset


@dataclass(frozen=True, slots=True)
class BuildPaths:
    """The three folders of a build, and what lies where in them.

    Attributes:
        dataset: the catalog entry.
        split: name of the split.
        archives_dir: fetched archives.
        work_dir: parsed annotations, tokenizer snapshots, shard reports; safe to delete when nothing runs.
        cache_dir: the caches.
    """

    dataset: Dataset
    split: str
    archives_dir: Path
    work_dir: Path
    cache_dir: Path

    @property
    def inputs(self) -> SplitInputs:
        """The split's archives."""
        return SplitInputs(self.dataset, self.split, self.archives_dir, self.work_dir / "spool")

    @property
    def work(self) -> Path:
        """The split's folder below ``work_dir``."""
        return self.work_dir / self.dataset.name / self.split

    @property
    def cache(self) -> Path:
        """The split's folder below ``cache_dir``: what a dataset object opens."""
        return self.cache_dir / self.dataset.name / self.split

    @property
    def annotations(self) -> Path:
        """The parsed annotation table of the split."""
        return self.work / "annotations.arrow"

    def annotations_of(self, shard: int) -> Path:
        """The parsed table that a shard is made from: the split's, or its own where shards have annotation files of their own."""
        if not self.inputs.parses_shards:
            return self.annotations
        return (self.work / "annotations" / part_name(shard, self.inputs.split.shard_count)).with_suffix(".arrow")

    def tokenizer(self, name: str) -> Path:
        """The snapshot of a tokenizer, shared by all datasets."""
        return self.work_dir / "tokenizers" / name

    def part(self, kind: str, shard: int) -> Path:
        """One shard; ``kind`` is ``samples``, ``tokens/<name>`` or ``prompts/<name>``."""
        return self.cache / kind / part_name(shard, self.inputs.split.shard_count)

    def report(self, kind: str, shard: int) -> Path:
        """The report of one shard."""
        return (self.work / kind / part_name(shard, self.inputs.split.shard_count)).with_suffix(".json")

    def samples(self, shard: int) -> Path:
        """One shard of samples."""
        return self.part(SAMPLES, shard)


def guard_path(work_dir: Path) -> Path:
    """The list of guarded photos, shared by all datasets."""
    return work_dir / "leakage_guard.arrow"


def tokens_kind(name: str) -> str:
    """The folder of a tokens side-car below a cache."""
    return f"{TOKENS}/{name}"


def prompts_kind(name: str) -> str:
    """The folder of a prompts side-car below a cache."""
    return f"{PROMPTS}/{name}"
