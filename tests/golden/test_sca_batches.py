"""The original's batches, key by key, from a cache of its own samples."""

from __future__ import annotations

import hashlib
import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image

from regioncache import ParquetRegionDataset, RegionCollator, ShuffledRegions
from regioncache.data.regions import RegionChoice, RegionFacts
from regioncache.encode.tokens import load_tokenizer
from small_cache import sample_row, write_samples, write_tokens

if TYPE_CHECKING:
    from pathlib import Path

ODD_IMAGE_ID, FOREIGN_IMAGE_ID = 33, 34
TOKENIZERS = ("byte_bpe", "byt5")


@pytest.fixture(scope="module")
def golden(shared: Path) -> Path:
    return shared / "goldens" / "sca"


@pytest.fixture(scope="module")
def cache(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int]]:
    """All samples of the goldens that a cache can hold, in one file, with both tokenizers' tokens."""
    rows = []
    place = {}
    for sample in json.loads((golden / "inputs" / "samples.json").read_text())["samples"]:
        data = (golden / sample["image"]).read_bytes()
        width, height = Image.open(io.BytesIO(data)).size
        regions = sample["regions"]
        boxes = [[r["x"], r["y"], r["x"] + r["width"], r["y"] + r["height"]] for r in regions]
        place[sample["name"]] = len(rows)
        rows.append(
            sample_row(
                sample["image_id"],
                height=height,
                width=width,
                image=data,
                box_xyxy=boxes,
                region_id=np.array([r["region_id"] for r in regions], np.int64),
                phrases=[r["phrases"] for r in regions],
                task_type=sample["task_type"],
            )
        )
    folder = tmp_path_factory.mktemp("sca")
    path = write_samples(folder / "samples" / "part-00000-of-00001.parquet", rows)
    for name in TOKENIZERS:
        spec = "byt5" if name == "byt5" else str(golden / "inputs" / "tokenizers" / name)
        write_tokens(path, rows, name, load_tokenizer(spec), max_length=20)
    return path, place


def cases(golden: Path, file: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((golden / "expected" / file).read_text())["cases"]
    return found


def expected_array(value: dict[str, Any]) -> np.ndarray:
    return np.array(value["data"], value["dtype"]).reshape(value["shape"])


def check_batch(batch: dict[str, Any], expected: dict[str, Any], case: str) -> None:
    assert set(batch) - {"category_index", "is_crowd"} == set(expected["keys"]), case
    for key in expected["keys"]:
        want, got = expected[key], batch[key]
        if want is None:
            assert got is None, (case, key)
        elif key == "pixel_values":
            assert list(got.shape) == want["shape"], (case, key)
            assert str(got.dtype) == "torch.float32", (case, key)
            assert hashlib.sha256(got.numpy().tobytes()).hexdigest() == want["sha256"], (case, key)
        elif key == "images":
            assert [(one.mode, list(one.size)) for one in got] == [(one["mode"], one["size_wh"]) for one in want], case
        elif isinstance(want, dict):
            assert str(got.dtype).removeprefix("torch.") == want["dtype"], (case, key)
            assert list(got.shape) == want["shape"], (case, key)
            values = expected_array(want)
            if key == "metadata_image_id":
                # One made-up region claims another image than its row's; in a cache a region belongs to its image.
                values = np.where(values == FOREIGN_IMAGE_ID, ODD_IMAGE_ID, values)
            np.testing.assert_array_equal(got.numpy(), values, err_msg=f"{case} {key}")
        else:
            assert [list(one) if not isinstance(one, str) else one for one in got] == want, (case, key)


def test_inference_batches_equal_the_original_in_every_key(golden: Path, cache: tuple[Path, dict[str, int]]) -> None:
    path, place = cache
    checked = 0
    for case in cases(golden, "collate.json"):
        if case["name"].startswith("left_padding"):
            continue
        dataset = ParquetRegionDataset(path, tokens=case["call"]["tokenizer"], image="bytes")
        samples = [dataset[place[name]] for name in case["call"]["samples"]]
        check_batch(RegionCollator("min", "float32")(samples), case["collated"], case["name"])
        checked += 1
    assert checked == 16


def test_left_padding_follows_the_tokenizer(golden: Path, cache: tuple[Path, dict[str, int]]) -> None:
    path, place = cache
    left = [case for case in cases(golden, "collate.json") if case["name"].startswith("left_padding")]
    assert len(left) == 2
    for case in left:
        dataset = ParquetRegionDataset(path, tokens=case["call"]["tokenizer"], image="bytes")
        samples = [dataset[place[name]] for name in case["call"]["samples"]]
        for sample in samples:
            info = sample["tokenizer"]
            sample["tokenizer"] = type(info)(info.key, info.pad_token_id, info.eos_token_id, "left")
        check_batch(RegionCollator("min", "float32")(samples), case["collated"], case["name"])


class RecordedDraws:
    """The draws that a golden recorded, through the rule that drops and cuts."""

    def __init__(self, draws: dict[str, Any], max_regions: int) -> None:
        self.draws = draws
        self.rule = ShuffledRegions(max_regions=max_regions, crowd="keep")

    def choose(
        self,
        generator: np.random.Generator,  # noqa: ARG002  (the draws are recorded)
        facts: RegionFacts,
    ) -> RegionChoice:
        drawn = RegionChoice(np.array(self.draws["permutation"], np.int64), np.array(self.draws["phrase_index"], np.int64))
        return self.rule.keep(drawn, facts)


def test_training_batches_equal_the_original_given_its_draws(golden: Path, cache: tuple[Path, dict[str, int]]) -> None:
    path, place = cache
    checked = 0
    for case in cases(golden, "train.json"):
        call = case["call"]
        samples = []
        for name, draws in zip(call["samples"], case["draws"], strict=True):
            policy = RecordedDraws(draws, call["num_masks_per_sample"] or 64)
            samples.append(ParquetRegionDataset(path, tokens=call["tokenizer"], image="bytes", regions=policy)[place[name]])
        check_batch(RegionCollator("min", "float32")(samples), case["collated"], case["name"])
        checked += 1
    assert checked >= 5


def test_a_batch_of_nothing_is_empty_but_never_none(cache: tuple[Path, dict[str, int]]) -> None:
    path, place = cache
    nothing = RecordedDraws({"permutation": [], "phrase_index": []}, 64)
    sample = ParquetRegionDataset(path, tokens="byt5", image="bytes", regions=nothing)[place["a"]]
    batch = RegionCollator("min", "float32")([sample])
    assert batch["original_sizes"].shape == (0, 2)
    padded = RegionCollator("pad")([sample])
    assert padded["input_ids"].shape[:2] == (1, 0)
    assert padded["pixel_values"].shape == (1, 427, 640, 3)


def test_samples_are_left_as_they_were_and_collate_twice(cache: tuple[Path, dict[str, int]]) -> None:
    path, place = cache
    dataset = ParquetRegionDataset(path, tokens="byte_bpe")
    samples = [dataset[place[name]] for name in ("a", "b")]
    before = [{key: np.copy(value) if isinstance(value, np.ndarray) else value for key, value in one.items()} for one in samples]
    first, second = (RegionCollator("pad")(samples) for _ in range(2))
    assert torch.equal(first["input_ids"], second["input_ids"])
    for one, copy in zip(samples, before, strict=True):
        assert set(one) == set(copy)
        for key, value in copy.items():
            if isinstance(value, np.ndarray):
                np.testing.assert_array_equal(one[key], value)
