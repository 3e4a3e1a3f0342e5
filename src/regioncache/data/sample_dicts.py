"""From the dict of ``ParquetRegionDataset`` to a ``RegionSample`` and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from regioncache.data.batch_images import picture_hw, pixels_of
from regioncache.data.region_masks import RegionMasks
from regioncache.data.region_sample import PhraseTokens, RegionSample
from regioncache.data.region_shapes import RegionShapes
from regioncache.errors import ConfigError
from regioncache.geometry import clip_xyxy, frame_named

if TYPE_CHECKING:
    from numpy.typing import NDArray

FrameName = Literal["sam", "square", "image"]

_ROUNDING_PX = 1e-9
_OF_REGION = ("metadata_input_boxes", "metadata_region_id", "category_index", "is_crowd", "input_labels")
_OF_IMAGE = ("task_type", "tokenizer")
_PLACED = (  # told by fields of RegionSample
    "image_id",
    "image",
    "original_sizes",
    "reshaped_input_sizes",
    "input_boxes",
    "input_points",
    "metadata_captions",
    "input_ids",
    "input_ids_length",
    "segmentation",
    "masks",
    "ignore_boxes",
    "ignore_segmentation",
    "ignore_masks",
)
_KNOWN = frozenset((*_OF_REGION, *_OF_IMAGE, *_PLACED))


def sample_from_dict(
    sample: Mapping[str, Any], frame: FrameName = "sam", *, region_keys: Sequence[str] = (), image_keys: Sequence[str] = ()
) -> RegionSample:
    """A sample for transforms.

    Args:
        sample: what ``ParquetRegionDataset`` gave, perhaps with more in it.
        frame: the frame of the dataset's boxes; ``image`` accepts any.
        region_keys: names of further arrays or sequences with one value for each region, in the regions' order.
        image_keys: names of further arrays or sequences that belong to the image as a whole and that no transform changes.

    Raises:
        ConfigError: the frame is another; an array or sequence is neither known nor named, so that nobody could tell
            whether it follows the regions; masks are not of the image's size.
        CacheError: the image does not decode.
    """
    original_hw = _size(sample["original_sizes"])
    frame_hw = _size(sample["reshaped_input_sizes"])
    if frame != "image" and frame_hw != frame_named(frame).resized_hw(*original_hw):
        raise ConfigError(
            f"the sample is not in the frame {frame!r}: an image of {original_hw} (height, width) has {frame_hw} there."
            " Name the frame of the dataset's prompts: Compose(steps, frame=...)"
        )
    picture = sample.get("image")
    image = None if picture is None else pixels_of(picture)
    image_hw = original_hw if picture is None else picture_hw(picture)
    to_image = _factors_xyxy(frame_hw, image_hw)
    points, lengths = sample.get("input_points"), sample.get("input_ids_length")
    more_of_region, more_of_image = _further(sample, region_keys, image_keys)
    return RegionSample(
        image_id=sample["image_id"],
        image=image,
        image_hw=image_hw,
        original_hw=original_hw,
        regions=RegionShapes(
            _image_boxes(sample, original_hw, frame_hw, image_hw),
            None if points is None else _whole_where_near(points * to_image[:2]),
            _masks(sample, original_hw, "segmentation", "masks"),
        ),
        captions=sample["metadata_captions"],
        tokens=None if lengths is None else PhraseTokens(sample["input_ids"], lengths),
        ignored=None
        if "ignore_boxes" not in sample
        else RegionShapes(
            sample["ignore_boxes"] * to_image,
            None,
            _masks(sample, original_hw, "ignore_segmentation", "ignore_masks"),
        ),
        of_region={name: sample[name] for name in (*_OF_REGION, *more_of_region) if name in sample},
        of_image={name: sample[name] for name in (*_OF_IMAGE, *more_of_image) if name in sample},
    )


def sample_to_dict(sample: RegionSample, frame: FrameName = "sam", *, masks_as_rle: bool = False) -> dict[str, Any]:
    """The dict that the collator takes: boxes and points in the frame of the image as it is now.

    ``original_sizes`` are those of the image as transformed, or still the source's where it was only flipped or recoloured;
    ``metadata_input_boxes`` stay those of the source.

    Args:
        sample: a finished sample.
        frame: the frame wanted; ``image`` leaves coordinates in image pixels.
        masks_as_rle: give ``segmentation``, not ``masks``; low-resolution masks are always ``masks``.
    """
    frame_hw = sample.frame_hw
    scale_xyxy = np.ones(4)
    if frame_hw is None:
        frame_hw = sample.image_hw if frame == "image" else frame_named(frame).resized_hw(*sample.original_hw)
        scale_xyxy = _factors_xyxy(sample.image_hw, frame_hw)
    regions, ignored = sample.regions, sample.ignored
    made: dict[str, Any] = {
        "image_id": sample.image_id,
        **sample.of_image,
        "original_sizes": np.array(sample.image_hw if frame == "image" else sample.original_hw, np.int64),
        "reshaped_input_sizes": np.array(frame_hw, np.int64),
        "input_boxes": clip_xyxy(regions.box_xyxy, *sample.image_hw) * scale_xyxy,
        **sample.of_region,
        "metadata_captions": sample.captions,
    }
    if sample.image is not None:
        made["image"] = np.ascontiguousarray(sample.image) if sample.image.dtype == np.uint8 else sample.image
    if sample.tokens is not None:
        made["input_ids"], made["input_ids_length"] = sample.tokens.ids, sample.tokens.lengths
    if regions.point_xy is not None:
        made["input_points"] = regions.point_xy * scale_xyxy[:2]
    if ignored is not None:
        made["ignore_boxes"] = clip_xyxy(ignored.box_xyxy, *sample.image_hw) * scale_xyxy
    for shapes, prefix in ((regions, ""), (ignored, "ignore_")):
        if shapes is not None and shapes.masks is not None:
            if masks_as_rle and not shapes.masks.is_low_res:
                made[f"{prefix}segmentation"] = shapes.masks.rles
            else:
                made[f"{prefix}masks"] = shapes.masks.pixels
    return made


def _whole_where_near(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points that were whole pixels before they went to the frame, and are now a rounding error away from them, made whole."""
    whole = np.rint(points)
    return np.where(np.abs(points - whole) < _ROUNDING_PX, whole, points)


