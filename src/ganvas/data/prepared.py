"""What preparing did, in words and in JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ganvas.data.layout import shown
from ganvas.notebook import Shown
from ganvas.units import format_duration


@dataclass(frozen=True)
class Prepared(Shown):
    """What `prepare` did, or found done."""

    path: Path
    splits: dict[str, int]
    """Pictures in each split."""
    classes: tuple[str, ...]
    resolution: int
    rejected: int
    """Picture files that could not be used; `rejected.csv` lists them."""
    duplicates: int
    """Pictures whose pixels equal an earlier one's; `duplicates.csv` lists them. They are kept."""
    seconds: float
    unchanged: bool
    """The same had been prepared before, so nothing was done."""
    attribution: str | None
    shared: int = 0
    """Held-out pictures that are in train, too."""
    enlarged: int = 0
    """Pictures smaller than the resolution."""
    ignored: int = 0
    """Files that are no pictures."""
    checksum: str = ""
    notes: tuple[str, ...] = ()
    first_rejected: tuple[str, ...] = field(default=())
    """Name and reason of some of the rejected, for the summary."""

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            **asdict(self),
            "path": str(self.path),
            "classes": list(self.classes),
            "notes": list(self.notes),
            "first_rejected": list(self.first_rejected),
        }

    def summary(self) -> str:
        """For people: what there is now, and all that deserves a look."""
        total = sum(self.splits.values())
        counts = ", ".join(f"{name} {count:,}" for name, count in self.splits.items())
        what = f"{total:,} pictures of {self.resolution} x {self.resolution} pixels ({counts})"
        if self.unchanged:
            lines = [f"{self.path} is already prepared so: {what}"]
        else:
            rate = f" ({total / self.seconds:,.0f}/s)" if self.seconds > 0.05 else ""
            lines = [f"{self.path}: {what}, made in {_time(self.seconds)}{rate}"]
        if self.classes:
            listed = ", ".join(map(shown, self.classes[:12])) + (", ..." if len(self.classes) > 12 else "")
            lines.append(f"{len(self.classes)} {_s(len(self.classes), 'class', 'classes')}: {listed}")
        if self.rejected:
            files = _s(self.rejected, "picture file was", "picture files were")
            some = "; ".join(self.first_rejected) + ("; ..." if self.rejected > len(self.first_rejected) else "")
            lines.append(f"{self.rejected:,} {files} skipped: {some} (all in {self.path / 'rejected.csv'})")
        if self.duplicates:
            copies = _s(self.duplicates, "picture is an exact copy of another", "pictures are exact copies of others")
            lines.append(f"{self.duplicates:,} {copies}, and kept (all in {self.path / 'duplicates.csv'})")
        if self.shared:
            pictures = _s(self.shared, "held-out picture is", "held-out pictures are")
            lines.append(f"warning: {self.shared:,} {pictures} in train, too: scores on held-out pictures will flatter")
        if self.enlarged:
            pictures = _s(self.enlarged, "picture was", "pictures were")
            lines.append(f"{self.enlarged:,} {pictures} smaller than {self.resolution} pixels and enlarged")
        lines += self.notes
        if self.attribution:
            lines.append(self.attribution)
        return "\n  ".join(lines)


def _s(count: int, one: str, many: str) -> str:
    return one if count == 1 else many


def _time(seconds: float) -> str:
    return f"{seconds:.1f}s" if seconds < 60 else format_duration(seconds)
