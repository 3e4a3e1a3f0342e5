"""``RegionCollator``: samples with any number of regions to one batch, without a loop over regions."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from regioncache.data.batch_images import BufferRing, frame_batch, is_normalized, native_batch, normalized_batch, picture_hw
from regioncache.data.batch_tokens import token_fields
from regioncache.data.fields import HAS, completed
from regioncache.data.pixels import EncodedImage
from regioncache.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

_FRAME_PX = 1024
_NO_BOXES, _NO_MASKS = np.zeros((0, 4)), np.zeros((0, 0, 0), np.bool_)

_REGION_FIELDS: dict[str, tuple[type[np.generic], int, tuple[int, ...]]] = {
    # name: dtype in the batch, fill where there is no region, trailing shape of a batch without regions
    "input_boxes": (np.float64, 0, (4,)),
    "metadata_input_boxes": (np.float32, 0, (4,)),
    "metadata_region_id": (np.int64, -1, ()),
    "category_index": (np.int64, -1, ()),
    "is_crowd": (np.bool_, 0, ()),
    "input_points": (np.float64, 0, (1, 2)),
    "input_labels": (np.int64, 0, (1,)),
}


class _Slots(NamedTuple):
    """Where the regions of a batch go.

    Attributes:
        kept: how many regions of each sample are kept, always its first ones; int64 (B,).
        width: regions per image in the batch; None puts all regions in a row.
    """

    kept: NDArray[np.int64]
    width: int | None

    def place(self, values: list[NDArray[Any]], dtype: type[np.generic], fill: float, tail: tuple[int, ...] = ()) -> NDArray[Any]:
        """Per-region values of each sample, (n, ...), in their places: (B, width, ...), or (T, ...) in a row."""
        tail = next((value.shape[1:] for value in values if len(value)), tail)
        if self.width is None:
            filled = [value for value in values if len(value)]
            return np.concatenate(filled, dtype=dtype, casting="unsafe") if filled else np.empty((0, *tail), dtype)
        shape = len(values), self.width, *tail
        batch = np.zeros(shape, dtype) if fill == 0 else np.full(shape, fill, dtype)
        for number, value in enumerate(values):
            kept = value[: self.width]  # all, or where every image gives as many, the first ones
            batch[number, : len(kept)] = kept
        return batch


class RegionCollator:
    """Makes a batch of samples of ``ParquetRegionDataset``. B images, R regions, L tokens; T regions in all.

    ==================== =================================== ===========================================
    key                  ``pad`` and ``min`` / ``flat``      dtype
    ==================== =================================== ===========================================
    input_ids            (B, R, L) / (T, L)                  int64, padded as the tokenizer pads
    attention_mask       (B, R, L) / (T, L)                  int64, 1 on tokens
    labels               (B, R, L + 1) / (T, L + 1)          int64, one -100 in front, -100 on padding
    input_boxes          (B, R, 4) / (T, 4)                  float64 xyxy in the frame
    metadata_input_boxes (B, R, 4) / (T, 4)                  float32 xyxy in source pixels (``min``: int64)
    metadata_region_id   (B, R) / (T,)                       int64, -1 where there is no region
    metadata_image_id    (B, R) / (T,)                       int64, -1 where there is no region
    category_index       (B, R) / (T,)                       int64, -1 where there is no region
    is_crowd             (B, R) / (T,)                       bool
    input_points         (B, R, k, 2) / (T, k, 2)            float64, where the samples have them
    input_labels         (B, R, k) / (T, k)                  int64, where the samples have them
    masks                (B, R, h, w) / (T, h, w)            bool, where the samples have them
    region_mask          (B, R), ``pad``                     bool, where a region is
    image_index          (T,), ``flat``                      int64, the image of each region
    ignore_boxes         (B, K, 4) / (S, 4), not ``min``     float64 xyxy in the frame, where the samples have them
    ignore_masks         (B, K, h, w) / (S, h, w)            bool, where the samples have them
    ignore_region_mask   (B, K), ``pad``                     bool, where a region to ignore is
    ignore_image_index   (S,), ``flat``                      int64, the image of each region to ignore
    pixel_values         (B, H, W, 3) uint8                  stored size, zero-padded right and below
                         or (B, 3, 1024, 1024) float32       SAM's normalised input
                         or (B, 3, H, W) float32             images that a transform has normalised
    pixel_sizes          (B, 2)                              int64 height, width of each image in pixel_values
    original_sizes,      (B, 2)                              int64 height, width
    reshaped_input_sizes
    metadata_captions,   lists of B
    task_type,
    segmentation,
    ignore_segmentation,
    source
    has_tokens,          (B,)                                bool, in a mix: what is the sample's own, not filled in
    has_masks,
    has_points,
    has_image
    is_padding           (B,)                                bool, of a ``RegionLoader`` with ``tail="pad"``: the
                                                             sample only fills the last batch
    ==================== =================================== ===========================================

    ``labels`` come from token counts, never from comparing ids, so the last real token is supervised also when the padding
    id is the end-of-sequence id. Samples are not changed, and a batch is never None. Where some samples have tokens, masks,
    points or images and others do not, the others get regions without a token (labels all -100), masks without a pixel,
    points at 0 with label 0, and black pixels.

    Args:
        regions: ``pad`` keeps all regions and marks empty slots; ``flat`` puts all regions in a row; ``min`` is the
            original's: the first regions of every image, as many as the poorest image has, images without any left out.
        pixels: ``uint8`` gives pixels as they are, for a device that resizes and normalises; ``float32`` SAM's exact input.
        size: with ``uint8``, ``native`` (stored size) or ``frame`` (resized on the CPU to 1024).
        resize: ``exact`` is Pillow's, bit for bit SAM's; ``fast`` is torch's, at most one grey level off.
        tensors: ``torch``, ``numpy``, or ``auto``: torch where it is installed.
        buffers: reuse this many blocks of pixel memory in turn. A batch is overwritten when that many newer ones were
            made, so 0 (the default) takes fresh memory; 2 or more is faster in a loop that uses a batch at once.

    Raises:
        ConfigError: an argument is none of its choices, or torch is asked for and absent.
    """

    def __init__(
        self,
        regions: Literal["pad", "flat", "min"] = "pad",
        pixels: Literal["uint8", "float32"] = "uint8",
        *,
        size: Literal["native", "frame"] = "native",
        resize: Literal["exact", "fast"] = "exact",
        tensors: Literal["auto", "torch", "numpy"] = "auto",
        buffers: int = 0,
    ) -> None:
        for name, value, choices in (
            ("regions", regions, ("pad", "flat", "min")),
            ("pixels", pixels, ("uint8", "float32")),
            ("size", size, ("native", "frame")),
            ("resize", resize, ("exact", "fast")),
            ("tensors", tensors, ("auto", "torch", "numpy")),
        ):
            if value not in choices:
                raise ConfigError(f"{name}={value!r} is none of {', '.join(choices)}")
        have_torch = importlib.util.find_spec("torch") is not None
        if not have_torch and (tensors == "torch" or resize == "fast"):
            raise ConfigError("torch is not installed; install regioncache[torch], or use tensors='numpy', resize='exact'")
        self.regions, self.pixels, self.size, self.resize = regions, pixels, size, resize
        self.torch = have_torch and tensors != "numpy"
        self._ring = BufferRing(buffers)

    def __call__(self, samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Make one batch.

        Args:
            samples: what ``ParquetRegionDataset`` or ``MixedDataset`` gave; left as they are.

        Raises:
            TokenizerError: the samples' tokens come from different tokenizers.
        """
        if self.regions == "min":
            samples = [sample for sample in samples if len(sample["metadata_region_id"])]
        samples = completed(samples)
        counts = np.array([len(sample["metadata_region_id"]) for sample in samples], np.int64)
        slots = self._slots(counts)
        batch: dict[str, Any] = {}
        if samples and "input_ids" in samples[0]:
            batch.update(token_fields(samples, slots.kept, slots.place))
        if samples and "image" in samples[0]:
            batch.update(self._images(samples))
        batch.update(_per_region(samples, slots))
        for name in ("original_sizes", "reshaped_input_sizes"):
            batch[name] = np.array([sample[name] for sample in samples], np.int64).reshape(-1, 2)
        if self.regions != "min" and any("ignore_boxes" in sample for sample in samples):
            batch.update(self._ignored(samples))
        batch.update(_per_sample(samples))
        if self.regions == "min":
            batch.update(_original_names(batch))
        elif self.regions == "pad":
            batch["region_mask"] = _region_mask(slots)
        else:
            batch["image_index"] = np.repeat(np.arange(len(counts)), counts)
        return _as_tensors(batch) if self.torch else batch

    def _slots(self, counts: NDArray[np.int64]) -> _Slots:
        if self.regions == "flat" or not len(counts):
            return _Slots(counts, None if self.regions == "flat" else 0)
        if self.regions == "pad":
            return _Slots(counts, int(counts.max()))
        fewest = int(counts.min())
        return _Slots(np.full_like(counts, fewest), fewest)

    def _ignored(self, samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The regions that are no targets and no background either; their number has nothing to do with the targets'."""
        boxes = [sample.get("ignore_boxes", _NO_BOXES) for sample in samples]
        counts = np.array([len(one) for one in boxes], np.int64)
        slots = self._slots(counts)
        found: dict[str, Any] = {"ignore_boxes": slots.place(boxes, np.float64, 0, (4,))}
        if any("ignore_masks" in sample for sample in samples):
            found["ignore_masks"] = _place_masks([sample.get("ignore_masks", _NO_MASKS) for sample in samples], slots)
        if any("ignore_segmentation" in sample for sample in samples):
            found["ignore_segmentation"] = [sample.get("ignore_segmentation", []) for sample in samples]
        if self.regions == "pad":
            found["ignore_region_mask"] = _region_mask(slots)
        else:
            found["ignore_image_index"] = np.repeat(np.arange(len(counts)), counts)
        return found

    def _images(self, samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        pictures = [sample["image"] for sample in samples]
        resized = [(int(size[0]), int(size[1])) for size in (sample["reshaped_input_sizes"] for sample in samples)]
        found: dict[str, Any] = {}
        if any(map(is_normalized, pictures)):
            found["pixel_values"] = normalized_batch(pictures, self._ring)
            resized = [picture_hw(picture) for picture in pictures]
        elif self.pixels == "float32":
            found["pixel_values"] = frame_batch(pictures, resized, _FRAME_PX, self._ring, dtype=np.float32, resize=self.resize)
        elif self.size == "frame":
            found["pixel_values"] = frame_batch(pictures, resized, _FRAME_PX, self._ring, dtype=np.uint8, resize=self.resize)
        else:
            found["pixel_values"] = native_batch(pictures, self._ring)
            resized = [picture_hw(picture) for picture in pictures]
        found["pixel_sizes"] = np.array(resized, np.int64).reshape(-1, 2)
        if self.regions == "min":
            del found["pixel_sizes"]
            found["images"] = [one.open() if isinstance(one, EncodedImage) else one for one in pictures]
        return found


def _per_sample(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Texts and the like as lists, flags as bool (B,), as far as a sample has them."""
    present: set[str] = set().union(*samples)
    texts = [name for name in ("metadata_captions", "task_type", "segmentation", "source") if name in present]
    flags = [name for name in (*HAS, "is_padding") if name in present]
    return {
        **{name: [sample.get(name) for sample in samples] for name in texts},
        **{name: np.array([sample.get(name, False) for sample in samples], np.bool_) for name in flags},
    }


def _per_region(samples: Sequence[Mapping[str, Any]], slots: _Slots) -> dict[str, NDArray[Any]]:
    """Every per-region field that the samples have, and the image id of each region."""
    found: dict[str, NDArray[Any]] = {}
    first = samples[0] if samples else {}
    _check_points(samples)
    for name, (dtype, fill, tail) in _REGION_FIELDS.items():
        if name in first:
            found[name] = slots.place([sample[name] for sample in samples], dtype, fill, tail)
    if "masks" in first:
        found["masks"] = _place_masks([sample["masks"] for sample in samples], slots)
    image_ids = np.array([sample["image_id"] for sample in samples], np.int64)
    if slots.width is None:
        found["metadata_image_id"] = np.repeat(image_ids, slots.kept)
    else:
        found["metadata_image_id"] = np.where(_region_mask(slots), image_ids[:, None], -1)
    return found


def _check_points(samples: Sequence[Mapping[str, Any]]) -> None:
    points = {sample["input_points"].shape[1]: sample for sample in samples if len(sample.get("input_points", ()))}
    if len(points) > 1:
        shown = ", ".join(f"{count} (image {sample['image_id']})" for count, sample in sorted(points.items()))
        raise ConfigError(
            f"a batch mixes prompts with different numbers of points per region: {shown}. Build all caches with the same"
            " prompts.points_per_region"
        )


def _region_mask(slots: _Slots) -> NDArray[np.bool_]:
    """Where a region is, bool (B, width)."""
    mask: NDArray[np.bool_] = np.arange(slots.width or 0) < slots.kept[:, None]
    return mask


def _original_names(batch: Mapping[str, Any]) -> dict[str, Any]:
    """What the original's batch has beside ours: integer boxes in source pixels, and keys for absent points."""
    boxes = batch.get("metadata_input_boxes")
    return {
        "metadata_input_boxes": None if boxes is None else boxes.astype(np.int64),
        "input_points": batch.get("input_points"),
        "input_labels": batch.get("input_labels"),
    }


def _place_masks(masks: list[NDArray[np.bool_]], slots: _Slots) -> NDArray[np.bool_]:
    """Masks of images of different sizes, at the top left of the largest."""
    height, width = (max((mask.shape[axis] for mask in masks), default=0) for axis in (1, 2))
    if all(mask.shape[1:] == (height, width) for mask in masks):
        return slots.place(masks, np.bool_, 0, (height, width))
    padded = [np.zeros((len(mask), height, width), np.bool_) for mask in masks]
    for larger, mask in zip(padded, masks, strict=True):
        larger[:, : mask.shape[1], : mask.shape[2]] = mask
    return slots.place(padded, np.bool_, 0, (height, width))


def _as_tensors(batch: dict[str, Any]) -> dict[str, Any]:
    import torch  # noqa: PLC0415  (torch is an extra)

    return {key: torch.from_numpy(value) if isinstance(value, np.ndarray) else value for key, value in batch.items()}
