"""The device path equals the exact CPU path; on a machine with CUDA the same tests run there too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from regioncache import ParquetRegionDataset, RegionCollator
from regioncache.data.device import DeviceBatches, PixelFormat, to_device
from regioncache.data.loader import JointLoader, RegionLoader
from regioncache.data.orders import RandomOrder
from regioncache.data.pillow_resize import resize
from regioncache.data.pixels import MEAN, STD, resize_exact
from regioncache.data.samplers import OrderBatchSampler
from regioncache.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
on_every_device = pytest.mark.parametrize("device", DEVICES)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    """The hardest picture for a resize: every pixel of its own."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def resized(pixels: np.ndarray, size_hw: tuple[int, int], device: str) -> np.ndarray:
    return resize(torch.from_numpy(pixels).to(device), size_hw).permute(1, 2, 0).cpu().numpy()


def sample_of(pixels: np.ndarray, resized_hw: tuple[int, int], image_id: int = 0) -> dict[str, Any]:
    """A sample of the dataset as far as pixels go."""
    return {
        "image_id": image_id,
        "task_type": "recognition",
        "original_sizes": np.array(pixels.shape[:2]),
        "reshaped_input_sizes": np.array(resized_hw),
        "input_boxes": np.array([[1.25, 2.5, 3.75, 5.0]]),
        "metadata_region_id": np.array([image_id]),
        "image": pixels,
    }


@on_every_device
@pytest.mark.parametrize(
    ("source_hw", "size_hw"),
    [
        ((480, 640), (768, 1024)),  # grows
        ((1200, 1600), (768, 1024)),  # shrinks
        ((1700, 800), (1024, 1024)),  # shrinks and grows
        ((1900, 600), (1024, 323)),  # tall
        ((37, 900), (42, 1024)),  # thin
        ((1, 1), (5, 7)),
        ((2000, 3), (1024, 2)),
    ],
)
def test_the_resize_is_pillows_bit_for_bit(source_hw: tuple[int, int], size_hw: tuple[int, int], device: str) -> None:
    pixels = noise(*source_hw)
    np.testing.assert_array_equal(resized(pixels, size_hw, device), resize_exact(pixels, size_hw))


@settings(deadline=None, max_examples=100)
@given(sides=st.tuples(*[st.integers(1, 150)] * 4), seed=st.integers(0, 9))
def test_whatever_the_sizes_the_resize_is_pillows(sides: tuple[int, int, int, int], seed: int) -> None:
    pixels, size_hw = noise(*sides[:2], seed), sides[2:]
    np.testing.assert_array_equal(resized(pixels, size_hw, "cpu"), resize_exact(pixels, size_hw))


@on_every_device
def test_normalising_every_grey_level_gives_the_bits_of_the_exact_path(device: str) -> None:
    levels = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)
    sample = sample_of(levels, (16, 16))
    exact = RegionCollator(pixels="float32")([sample])["pixel_values"]
    moved = to_device(RegionCollator()([sample]), device)
    assert moved["pixel_values"].shape == (1, 3, 1024, 1024)
    assert torch.equal(moved["pixel_values"].cpu(), exact)


@on_every_device
def test_a_batch_of_many_sizes_equals_the_exact_path_bit_for_bit(device: str) -> None:
    frames = [((480, 640), (768, 1024)), ((700, 500), (1024, 731)), ((1100, 1300), (866, 1024)), ((1024, 300), (1024, 300))]
    samples = [sample_of(noise(*source, k), frame, k) for k, (source, frame) in enumerate(frames)]
    exact = RegionCollator(pixels="float32")(samples)
    before = RegionCollator()(samples)
    kept = before["pixel_values"].clone()
    moved = to_device(before, device)
    assert torch.equal(moved["pixel_values"].cpu(), exact["pixel_values"])
    for got, (_, (rows, columns)) in zip(moved["pixel_values"].cpu(), frames, strict=True):
        assert not got[:, rows:].any()
        assert not got[:, :, columns:].any()
    assert moved["pixel_sizes"].tolist() == exact["pixel_sizes"].tolist() == [list(frame) for _, frame in frames]
    assert torch.equal(moved["input_boxes"].cpu(), exact["input_boxes"])
    assert torch.equal(before["pixel_values"], kept)
    assert {value.device.type for value in moved.values() if isinstance(value, torch.Tensor)} == {device}
    assert moved["task_type"] == before["task_type"]


