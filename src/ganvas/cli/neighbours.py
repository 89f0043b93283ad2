"""`ganvas neighbours`."""

from __future__ import annotations

from pathlib import Path

import click

from ganvas.cli.base import CONTEXT, Count, ExampleCommand, features_options, json_option, print_json, quiet_option, results_only
from ganvas.cli.results import Checkpoint, checkpoint_option, noise_option


@click.command(
    cls=ExampleCommand,
    context_settings=CONTEXT,
    examples="""
    ganvas neighbours runs/00001-dcgan64-pictures
    ganvas neighbours runs/00001-dcgan64-pictures copies.html --samples 10k --show 100
    ganvas neighbours somebodys-pictures.zip --data data/pictures64 --json
    """,
)
@click.argument("what", metavar="RUN|PICTURES", type=click.Path(path_type=Path))
@click.argument("out", metavar="[OUT.html]", required=False, type=click.Path(path_type=Path))
@click.option("--data", metavar="DATASET", help="The training pictures.  [default: those that the run was trained on]")
@click.option(
    "--samples", type=Count(), metavar="N", help="How many generated pictures.  [default: 2000 new ones of a run, all of PICTURES]"
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, metavar="S", help="Of the run's pictures.")
@click.option(
    "--show", type=click.IntRange(1, 1000), default=24, show_default=True, metavar="N", help="How many suspicious pictures to show."
)
@checkpoint_option
@noise_option
@features_options("Network in whose features is searched")
@json_option
@quiet_option
def neighbours(
    what: Path,
    out: Path | None,
    data: str | None,
    samples: int | None,
    seed: int,
    show: int,
    checkpoint: Checkpoint | None,
    noise: float | None,
    features: str | None,
    weights: Path | None,
    weights_sha256: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Find out whether RUN copies its training pictures.

    Each generated picture is compared with all training pictures, mirrored ones too, in features and in pixels, and so are
    real pictures that were held out. The page OUT.html shows the most suspicious ones, and some others, beside their
    nearest real ones; it is RUN/neighbours.html unless named, and none with --json. PICTURES of any generator are a folder,
    an archive or a packed data set; they need --data.
    """
    if out is None and not as_json:
        from ganvas.runs import is_run

        out = what / "neighbours.html" if is_run(what) else Path(f"{what.expanduser().absolute().name.split('.')[0]}-neighbours.html")
    with results_only():
        from ganvas import api

        found = api.neighbours(
            what,
            out,
            data=data,
            samples=samples,
            seed=seed,
            shown=show,
            checkpoint=checkpoint,
            noise=noise,
            features=features,
            weights=weights,
            weights_sha256=weights_sha256,
            quiet=quiet,
        )
    if as_json:
        print_json(found.to_json())
    else:
        click.echo(found.summary())
