"""`ganvas runs`, `ganvas info` and `ganvas diagnose`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganvas.cli.base import CONTEXT, ExampleCommand, json_option, print_json, results_only, table
from ganvas.errors import RunError, UserError
from ganvas.units import format_bytes, format_duration, format_energy

if TYPE_CHECKING:
    from ganvas.runs import RunFolder


@click.command(
    cls=ExampleCommand,
    context_settings=CONTEXT,
    examples="""
    ganvas runs
    ganvas runs experiments
    """,
)
@click.argument("folder", metavar="[DIR]", default=Path("runs"), type=click.Path(path_type=Path))
@json_option
@click.pass_context
def runs(ctx: click.Context, folder: Path, as_json: bool) -> None:
    """List the runs in DIR with their state and score.

    DIR is runs, if not given.
    """
    from ganvas.runs import is_run, list_runs

    if is_run(folder):
        raise RunError(f"{folder} is a run itself: `ganvas info {folder}` shows it")
    if not folder.is_dir() and ctx.get_parameter_source("folder") is click.core.ParameterSource.COMMANDLINE:
        raise RunError(f"there is no folder {folder}")
    found = [describe(run) for run in list_runs(folder)]
    if as_json:
        print_json(found)
    elif not found:
        click.echo(f"no runs in {folder} yet: `ganvas train dcgan64 --data FOLDER` makes the first")
    else:
        rows = [(r["run"], r["state"] or "unknown", _progress(r), _score(r), r["recipe"] or "", _or_empty(r["data"])) for r in found]
        click.echo(table(rows, ("RUN", "STATE", "PICTURES", "SCORE", "RECIPE", "DATA")))


@click.command(
    cls=ExampleCommand,
    context_settings=CONTEXT,
    examples="""
    ganvas info runs/00001-dcgan64-pictures
    ganvas info runs/00001-dcgan64-pictures --json
    """,
)
@click.argument("run", type=click.Path(path_type=Path))
@json_option
def info(run: Path, as_json: bool) -> None:
    """Show what RUN is: its state, score, recipe, data and files."""
    from ganvas.runs import open_run

    described = describe(open_run(run))
    if as_json:
        print_json(described)
    else:
        click.echo(table(_lines(described)))


def describe(run: RunFolder) -> dict[str, Any]:
    """All that `ganvas info --json` says of a run; what is missing is None."""
    status, evaluation = run.status(), run.evaluation()
    try:
        config, problem = run.config(), None
    except UserError as error:
        config, problem = None, str(error)
    grids, made = run.grids(), run.provenance()
    return {
        "run": str(run.path),
        "state": status.state if status else None,
        "reason": status.reason if status else None,
        "images": status.images if status else None,
        "total_images": status.total_images if status else None,
        "seconds": status.seconds if status else None,
        "pictures_per_second": status.pictures_per_second if status else None,
        "cpu_seconds": status.cpu_seconds if status else None,
        "joules": status.joules if status else None,
        "expected_end": status.expected_end if status else None,
        "best": status.best if status else None,
        "fresh": run.fresh(),
        "evaluation": evaluation,
        "recipe": config.name if config else None,
        "about": config.about if config else None,
        "config_problem": problem,
        "data": config.data.path if config else None,
        "device": made.get("device"),
        "precision": made.get("precision"),
        "created": made.get("created"),
        "resolution": config.data.resolution if config else None,
        "family": config.family.kind if config else None,
        "parameters": made.get("parameters"),
        "checkpoints": run.checkpoint_names(),
        "last_grid": str(grids[-1][1]) if grids else None,
        "report": str(run.report_file) if run.report_file.exists() else None,
        "bytes": sum(p.stat().st_size for p in run.path.rglob("*") if p.is_file()),
    }


def _or_empty(value: Any) -> str:
    return "" if value is None else str(value)


def _progress(r: dict[str, Any]) -> str:
    if r["images"] is None:
        return ""
    return f"{r['images']:,}" + (f" of {r['total_images']:,}" if r["total_images"] and r["state"] != "finished" else "")


def _score(r: dict[str, Any]) -> str:
    """The last evaluation's Frechet distance, or the best KID of the training."""
    try:
        fd = r["evaluation"]["fd"]
        return f"FD {fd['value']:.2f} ({fd['features']}, n={fd['n']:,})"
    except (KeyError, TypeError, ValueError):
        pass
    best = r["best"] or {}
    return f"KID {best['kid']:.4f} while training" if "kid" in best else ""


def _kept(scored: dict[str, float]) -> str:
    """What a checkpoint was kept for."""
    kid = f"KID {scored['kid']:.4f} " if "kid" in scored else ""
    return f"{kid}after {int(scored.get('images', 0)):,} pictures"


def _lines(r: dict[str, Any]) -> list[tuple[str, str]]:
    state = (r["state"] or "unknown: it has no readable status.json") + (f" ({r['reason']})" if r["reason"] else "")
    lines = [("run", r["run"]), ("state", state), ("pictures", _progress(r))]
    if r["seconds"]:
        rate = f", {r['pictures_per_second']:,.0f} pictures/s" if r["pictures_per_second"] else ""
        lines.append(("trained for", format_duration(r["seconds"]) + rate))
    if r["cpu_seconds"]:
        energy = f", {format_energy(r['joules'])} of the processor" if r["joules"] else ""
        lines.append(("spent", f"{format_duration(r['cpu_seconds'])} of processor time{energy}"))
    lines.append(("score", _score(r) or "none yet: `ganvas evaluate` makes one"))
    lines += [(name, _kept(r[name])) for name in ("best", "fresh") if r[name]]
    lines.append(("recipe", r["config_problem"] or f"{r['recipe']} ({r['family']}, {r['resolution']}x{r['resolution']})"))
    lines.append(("data", _or_empty(r["data"])))
    lines.append(("trained on", ", ".join(_or_empty(r[key]) for key in ("device", "precision") if r[key])))
    if r["parameters"]:
        lines.append(("parameters", ", ".join(f"{name} {n:,}" for name, n in r["parameters"].items())))
    lines.append(("checkpoints", ", ".join(r["checkpoints"]) or "none yet"))
    lines.extend((name, r[key]) for name, key in (("last grid", "last_grid"), ("report", "report")) if r[key])
    lines.append(("on disk", format_bytes(r["bytes"])))
    return [line for line in lines if line[1]]


@click.command(
    cls=ExampleCommand,
    context_settings=CONTEXT,
    examples="""
    ganvas diagnose runs/00001-dcgan64-pictures
    ganvas diagnose runs/00001-dcgan64-pictures --json
    """,
)
@click.argument("run", type=click.Path(path_type=Path))
@json_option
def diagnose(run: Path, as_json: bool) -> None:
    """Say whether RUN is well: what is wrong, since when, and what usually helps.

    Also for a run that still goes on. Older runs without signals are judged by their grids, numbers and scores.
    """
    with results_only():
        from ganvas import api

        found = api.diagnose(run)
    if as_json:
        print_json(found.to_json())
    else:
        click.echo(found.summary())
