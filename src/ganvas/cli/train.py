"""`ganvas train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganvas.cli.base import CONTEXT, Count, Duration, ExampleCommand, quiet_option, results_only
from ganvas.units import parse_duration

if TYPE_CHECKING:
    from ganvas.api import Run
    from ganvas.auto.choice import Choice
    from ganvas.config.run import RunConfig

_OVERRIDES = {
    "images": "train.images",
    "epochs": "train.epochs",
    "budget": "train.budget",
    "seed": "seed",
    "batch": "train.batch",
    "device": "train.device",
    "precision": "train.precision",
    "threads": "train.threads",
}
_LENGTHS = ("images", "epochs", "budget")
_RESUMABLE = ("resume", *_LENGTHS, "stop_after", "quiet")
_WITH_RESUME = "only a new length (--images, --epochs or --budget, in all), --stop-after and --quiet go with it"
_AUTO = "auto"
_NO_PICTURES = "there are no pictures to learn from: give --data FOLDER, or --data builtin:emoji for a first try"


@click.command(
    cls=ExampleCommand,
    context_settings=CONTEXT,
    examples="""
    ganvas train --data ~/pictures --budget 30m
    ganvas train dcgan64 --data ~/pictures --budget 2h
    ganvas train mine.yaml --data data/pets --images 500k --set family.latent.size=128
    ganvas train --from runs/00002-emoji-emoji --data ~/200-dogs --budget 20m --freeze 2
    ganvas train --resume runs/00001-dcgan64-pictures
    ganvas train --resume runs/00001-auto-pictures --budget 2h
    """,
)
@click.argument("recipe", metavar="[RECIPE|FILE.yaml|auto]", required=False)
@click.option("--data", metavar="DATASET|SOURCE", help="A prepared data set, a source as `ganvas prepare` takes it, or builtin:emoji.")
@click.option("--out", metavar="RUN", type=click.Path(path_type=Path), help="Folder of the run.  [default: runs/00001-recipe-data]")
@click.option("--set", "settings", multiple=True, metavar="KEY.SUB=VALUE", help="Change a value of the config; may be given many times.")
@click.option("--images", type=Count(), metavar="N", help="Train until N pictures were shown, such as 500k or 2M.")
@click.option("--epochs", type=click.FloatRange(0, min_open=True), metavar="N", help="Train for N passes over the pictures.")
@click.option("--budget", type=Duration(), metavar="TIME", help="Plan the run to end in that time, such as 30m, start-up included.")
@click.option(
    "--stop-after", type=Duration(), metavar="TIME", help="Save and stop after that time, such as 11h30m, to go on with --resume."
)
@click.option("--seed", type=click.IntRange(0), metavar="S", help="Where all random numbers come from.")
@click.option("--batch", type=click.IntRange(1), metavar="N", help="Pictures in a batch.")
@click.option("--device", metavar="D", help="auto, cpu, cuda, cuda:1 or mps.")
@click.option("--precision", type=click.Choice(["auto", "fp32", "bf16"]), help="Numbers that the networks compute with.")
@click.option("--threads", type=click.IntRange(1), metavar="N", help="Processor threads.  [default: one for each core]")
@click.option("--resume", metavar="RUN", type=click.Path(path_type=Path), help=f"Go on with a run; {_WITH_RESUME}.")
@click.option(
    "--from",
    "older",
    metavar="RUN",
    type=click.Path(path_type=Path),
    help="Begin with what an older run learnt. Without RECIPE, its networks and settings are taken too.",
)
@click.option("--freeze", type=click.IntRange(0), metavar="N", help="With --from: the discriminator's first N layers stay as they were.")
@click.option("--dry-run", is_flag=True, help="Check everything and say what would be trained, without training.")
@quiet_option
@click.pass_context
def train(
    ctx: click.Context,
    recipe: str | None,
    data: str | None,
    out: Path | None,
    settings: tuple[str, ...],
    stop_after: str | None,
    resume: Path | None,
    older: Path | None,
    freeze: int | None,
    dry_run: bool,
    quiet: bool,
    **changes: Any,
) -> int:
    """Train on pictures: a recipe, a config file, or, without either, what suits pictures, machine and time best.

    What is chosen is printed with the reasons and with what to expect; --dry-run stops there, and --set settles a part
    of it. A run ends when its pictures, epochs or budget are through. Ctrl-C saves it; --resume goes on.
    """
    seconds = None if stop_after is None else parse_duration(stop_after)
    if resume is not None:
        _only_resumable(ctx)
        _one_length(ctx, changes)
        with results_only():
            from ganvas import api

            length = {name: changes[name] for name in _LENGTHS}
            run = api.resume(resume, **length, stop_after=seconds, quiet=quiet, started=ctx.obj)
        return _conclude(run)
    _check(ctx, changes, older, freeze)
    config: RunConfig | Choice
    if recipe == _AUTO or (recipe is None and older is None):
        if out is not None and not dry_run:
            from ganvas.runs import check_free

            check_free(out)  # said before the choice takes its time
        config = _chosen(ctx, data, settings, changes, older, freeze, quiet)
    else:
        config = _config(recipe, settings, changes, older, freeze)
        if data is None and (config.data.path is None or (older is not None and recipe is None)):
            raise click.UsageError(_NO_PICTURES, ctx)
    if dry_run:
        with results_only():
            from ganvas import api

            plan = api.plan(config, data=data)
        click.echo(plan.summary())
        return 0
    with results_only():
        from ganvas import api

        run = api.train(config, data=data, out=out, stop_after=seconds, quiet=quiet, started=ctx.obj)
    return _conclude(run)


def _only_resumable(ctx: click.Context) -> None:
    """Refuse what a run's own config has settled."""
    given = [p for p in ctx.command.params if ctx.params.get(p.name or "") not in (None, (), False) and p.name not in _RESUMABLE]
    if given:
        names = ", ".join("RECIPE" if isinstance(p, click.Argument) else p.opts[-1] for p in given)
        raise click.UsageError(f"--resume goes on with a run as it was configured: leave out {names} ({_WITH_RESUME})", ctx)


