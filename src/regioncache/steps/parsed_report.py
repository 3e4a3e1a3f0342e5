"""What parsing left out and counted, for all shards of a cache together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq

from regioncache.sources.placing import is_placed
from regioncache.sources.reports import Reject, Report
from regioncache.steps.parse import open_annotations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from regioncache.steps.paths import BuildPaths
    from regioncache.steps.shard_report import ShardReport

ELSEWHERE = "images_in_other_archives"
"""Counts the listed images of a streamed split that no archive of the chosen shards holds."""


def parsed_report(paths: BuildPaths, samples: Sequence[ShardReport], shards: Sequence[int]) -> Report:
    """The report of the split's parse, or of its shards' where each had its own.

    Args:
        paths: the split and its folders.
        samples: what converting left of these shards.
        shards: those that the cache is made of.
    """
    if paths.inputs.parses_shards:
        total = Report()
        for shard in shards:
            total.add(open_annotations(paths.annotations_of(shard)).report)
        return total
    table, _, report = open_annotations(paths.annotations)
    if is_placed(table):
        return report
    held = [pq.read_table(paths.samples(shard), columns=["image_id"])["image_id"].to_numpy() for shard in shards]
    held += [np.array([one.image_id for one in made.report.rejects if one.region_id < 0], np.int64) for made in samples]
    missing = np.flatnonzero(~np.isin(table["image_id"].to_numpy(), np.concatenate(held)))
    if len(shards) < paths.inputs.split.shard_count:
        report.count(ELSEWHERE, len(missing))
        return report
    for row in table.select(["image_id", "file_name"]).take(missing).to_pylist():
        detail = "none of the streamed archives has a member of this name"
        report.reject(Reject(row["image_id"], row["file_name"], "image_missing", detail))
    return report
