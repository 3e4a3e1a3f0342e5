"""No layout of a batch loses a region or supervises padding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regioncache import ParquetRegionDataset, RegionCollator
from regioncache.data.open_cache import TokenizerInfo
from regioncache.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

PAD_IS_EOS = TokenizerInfo("key", 7, 7, "right")


def made_sample(image_id: int, regions: int, seed: int, padding_side: str = "right") -> dict[str, Any]:
    """A sample as the dataset gives it; token ids include the padding id, and every sequence ends with it."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 6, regions).astype(np.int32)
    ids = rng.integers(5, 9, int(lengths.sum())).astype(np.int32)
    ids[np.cumsum(lengths) - 1] = PAD_IS_EOS.eos_token_id
    height, width = (int(side) for side in rng.integers(1, 9, 2))
    return {
        "image_id": image_id,
        "task_type": "caption",
        "original_sizes": np.array([height, width]),
        "reshaped_input_sizes": np.array([height, width]),
        "input_boxes": rng.random((regions, 4)),
        "metadata_input_boxes": rng.random((regions, 4)).astype(np.float32),
        "metadata_region_id": rng.integers(0, 2**40, regions),
        "category_index": rng.integers(0, 9, regions).astype(np.int32),
        "is_crowd": rng.random(regions) < 0.5,
        "metadata_captions": [f"region {k}" for k in range(regions)],
        "input_ids": ids,
        "input_ids_length": lengths,
        "tokenizer": TokenizerInfo("key", 7, 7, padding_side),
        "image": rng.integers(0, 256, (height, width, 3), np.uint8),
        "masks": rng.random((regions, height, width)) < 0.5,
    }


def sequences(sample: dict[str, Any]) -> list[list[int]]:
    ends = np.cumsum(sample["input_ids_length"])
    return [
        sample["input_ids"][end - length : end].tolist() for end, length in zip(ends, sample["input_ids_length"], strict=True)
    ]


COUNTS = st.lists(st.integers(0, 5), min_size=1, max_size=4)


@settings(deadline=None)
@given(counts=COUNTS, seed=st.integers(0, 999), side=st.sampled_from(["left", "right"]))
def test_padded_batches_hold_every_region_and_supervise_every_token(counts: list[int], seed: int, side: str) -> None:
    samples = [made_sample(k, count, seed + k, side) for k, count in enumerate(counts)]
    batch = RegionCollator("pad", tensors="numpy")(samples)
    assert batch["region_mask"].sum(1).tolist() == counts
    length = batch["input_ids"].shape[-1]
    for b, sample in enumerate(samples):
        height, width = sample["image"].shape[:2]
        np.testing.assert_array_equal(batch["pixel_values"][b, :height, :width], sample["image"])
        assert not batch["pixel_values"][b, height:].any()
        assert not batch["pixel_values"][b, :, width:].any()
        for r, tokens in enumerate(sequences(sample)):
            padding = length - len(tokens)
            where = slice(padding, length) if side == "left" else slice(0, len(tokens))
            assert batch["input_ids"][b, r, where].tolist() == tokens
            assert batch["attention_mask"][b, r].sum() == len(tokens)
            assert batch["attention_mask"][b, r, where].all()
            # Labels are the tokens behind one ignored position; the padding id is supervised where it is a token.
            expected = np.full(length + 1, -100)
            expected[1:][where] = tokens
            assert batch["labels"][b, r].tolist() == expected.tolist()
            for key in ("input_boxes", "metadata_input_boxes", "metadata_region_id", "category_index", "is_crowd"):
                np.testing.assert_array_equal(batch[key][b, r], sample[key][r])
            assert batch["metadata_image_id"][b, r] == sample["image_id"]
            mask = batch["masks"][b, r]
            np.testing.assert_array_equal(mask[:height, :width], sample["masks"][r])
            assert mask.sum() == sample["masks"][r].sum()
        empty = ~batch["region_mask"][b]
        assert (batch["labels"][b, empty] == -100).all()
        assert (batch["metadata_region_id"][b, empty] == -1).all()
        assert not batch["attention_mask"][b, empty].any()


@settings(deadline=None)
@given(counts=COUNTS, seed=st.integers(0, 999))
def test_flat_batches_are_padded_batches_without_the_padding(counts: list[int], seed: int) -> None:
    samples = [made_sample(k, count, seed + k) for k, count in enumerate(counts)]
    padded = RegionCollator("pad", tensors="numpy")(samples)
    flat = RegionCollator("flat", tensors="numpy")(samples)
    assert flat["image_index"].tolist() == [k for k, count in enumerate(counts) for _ in range(count)]
    for key in ("input_ids", "labels", "attention_mask", "input_boxes", "metadata_region_id", "masks", "is_crowd"):
        np.testing.assert_array_equal(flat[key], padded[key][padded["region_mask"]], err_msg=key)


def test_recycled_memory_holds_the_latest_batches(made: Path) -> None:
    dataset = ParquetRegionDataset(made, image="bytes")
    collator = RegionCollator(buffers=2, tensors="numpy")
    batches = [collator([dataset[k] for k in some]) for some in ((0, 1), (2, 3), (4, 5))]
    fresh = [RegionCollator(tensors="numpy")([dataset[k] for k in some]) for some in ((2, 3), (4, 5))]
    for got, expected in zip(batches[1:], fresh, strict=True):
        np.testing.assert_array_equal(got["pixel_values"], expected["pixel_values"])
    assert np.shares_memory(batches[0]["pixel_values"], batches[2]["pixel_values"])


def test_encoded_and_decoded_images_collate_alike(made: Path) -> None:
    for pixels, size in (("uint8", "native"), ("uint8", "frame"), ("float32", "native")):
        collator = RegionCollator(pixels=pixels, size=size, tensors="numpy")  # type: ignore[arg-type]
        one, two = (
            collator([ParquetRegionDataset(made, image=image)[k] for k in range(3)])["pixel_values"]  # type: ignore[arg-type]
            for image in ("bytes", "uint8")
        )
        np.testing.assert_array_equal(one, two)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ConfigError, match="regions='best' is none of pad, flat, min"):
        RegionCollator("best")  # type: ignore[arg-type]


def test_samples_with_different_numbers_of_points_are_refused_with_both_numbers() -> None:
    samples = [made_sample(image_id, 2, seed=image_id) for image_id in (1, 2)]
    for count, sample in enumerate(samples, 1):
        sample.update(input_points=np.zeros((2, count, 2)), input_labels=np.ones((2, count), np.int64))
    with pytest.raises(ConfigError, match=r"points per region: 1 \(image 1\), 2 \(image 2\)\. Build all caches with the same"):
        RegionCollator(tensors="numpy")(samples)
