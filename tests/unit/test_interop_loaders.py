"""Hugging Face ``datasets`` reads a cache; a DataModule's parts hand out loaders, states and batches."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import datasets
import numpy as np
import pytest
import torch

from built_cache import sample_rows
from regioncache import ParquetRegionDataset
from regioncache.data.device import PixelFormat
from regioncache.data.loader import RegionLoader
from regioncache.data.orders import RandomOrder
from regioncache.data.samplers import OrderBatchSampler
from regioncache.errors import CacheError, ConfigError
from regioncache.interop.hugging_face import load_hugging_face
from regioncache.interop.lightning import StageLoaders, lightning_data_module

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("streaming", [False, True])
def test_datasets_reads_every_row_in_order_and_decodes_the_image(made: Path, tmp_path: Path, streaming: bool) -> None:
    loaded = load_hugging_face(made, streaming=streaming, cache_dir=str(tmp_path))
    assert isinstance(loaded.features["image"], datasets.Image)
    expected, ours = sample_rows(made), ParquetRegionDataset(made)
    rows = list(loaded)
    assert [row["image_id"] for row in rows] == [row["image_id"] for row in expected]
    for k, row in enumerate(rows):
        np.testing.assert_array_equal(np.asarray(row["image"]), ours[k]["image"])
        for name in ("region_id", "box_xyxy", "phrases", "segmentation", "is_crowd"):
            assert row[name] == expected[k][name], name


def test_datasets_needs_a_whole_cache(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="no finished cache"):
        load_hugging_face(tmp_path)


def loader(made: Path) -> RegionLoader:
    dataset = ParquetRegionDataset(made, tokens="byt5-sca-20")
    return RegionLoader(dataset, OrderBatchSampler(RandomOrder(len(dataset), seed=1), 4))


def test_stages_hand_out_their_loaders_and_the_training_state(made: Path) -> None:
    stages = StageLoaders({"train": loader(made), "val": [1, 2]})
    assert list(stages.loader("val")) == [1, 2]
    assert list(stages.loader("test")) == []
    whole = [batch["metadata_image_id"][:, 0].tolist() for batch in stages.loader("train")]
    stopped = StageLoaders({"train": loader(made)})
    running = iter(stopped.loader("train"))
    next(running)
    resumed = StageLoaders({"train": loader(made)})
    resumed.load_state_dict(stopped.state_dict())
    assert [batch["metadata_image_id"][:, 0].tolist() for batch in resumed.loader("train")] == whole[1:]
    assert StageLoaders({"val": []}).state_dict() == {}


def test_a_batch_comes_to_the_device_ready_for_the_model(made: Path) -> None:
    stages = StageLoaders({"train": loader(made)}, PixelFormat(dtype=torch.bfloat16))
    batch = stages.to_device(next(iter(stages.loader("train"))), torch.device("cpu"))
    assert (batch["pixel_values"].dtype, batch["pixel_values"].shape) == (torch.bfloat16, (4, 3, 1024, 1024))


def test_unknown_stages_and_a_missing_lightning_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="expected loaders of some of train, val, test, predict, found training"):
        StageLoaders({"training": []})
    with pytest.raises(ConfigError, match="found none"):
        StageLoaders({})
    monkeypatch.setitem(sys.modules, "lightning", None)
    with pytest.raises(ConfigError, match="lightning is not installed"):
        lightning_data_module({"train": []})
