"""Explore: walks between latents and classes, pictures over training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from ganvas import artifact, runs
from ganvas.errors import UsageError
from ganvas.explore import animate, timeline, walks
from ganvas.notebook import Shown
from ganvas.sampling.grid import enlarged, grid, png, titled
from ganvas.sampling.render import OfClass, class_labels, draw_latents
from ganvas.verbs.model import Model, check_numbers, load
from ganvas.verbs.sampling import free_folder, origin

Format = Literal["png", "gif", "mp4"]
FORMATS: tuple[Format, ...] = ("png", "gif", "mp4")
DEFAULT_FORMATS: tuple[Format, ...] = ("png", "gif")
ANIMATION_STEPS = 24
"""Frames from one end of a walk to the other, at least."""
LARGE = 64
"""Pictures are shown at this size or more."""


@dataclass(frozen=True)
class Written(Shown):
    """What a command wrote."""

    out: Path
    paths: tuple[Path, ...]
    record: dict[str, Any]
    text: str

    def to_json(self) -> dict[str, Any]:
        """The record, with where the files are."""
        return {**self.record, "files": [str(path) for path in self.paths]}

    def summary(self) -> str:
        """For people."""
        return "\n".join([self.text, *(str(path) for path in self.paths)])

    def written(self) -> tuple[Path, ...]:
        """The pictures."""
        return self.paths


def places(out: str | Path, formats: Sequence[Format] | None, names: Mapping[Format, str]) -> tuple[Path, dict[Format, Path]]:
    """Where each format goes: into the new folder `out`, or into one file if `out` is named as a picture.

    Raises:
        UsageError: something is there, or the name is of another format than was asked for.
    """
    path = Path(out)
    suffix = path.suffix.lower().removeprefix(".")
    if suffix in FORMATS and not path.is_dir():
        kind: Format = next(f for f in FORMATS if f == suffix)
        if formats and tuple(formats) != (kind,):
            raise UsageError(f"{path} is named as {kind.upper()}, and --format asks for {', '.join(formats)}: leave one of them out")
        if path.exists():
            raise UsageError(f"{path} is there already: name a new file, so that nothing is lost")
        found: dict[Format, Path] = {kind: path}
    else:
        free_folder(path)
        found = {kind: path / names[kind] for kind in dict.fromkeys(formats or DEFAULT_FORMATS)}
    if "mp4" in found:
        animate.mp4_coder()
    return path, found


def put(out: Path, files: Mapping[Path, bytes], record: dict[str, Any], name: str) -> tuple[Path, ...]:
    """Write files and their history: a folder that appears whole, or one file with `<name>.json` beside."""
    if all(path.parent == out for path in files):
        with artifact.new_folder(out) as made:
            for path, data in files.items():
                (made / path.name).write_bytes(data)
            artifact.write_json(made / f"{name}.json", record)
        return (*files, out / f"{name}.json")
    for path, data in files.items():
        artifact.write_bytes(path, data)
    artifact.write_json(out.with_suffix(".json"), record)
    return (*files, out.with_suffix(".json"))


def pictured(
    found: Mapping[Format, Path], still: Callable[[], np.ndarray], frames: Callable[[], Sequence[np.ndarray]]
) -> dict[Path, bytes]:
    """Each format's file as bytes; what no format needs is not drawn."""
    files = {path: png(still()) for kind, path in found.items() if kind == "png"}
    moving = {kind: path for kind, path in found.items() if kind != "png"}
    if moving:
        drawn = frames()
        files |= {path: animate.gif(drawn) if kind == "gif" else animate.mp4(drawn) for kind, path in moving.items()}
    return files


# -- Interpolation ------------------------------------------------------------------------------------------------


def interpolate(
    run: str | Path,
    out: str | Path,
    *,
    rows: int,
    steps: int,
    mode: walks.Mode | None,
    classes: Sequence[str | int] | None,
    seed: int,
    truncation: float | None,
    formats: Sequence[Format] | None,
    checkpoint: str | None,
    ema: bool,
    noise: float | None,
) -> Written:
    """See `ganvas.interpolate`."""
    check_numbers(rows, seed, truncation)
    if steps < 2:
        raise UsageError(f"{steps} steps make no walk: expected 2 or more, both ends among them")
    runs.open_run(run)
    path, found = places(out, formats, {"png": "interpolation.png", "gif": "interpolation.gif", "mp4": "interpolation.mp4"})
    model = load(run, checkpoint=checkpoint, ema=ema, noise=noise)
    chosen = model.class_indices(classes) if classes else []
    mode = mode or walks.usual(model.folder.config().family)
    between_classes = len(chosen) > 1
    if between_classes and not isinstance(model.sampler, OfClass):
        check_mixes(model, chosen[0])

    def walk(count: int) -> np.ndarray:
        drawn = _class_walk if between_classes else _latent_walk
        return drawn(model, chosen, rows, count, seed, truncation, mode)

    def still() -> np.ndarray:
        sheet = enlarged(walk(steps), LARGE)
        return titled(sheet, _stops(model, chosen, steps)) if between_classes else grid(sheet.reshape(-1, *sheet.shape[2:]), steps)

    def frames() -> list[np.ndarray]:
        moments = enlarged(walk(max(steps, ANIMATION_STEPS)), LARGE).swapaxes(0, 1)
        return animate.back_and_forth([grid(moment) for moment in moments])

    files = pictured(found, still, frames)
    record = origin(model, seed, truncation, ema) | {
        "walk": "classes" if between_classes else "latents",
        "mode": "linear" if between_classes else mode,
        "rows": rows,
        "steps": steps,
        "classes": [model.classes[i] for i in chosen] if chosen else None,
        "from_to": [[r, r] if between_classes else [2 * r, 2 * r + 1] for r in range(rows)],
    }
    ends = " to ".join(record["classes"]) if between_classes else f"{mode}, from picture to picture of seed {seed}"
    return Written(path, put(path, files, record, "interpolation"), record, f"{rows} rows of {steps} steps: {ends}")