def _size(size_hw: NDArray[np.int64]) -> tuple[int, int]:
    return int(size_hw[0]), int(size_hw[1])


def _image_boxes(
    sample: Mapping[str, Any], original_hw: tuple[int, int], frame_hw: tuple[int, int], image_hw: tuple[int, int]
) -> NDArray[np.float64]:
    """Boxes in image pixels: as published where the sample is as the dataset made it, so that no rounding comes in."""
    published: NDArray[np.float64] = sample["metadata_input_boxes"].astype(np.float64)
    framed: NDArray[np.float64] = sample["input_boxes"]
    if np.array_equal(clip_xyxy(published, *original_hw) * _factors_xyxy(original_hw, frame_hw), framed):
        return published * _factors_xyxy(original_hw, image_hw)
    return framed * _factors_xyxy(frame_hw, image_hw)


def _factors_xyxy(from_hw: tuple[int, int], to_hw: tuple[int, int]) -> NDArray[np.float64]:
    """Factors of x, y, x, y, float64 (4,), from an image of one size to one of another."""
    x, y = to_hw[1] / from_hw[1], to_hw[0] / from_hw[0]
    return np.array([x, y, x, y])


def _masks(sample: Mapping[str, Any], size_hw: tuple[int, int], rle_key: str, pixel_key: str) -> RegionMasks | None:
    if rle_key in sample:
        return RegionMasks(size_hw, rles=sample[rle_key])
    if pixel_key not in sample:
        return None
    pixels = sample[pixel_key]
    return RegionMasks(pixels.shape[1:], pixels=pixels, is_low_res=pixels.shape[1:] != size_hw)


def _further(sample: Mapping[str, Any], region_keys: Sequence[str], image_keys: Sequence[str]) -> tuple[list[str], list[str]]:
    """The names of a sample that this file does not know, as those of its regions and those of its image."""
    of_region, of_image = [], []
    for name in sample.keys() - _KNOWN:
        value = sample[name]
        if name in region_keys:
            of_region.append(name)
        elif name in image_keys or not _has_items(value):
            of_image.append(name)
        else:
            raise ConfigError(
                f"{name!r} is no key of ParquetRegionDataset, and its {len(value)} items may or may not belong to the regions."
                f" Say which: Compose(steps, region_keys=({name!r},)) or Compose(steps, image_keys=({name!r},))"
            )
    return sorted(of_region), sorted(of_image)


def _has_items(value: object) -> bool:
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)
