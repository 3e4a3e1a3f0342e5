"""What a dataset gives: boxes, tokens, masks and points as the formats and peers define them."""

from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_mask
from transformers import ByT5Tokenizer
from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil

from regioncache import ParquetRegionDataset, RegionCollator, ShuffledRegions
from regioncache.errors import CacheError, ConfigError, TokenizerError

if TYPE_CHECKING:
    from pathlib import Path

TOKENS = "byt5-sca-20"


def stored_rows(cache: Path) -> list[dict[str, object]]:
    """The rows as pyarrow reads them."""
    return [row for path in sorted((cache / "samples").glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def test_samples_follow_the_stored_rows(made: Path) -> None:
    dataset = ParquetRegionDataset(made, tokens=TOKENS, masks="rle")
    rows = stored_rows(made)
    assert len(dataset) == len(rows) == 12
    tokenizer = ByT5Tokenizer()
    for sample, row in zip((dataset[k] for k in range(12)), rows, strict=True):
        assert sample["image_id"] == row["image_id"]
        assert sample["original_sizes"].tolist() == [row["height"], row["width"]]
        scale = 1024 / max(row["height"], row["width"])
        size = [int(row["height"] * scale + 0.5), int(row["width"] * scale + 0.5)]
        assert sample["reshaped_input_sizes"].tolist() == size
        factors = np.array([size[1] / row["width"], size[0] / row["height"]] * 2)
        np.testing.assert_array_equal(sample["input_boxes"], np.array(row["box_xyxy"], np.float64) * factors)
        assert sample["metadata_region_id"].tolist() == row["region_id"]
        assert list(sample["metadata_captions"]) == [some[0] for some in row["phrases"]]
        assert sample["is_crowd"].tolist() == row["is_crowd"]
        pixels = np.asarray(Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB"))
        np.testing.assert_array_equal(sample["image"], pixels)
        assert [one["counts"].decode() for one in sample["segmentation"]] == row["segmentation"]
        ends = np.cumsum(sample["input_ids_length"])
        for start, end, some in zip(ends - sample["input_ids_length"], ends, row["phrases"], strict=True):
            expected = tokenizer(some[0], truncation=True, max_length=18)["input_ids"] + [tokenizer.eos_token_id]
            assert sample["input_ids"][start:end].tolist() == expected


def test_dense_masks_are_those_of_pycocotools(made: Path) -> None:
    dataset = ParquetRegionDataset(made, image=None, masks="dense")
    for k, row in enumerate(stored_rows(made)):
        rles = [{"size": [row["height"], row["width"]], "counts": text.encode()} for text in row["segmentation"]]
        np.testing.assert_array_equal(dataset[k]["masks"], coco_mask.decode(rles).transpose(2, 0, 1))


@pytest.mark.parametrize("frame", ["sam", "square"])
def test_low_resolution_masks_are_those_of_sams_processor(made: Path, frame: str) -> None:
    with_side_car = ParquetRegionDataset(made, image=None, masks="lowres", prompts=frame)
    for k, row in enumerate(stored_rows(made)[:4]):
        rles = [{"size": [row["height"], row["width"]], "counts": text.encode()} for text in row["segmentation"]]
        masks = coco_mask.decode(rles)
        expected = np.zeros((masks.shape[2], 256, 256), np.bool_)
        scale = 256 / max(row["height"], row["width"])
        size = (int(row["height"] * scale + 0.5), int(row["width"] * scale + 0.5)) if frame == "sam" else (256, 256)
        for region in range(masks.shape[2]):
            resized = Image.fromarray(masks[..., region]).resize(size[::-1], Image.Resampling.NEAREST)
            expected[region, : size[0], : size[1]] = np.asarray(resized)
        np.testing.assert_array_equal(with_side_car[k]["masks"], expected)
        if frame == "sam":
            without = ParquetRegionDataset(made, image=None, masks="lowres")
            np.testing.assert_array_equal(without[k]["masks"], expected)


def test_points_lie_inside_their_masks_in_both_frames(made: Path) -> None:
    for frame in ("sam", "square"):
        dataset = ParquetRegionDataset(made, image=None, masks="dense", prompts=frame)
        for k in range(len(dataset)):
            sample = dataset[k]
            height, width = sample["original_sizes"]
            new_height, new_width = sample["reshaped_input_sizes"]
            back = sample["input_points"] / np.array([new_width / width, new_height / height])
            columns, rows = np.rint(back[..., 0]).astype(int), np.rint(back[..., 1]).astype(int)
            np.testing.assert_allclose(back[..., 0], columns, atol=1e-9)  # float64 of a pixel index, scaled and back
            for region in range(len(columns)):
                assert sample["masks"][region, rows[region], columns[region]].all()


def test_float32_pixels_are_those_of_sams_own_processor(made: Path) -> None:
    dataset = ParquetRegionDataset(made)
    processor = SamImageProcessorPil()
    for k in range(3):
        batch = RegionCollator("pad", "float32")([dataset[k]])
        expected = processor(Image.fromarray(dataset[k]["image"]), return_tensors="np")["pixel_values"]
        np.testing.assert_array_equal(batch["pixel_values"].numpy(), expected)


def test_the_fast_resize_is_within_one_grey_level(made: Path) -> None:
    dataset = ParquetRegionDataset(made)
    samples = [dataset[k] for k in range(4)]
    exact = RegionCollator(size="frame")(samples)["pixel_values"].to(torch.int16)
    fast = RegionCollator(size="frame", resize="fast")(samples)["pixel_values"].to(torch.int16)
    assert (exact - fast).abs().max() <= 1


def test_choices_depend_on_seed_epoch_and_index_alone(made: Path) -> None:
    policy = ShuffledRegions(max_regions=6)

    def ids(seed: int, epoch: int, index: int) -> list[int]:
        dataset = ParquetRegionDataset(made, image=None, regions=policy, seed=seed)
        found: list[int] = dataset[epoch, index]["metadata_region_id"].tolist()
        return found

    first = ids(1, 0, 2)
    assert len(first) == 6
    assert ids(1, 0, 2) == first
    assert ids(1, 1, 2) != first
    assert ids(2, 0, 2) != first
    dataset = ParquetRegionDataset(made, image=None, regions=policy, seed=1)
    dataset.set_epoch(1)
    assert dataset[2]["metadata_region_id"].tolist() == ids(1, 1, 2)


def test_chosen_regions_keep_their_own_values(made: Path) -> None:
    everything = ParquetRegionDataset(made, image=None, tokens=TOKENS, prompts="sam", masks="dense")[1]
    some = ParquetRegionDataset(
        made, image=None, tokens=TOKENS, prompts="sam", masks="dense", regions=ShuffledRegions(max_regions=5)
    )[1]
    place = {int(region): k for k, region in enumerate(everything["metadata_region_id"])}
    ends = {name: np.cumsum(one["input_ids_length"]) for name, one in (("all", everything), ("some", some))}
    for k, region in enumerate(some["metadata_region_id"]):
        at = place[int(region)]
        for key in ("input_boxes", "metadata_input_boxes", "category_index", "is_crowd", "input_points", "masks"):
            np.testing.assert_array_equal(some[key][k], everything[key][at], err_msg=key)
        assert some["metadata_captions"][k] == everything["metadata_captions"][at]
        length = some["input_ids_length"][k]
        assert length == everything["input_ids_length"][at]
        np.testing.assert_array_equal(
            some["input_ids"][ends["some"][k] - length : ends["some"][k]],
            everything["input_ids"][ends["all"][at] - length : ends["all"][at]],
        )


def test_a_pickled_dataset_is_its_arguments(made: Path) -> None:
    dataset = ParquetRegionDataset(made, tokens=TOKENS, prompts="sam", regions=ShuffledRegions())
    dataset[0]
    data = pickle.dumps(dataset)
    assert len(data) <= 1000
    np.testing.assert_array_equal(pickle.loads(data)[3]["input_boxes"], dataset[3]["input_boxes"])  # noqa: S301


def test_samples_pickle_without_the_mapped_file(made: Path) -> None:
    sample = ParquetRegionDataset(made, image="bytes", masks="rle", tokens=TOKENS)[0]
    shard = next(iter(sorted((made / "samples").glob("*.parquet"))))
    data = pickle.dumps(sample)
    assert len(data) < shard.stat().st_size / 3
    again = pickle.loads(data)  # noqa: S301
    np.testing.assert_array_equal(again["image"].decode(), sample["image"].decode())
    assert list(again["metadata_captions"]) == list(sample["metadata_captions"])
    assert again["segmentation"][0] == sample["segmentation"][0]


def test_single_files_and_lists_of_paths_join_in_order(made: Path) -> None:
    files = sorted((made / "samples").glob("*.parquet"))
    whole = ParquetRegionDataset(made, tokens=TOKENS, image=None)
    one_by_one = ParquetRegionDataset([files[2], files[0]], tokens=TOKENS, image=None)
    sizes = [pq.read_metadata(file).num_rows for file in files]
    order = [*range(sizes[0] + sizes[1], 12), *range(sizes[0])]
    assert [one_by_one[k]["image_id"] for k in range(len(one_by_one))] == [whole[k]["image_id"] for k in order]


def test_negative_and_outside_indices(made: Path) -> None:
    dataset = ParquetRegionDataset(made, image=None)
    assert dataset[-1]["image_id"] == dataset[11]["image_id"]
    for index in (12, -13):
        with pytest.raises(IndexError, match=f"sample {index} of a dataset of 12"):
            dataset[index]


def test_what_is_not_there_is_named_with_what_is(made: Path, tmp_path: Path) -> None:
    with pytest.raises(CacheError, match=r"tokens side-car.*expected gpt9, found byt5-sca-20"):
        ParquetRegionDataset(made, tokens="gpt9")
    with pytest.raises(ConfigError, match="image='jpeg' is none of"):
        ParquetRegionDataset(made, image="jpeg")  # type: ignore[arg-type]
    with pytest.raises(CacheError, match=r"index\.json.*missing"):
        ParquetRegionDataset(tmp_path)
    with pytest.raises(ConfigError, match="at least one path"):
        ParquetRegionDataset([])


def test_a_batch_of_two_tokenizers_is_refused(made: Path) -> None:
    one, two = (ParquetRegionDataset(made, tokens=TOKENS, image=None)[k] for k in range(2))
    info = two["tokenizer"]
    two["tokenizer"] = type(info)("0" * 64, info.pad_token_id, info.eos_token_id, info.padding_side)
    with pytest.raises(TokenizerError, match="two tokenizers"):
        RegionCollator()([one, two])


def test_reading_by_pread_gives_the_same_images(made: Path) -> None:
    mapped, read = (ParquetRegionDataset(made, image="bytes", io=io) for io in ("mmap", "pread"))  # type: ignore[arg-type]
    for k in range(len(mapped)):
        assert read[k]["image"].data.tobytes() == mapped[k]["image"].data.tobytes()


def identity(sample: dict[str, object], generator: np.random.Generator) -> dict[str, object]:
    assert isinstance(generator, np.random.Generator)
    return sample


@pytest.mark.parametrize("masks", [None, "rle"])
@pytest.mark.parametrize("tokens", [None, TOKENS])
def test_the_short_way_and_the_general_way_give_equal_samples(made: Path, tokens: str | None, masks: str | None) -> None:
    # A transform, even one that changes nothing, takes the general way.
    short, general = (
        ParquetRegionDataset(made, tokens=tokens, masks=masks, transforms=transforms)  # type: ignore[arg-type]
        for transforms in (None, identity)
    )
    for k in range(len(short)):
        one, two = short[k], general[k]
        assert set(one) == set(two)
        for key, value in one.items():
            if isinstance(value, np.ndarray):
                assert value.dtype == two[key].dtype, key
                np.testing.assert_array_equal(value, two[key], err_msg=key)
            elif key in ("metadata_captions", "segmentation"):
                assert list(value) == list(two[key]), key
            else:
                assert value == two[key], key
