"""What parsing left out and counted, for all shards of a cache together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq

from regioncache.sources.reports import Reject, Report
from regioncache.steps.parse import open_annotations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from regioncache.steps.paths import BuildPaths
    from regioncache.steps.shard_report import ShardReport

ELSEWHERE = "images_in_other_archives"
"""Counts the listed images of a streamed split that no archive of the chosen shards holds."""

REPEATED = "images_in_several_archives"
"""Counts the rows of a streamed split whose image an earlier shard holds too."""


def parsed_report(paths: BuildPaths, samples: Sequence[ShardReport], shards: Sequence[int]) -> Report:
    """The report of the split's parse, or of its shards' where each had its own.

    Args:
        paths: the split and its folders.
        samples: what converting left of these shards.
        shards: those that the cache is made of.
    """
    if paths.inputs.split.stream is None:
        return open_annotations(paths.annotations)[2]
    held = [pq.read_table(paths.samples(shard), columns=["image_id"])["image_id"].to_numpy() for shard in shards]
    report = _report_of_shards(paths, shards) if paths.inputs.parses_shards else _report_of_split(paths, held, samples, shards)
    repeated = sum(map(len, held)) - len(np.unique(np.concatenate(held)))
    if repeated:  # no shard knows of the others, and their rows stand
        report.count(REPEATED, repeated)
    return report


def _report_of_shards(paths: BuildPaths, shards: Sequence[int]) -> Report:
    total = Report()
    for shard in shards:
        total.add(open_annotations(paths.annotations_of(shard)).report)
    return total


def _report_of_split(
    paths: BuildPaths, held: Sequence[NDArray[np.int64]], samples: Sequence[ShardReport], shards: Sequence[int]
) -> Report:
    """The split's report, and what no archive of its stream turned out to hold; ``held`` are the image ids of each shard."""
    table, _, report = open_annotations(paths.annotations)
    rejected = [np.array([one.image_id for one in made.report.rejects if one.region_id < 0], np.int64) for made in samples]
    missing = np.flatnonzero(~np.isin(table["image_id"].to_numpy(), np.concatenate([*held, *rejected])))
    if len(shards) < paths.inputs.split.shard_count:
        report.count(ELSEWHERE, len(missing))
        return report
    for row in table.select(["image_id", "file_name"]).take(missing).to_pylist():
        detail = "none of the streamed archives has a member of this name"
        report.reject(Reject(row["image_id"], row["file_name"], "image_missing", detail))
    return report
