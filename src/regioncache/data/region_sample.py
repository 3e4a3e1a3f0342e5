"""One image with its regions, on the way from the dataset through the transforms to the collator.

Whatever belongs to a region is indexed by one method, ``take``, and whatever has a place in the image is moved by one of four:
``resized``, ``flipped``, ``cropped``, ``padded``. So boxes, masks, tokens and ids cannot come apart.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from regioncache.data.flat_ranges import range_indices, starts_of
from regioncache.data.pixels import mirror, resize_exact
from regioncache.data.region_masks import Picked
from regioncache.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from regioncache.data.region_shapes import RegionShapes, Window


@dataclass(frozen=True, slots=True)
class PhraseTokens:
    """Token ids of n phrases, one after the other.

    Attributes:
        ids: int32 (sum of lengths,).
        lengths: int32 (n,).
    """

    ids: NDArray[np.int32]
    lengths: NDArray[np.int32]

    def take(self, index: NDArray[np.int64]) -> PhraseTokens:
        """Those of some phrases, in that order."""
        lengths = self.lengths[index]
        return PhraseTokens(self.ids[range_indices(starts_of(self.lengths)[index], lengths)], lengths)

    def replaced(self, index: NDArray[np.int64], tokens: PhraseTokens) -> PhraseTokens:
        """With other tokens for some phrases.

        Args:
            index: which phrases, each once; int64 (m,).
            tokens: theirs, m phrases.
        """
        source = np.arange(len(self.lengths))
        source[index] = len(self.lengths) + np.arange(len(index))
        both = PhraseTokens(np.concatenate((self.ids, tokens.ids)), np.concatenate((self.lengths, tokens.lengths)))
        return both.take(source)


@dataclass(frozen=True, slots=True)
class RegionSample:
    """What a transform takes and gives. Never changed in place: every method gives a new one.

    Attributes:
        image_id: id in the source's space.
        image: uint8 (H, W, 3) RGB, not to be changed; float32 once normalised; None where images are left out.
        image_hw: height and width of the image's pixels, which boxes, points and masks refer to.
        original_hw: size of the image as the model is to know it: the source's until something other than a flip moves the
            image, from then on its size after that.
        frame_hw: None, or the size in the model's frame, before padding, once a step has brought the image there.
        regions: where the n targets lie.
        captions: n phrases.
        tokens: of these phrases, or None.
        ignored: where regions lie that are no targets and no background either, or None.
        of_region: other values of each target, by name: arrays (n, ...) or sequences of n.
        of_image: other values of the image, by name.
    """

    image_id: int
    image: NDArray[Any] | None
    image_hw: tuple[int, int]
    original_hw: tuple[int, int]
    regions: RegionShapes
    captions: Sequence[str]
    tokens: PhraseTokens | None = None
    ignored: RegionShapes | None = None
    of_region: Mapping[str, NDArray[Any] | Sequence[Any]] = field(default_factory=dict)
    of_image: Mapping[str, Any] = field(default_factory=dict)
    frame_hw: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        lengths = {"metadata_captions": len(self.captions)}
        lengths.update((name, len(values)) for name, values in self.of_region.items())
        if self.tokens is not None:
            lengths["input_ids_length"] = len(self.tokens.lengths)
        wrong = {name: length for name, length in lengths.items() if length != len(self.regions)}
        if wrong:
            raise ConfigError(f"image {self.image_id}: expected one value for each of {len(self)} regions, found {wrong}")
        if self.image is not None and self.image.shape[:2] != self.image_hw:
            raise ConfigError(f"image {self.image_id}: expected pixels of {self.image_hw}, found {self.image.shape[:2]}")

    def __len__(self) -> int:
        return len(self.regions)

    @property
    def box_xyxy(self) -> NDArray[np.float64]:
        """float64 (n, 4), image pixels."""
        return self.regions.box_xyxy

    def pixels_for(self, step: str) -> NDArray[np.uint8] | None:
        """The image for a step that works on grey levels; None where there is none.

        Raises:
            ConfigError: the image was normalised before.
        """
        if self.image is not None and self.image.dtype != np.uint8:
            raise ConfigError(f"{step} works on uint8 pixels, and these are {self.image.dtype}; put it before Normalize")
        return self.image

    def take(self, index: NDArray[np.int64]) -> RegionSample:
        """With some targets only, in that order.

        Args:
            index: int64 (m,).
        """
        return self._with_regions(self.regions.take(index), index)

    def with_image(self, image: NDArray[Any] | None) -> RegionSample:
        """With other pixels at the same places."""
        return replace(self, image=image)

    def resized(self, size_hw: tuple[int, int], kernel: Callable[..., NDArray[np.uint8]] = resize_exact) -> RegionSample:
        """Image and regions at another size.

        Args:
            size_hw: height and width wanted, 1 or more.
            kernel: makes the pixels, ``(uint8 (H, W, 3), size_hw) -> uint8 (h, w, 3)``.
        """
        pixels = self.pixels_for("a resize")
        return self.moved(
            size_hw,
            image=None if pixels is None else kernel(np.ascontiguousarray(pixels), size_hw),
            regions=self.regions.resized(self.image_hw, size_hw),
            ignored=None if self.ignored is None else self.ignored.resized(self.image_hw, size_hw),
        )

    def flipped(self, *, horizontal: bool = False, vertical: bool = False) -> RegionSample:
        """Image and regions mirrored; captions and tokens stay as they are, which may make them false."""
        mirrored = {"horizontal": horizontal, "vertical": vertical}
        return replace(
            self,
            image=None if self.image is None else mirror(self.image, **mirrored),
            regions=self.regions.flipped(self.image_hw, **mirrored),
            ignored=None if self.ignored is None else self.ignored.flipped(self.image_hw, **mirrored),
        )

    def cropped(self, window: Window) -> RegionSample:
        """The part of the image in a window, with the regions of which something is left in it."""
        regions, kept = self.regions.cropped(self.image_hw, window)
        left, top, width, height = window
        return self.moved(
            (height, width),
            image=None if self.image is None else self.image[top : top + height, left : left + width],
            regions=regions,
            kept=kept,
            ignored=None if self.ignored is None else self.ignored.cropped(self.image_hw, window)[0],
        )

    def padded(self, size_hw: tuple[int, int], fill: float | tuple[float, ...] = 0) -> RegionSample:
        """Larger on the right and at the foot. An image that is in the model's frame stays in it.

        Args:
            size_hw: height and width wanted, not smaller than the image.
            fill: value of the new pixels, one or one for each channel.
        """
        image = None
        if self.image is not None:
            image = np.empty((*size_hw, self.image.shape[2]), self.image.dtype)
            image[...] = fill
            image[: self.image_hw[0], : self.image_hw[1]] = self.image
        moved = self.moved(
            size_hw,
            image=image,
            regions=self.regions.padded(self.image_hw, size_hw),
            ignored=None if self.ignored is None else self.ignored.padded(self.image_hw, size_hw),
        )
        return moved if self.frame_hw is None else replace(moved, original_hw=self.original_hw, frame_hw=self.frame_hw)

    def in_frame(self, original_hw: tuple[int, int]) -> RegionSample:
        """Marked as being in the model's frame: no further scaling is due.

        Args:
            original_hw: size before it came there.
        """
        return replace(self, original_hw=original_hw, frame_hw=self.image_hw)

    def with_captions(self, captions: Sequence[str], tokens: PhraseTokens | None) -> RegionSample:
        """With other phrases, and the tokens of these."""
        return replace(self, captions=captions, tokens=tokens)

    def _with_regions(self, regions: RegionShapes, index: NDArray[np.int64]) -> RegionSample:
        return replace(
            self,
            regions=regions,
            captions=Picked(self.captions, index),
            tokens=None if self.tokens is None else self.tokens.take(index),
            of_region={
                name: values[index] if isinstance(values, np.ndarray) else Picked(values, index)
                for name, values in self.of_region.items()
            },
        )

    def moved(
        self,
        size_hw: tuple[int, int],
        *,
        image: NDArray[Any] | None,
        regions: RegionShapes,
        ignored: RegionShapes | None,
        kept: NDArray[np.int64] | None = None,
    ) -> RegionSample:
        """With the image and all places in it made anew, for transforms of your own; nothing is checked but numbers and sizes.

        Args:
            size_hw: height and width of the new image.
            image: its pixels.
            regions: the targets in it.
            ignored: the regions to ignore in it.
            kept: which of this sample's targets ``regions`` are, int64 (m,); None for all, in order.
        """
        sample = self if kept is None else self._with_regions(regions, kept)
        return replace(
            sample, image=image, image_hw=size_hw, original_hw=size_hw, frame_hw=None, regions=regions, ignored=ignored
        )
