"""Step ``prompt``: points and low-resolution masks of one SAM frame, for a shard of samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq

from regioncache.cache.label_map import decode_label_map, encode_label_map
from regioncache.cache.open_rows import footer_metadata
from regioncache.cache.writer import ShardWriter
from regioncache.encode.prompts import low_res_ordinals, low_res_rles, region_points
from regioncache.geometry import Frame, frame_named
from regioncache.hashing import content_key
from regioncache.masks import with_background
from regioncache.schema import PROMPTS, SCHEMA_VERSION
from regioncache.sources.reports import Report
from regioncache.steps.shard_report import KEY, is_done, write_shard_report

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

VERSION = 2
_COLUMNS = ["image_id", "width", "height", "region_id", "box_xyxy", "segmentation", "label_map"]


def prompt_shard(
    samples: Path,
    frame_name: str,
    *,
    points_per_region: int,
    seed: int,
    out: Path,
    report_path: Path,
    progress: Callable[[int, int], None] | None = None,
) -> bool:
    """Make the prompts of all regions of a shard.

    Args:
        samples: the shard of samples.
        frame_name: ``sam`` or ``square``.
        points_per_region: points per region; the first is the most interior one.
        seed: seed of the other points, together with image and region id.
        out: the side-car's shard.
        report_path: its report.
        progress: called with (rows done, rows of the shard).

    Returns:
        Whether anything was done; False where ``out`` stands already.
    """
    frame = frame_named(frame_name)
    key = content_key(
        "prompt",
        VERSION,
        samples=footer_metadata(samples)[KEY],
        frame=frame_name,
        points_per_region=points_per_region,
        seed=seed,
    )
    if is_done(report_path, out, key):
        return False
    metadata = {
        KEY: key,
        "regioncache.schema_version": str(SCHEMA_VERSION),
        "regioncache.frame": frame_name,
        "regioncache.points_per_region": str(points_per_region),
    }
    report = Report()
    with pq.ParquetFile(samples, pre_buffer=False) as file:
        rows = file.metadata.num_rows
        group_rows = max(file.metadata.row_group(0).num_rows, 1) if file.metadata.num_row_groups else 1
        with ShardWriter(out, PROMPTS, metadata, row_group_rows=group_rows) as writer:
            done = 0
            for group in range(file.metadata.num_row_groups):
                table = file.read_row_group(group, columns=_COLUMNS, use_threads=False)
                for row in table.to_pylist():
                    writer.append(_prompts_of(row, frame, points_per_region, seed))
                    report.count("points", len(row["region_id"]) * points_per_region)
                    done += 1
                if progress is not None:
                    progress(done, rows)
    write_shard_report(report_path, out, key, rows, report)
    return True


def _prompts_of(row: Mapping[str, Any], frame: Frame, points_per_region: int, seed: int) -> dict[str, Any]:
    counts = [text.encode("ascii") for text in row["segmentation"]]
    height, width = row["height"], row["width"]
    points = region_points(
        counts,
        row["box_xyxy"],
        height,
        width,
        points_per_region=points_per_region,
        seed=seed,
        image_id=row["image_id"],
        region_ids=row["region_id"],
    )
    low_res_map, low_res_segmentation = b"", []
    if row["label_map"]:
        compressed = np.frombuffer(row["label_map"], np.uint8)
        ordinals = decode_label_map(compressed, height, width, len(counts))
        low_res_map = encode_label_map(low_res_ordinals(ordinals, frame))
    else:
        low_res = low_res_rles(with_background(counts, height, width), height, width, frame)
        low_res_segmentation = [one.decode("ascii") for one in low_res]
    return {
        "image_id": row["image_id"],
        "point_xy": points.reshape(-1),
        "low_res_map": low_res_map,
        "low_res_segmentation": low_res_segmentation,
    }
