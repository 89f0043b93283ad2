"""Rolling back: a run that collapsed goes on from its best checkpoint with gentler settings.

Gentler is a factor on both players' learning rates. Of what could be changed in the middle of a run it is the one
setting that every recipe has, that leaves the objective and the networks as they are, and for which theory and
practice agree: alternating steps follow the game's flow only if they are small (Mescheder et al. 2017; Heusel et al.
2017), and Adam's moments, restored with the checkpoint, fit steps of any size.
"""

from __future__ import annotations

import json
import time
from typing import Any

from ganvas import artifact
from ganvas.runs import RunFolder, read_lines

MOST = 3
"""Times that a run is rolled back; the next collapse stops it."""
GENTLER = 0.5
"""Factor on the learning rates, each time."""


class Rollbacks:
    """How often a run was rolled back and why; kept in checkpoints, and for people in health.jsonl and provenance.json."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []

    @property
    def factor(self) -> float:
        """Of the learning rates."""
        return GENTLER ** len(self.records)

    @property
    def exhausted(self) -> bool:
        """Whether another one is one too many."""
        return len(self.records) >= MOST

    def add(self, collapsed_at: int, back_to: int, reason: str) -> None:
        """One more: at `collapsed_at` pictures, to a checkpoint of `back_to`."""
        record = {"images": back_to, "event": "rollback", "collapsed_at": collapsed_at, "reason": reason}
        self.records.append({**record, "number": len(self.records) + 1, "rate_factor": GENTLER ** (len(self.records) + 1)})

    def write(self, folder: RunFolder) -> None:
        """Bring the run's files in line with the records.

        Raises:
            UserError: the disk is full.
        """
        lines = [line for line in read_lines(folder.health_file) if line.get("event") != "rollback"]
        if self.records:
            artifact.write_text(folder.health_file, "".join(json.dumps(line) + "\n" for line in [*self.records, *lines]))
        made = folder.provenance()
        kept = made.get("rollbacks", [])
        if len(kept) != len(self.records):
            now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
            dated = [*kept, *({**record, "when": now} for record in self.records[len(kept) :])][: len(self.records)]
            artifact.write_json(folder.provenance_file, {**made, "rollbacks": dated})

    def state_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {"records": self.records}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore `state_dict`."""
        self.records = list(state["records"])