def _check(ctx: click.Context, changes: dict[str, Any], older: Path | None, freeze: int | None) -> None:
    """Refuse options that do not go together."""
    if freeze is not None and older is None:
        raise click.UsageError("--freeze keeps layers of an older run as they were: name it with --from RUN", ctx)
    _one_length(ctx, changes)


def _one_length(ctx: click.Context, changes: dict[str, Any]) -> None:
    """Refuse two."""
    lengths = [f"--{name}" for name in _LENGTHS if changes[name] is not None]
    if len(lengths) > 1:
        raise click.UsageError(f"{' and '.join(lengths)} each say how long to train: give one of them", ctx)


def _overrides(changes: dict[str, Any], older: Path | None, freeze: int | None) -> dict[str, Any]:
    """The config's keys that options set."""
    overrides = {key: changes[name] for name, key in _OVERRIDES.items() if changes[name] is not None}
    if older is not None:
        overrides["transfer"] = {"run": str(older), "freeze": freeze or 0}
    return overrides


def _config(recipe: str | None, settings: tuple[str, ...], changes: dict[str, Any], older: Path | None, freeze: int | None) -> RunConfig:
    """The config of a recipe, of a file, or of the older run."""
    from ganvas.config import io
    from ganvas.runs import open_run

    source = recipe or str(open_run(older).config_file if older is not None else "")
    return io.load(source, settings, _overrides(changes, older, freeze))


def _chosen(
    ctx: click.Context,
    data: str | None,
    settings: tuple[str, ...],
    changes: dict[str, Any],
    older: Path | None,
    freeze: int | None,
    quiet: bool,
) -> Choice:
    """What suits the pictures; printed, as progress is."""
    from ganvas.config import io

    if data is None:
        raise click.UsageError(_NO_PICTURES, ctx)
    overrides = dict(map(io.parse_setting, settings)) | _overrides(changes, older, freeze)
    with results_only():
        from ganvas import api

        choice = api.choose(data, settings=overrides, quiet=quiet)
    if not quiet:
        click.echo(choice.summary(), err=True)
    return choice


def _conclude(run: Run) -> int:
    """Say how it ended, where the run is and what to do next."""
    click.echo(run.message)
    return 1 if run.state == "failed" else 0
