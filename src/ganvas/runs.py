"""The run folder: what a training leaves behind, and all that later commands need. Free of torch.

```
config.yaml        the complete config            provenance.json   versions, machine, data and its checksum
status.json        state, pid, host, heartbeat    metrics.jsonl     one line each log interval
evaluations.jsonl  scores while training          evaluation.json   the last `ganvas evaluate`
signals.jsonl      of fixed latents, each look    health.jsonl      what began and ended: findings, rollbacks
samples/           000020000.png: fixed latents;  checkpoints/      last/ and best/; ema-0.120/ if made
                   real.png: real pictures        averages/         000020000.safetensors, with ema.kind power
tensorboard/       event files                    report.html       what people read
control/stop       the loop stops when it is there   neighbours.html    pictures beside their nearest real ones
```
"""

from __future__ import annotations

import json
import os
import re
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil
from pydantic import BaseModel, ConfigDict

from ganvas import artifact
from ganvas.config.io import read, validate
from ganvas.config.run import RunConfig
from ganvas.errors import RunError, UsageError

State = Literal["starting", "running", "finished", "stopped", "failed"]
"""`stopped`: saved before its end, by --stop-after, Ctrl-C, SIGTERM or control/stop, and can be resumed."""

HEARTBEAT_SECONDS = 120.0
"""A run on another host whose heartbeat is older than this is taken for dead."""


