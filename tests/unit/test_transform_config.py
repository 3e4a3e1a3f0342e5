"""Transforms from plain values: what is built, and what is said when it cannot be."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
import yaml

from regioncache.data.transforms.config import TRANSFORMS, transforms_from_config
from regioncache.data.transforms.crop import RandomCrop
from regioncache.data.transforms.flip import RandomFlip
from regioncache.data.transforms.jitter import LargeScaleJitter
from regioncache.data.transforms.pad import Pad
from regioncache.data.transforms.photometric import PhotoMetricDistortion
from regioncache.data.transforms.resize import RandomResize, Resize
from regioncache.errors import ConfigError

PIPELINE = """
- RandomResize: {scale: [[1333, 480], [1333, 800]], keep_ratio: true}
- RandomFlip: {prob: 0.5, direction: [horizontal, vertical]}
- RandomCrop: {crop_size: [512, 384]}
- PhotoMetricDistortion
- Pad: {size_divisor: 32, pad_val: [114, 114, 114]}
"""


def test_a_pipeline_in_yaml_is_the_one_in_python() -> None:
    made = transforms_from_config(yaml.safe_load(PIPELINE), frame="image", region_keys=["score"])
    assert made.steps == (
        RandomResize(((1333, 480), (1333, 800)), keep_ratio=True),
        RandomFlip(0.5, ("horizontal", "vertical")),
        RandomCrop((512, 384)),
        PhotoMetricDistortion(),
        Pad(size_divisor=32, pad_val=(114, 114, 114)),
    )
    assert (made.frame, made.region_keys, made.image_keys) == ("image", ("score",), ())


def test_a_name_alone_or_with_nothing_takes_the_defaults() -> None:
    assert transforms_from_config(["LargeScaleJitter", {"LargeScaleJitter": None}, {"LargeScaleJitter": {}}]).steps == (
        (LargeScaleJitter(),) * 3
    )


@pytest.mark.parametrize("name", TRANSFORMS)
def test_every_transform_takes_its_own_arguments_back(name: str) -> None:
    needed: dict[str, dict[str, Any]] = {
        "LimitRegions": {"max_regions": 3},
        "Pad": {"pad_to_square": True},
        "RandomChoiceResize": {"scales": [[20, 10]]},
        "RandomCrop": {"crop_size": [0.5, 0.5], "crop_type": "relative"},
        "RandomResize": {"scale": [20, 10], "ratio_range": [1, 2]},
        "Resize": {"scale": [20, 10]},
    }
    (made,) = transforms_from_config([{name: needed.get(name, {})}]).steps
    kind: Any = type(made)
    arguments = {one.name: getattr(made, one.name) for one in fields(kind) if one.name != "tokenize"}
    assert transforms_from_config([{name: arguments}]).steps == (made,)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("RandomFlip", r"^transforms: expected a list of steps, found str"),
        ([3], r"^transforms\[0\]: expected a transform's name, or one name with its arguments, found 3"),
        (["RandomFlip", {"Flip": {}}], r"^transforms\[1\]: there is no transform 'Flip'; there are FilterAnnotations, "),
        ([{"RandomFlip": {}, "Pad": {}}], r"^transforms\[0\]: expected a transform's name, or one name"),
        ([{"RandomFlip": 0.5}], r"^transforms\[0\] \(RandomFlip\): expected a mapping of arguments, found 0.5"),
        ([{"RandomFlip": {"p": 0.5}}], r"^transforms\[0\] \(RandomFlip\): there is no argument 'p' here; there are prob, dir"),
        ([{"RandomFlip": {"tokenize": "t"}}], r"^transforms\[0\] \(RandomFlip\): there is no argument 'tokenize' here"),
        ([{"RandomFlip": {"prob": "half"}}], r"\(RandomFlip\): prob: expected a number or \[a number, ...\], found 'half'"),
        ([{"RandomFlip": {"prob": True}}], r"\(RandomFlip\): prob: expected a number"),
        ([{"RandomFlip": {"prob": 1.5}}], r"^transforms\[0\]: RandomFlip: prob: expected a number from 0 to 1, found 1.5"),
        ([{"RandomFlip": {"prob": [0.5, 0.6], "direction": ["horizontal", "vertical"]}}], r"RandomFlip: prob: expected one"),
        ([{"RandomFlip": {"direction": "sideways"}}], r"direction: expected 'horizontal' or 'vertical' or 'diagonal' or \["),
        ([{"Resize": {}}], r"^transforms\[0\] \(Resize\): .*missing.*'scale'"),
        (
            [{"Resize": {"scale": [10, 2.5]}}],
            r"\(Resize\): scale: expected \[a whole number, a whole number\], found \[10, 2.5\]",
        ),
        ([{"Resize": {"scale": [10, 0]}}], r"Resize: scale: expected \(width, height\) in pixels, found \(10, 0\)"),
        ([{"RandomResize": {"scale": [10, 20]}}], r"RandomResize: scale: expected two sizes"),
        ([{"RandomCrop": {"crop_size": [0.5, 0.5]}}], r"RandomCrop: crop_size: expected two numbers of pixels"),
        ([{"RandomCrop": {"crop_size": [60, 30], "crop_type": "absolute_range"}}], r"crop_size: expected the least before"),
        ([{"RandomCrop": {"crop_size": [2, 1], "crop_type": "relative"}}], r"crop_size: expected two shares"),
        ([{"Pad": {}}], r"^transforms\[0\]: Pad: give either size, or"),
        ([{"Pad": {"size": [1, 2], "size_divisor": 3}}], r"^transforms\[0\]: Pad: give either size, or"),
        ([{"Normalize": {"mean": [1, 2, 3]}}], r"Normalize: give both mean and std"),
        ([{"Normalize": {"mean": [1, 2, 3], "std": [1, 0, 1]}}], r"Normalize: std: expected three numbers"),
        ([{"PhotoMetricDistortion": {"contrast_range": [1.5, 0.5]}}], r"contrast_range: expected \(least, most\)"),
        ([{"MinIoURandomCrop": {"min_ious": [1.5]}}], r"min_ious: expected numbers from 0 to 1"),
        ([{"LargeScaleJitter": {"min_scale": 2, "max_scale": 1}}], r"max_scale: expected a number not below min_scale"),
        ([{"LargeScaleJitter": {"rounding": "none"}}], r"rounding: expected 'truncate' or 'exact', found 'none'"),
        ([{"LimitRegions": {"max_regions": 0}}], r"max_regions: expected a whole number from 1 on"),
        ([{"SamInput": {"frame": "round"}}], r"\(SamInput\): frame: expected 'sam' or 'square', found 'round'"),
        ([{"FilterAnnotations": {"by_box": False}}], r"by_mask: expected true, since by_box is not"),
    ],
)
def test_errors_name_step_argument_and_what_was_found(steps: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        transforms_from_config(steps)


def test_values_given_in_python_are_judged_as_well() -> None:
    with pytest.raises(ConfigError, match=r"Resize: scale: expected \(width, height\) in pixels, found 3"):
        Resize(3)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="frame='round' is none of"):
        transforms_from_config([], frame="round")  # type: ignore[arg-type]
