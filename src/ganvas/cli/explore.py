"""`ganvas interpolate`, `timeline`, `sweep-truncation`, `sweep-noise`, `report` and `compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click

from ganvas.cli.base import CONTEXT, Count, ExampleCommand, Names, json_option, print_json, quiet_option, results_only
from ganvas.cli.results import Checkpoint, checkpoint_option, noise_option

Format = Literal["png", "gif", "mp4"]
_formats = click.option(
    "--format",
    "formats",
    type=click.Choice(["png", "gif", "mp4"]),
    multiple=True,
    help="What to write; may be given many times. mp4 needs `pip install ganvas[video]`.  [default: png and gif]",
)
_run = click.argument("run", type=click.Path(path_type=Path))
_out = click.argument("out", type=click.Path(path_type=Path))


def _show(result: Any, as_json: bool) -> None:
    if as_json:
        print_json(result.to_json())
    else:
        click.echo(result.summary())


@click.command(
    cls=ExampleCommand,
    context_settings=CONTEXT,
    examples="""
    ganvas interpolate runs/00001-dcgan64-pictures walks
    ganvas interpolate runs/00001-dcgan64-pictures walk.gif --rows 4 --steps 30
    ganvas interpolate runs/00002-emoji-emoji walks --classes animals-nature,food-drink --format png
    """,
)
@_run
@_out
@click.option("--rows", type=click.IntRange(1), default=8, show_default=True, metavar="N", help="How many walks.")
@click.option("--steps", type=click.IntRange(2), default=8, show_default=True, metavar="N", help="Pictures in a row, both ends among them.")
@click.option(
    "--mode", type=click.Choice(["slerp", "linear"]), help="Along a sphere or a line.  [default: slerp; linear for uniform latents]"
)
@click.option("--classes", type=Names(), metavar="A,B", help="One: pictures of that class. More: from class to class, latents unchanged.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, metavar="S", help="Rows begin and end at its pictures.")
@click.option("--truncation", type=click.FloatRange(0, min_open=True), metavar="T", help="As in `ganvas sample`.")
@_formats
@checkpoint_option
@noise_option
@click.option("--no-ema", is_flag=True, help="The generator as it was trained, without averaging its parameters.")
@json_option
def interpolate(
    run: Path,
    out: Path,
    rows: int,
    steps: int,
    mode: Literal["slerp", "linear"] | None,
    classes: tuple[str, ...] | None,
    seed: int,
    truncation: float | None,
    formats: tuple[Format, ...],
    checkpoint: Checkpoint | None,
    noise: float | None,
    no_ema: bool,
    as_json: bool,
) -> None:
    """Walk between RUN's pictures, or between its classes.

    OUT is a new folder, or a file that ends in .png, .gif or .mp4. Row R goes from picture 2R of the seed to picture 2R+1.
    """
    with results_only():
        from ganvas import api

        made = api.interpolate(
            run,
            out,
            rows=rows,
            steps=steps,
            mode=mode,
            classes=classes,
            seed=seed,
            truncation=truncation,
            formats=formats or None,
            checkpoint=checkpoint,
            ema=not no_ema,
            noise=noise,
        )
    _show(made, as_json)


@click.command(
    cls=ExampleCommand,
    context_settings=CONTEXT,
    examples="""
    ganvas timeline runs/00001-dcgan64-pictures over-training
    ganvas timeline runs/00001-dcgan64-pictures strip.png --pictures 5 --moments 12
    ganvas timeline runs/00001-dcgan64-pictures learning.mp4
    """,
)
@_run
@_out
@click.option("--pictures", type=click.IntRange(1), default=8, show_default=True, metavar="N", help="Rows of the strip.")
@click.option("--moments", type=click.IntRange(2), default=10, show_default=True, metavar="N", help="Columns of the strip, at most.")
@_formats
@json_option
def timeline(run: Path, out: Path, pictures: int, moments: int, formats: tuple[Format, ...], as_json: bool) -> None:
    """Show what the same latents became while RUN trained.

    A strip shows some pictures, an animation all of a grid. OUT is a new folder, or a file that ends in .png, .gif or .mp4.
    """
    with results_only():
        from ganvas import api

        made = api.timeline(run, out, pictures=pictures, moments=moments, formats=formats or None)
    _show(made, as_json)


@click.command(
    "sweep-truncation",
    cls=ExampleCommand,
    context_settings=CONTEXT,
    examples="""
    ganvas sweep-truncation runs/00001-dcgan64-pictures sweep
    ganvas sweep-truncation runs/00001-dcgan64-pictures sweep --truncations 0.5,1,none --samples 5k
    """,
)
@_run
@_out
@click.option(
    "--truncations",
    type=Names(),
    metavar="T,T",
    help="Thresholds, and none.  [default: 0.25,0.5,0.75,1,1.5,2,none; for a StyleGAN 0.25,0.4,0.55,0.7,0.85,none]",
)
@click.option("--samples", type=Count(), default=2000, show_default=True, metavar="N", help="Pictures that are scored at each.")
@checkpoint_option
@json_option
@quiet_option
def sweep_truncation(
    run: Path, out: Path, truncations: tuple[str, ...] | None, samples: int, checkpoint: Checkpoint | None, as_json: bool, quiet: bool
) -> None:
    """Score RUN's pictures at several truncations: fidelity against variety.

    The new folder OUT gets sweep.csv, sweep.json, plots and pictures of the same latents at each truncation.
    """
    with results_only():
        from ganvas import api
        from ganvas.explore.truncation import parse_truncations

        chosen = None if truncations is None else parse_truncations(truncations)
        made = api.sweep_truncation(run, out, truncations=chosen, samples=samples, checkpoint=checkpoint, quiet=quiet)
    _show(made, as_json)


@click.command(
    "sweep-noise",
    cls=ExampleCommand,
    context_settings=CONTEXT,
    examples="""
    ganvas sweep-noise runs/00001-codes64-pictures sweep
    ganvas sweep-noise runs/00001-codes64-pictures sweep --noises 0.1,0.3,0.6 --samples 5k
    """,
)
@_run
@_out
@click.option("--noises", type=Names(), metavar="S,S", help="Deviations, 0 or more.  [default: the run's own, and 0.1,0.2,0.3,0.5,0.7,1]")
@click.option("--samples", type=Count(), default=2000, show_default=True, metavar="N", help="Pictures that are scored at each.")
@checkpoint_option
@json_option
@quiet_option
def sweep_noise(
    run: Path, out: Path, noises: tuple[str, ...] | None, samples: int, checkpoint: Checkpoint | None, as_json: bool, quiet: bool
) -> None:
    """Score RUN's pictures, and count near-copies, at several noises on the codes that they are made of.

    For runs of codes64, drawings64 and their like. More noise makes fewer near-copies of training pictures, and pictures that are
    less true. The new folder OUT gets sweep.csv, sweep.json, plots and pictures of the same latents at each noise.
    """
    with results_only():
        from ganvas import api
        from ganvas.explore.noise import parse_noises

        chosen = None if noises is None else parse_noises(noises)
        made = api.sweep_noise(run, out, noises=chosen, samples=samples, checkpoint=checkpoint, quiet=quiet)
    _show(made, as_json)


@click.command(
    cls=ExampleCommand,
    context_settings=CONTEXT,
    examples="""
    ganvas report runs/00001-dcgan64-pictures
    ganvas report runs/00001-dcgan64-pictures --plots
    """,
)
@_run
@click.option("--plots", is_flag=True, help="Also each plot, and real beside generated pictures, as PNG files in RUN/plots.")
@json_option
def report(run: Path, plots: bool, as_json: bool) -> None:
    """Write RUN's report.html from what it has so far."""
    with results_only():
        from ganvas import api

        made = api.report(run, plots=plots)
    _show(made, as_json)


@click.command(
    cls=ExampleCommand,
    context_settings=CONTEXT,
    examples="""
    ganvas compare runs/00001-dcgan32-cifar10 runs/00002-emoji-cifar10
    ganvas compare runs/* --out study.html
    """,
)
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE.html", help="Write a page with the table, grids and curves.")
@json_option
def compare(runs: tuple[Path, ...], out: Path | None, as_json: bool) -> None:
    """Put runs beside each other: scores, parameters, pictures, time, collapsed or not."""
    with results_only():
        from ganvas import api

        found = api.compare(*runs, out=out)
    _show(found, as_json)