@on_every_device
@pytest.mark.parametrize(("dtype", "bits"), [(torch.bfloat16, 8), (torch.float16, 11)])
def test_half_precision_is_the_float32_result_rounded_once(dtype: torch.dtype, bits: int, device: str) -> None:
    batch = RegionCollator()([sample_of(noise(60, 80), (96, 128))])
    whole = to_device(batch, device, PixelFormat(size_px=128))["pixel_values"]
    half = to_device(batch, device, PixelFormat(size_px=128, dtype=dtype))["pixel_values"]
    assert half.dtype == dtype
    assert torch.equal(half, whole.to(dtype))
    assert ((half.float() - whole).abs() <= whole.abs() * 2.0**-bits).all()


def test_mean_and_std_are_the_callers() -> None:
    pixels = noise(10, 12)
    format_ = PixelFormat(size_px=16, mean=(0.5, 0.25, 0.0), std=(0.5, 2.0, 1.0))
    got = to_device(RegionCollator()([sample_of(pixels, (10, 12))]), "cpu", format_)["pixel_values"][0, :, :10, :12].numpy()
    expected = (pixels.astype(np.float64) / 255 - [0.5, 0.25, 0.0]) / [0.5, 2.0, 1.0]
    np.testing.assert_allclose(got, expected.transpose(2, 0, 1), atol=1e-6)


def test_padding_follows_the_largest_image_of_the_batch_on_request() -> None:
    samples = [sample_of(noise(50, 60), (50, 60)), sample_of(noise(30, 70), (33, 77))]
    batch = RegionCollator()(samples)
    assert to_device(batch, "cpu", PixelFormat(size_px=None))["pixel_values"].shape == (2, 3, 50, 77)
    assert to_device(batch, "cpu", PixelFormat(size_px=None, divisor=32))["pixel_values"].shape == (2, 3, 64, 96)
    with pytest.raises(ConfigError, match=r"size_px=64: .* 50 and 77 .*pass a larger one, or None"):
        to_device(batch, "cpu", PixelFormat(size_px=64))


def test_pixels_that_are_ready_are_only_moved() -> None:
    ready = RegionCollator(pixels="float32")([sample_of(noise(480, 640), (768, 1024))])
    assert torch.equal(to_device(ready, "cpu")["pixel_values"], ready["pixel_values"])
    assert to_device(ready, "cpu", PixelFormat(dtype=torch.bfloat16))["pixel_values"].dtype == torch.bfloat16
    framed = RegionCollator(size="frame")([sample_of(noise(480, 640), (768, 1024))])
    assert torch.equal(to_device(framed, "cpu")["pixel_values"], ready["pixel_values"])


def test_arrays_become_tensors_and_a_batch_without_images_passes() -> None:
    sample = sample_of(noise(20, 30), (20, 30))
    arrays = to_device(RegionCollator(tensors="numpy")([sample]), "cpu", PixelFormat(size_px=32))
    tensors = to_device(RegionCollator()([sample]), "cpu", PixelFormat(size_px=32))
    assert torch.equal(arrays["pixel_values"], tensors["pixel_values"])
    del sample["image"]
    assert "pixel_values" not in to_device(RegionCollator()([sample]), "cpu")


def test_the_originals_batch_of_uint8_is_refused_as_it_does_not_say_its_sizes() -> None:
    sample = sample_of(noise(20, 30), (20, 30)) | {"metadata_input_boxes": np.zeros((1, 4), np.float32)}
    with pytest.raises(ConfigError, match="uint8 pixels without pixel_sizes"):
        to_device(RegionCollator("min")([sample]), "cpu")