class Status(BaseModel):
    """What `status.json` says of a run."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    state: State
    reason: str | None = None
    pid: int
    host: str
    started: float
    """Unix time at which this process began."""
    heartbeat: float
    images: int = 0
    """Real pictures shown to the discriminator so far."""
    total_images: int | None = None
    seconds: float = 0.0
    """Training time so far, over all sessions."""
    pictures_per_second: float | None = None
    expected_end: float | None = None
    """Unix time, while running."""
    best: dict[str, float] | None = None
    """`images` and `kid` of checkpoints/best."""
    cpu_seconds: float | None = None
    """Processor time so far, over all sessions and threads."""
    joules: float | None = None
    """Energy of the processor so far, over all sessions; None where the machine does not tell."""


@dataclass(frozen=True)
class RunFolder:
    """A run's folder and where each thing in it is."""

    path: Path

    @property
    def config_file(self) -> Path:
        """The complete config."""
        return self.path / "config.yaml"

    @property
    def metrics_file(self) -> Path:
        """One JSON object a line: images, seconds, pictures_per_second, loss_g, loss_d, d_real, ..."""
        return self.path / "metrics.jsonl"

    @property
    def evaluations_file(self) -> Path:
        """One JSON object a line: images, seconds, kid."""
        return self.path / "evaluations.jsonl"

    @property
    def signals_file(self) -> Path:
        """One JSON object a line: images, and what a batch of fixed latents looks like (`ganvas.metrics.signals`)."""
        return self.path / "signals.jsonl"

    @property
    def health_file(self) -> Path:
        """One JSON object a line: images, event (begins, ends, rollback) and what it is about."""
        return self.path / "health.jsonl"

    @property
    def status_file(self) -> Path:
        """See `Status`."""
        return self.path / "status.json"

    @property
    def provenance_file(self) -> Path:
        """Versions, machine, data and its checksum."""
        return self.path / "provenance.json"

    @property
    def evaluation_file(self) -> Path:
        """The last `ganvas evaluate`, as its --json prints it."""
        return self.path / "evaluation.json"

    @property
    def truncation_file(self) -> Path:
        """The last `ganvas sweep-truncation`, for the report."""
        return self.path / "truncation.json"

    @property
    def noise_file(self) -> Path:
        """The last `ganvas sweep-noise`, for the report."""
        return self.path / "noise.json"

    @property
    def neighbours_file(self) -> Path:
        """The last `ganvas neighbours` against the run's own data, for the report."""
        return self.path / "neighbours.json"

    @property
    def neighbours_sheet(self) -> Path:
        """Its most suspicious pictures beside training pictures."""
        return self.path / "neighbours.png"

    @property
    def report_file(self) -> Path:
        """The report for people."""
        return self.path / "report.html"

    @property
    def samples(self) -> Path:
        """Grids of fixed latents, named by pictures seen."""
        return self.path / "samples"

    @property
    def checkpoints(self) -> Path:
        """`last`, `best`, `fresh` where the best copies, and averages that were made after training."""
        return self.path / "checkpoints"

    @property
    def averages(self) -> Path:
        """Snapshots of averages, named by pictures seen, of which others can be made (`ganvas.training.power_ema`)."""
        return self.path / "averages"

    @property
    def stop_file(self) -> Path:
        """The loop stops, saved, when this appears."""
        return self.path / "control" / "stop"

    @property
    def lock_file(self) -> Path:
        """Held by the one process that writes the run."""
        return self.path / ".lock"

    def config(self) -> RunConfig:
        """The run's complete config."""
        return validate(read(self.config_file), str(self.config_file))

    def status(self) -> Status | None:
        """What the run says of itself; a run whose process is gone is `stopped`. None: no status was written."""
        try:
            status = Status.model_validate_json(self.status_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # a ValidationError is one, and so is text that is no UTF-8
            return None
        if status.state in ("starting", "running") and not _alive(status):
            return status.model_copy(update={"state": "stopped", "reason": "its process ended without a word", "expected_end": None})
        return status

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl; a half-written last line is left out."""
        return read_lines(self.metrics_file)

    def evaluations(self) -> list[dict[str, Any]]:
        """The lines of evaluations.jsonl."""
        return read_lines(self.evaluations_file)

    def signals(self) -> list[dict[str, Any]]:
        """The lines of signals.jsonl."""
        return read_lines(self.signals_file)

    def forget(self, images: int) -> None:
        """Drop lines and grids of what came after `images` pictures: it is trained again. Below zero: all of them."""
        for file in (self.metrics_file, self.evaluations_file, self.signals_file, self.health_file):
            truncate_lines(file, images)
        for seen, path in self.grids():
            if seen > images >= 0:
                path.unlink()

    def provenance(self) -> dict[str, Any]:
        """Versions, machine, data; empty when the file is missing."""
        return read_json(self.provenance_file) or {}

    def evaluation(self) -> dict[str, Any] | None:
        """The last `ganvas evaluate`; None before the first."""
        return read_json(self.evaluation_file)

    def checkpoint_names(self) -> list[str]:
        """Which of `best`, `last` and `fresh` are there, and any other."""
        return sorted(p.parent.name for p in self.checkpoints.glob("*/state.json") if not p.parent.name.startswith("."))

    @property
    def default_checkpoint(self) -> str:
        """`best`, or `last` where there is no best."""
        return "best" if (self.checkpoints / "best").exists() else "last"

    def fresh(self) -> dict[str, float] | None:
        """`images` and, where evaluations.jsonl has it, `kid` of checkpoints/fresh; None without one."""
        images = (read_json(self.checkpoints / "fresh" / "state.json") or {}).get("images")
        if images is None:
            return None
        scored = [line["kid"] for line in self.evaluations() if line.get("images") == images and "kid" in line]
        return {"images": images} | ({"kid": scored[-1]} if scored else {})

    @property
    def real_file(self) -> Path:
        """Real pictures beside which the grids can be seen: as many, and of the same classes."""
        return self.samples / "real.png"

    def grids(self) -> list[tuple[int, Path]]:
        """(pictures seen, PNG) of each grid, in order."""
        found = [(int(m[1]), p) for p in self.samples.glob("*.png") if (m := re.fullmatch(r"(\d+)", p.stem))]
        return sorted(found)


TRAINED = ("best", "last", "fresh")
"""Checkpoints that training saves: of the lowest KID, at the end, and of the lowest KID before `best` began to copy."""
AVERAGE = re.compile(r"ema-0\.\d{3,}")
"""Names of checkpoints that `ganvas ema` makes."""


def average_name(sigma: float) -> str:
    """The checkpoint's name of an average of a relative width: `ema-0.120`."""
    digits = f"{sigma:f}".rstrip("0").partition(".")[2]
    return f"ema-0.{digits:0<3}"


def check_checkpoint_name(name: str) -> None:
    """Raise `UsageError` for what can't be the name of a checkpoint."""
    if name not in TRAINED and not AVERAGE.fullmatch(name):
        raise UsageError(f'"{name}" is no checkpoint: expected best, last, fresh, or one that `ganvas ema` made, such as ema-0.120')


def _alive(status: Status) -> bool:
    if status.host != socket.gethostname():
        return time.time() - status.heartbeat < HEARTBEAT_SECONDS
    try:
        return psutil.Process(status.pid).create_time() <= status.started + 60
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def read_lines(path: Path, start: int = 0) -> list[dict[str, Any]]:
    """The JSON objects of a .jsonl file from byte `start` on, none if it is missing; a half-written line is left out."""
    try:
        with path.open("rb") as file:
            file.seek(start)
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    values = []
    for line in lines:
        try:
            value = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(value, dict):
            values.append(value)
    return values


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object, or None if the file is missing or damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # no JSON, or no UTF-8
        return None
    return value if isinstance(value, dict) else None


def truncate_lines(path: Path, images: int) -> None:
    """Keep the lines up to `images` pictures seen: what a resume will write again goes away."""
    if path.exists():
        kept = [line for line in read_lines(path) if line.get("images", 0) <= images]
        artifact.write_text(path, "".join(json.dumps(line) + "\n" for line in kept))


def is_run(path: Path) -> bool:
    """Whether a folder holds a run."""
    return (path / "config.yaml").is_file()


def check_free(out: Path) -> None:
    """Refuse a folder for a new run that holds something.

    Raises:
        RunError: a run is in it, or other files are, or it is a file.
    """
    if is_run(out):
        raise RunError(f"{out} holds a run already: go on with `ganvas train --resume {out}`, or use another --out")
    if out.exists() and (not out.is_dir() or any(p.name != ".lock" for p in out.iterdir())):
        raise RunError(f"{out} is there already and holds other files: use another --out")


def open_run(path: str | os.PathLike[str]) -> RunFolder:
    """The run in a folder.

    Raises:
        RunError: the folder is missing, or holds no run.
    """
    folder = Path(path)
    if not folder.exists():
        raise RunError(f"there is no run {folder}; `ganvas runs` lists those in runs/")
    if not is_run(folder):
        raise RunError(f"{folder} holds no run: expected a config.yaml in it; `ganvas runs` lists those in runs/")
    return RunFolder(folder)


def list_runs(folder: Path) -> list[RunFolder]:
    """The runs directly below a folder, by name."""
    return [RunFolder(p) for p in sorted(folder.iterdir()) if is_run(p)] if folder.is_dir() else []


def next_folder(recipe: str, data: str, base: Path = Path("runs")) -> Path:
    """`runs/00001-recipe-data`, with the next free number."""
    numbers = [int(m[1]) for p in (base.iterdir() if base.is_dir() else ()) if (m := re.match(r"(\d{5})-", p.name))]
    words = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{recipe}-{data}").strip("-").lower()
    return base / f"{max(numbers, default=0) + 1:05d}-{words}"
