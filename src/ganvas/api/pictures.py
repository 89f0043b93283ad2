"""What a trained generator draws: load, sample, interpolate, timeline, sweeps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ganvas import runs
from ganvas.api.names import AnyPath, CheckpointName

if TYPE_CHECKING:
    from ganvas.families.base import Family
    from ganvas.verbs.exploring import Written
    from ganvas.verbs.model import Model
    from ganvas.verbs.sampling import Samples
    from ganvas.verbs.sweeping import Sweep


def load(
    run: AnyPath,
    *,
    checkpoint: CheckpointName | None = None,
    ema: bool = True,
    noise: float | None = None,
    device: str = "auto",
    family: Family | None = None,
) -> Model:
    """A run's model, with `.generator` and `.sample(...)`.

    Args:
        run: the run folder.
        checkpoint: `best`, `last`, `fresh` or what `ema` made; default: best where there is one.
        ema: the average of the generator's parameters, rather than the last ones.
        noise: deviation of what is added to the codes of real pictures that new ones are made of (recipes such as codes64),
            whose numbers have a mean square of 1: more makes fewer near-copies. None: as in training.
        device: auto, cpu, cuda or mps.
        family: the run's own family, where it has one.

    Raises:
        RunError: no run, or a missing or damaged checkpoint.
    """
    runs.open_run(run)
    from ganvas.verbs.model import load as load_model

    return load_model(Path(run), checkpoint=checkpoint, ema=ema, noise=noise, device=device, family=family)


def sample(
    run: AnyPath,
    out: AnyPath,
    *,
    n: int | None = None,
    seed: int = 0,
    truncation: float | None = None,
    classes: Sequence[str | int] | None = None,
    balanced: bool = False,
    best: str | None = None,
    by: Literal["logit", "realism", "both"] | None = None,
    watermark: str | None = None,
    kaggle: bool = False,
    as_dataset: bool = False,
    checkpoint: CheckpointName | None = None,
    ema: bool = True,
    noise: float | None = None,
    engine: str = "auto",
    grid: bool = False,
    quiet: bool = False,
) -> Samples:
    """Write PNG pictures, `samples.json` with their history and, if wanted, `grid.png` into the new folder `out`.

    Args:
        run: the run folder.
        out: a folder that is not there yet, or is empty.
        n: how many are drawn; default 64, or 10,000 for Kaggle.
        seed: picture i of a seed is the same whatever `n` is.
        truncation: normal latents stay within [-t, t]; a StyleGAN draws its styles towards their mean, psi from 0 to 1.
        classes: only these, in turn.
        balanced: as many pictures of each class.
        best: `10%` or a number: only the best of the `n` are kept (of each class, with `balanced`).
        by: what the best go by: the discriminator's `logit`, `realism` in feature space (default), or `both`.
        watermark: a text, or a picture's file, stamped on every copy that is written.
        kaggle: `images.zip` as "Generative Dog Images" took it, and its score.
        as_dataset: `train/<class>/` folders, as `prepare` takes them.
        checkpoint: `best`, `last`, `fresh` or what `ema` made; default: best where there is one.
        ema: the average of the generator's parameters.
        noise: on the codes that pictures are made of; see `load`.
        engine: how the network is computed. `eager` is the reference, in float32; `auto` the fastest that is within one
            grey level of it on pictures of this model; `fp32`, `fp16`, `fp16/2` (its first two parts in float32) and
            `bf16`, which is off by several levels, can be named.
        grid: also one picture of the first 256.
        quiet: no progress.

    Raises:
        RunError: no run, or a missing or damaged checkpoint.
        UsageError: `out` is not empty, no such class or engine, or options that make no sense (together).
        DataError: realism and Kaggle's score need the run's data, and it is gone.
    """
    runs.open_run(run)
    from ganvas.verbs.sampling import Wish
    from ganvas.verbs.sampling import sample as run_sample

    wish = Wish(
        n=n,
        seed=seed,
        truncation=truncation,
        classes=classes,
        balanced=balanced,
        best=best,
        by=by,
        watermark=watermark,
        kaggle=kaggle,
        as_dataset=as_dataset,
        checkpoint=checkpoint,
        ema=ema,
        noise=noise,
        engine=engine,
        grid=grid,
        quiet=quiet,
    )
    return run_sample(Path(run), Path(out), wish)


def interpolate(
    run: AnyPath,
    out: AnyPath,
    *,
    rows: int = 8,
    steps: int = 8,
    mode: Literal["slerp", "linear"] | None = None,
    classes: Sequence[str | int] | None = None,
    seed: int = 0,
    truncation: float | None = None,
    formats: Sequence[Literal["png", "gif", "mp4"]] | None = None,
    checkpoint: CheckpointName | None = None,
    ema: bool = True,
    noise: float | None = None,
) -> Written:
    """Walk between latents, or with two classes or more from class to class, row by row.

    Args:
        run: the run folder.
        out: a new folder, or a file that ends in .png, .gif or .mp4.
        rows: how many walks; row r goes from picture 2r of the seed to 2r + 1 (between classes: picture r stays).
        steps: pictures in a row, both ends among them.
        mode: `slerp` keeps to where normal latents lie; default: slerp, or linear for uniform latents.
        classes: one: its pictures only; more: from the first to the last.
        seed, truncation, checkpoint, ema, noise: as for `sample`.
        formats: `png` (a grid), `gif`, `mp4` (needs `ganvas[video]`); default png and gif.

    Raises:
        RunError: no run, or a missing or damaged checkpoint.
        UsageError: `out` is taken, no such class, or the networks can't mix classes.
    """
    from ganvas.verbs.exploring import interpolate as run_interpolate

    return run_interpolate(
        Path(run),
        Path(out),
        rows=rows,
        steps=steps,
        mode=mode,
        classes=classes,
        seed=seed,
        truncation=truncation,
        formats=formats,
        checkpoint=checkpoint,
        ema=ema,
        noise=noise,
    )


def timeline(
    run: AnyPath,
    out: AnyPath,
    *,
    pictures: int = 8,
    moments: int = 10,
    formats: Sequence[Literal["png", "gif", "mp4"]] | None = None,
) -> Written:
    """Show what the same latents became over training: a strip of some, and an animation of all.

    Args:
        run: the run folder.
        out: a new folder, or a file that ends in .png, .gif or .mp4.
        pictures: rows of the strip.
        moments: columns of the strip, at most.
        formats: as for `interpolate`.

    Raises:
        RunError: no run, or one without grids.
        UsageError: `out` is taken.
    """
    from ganvas.verbs.exploring import over_training

    return over_training(Path(run), Path(out), pictures=pictures, moments=moments, formats=formats)


def sweep_truncation(
    run: AnyPath,
    out: AnyPath,
    *,
    truncations: Sequence[float | None] | None = None,
    samples: int = 2_000,
    checkpoint: CheckpointName | None = None,
    quiet: bool = False,
) -> Sweep:
    """Score the same latents at several truncations: fidelity against variety, in tables, plots and pictures.

    Raises:
        RunError: no run, or a missing or damaged checkpoint.
        UsageError: `out` is taken, or the run's latents are uniform.
        DataError: the run's data is gone.
    """
    from ganvas.verbs.sweeping import sweep_truncation as run_sweep

    return run_sweep(Path(run), Path(out), truncations=truncations, samples=samples, checkpoint=checkpoint, quiet=quiet)


def sweep_noise(
    run: AnyPath,
    out: AnyPath,
    *,
    noises: Sequence[float] | None = None,
    samples: int = 2_000,
    checkpoint: CheckpointName | None = None,
    quiet: bool = False,
) -> Sweep:
    """Score pictures, and count near-copies, at several noises on codes: which one keeps copies as rare as among real pictures.

    For runs that are told codes of real pictures, such as those of codes64 and drawings64.

    Args:
        run: the run folder.
        out: a new folder for tables, plots and pictures.
        noises: deviations, 0 or more; default: the run's own, and 0.1, 0.2, 0.3, 0.5, 0.7 and 1.
        samples: pictures at each.
        checkpoint: `best`, `last`, `fresh` or what `ema` made; default: best where there is one.
        quiet: no progress.

    Raises:
        RunError: no run, or a missing or damaged checkpoint.
        UsageError: `out` is taken, a noise is no deviation, or the run is told no codes.
        DataError: the run's data is gone.
    """
    from ganvas.verbs.sweeping import sweep_noise as run_sweep

    return run_sweep(Path(run), Path(out), noises=noises, samples=samples, checkpoint=checkpoint, quiet=quiet)