def _latent_walk(
    model: Model, chosen: Sequence[int], rows: int, steps: int, seed: int, truncation: float | None, mode: walks.Mode
) -> np.ndarray:
    """uint8 (rows, steps, H, W, 3): from picture 2r of the seed to 2r + 1, in one class."""
    drawn = class_labels(0, 2 * rows, seed, model.class_weights, [c for c in chosen for _ in (0, 1)])
    ends = draw_latents(model.sampler, drawn, seed, 0, 2 * rows, truncation=truncation)
    latents = walks.between(ends[0::2], ends[1::2], steps, mode)
    labels = None if drawn is None else drawn[0::2].repeat_interleave(steps)
    pictures = model.draw(latents.flatten(0, 1), labels, truncation)
    return pictures.reshape(rows, steps, *pictures.shape[1:])


def _class_walk(
    model: Model, chosen: Sequence[int], rows: int, steps: int, seed: int, truncation: float | None, mode: walks.Mode
) -> np.ndarray:
    """uint8 (rows, steps, H, W, 3): picture r of the seed, from class to class."""
    path = walks.class_path(chosen, steps, len(model.classes))
    if isinstance(model.sampler, OfClass):  # classes are in the latents
        kinds = sorted(set(chosen))
        ends = [draw_latents(model.sampler, torch.full((rows,), kind), seed, 0, rows, truncation=truncation) for kind in kinds]
        latents = torch.einsum("sk,krz->rsz", path[:, kinds].to(ends[0]), torch.stack(ends))
        pictures = model.draw(latents.flatten(0, 1), None, truncation)
    else:
        latents = model.sampler.latents(seed, 0, rows, truncation=truncation).repeat_interleave(steps, 0)
        pictures = model.draw(latents, path.repeat(rows, 1), truncation)
    return pictures.reshape(rows, steps, *pictures.shape[1:])


def _stops(model: Model, chosen: Sequence[int], steps: int) -> list[str]:
    """A class's name above each column that is wholly of it."""
    weights = walks.class_path(chosen, steps, len(model.classes))
    return [model.classes[int(w.argmax())] if float(w.max()) == 1 else "" for w in weights]


def check_mixes(model: Model, kind: int) -> None:
    """Refuse networks into which classes don't enter by `ganvas.nn.embed`: no mixture can be given to them.

    Raises:
        UsageError: they don't take weights of classes, or make something else of them.
    """
    latents = model.sampler.latents(0, 0, 1)
    whole = model.draw(latents, torch.tensor([kind]))
    try:
        weighed = model.draw(latents, torch.nn.functional.one_hot(torch.tensor([kind]), len(model.classes)).float())
    except (RuntimeError, TypeError, IndexError):
        weighed = None
    if weighed is None or int(np.abs(weighed.astype(int) - whole.astype(int)).max()) > 1:
        raise UsageError(
            f"the networks of {model.folder.path} take classes only whole, so that there is no way from one to another: "
            "name one class, and walk between latents"
        )


# -- Over training ------------------------------------------------------------------------------------------------


def over_training(run: str | Path, out: str | Path, *, pictures: int, moments: int, formats: Sequence[Format] | None) -> Written:
    """See `ganvas.timeline`."""
    if pictures < 1 or moments < 2:
        raise UsageError(f"{pictures} pictures at {moments} moments make no timeline: expected 1 or more at 2 or more")
    folder = runs.open_run(run)
    path, found = places(out, formats, {"png": "strip.png", "gif": "timeline.gif", "mp4": "timeline.mp4"})
    every = timeline.moments(folder)
    files = pictured(found, lambda: timeline.strip(folder, pictures, moments), lambda: timeline.frames(folder))
    record = {
        "run": str(folder.path),
        "recipe": folder.config().name,
        "latents": "the same throughout, drawn from the run's seed",
        "strip_images": [images for images, _ in timeline.spread(every, moments)],
        "animation_images": [images for images, _ in timeline.spread(every, timeline.FRAMES)],
    }
    text = f"the same latents at {len(every)} moments, from {every[0][0]:,} to {every[-1][0]:,} pictures seen"
    return Written(path, put(path, files, record, "timeline"), record, text)
