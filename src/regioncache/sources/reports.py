"""What a step left out, and what it counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Reject:
    """One record that was left out; ``reason`` is a code of ``schema.REJECT_REASONS``."""

    image_id: int
    file_name: str
    reason: str
    detail: str
    region_id: int = -1


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

    def add(self, other: Report) -> None:
        """Take over all that another report holds."""
        self.rejects.extend(other.rejects)
        for name, amount in other.counts.items():
            self.count(name, amount)

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
