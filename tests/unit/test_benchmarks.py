"""The benchmarks run and print; how fast anything is, is never asserted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from regioncache.sources import SOURCES

PROJECT = Path(__file__).resolve().parents[2]
ORDERS = {
    "permutation",
    "permutation_numpy",
    "permutation_torch",
    "distributed",
    "distributed_torch",
    "weighted",
    "weighted_numpy",
    "weighted_torch",
    "weighted_once",
    "repeat_factor",
    "mix",
}
TABLES = {
    "sample_none": {"ours", "floor", "floor_full", "lmdb_pickle", "lmdb_full", "hf_tuned", "hf_natural"},
    "sample_jpeg": {"ours", "floor", "lmdb_pickle", "hf_tuned", "hf_natural", "limit", "on_the_fly_float32", "on_the_fly_uint8"},
    "sample_raw": {"ours", "floor", "lmdb_pickle", "hf_tuned", "hf_natural", "limit"},
    "batch_none": {"ours", "floor", "lmdb_pickle", "hf_tuned", "hf_natural"},
    "batch_jpeg": {
        "ours",
        "ours_exact",
        "ours_fast",
        "lmdb_pickle",
        "lmdb_pickle_framed",
        "on_the_fly_float32",
        "on_the_fly_uint8",
    },
    "batch_raw": {"ours", "ours_exact", "ours_fast", "lmdb_pickle", "lmdb_pickle_framed", "floor_framed"},
    "panoptic": {"kernel", "png", "naive", "panopticapi"},
    "open": {"open_1M", "open_10M", "memory_10M", "pickle_10M", "worker_1M_0", "worker_1M_1", "first_ours", "first_lmdb_pickle"},
    "tokens": {"ours", "library", "backend", "ours_repeated", "library_repeated"},
    "masks": {"dense", "dense_coco", "lowres", "lowres_coco"},
    "transforms": {
        "decode",
        "nothing",
        "resize",
        "resize_fast",
        "flip",
        "pad",
        "normalize",
        "crop",
        "min_iou_crop",
        "photometric",
        "jitter",
        "jitter_exact",
        "sam",
        "sam_fast",
    },
    "transforms_masks": {
        "decode",
        "nothing",
        "resize",
        "flip",
        "pad",
        "crop",
        "min_iou_crop",
        "jitter",
        "jitter_exact",
        "sam",
    },
    "build": {"png", "kernel", "tokens", "needed", "original", "reference"},
    "conversion": {"photos", *SOURCES},
    "annotations_time": {"ours", "pycocotools"},
    "annotations_memory": {"ours", "ours_private", "pycocotools", "pycocotools_private"},
    "openimages_time": {"ours", "arrow", "pandas"},
    "openimages_memory": {"ours", "ours_private", "arrow", "arrow_private", "pandas", "pandas_private"},
    "stream_time": {"ours", "dicts"},
    "stream_memory": {"ours", "ours_1", "ours_5", "ours_10", "dicts"},
    "stream_plan": {"tars_11", "tars_1000"},
    "order_time": ORDERS,
    "order_memory": ORDERS,
    "loading": {"rate_1_0", "rate_1_1", "rate_1_2", "rate_3_0", "rate_3_1", "rate_3_2"},
    "loading_memory": {"memory_1_1_0", "memory_1_2_1", "memory_3_1_0", "memory_3_2_1"},
}
MAY_BE_ZERO = "growth_"


def test_every_row_of_every_table_is_printed_with_a_positive_number(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--data", str(tmp_path / "data"), "--json", str(report)],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    tables = {table["key"]: table for table in json.loads(report.read_bytes())["tables"]}
    assert set(tables) == set(TABLES)
    for key, expected in TABLES.items():
        rows = tables[key]["rows"]
        assert expected <= set(rows)
        assert tables[key]["title"] in run.stdout
        for name, row in rows.items():
            assert row["name"] in run.stdout
            assert row["value"] > 0 or name.startswith(MAY_BE_ZERO), f"{key}.{name}"