@on_every_device
@pytest.mark.parametrize("ahead", [0, 1, 3, 50])
def test_every_batch_comes_once_in_the_loaders_order(made: Path, device: str, ahead: int) -> None:
    dataset = ParquetRegionDataset(made, tokens="byt5-sca-20", image="bytes", masks="rle")
    loader = DataLoader(dataset, batch_size=5, collate_fn=RegionCollator())
    exact = list(DataLoader(dataset, batch_size=5, collate_fn=RegionCollator(pixels="float32")))
    batches = DeviceBatches(loader, device, ahead=ahead)
    assert len(batches) == 3
    for _ in range(2):  # two epochs
        got = list(batches)
        assert len(got) == 3
        for one, other in zip(got, exact, strict=True):
            for key in ("pixel_values", "input_ids", "labels", "input_boxes", "metadata_region_id", "region_mask"):
                assert torch.equal(one[key].cpu(), other[key]), key


def test_no_more_batches_are_taken_ahead_than_said() -> None:
    taken = []

    def numbered() -> Iterator[dict[str, Any]]:
        for k in range(6):
            taken.append(k)
            yield {"k": k}

    used = [(batch["k"], len(taken)) for batch in DeviceBatches(numbered(), "cpu", ahead=2)]
    assert used == [(0, 3), (1, 4), (2, 5), (3, 6), (4, 6), (5, 6)]
    with pytest.raises(ConfigError, match="ahead=-1"):
        DeviceBatches([], "cpu", ahead=-1)


@pytest.mark.parametrize("used", [1, 2, 3, 5, 6])
def test_the_state_counts_batches_used_not_those_taken_ahead(made: Path, used: int) -> None:
    def batches() -> DeviceBatches:
        dataset = ParquetRegionDataset(made, image=None)
        loader = RegionLoader(dataset, OrderBatchSampler(RandomOrder(len(dataset), seed=3), 2))
        return DeviceBatches(loader, "cpu", ahead=2)

    whole = [batch["metadata_image_id"][:, 0].tolist() for batch in batches()]
    assert len(whole) == 6
    stopped = batches()
    running = iter(stopped)
    for _ in range(used):
        next(running)
    state = stopped.state_dict()
    assert state["position"] == 2 * used
    resumed = batches()
    resumed.load_state_dict(state)
    assert [batch["metadata_image_id"][:, 0].tolist() for batch in resumed] == whole[used:]


@pytest.mark.parametrize("used", [1, 3])
def test_a_joint_loaders_batches_are_moved_source_by_source_and_it_resumes(made: Path, used: int) -> None:
    def batches(*, moved: bool = True) -> DeviceBatches | JointLoader:
        loaders = {}
        for name, size in (("many", 2), ("few", 3)):
            dataset = ParquetRegionDataset(made, image="uint8")
            loaders[name] = RegionLoader(dataset, OrderBatchSampler(RandomOrder(len(dataset), seed=size), size))
        joint = JointLoader(loaders)
        return DeviceBatches(joint, "cpu", PixelFormat(size_px=None), ahead=2) if moved else joint

    plain, whole = list(batches(moved=False)), list(batches())
    assert len(whole) == len(plain) == 4
    for one, other in zip(whole, plain, strict=True):
        for name in ("many", "few"):
            expected = to_device(other[name], "cpu", PixelFormat(size_px=None))
            torch.testing.assert_close(one[name]["pixel_values"], expected["pixel_values"], rtol=0, atol=0)
            assert one[name]["metadata_image_id"].tolist() == other[name]["metadata_image_id"].tolist()
    stopped = batches()
    running = iter(stopped)
    for _ in range(used):
        next(running)
    state = stopped.state_dict()
    assert state["position"] == used
    resumed = batches()
    resumed.load_state_dict(state)
    ids = [[batch[name]["metadata_image_id"].tolist() for name in ("many", "few")] for batch in resumed]
    assert ids == [[batch[name]["metadata_image_id"].tolist() for name in ("many", "few")] for batch in whole[used:]]


def test_an_error_of_the_loader_arrives() -> None:
    def broken() -> Iterator[dict[str, Any]]:
        yield {"k": 0}
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(DeviceBatches(broken(), "cpu"))


def test_the_defaults_are_those_of_sam() -> None:
    processed = PixelFormat()
    np.testing.assert_array_equal(np.array([processed.mean, processed.std], np.float32), [MEAN, STD])
    # SamImageProcessor's, from its configuration.
    np.testing.assert_allclose([processed.mean, processed.std], [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]], rtol=1e-7)
