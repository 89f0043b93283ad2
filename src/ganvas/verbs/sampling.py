"""Sample: pictures as files, the best of them, marked, packed for others; with the history of each."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import ganvas
from ganvas import artifact
from ganvas.errors import UsageError
from ganvas.explore.curation import MEANING, Criterion, choose, merit, needed
from ganvas.features.backbone import load_features
from ganvas.metrics.evaluate import reference
from ganvas.metrics.manifold import RealManifold
from ganvas.metrics.memorisation import MiFid
from ganvas.notebook import Shown
from ganvas.progress import Progress
from ganvas.runs import RunFolder
from ganvas.sampling.engines import REFERENCE
from ganvas.sampling.grid import grid, read_png, write_png
from ganvas.sampling.render import class_labels
from ganvas.ship.export import KAGGLE_FILE, KAGGLE_PICTURES, Dataset, Export, Folder, KaggleZip
from ganvas.ship.watermark import Watermark, watermark
from ganvas.units import parse_part
from ganvas.verbs.evaluating import open_data
from ganvas.verbs.kaggle import KaggleScore
from ganvas.verbs.model import Model, check_numbers, load

PICTURES = 64
"""How many pictures are drawn if nobody says."""
GRID_PICTURES = 256
"""A grid shows at most so many."""


@dataclass(frozen=True)
class Wish:
    """What is to be drawn and how it is to be given away; see `ganvas.sample`."""

    n: int | None = None
    seed: int = 0
    truncation: float | None = None
    classes: Sequence[str | int] | None = None
    balanced: bool = False
    best: str | None = None
    by: Criterion | None = None
    watermark: str | None = None
    kaggle: bool = False
    as_dataset: bool = False
    checkpoint: str | None = None
    ema: bool = True
    noise: float | None = None
    engine: str = "auto"
    grid: bool = False
    quiet: bool = False

    @property
    def drawn(self) -> int:
        """Pictures that are drawn, before the best are kept."""
        return self.n if self.n is not None else KAGGLE_PICTURES if self.kaggle else PICTURES

    def check(self) -> None:
        """Refuse what makes no sense together.

        Raises:
            UsageError: it does not.
        """
        check_numbers(self.drawn, self.seed, self.truncation)
        if self.best is None and self.by is not None:
            raise UsageError("--by says what --best goes by: add --best 10%, or leave out --by")
        if self.best is not None:
            parse_part(self.best, self.drawn)
        if self.kaggle:
            others = {"--best": self.best, "--watermark": self.watermark, "--as-dataset": self.as_dataset or None}
            given = [name for name, value in others.items() if value is not None]
            if given:
                raise UsageError(f"--kaggle writes and scores what the competition took, nothing else: leave out {' and '.join(given)}")


@dataclass(frozen=True)
class Samples(Shown):
    """What a call of sample wrote."""

    folder: Path
    paths: tuple[Path, ...]
    """The pictures; for Kaggle the zip that holds them."""
    grid: Path | None
    record: dict[str, Any]
    score: MiFid | None = None

    def to_json(self) -> dict[str, Any]:
        """The record, with where the files are."""
        return {**self.record, "folder": str(self.folder), "grid": None if self.grid is None else str(self.grid)}

    def written(self) -> tuple[Path, ...]:
        """The grid."""
        return () if self.grid is None else (self.grid,)

    def summary(self) -> str:
        """For people."""
        chosen = self.record.get("selection")
        kept = f" of {chosen['drawn']:,} drawn, the best by {chosen['meaning']}" if chosen else ""
        where = self.paths[0] if self.score else self.folder
        lines = [f"{self.record['n']:,} pictures{kept} in {where}"]
        counts = self.record.get("class_counts") or {}
        if counts:
            few, many = min(counts.values()), max(counts.values())
            lines.append(f"classes  {len(counts)}, " + (f"{few:,} of each" if few == many else f"{few:,} to {many:,} of each"))
        if self.score is not None:
            if self.record["n"] != KAGGLE_PICTURES:
                lines.append(f"the competition took exactly {KAGGLE_PICTURES:,} pictures: leave out -n for a submission")
            lines.append(self.score.summary())
        if self.record.get("watermark"):
            lines.append(f"mark     {self.record['watermark'].get('text') or self.record['watermark']['file']} on every picture here")
        if self.grid is not None:
            lines.append(f"grid     {self.grid}")
        lines.append(f"history  {self.folder / 'samples.json'}")
        return "\n".join(lines)


def sample(run: str | Path, out: str | Path, wish: Wish) -> Samples:
    """See `ganvas.sample`."""
    wish.check()
    folder = free_folder(out)
    model = load(run, checkpoint=wish.checkpoint, ema=wish.ema, noise=wish.noise)
    chosen = chosen_classes(model, wish)
    n = wish.drawn
    labels = class_labels(0, n, wish.seed, model.class_weights, chosen)
    kinds = class_names(model, labels, n)
    # Everything that can be refused is made before the first picture.
    mark = watermark(wish.watermark, model.resolution, model.resolution) if wish.watermark is not None else None
    scorers = build_scorers(model, needed(wish.by or "realism"), wish.quiet) if wish.best is not None else {}
    kaggle = KaggleScore(model, wish.quiet) if wish.kaggle else None
    record = {**origin(model, wish.seed, wish.truncation, wish.ema, wish.engine), "watermark": None if mark is None else mark.record}
    with artifact.new_folder(folder) as made:
        export: Folder | KaggleZip = (
            KaggleZip(made, n) if wish.kaggle else Dataset(made, n, model.classes) if wish.as_dataset else Folder(made, n)
        )
        blocks = model.batches(n, seed=wish.seed, truncation=wish.truncation, chosen=chosen, engine=wish.engine)
        names, scores, shown = _write(blocks, n, export, labels, kinds, mark, scorers, kaggle, wish.quiet)
        samples = [_entry(i, name, kind) for i, (name, kind) in enumerate(zip(names, kinds, strict=True))]
        if wish.best is not None and isinstance(export, Folder):
            by = wish.by or "realism"
            samples, record["selection"] = _keep_best(samples, scores, by, wish.best, labels if wish.balanced else None, export)
            shown = [picture for s in samples[:GRID_PICTURES] if (picture := read_png(made / s["file"])) is not None]
        score = None if kaggle is None else kaggle.result()
        record |= {"n": len(samples), "class_counts": _counts(samples), "kaggle": None if score is None else score.model_dump()}
        if wish.grid:
            write_png(made / "grid.png", grid(np.stack(shown)))
        artifact.write_json(made / "samples.json", {**record, "samples": samples})
    paths = (folder / KAGGLE_FILE,) if wish.kaggle else tuple(folder / s["file"] for s in samples)
    return Samples(folder, paths, folder / "grid.png" if wish.grid else None, {**record, "samples": samples}, score)


def free_folder(out: str | Path) -> Path:
    """The folder to be made.

    Raises:
        UsageError: something is there.
    """
    folder = Path(out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already and is not empty: name a new folder, so that no picture is lost")
    return folder


def chosen_classes(model: Model, wish: Wish) -> list[int] | None:
    """The classes to draw in turn; None: as frequent as in the data.

    Raises:
        UsageError: no such class, or the model knows none.
    """
    if wish.classes:
        return model.class_indices(wish.classes)
    if not wish.balanced:
        return None
    if not model.classes:
        raise UsageError(f"{model.folder.path} is not class-conditional: there are no classes to balance; leave out --balanced")
    return list(range(len(model.classes)))


Scorer = Callable[[np.ndarray, Tensor | None], Tensor]
"""uint8 (b, H, W, 3) and their classes to a number for each, higher for better."""


def build_scorers(model: Model, names: Sequence[str], quiet: bool) -> dict[str, Scorer]:
    """What gives the scores of these names.

    Raises:
        UsageError: the run has no discriminator.
        DataError, RunError: the real pictures are gone.
    """
    made: dict[str, Scorer] = {}
    if "logit" in names:
        size = model.resolution
        blank = torch.zeros(1, dtype=torch.int64) if model.classes else None
        model.judge(np.zeros((1, size, size, 3), np.uint8), blank)  # so that it is refused now, if at all
        made["logit"] = model.judge
    if "realism" in names:
        data = open_data(model.folder, None)
        net = load_features(feature_name(model.folder), device=str(model.device))
        real = reference(data.split("train"), data.checksum, net, quiet=quiet)
        manifold = RealManifold(real.features, quiet=quiet)
        made["realism"] = lambda pictures, _: manifold.realism(net.features(pictures))
    return made


def feature_name(folder: RunFolder) -> str:
    """The features that a run is scored on."""
    config = folder.config().evaluation
    return config.features if config else "efficientnet-lite0"


def _write(
    blocks: Any,
    n: int,
    export: Export,
    labels: Tensor | None,
    kinds: Sequence[str | None],
    mark: Watermark | None,
    scorers: dict[str, Scorer],
    kaggle: KaggleScore | None,
    quiet: bool,
) -> tuple[list[str], dict[str, Tensor], list[np.ndarray]]:
    """Write all pictures; their names, their scores, and the first of them as written."""
    names: list[str] = []
    shown: list[np.ndarray] = []
    scores: dict[str, list[Tensor]] = {name: [] for name in scorers}
    with Progress("sampling", n, quiet=quiet) as progress:
        for block in blocks:
            start = len(names)
            part = None if labels is None else labels[start : start + len(block)]
            for name, scorer in scorers.items():
                scores[name].append(scorer(block, part))
            if kaggle is not None:
                kaggle.add(block)
            for i, picture in enumerate(block, start):
                marked = picture if mark is None else mark.stamp(picture)
                names.append(export.write(i, kinds[i], marked))
                if i < GRID_PICTURES:
                    shown.append(marked)
            progress.update(len(block))
    export.close()
    return names, {name: torch.cat(parts) for name, parts in scores.items()}, shown


def _entry(index: int, name: str, kind: str | None) -> dict[str, Any]:
    return {"file": name, "index": index, **({} if kind is None else {"class": kind})}


def _keep_best(
    samples: list[dict[str, Any]], scores: dict[str, Tensor], by: Criterion, best: str, labels: Tensor | None, export: Folder
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The best with their scores, the best first, and how they were chosen; the others' files are removed."""
    value = merit(scores, by)
    kept = choose(value, best, labels)
    for i in sorted(set(range(len(samples))) - set(kept)):
        export.drop(samples[i]["file"])
    entries = [{**samples[i], **{name: _finite(found[i]) for name, found in scores.items()}} for i in kept]
    selection = {
        "by": by,
        "meaning": MEANING[by],
        "best": best,
        "drawn": len(samples),
        "kept": len(kept),
        "of_each_class": labels is not None,
        "scores_of_all": {name: [_finite(v) for v in found] for name, found in scores.items()},
    }
    return entries, selection


