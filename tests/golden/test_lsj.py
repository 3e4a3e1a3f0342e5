"""Large-scale jitter: the original's boxes, ids, tokens and pixels, given its draws."""

from __future__ import annotations

import hashlib
import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from regioncache import ParquetRegionDataset, RegionCollator
from regioncache.data.regions import RegionChoice, RegionFacts
from regioncache.data.sample_dicts import sample_from_dict
from regioncache.data.transforms.compose import Compose
from regioncache.data.transforms.filter import LimitRegions
from regioncache.data.transforms.jitter import JitterDraws, LargeScaleJitter, jitter_geometry
from regioncache.encode.tokens import load_tokenizer
from small_cache import sample_row, write_samples, write_tokens

if TYPE_CHECKING:
    from pathlib import Path

    from regioncache.data.region_sample import RegionSample

ROUND_TRIP_PADDING = (123, 116, 103)


class RecordedRegions:
    """The order and phrases that a golden recorded, all regions kept."""

    def __init__(self, draws: dict[str, Any]) -> None:
        self.draws = draws

    def choose(
        self,
        generator: np.random.Generator,  # noqa: ARG002  (the draws are recorded)
        facts: RegionFacts,  # noqa: ARG002  (the draws are recorded)
    ) -> RegionChoice:
        return RegionChoice(np.array(self.draws["permutation"], np.int64), np.array(self.draws["phrase_index"], np.int64))


@pytest.fixture(scope="module")
def golden(shared: Path) -> Path:
    return shared / "goldens" / "sca"


@pytest.fixture(scope="module")
def cases(golden: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((golden / "expected" / "lsj.json").read_text())["cases"]
    assert len(found) == 10
    return found


@pytest.fixture(scope="module")
def cache(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int]]:
    """The goldens' samples in one file, with both tokenizers' tokens."""
    rows, place = [], {}
    for sample in json.loads((golden / "inputs" / "samples.json").read_text())["samples"]:
        data = (golden / sample["image"]).read_bytes()
        width, height = Image.open(io.BytesIO(data)).size
        boxes = [[r["x"], r["y"], r["x"] + r["width"], r["y"] + r["height"]] for r in sample["regions"]]
        place[sample["name"]] = len(rows)
        row = sample_row(sample["image_id"], height=height, width=width, image=data, box_xyxy=boxes)
        row["region_id"] = np.array([r["region_id"] for r in sample["regions"]], np.int64)
        row["phrases"] = [r["phrases"] for r in sample["regions"]]
        row["phrase_count"] = np.array([len(r["phrases"]) for r in sample["regions"]], np.int32)
        row["task_type"] = sample["task_type"]
        rows.append(row)
    path = write_samples(tmp_path_factory.mktemp("sca") / "samples" / "part-00000-of-00001.parquet", rows)
    for name in ("byte_bpe", "byt5"):
        spec = "byt5" if name == "byt5" else str(golden / "inputs" / "tokenizers" / name)
        write_tokens(path, rows, name, load_tokenizer(spec), max_length=20)
    return path, place


def jitter_of(case: dict[str, Any], **arguments: Any) -> LargeScaleJitter:
    return LargeScaleJitter(**case["call"]["data_transforms"], side_words="ignore", **arguments)


def draws_of(draws: dict[str, Any]) -> JitterDraws:
    return JitterDraws(draws["lsj"]["u_flip"], draws["lsj"]["scale"], draws["lsj"]["u_crop"])


def jittered_sample(case: dict[str, Any], draws: dict[str, Any], cache: tuple[Path, dict[str, int]]) -> dict[str, Any]:
    jitter = jitter_of(case)

    def with_recorded_draws(sample: RegionSample, generator: np.random.Generator) -> RegionSample:  # noqa: ARG001  (recorded)
        return jitter.jittered(sample, draws_of(draws))

    steps = Compose((with_recorded_draws, LimitRegions(case["call"]["num_masks_per_sample"])))
    path, place = cache
    dataset = ParquetRegionDataset(
        path, tokens=case["call"]["tokenizer"], image="bytes", regions=RecordedRegions(draws), transforms=steps
    )
    return dataset[place[draws["sample"]]]


def array(value: dict[str, Any]) -> np.ndarray:
    return np.array(value["data"], value["dtype"]).reshape(value["shape"])


def test_sizes_windows_and_padding_follow_from_the_draws(cases: list[dict[str, Any]]) -> None:
    for case in cases:
        for draws in case["draws"]:
            want = draws["lsj"]
            resized_hw, window = jitter_geometry(tuple(want["input_hw"]), draws_of(draws), 1024)
            assert list(resized_hw) == want["resized_hw"], case["name"]
            assert [window.top, window.left] == want["crop_offset_yx"], case["name"]
            assert [1024 - window.height, 1024 - window.width] == want["pad_bottom_right"], case["name"]


