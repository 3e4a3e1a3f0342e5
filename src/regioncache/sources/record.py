"""What every source gives: the regions of one image, and the records that could not be used."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Category:
    """One category of a dataset: the source's id, its name, whether it is a countable thing, and its place in the order."""

    category_id: int
    name: str
    is_thing: bool
    index: int


@dataclass(frozen=True, slots=True)
class Reject:
    """One record that was left out; ``reason`` is a code of ``schema.REJECT_REASONS``."""

    image_id: int
    file_name: str
    reason: str
    detail: str
    region_id: int = -1


class Regions(NamedTuple):
    """The regions of one image, n of them.

    ``box_xyxy`` is in source pixels; ``counts`` are COCO compressed RLEs at source size (empty where there is no mask);
    ``ordinals`` is the (height, width) map of disjoint regions (0 = none, k = k-th region + 1), or None.
    """

    region_id: NDArray[np.int64]
    box_xyxy: NDArray[np.float32]
    category_id: NDArray[np.int32]
    category_index: NDArray[np.int32]
    phrases: list[list[str]]
    counts: list[bytes]
    area: NDArray[np.float64]
    is_crowd: NDArray[np.bool_]
    is_thing: NDArray[np.bool_]
    flags: NDArray[np.int32]
    ordinals: NDArray[np.uint8] | NDArray[np.uint16] | None


@dataclass
class Report:
    """What one step left out, and what it counted."""

    rejects: list[Reject] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def count(self, name: str, amount: int = 1) -> None:
        """Add to a counter."""
        self.counts[name] = self.counts.get(name, 0) + int(amount)

    def reject(self, reject: Reject) -> None:
        """Leave a record out."""
        self.rejects.append(reject)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "counts": self.counts,
            "rejects": [[one.image_id, one.region_id, one.file_name, one.reason, one.detail] for one in self.rejects],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Report:
        """Undo ``to_json``."""
        rejects = [
            Reject(image_id, file_name, reason, detail, region_id)
            for image_id, region_id, file_name, reason, detail in value["rejects"]
        ]
        return cls(rejects, dict(value["counts"]))
