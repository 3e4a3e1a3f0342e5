"""The regions of one image, as a source gives them: what was published, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from regioncache.geometry import clip_xyxy
from regioncache.masks import mask_areas, mask_boxes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Category:
    """One category of a dataset.

    Attributes:
        category_id: the source's id.
        name: the source's name.
        is_thing: countable object, not stuff.
        index: its place in the order, from 0.
        published_id: the source's id where that is no number, such as Open Images' MIDs.
    """

    category_id: int
    name: str
    is_thing: bool
    index: int
    published_id: str = ""


class Regions(NamedTuple):
    """The regions of one image, n of them.

    Attributes:
        region_id: the source's id.
        box_xyxy: the published box, cut to the image; source pixels.
        published_box_xywh: as published: x, y, width and height, negative or outside of the image where it is so.
        mask_box_xyxy: the box of the mask's pixels; zeros where there is no mask.
        category_id: the source's id, -1 where regions have no category.
        category_index: dense, 0-based, -1 where regions have no category.
        phrases: one list per region.
        counts: COCO compressed RLE at source size, empty where there is no mask.
        area: pixels of the mask, else as published.
        is_crowd: one annotation for a group.
        is_thing: countable object, not stuff.
        flags: bits of ``schema.REGION_FLAGS``.
        ordinals: makes the (height, width) map of disjoint regions (0 = none, k = k-th region + 1), None if they overlap.
        scores: what a source says of its regions for filters, each (n,), NaN where it says nothing; not kept.
        semantic: makes the uint8 (height, width) map of category indices (255 = none), None where the regions say it all.
    """

    region_id: NDArray[np.int64]
    box_xyxy: NDArray[np.float32]
    published_box_xywh: NDArray[np.float64]
    mask_box_xyxy: NDArray[np.float32]
    category_id: NDArray[np.int32]
    category_index: NDArray[np.int32]
    phrases: list[list[str]]
    counts: list[bytes]
    area: NDArray[np.float64]
    is_crowd: NDArray[np.bool_]
    is_thing: NDArray[np.bool_]
    flags: NDArray[np.int32]
    ordinals: Callable[[], NDArray[np.uint8] | NDArray[np.uint16]] | None = None
    semantic: Callable[[], NDArray[np.uint8]] | None = None
    scores: dict[str, NDArray[np.float64]] = {}  # noqa: RUF012  (never written to)

    def chosen(self, keep: NDArray[np.bool_]) -> Regions:
        """The regions that ``keep``, bool (n,), names; their pixels in the map of regions become no region's."""
        places = np.flatnonzero(keep)
        arrays: dict[str, Any] = {name: value[places] for name, value in self._asdict().items() if isinstance(value, np.ndarray)}
        ordinals = None if self.ordinals is None else partial(_renumbered, self.ordinals, places, len(keep))
        phrases, counts = [self.phrases[k] for k in places], [self.counts[k] for k in places]
        scores = {name: value[places] for name, value in self.scores.items()}
        return self._replace(**arrays, phrases=phrases, counts=counts, ordinals=ordinals, scores=scores)


def _renumbered(
    ordinals: Callable[[], NDArray[np.uint8] | NDArray[np.uint16]], places: NDArray[np.int64], count: int
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    numbers = np.zeros(count + 1, np.uint16)
    numbers[places + 1] = np.arange(1, len(places) + 1)
    if len(places) <= np.iinfo(np.uint8).max:
        return numbers.astype(np.uint8)[ordinals()]
    return numbers[ordinals()]


def box_areas(box_xywh: NDArray[np.float64]) -> NDArray[np.float64]:
    """Width x height of boxes (n, 4), float64 (n,); finite for finite boxes, as caches and exports hold no infinity."""
    with np.errstate(over="ignore"):
        products = box_xywh[:, 2] * box_xywh[:, 3]
    largest = np.finfo(np.float64).max
    return np.clip(products, -largest, largest)


def make_regions(
    size_hw: tuple[int, int],
    *,
    region_id: Sequence[int],
    published_box_xywh: Sequence[Sequence[float]] | NDArray[np.float64],
    phrases: list[list[str]],
    categories: Sequence[Category] | None = None,
    counts: list[bytes] | None = None,
    area: Sequence[float] | None = None,
    is_crowd: Sequence[bool] | NDArray[np.bool_] | None = None,
    flags: Sequence[int] | NDArray[np.int32] | None = None,
) -> Regions:
    """Regions from what an annotation file says of them; the rest is derived.

    Args:
        size_hw: height and width of the image, to which boxes are cut.
        region_id: n ids.
        published_box_xywh: (n, 4).
        phrases: of each region.
        categories: of each region; None for regions without.
        counts: COCO compressed RLE of each region, empty where there is none; None for no masks at all.
        area: as published; a mask's own pixels count where there is a mask, and width x height where nothing is said.
        is_crowd: None for none.
        flags: None for none.
    """
    n = len(region_id)
    published = np.asarray(published_box_xywh, np.float64).reshape(n, 4)
    with np.errstate(over="ignore"):  # numbers near float64's end become infinite, and are cut to the image
        corners = np.concatenate((published[:, :2], published[:, :2] + published[:, 2:]), axis=1)
    sizes = box_areas(published) if area is None else np.asarray(area, np.float64)
    mask_box = np.zeros((n, 4), np.float32)
    has_mask = np.array([bool(one) for one in counts or ()], np.bool_)
    if has_mask.any():
        present = [one for one in counts or () if one]
        mask_box[has_mask] = mask_boxes(present, *size_hw)
        sizes = sizes.copy()
        sizes[has_mask] = mask_areas(present)
    return Regions(
        region_id=np.asarray(region_id, np.int64),
        box_xyxy=clip_xyxy(corners, *size_hw).astype(np.float32),
        published_box_xywh=published,
        mask_box_xyxy=mask_box,
        category_id=np.array([-1] * n if categories is None else [one.category_id for one in categories], np.int32),
        category_index=np.array([-1] * n if categories is None else [one.index for one in categories], np.int32),
        phrases=phrases,
        counts=counts if counts is not None else [b""] * n,
        area=sizes,
        is_crowd=np.zeros(n, np.bool_) if is_crowd is None else np.asarray(is_crowd, np.bool_),
        is_thing=np.ones(n, np.bool_) if categories is None else np.array([one.is_thing for one in categories], np.bool_),
        flags=np.zeros(n, np.int32) if flags is None else np.asarray(flags, np.int32),
    )