def test_samples_equal_the_original_in_boxes_ids_captions_tokens_and_pixels(
    cases: list[dict[str, Any]], cache: tuple[Path, dict[str, int]]
) -> None:
    checked = 0
    for case in cases:
        for draws, want in zip(case["draws"], case["outputs"], strict=True):
            made = jittered_sample(case, draws, cache)
            np.testing.assert_array_equal(made["input_boxes"], array(want["input_boxes"]), err_msg=case["name"])
            np.testing.assert_array_equal(made["metadata_input_boxes"], array(want["metadata_input_boxes"]))
            np.testing.assert_array_equal(made["metadata_region_id"], array(want["metadata_region_id"]))
            assert list(made["metadata_captions"]) == want["metadata_captions"]
            assert made["original_sizes"].tolist() == array(want["original_sizes"]).ravel().tolist() == [1024, 1024]
            assert made["reshaped_input_sizes"].tolist() == [1024, 1024]
            ids = np.split(made["input_ids"], np.cumsum(made["input_ids_length"])[:-1])
            assert [one.tolist() for one in ids] == want["input_ids"]
            digest = hashlib.sha256(made["image"].tobytes()).hexdigest()
            assert digest == want["images"]["sha256"], case["name"]
            checked += 1
    assert checked == 13


def test_batches_of_jittered_samples_equal_the_originals(cases: list[dict[str, Any]], cache: tuple[Path, dict[str, int]]) -> None:
    for case in cases:
        samples = [jittered_sample(case, draws, cache) for draws in case["draws"]]
        batch = RegionCollator("min", "float32", tensors="numpy")(samples)
        want = case["collated"]
        assert hashlib.sha256(batch["pixel_values"].tobytes()).hexdigest() == want["pixel_values"]["sha256"], case["name"]
        for key in ("input_ids", "attention_mask", "labels", "input_boxes", "metadata_input_boxes", "metadata_region_id"):
            np.testing.assert_array_equal(batch[key], array(want[key]), err_msg=f"{case['name']} {key}")


def test_the_exact_variant_keeps_fractions_and_pads_with_zeros(
    golden: Path, cases: list[dict[str, Any]], cache: tuple[Path, dict[str, int]]
) -> None:
    path, place = cache
    (padded,) = [case for case in cases if case["name"] == "lsj_0.1-2.0_seed2"]
    draws = draws_of(padded["draws"][0])
    assert draws.flip < 0.5
    dataset = ParquetRegionDataset(path)
    sample = dataset[place["a"]]
    exact = jitter_of(padded, rounding="exact")
    made = Compose((lambda one, _: exact.jittered(one, draws),))(sample, np.random.default_rng(0))
    height, width = padded["draws"][0]["lsj"]["resized_hw"]
    assert made["image"].shape == (height, width, 3)
    assert made["reshaped_input_sizes"].tolist() == [height, width]
    # The same geometry, in real numbers.
    scale = np.array([width / 640, height / 427] * 2)
    inside = np.clip(sample["metadata_input_boxes"].astype(np.float64), 0, [640, 427, 640, 427])
    mirrored = np.stack((640 - inside[:, 2], inside[:, 1], 640 - inside[:, 0], inside[:, 3]), 1) * scale
    kept = (mirrored[:, 2:] > mirrored[:, :2]).all(1)
    np.testing.assert_allclose(made["input_boxes"], mirrored[kept], rtol=1e-12)
    # Pixels: Pillow's own antialiased resize of the mirrored image; zeros after normalising.
    source = Image.open(golden / "inputs" / "images" / "a.png").convert("RGB").transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    np.testing.assert_array_equal(made["image"], np.asarray(source.resize((width, height), Image.Resampling.BILINEAR)))
    batch = RegionCollator("pad", "float32", tensors="numpy")([made])
    assert not batch["pixel_values"][0, :, height:].any()
    assert not batch["pixel_values"][0, :, :, width:].any()


def test_the_originals_padding_becomes_the_mean_colour(cases: list[dict[str, Any]], cache: tuple[Path, dict[str, int]]) -> None:
    (padded,) = [case for case in cases if case["name"] == "lsj_0.1-2.0_seed2"]
    image = jittered_sample(padded, padded["draws"][0], cache)["image"]
    height, width = padded["draws"][0]["lsj"]["resized_hw"]
    assert (image[height:] == ROUND_TRIP_PADDING).all()
    assert (image[:, width:] == ROUND_TRIP_PADDING).all()


def test_published_boxes_of_the_goldens_truncate_as_recorded(golden: Path) -> None:
    recorded = json.loads((golden / "expected" / "lsj.json").read_text())["box_truncation"]
    boxes = np.array(recorded["boxes_xyxy"], np.float32)
    sample = sample_from_dict(
        {
            "image_id": 1,
            "original_sizes": np.array(recorded["from_hw"]),
            "reshaped_input_sizes": np.array(recorded["from_hw"]),
            "input_boxes": boxes.astype(np.float64),
            "metadata_input_boxes": boxes,
            "metadata_captions": ["thing"] * len(boxes),
        },
        "image",
    )
    from_hw, to_hw = recorded["from_hw"], recorded["to_hw"]
    scale = (to_hw[0] + 0.2) / from_hw[0]  # rounds to the recorded size
    draws = JitterDraws(1.0, scale * max(from_hw) / 1024, 0.0)
    assert jitter_geometry(tuple(from_hw), draws, 1024).resized_hw == tuple(to_hw)
    truncated = LargeScaleJitter().jittered(sample, draws)
    assert truncated.box_xyxy.tolist() == recorded["int_boxes_give"]
    exact = LargeScaleJitter(rounding="exact").jittered(sample, draws)
    np.testing.assert_allclose(exact.box_xyxy, recorded["float_boxes_would_give"], rtol=1e-12)