def _finite(value: Tensor) -> float | None:
    """A number for JSON; None for the infinite realism of a picture that copies a real one."""
    return round(float(value), 6) if math.isfinite(float(value)) else None


def _counts(samples: Sequence[dict[str, Any]]) -> dict[str, int] | None:
    """How many of each class there are."""
    return dict(sorted(Counter(s["class"] for s in samples).items())) if samples and "class" in samples[0] else None


def origin(model: Model, seed: int, truncation: float | None, ema: bool, engine: str = "auto") -> dict[str, Any]:
    """What made pictures: with their latents' indices, enough to draw each again.

    Raises:
        UsageError: no such engine for this model.
    """
    model.sampler_on(engine)  # so that it is refused before the first picture
    used = model.engine.engine if engine == "auto" else engine
    far = model.engine.difference if engine == "auto" else None
    return {
        "ganvas": ganvas.__version__,
        "torch": torch.__version__,
        "backend": f"torch-{model.device.type}-{'fp32' if used == REFERENCE else used}",
        "engine": used,
        "engine_difference": None if far is None else asdict(far),
        "run": str(model.folder.path),
        "recipe": model.folder.config().name,
        "checkpoint": model.checkpoint_name,
        "checkpoint_checksum": model.checkpoint.checksum,
        "images": model.checkpoint.images,
        "ema": ema,
        "seed": seed,
        "truncation": truncation,
        "noise": model.noise,
        "data": {k: model.folder.provenance().get("data", {}).get(k) for k in ("checksum", "attribution")},
    }


def class_names(model: Model, labels: Tensor | None, n: int) -> list[str | None]:
    """The class of each picture, None without classes."""
    return [None] * n if labels is None else [model.classes[int(label)] for label in labels]
