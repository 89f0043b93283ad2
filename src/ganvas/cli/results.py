"""`ganvas evaluate`, `ganvas sample` and `ganvas ema`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click

from ganvas.cli.base import CONTEXT, Count, ExampleCommand, Names, features_options, json_option, print_json, quiet_option, results_only

Checkpoint = str


class CheckpointName(click.ParamType):
    """A checkpoint's name: best, last, fresh, or one that `ganvas ema` made."""

    name = "checkpoint"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name, if it can be one."""
        from ganvas.errors import UserError
        from ganvas.runs import check_checkpoint_name

        try:
            check_checkpoint_name(value)
        except UserError as error:
            self.fail(str(error), param, ctx)
        return value


checkpoint_option = click.option(
    "--checkpoint",
    type=CheckpointName(),
    metavar="NAME",
    help="Which checkpoint: best, last, fresh (the best that did not copy, where best does), or one that `ganvas ema` made.  "
    "[default: best, or last where there is no best]",
)
noise_option = click.option(
    "--noise",
    type=click.FloatRange(0),
    metavar="S",
    help="With codes64 and its like: noise on the codes that pictures are made of; more makes fewer near-copies.  [default: the run's own]",
)


@click.command(
    cls=ExampleCommand,
    context_settings=CONTEXT,
    examples="""
    ganvas evaluate runs/00001-dcgan64-pictures
    ganvas evaluate runs/00001-dcgan64-pictures --samples 10k --json
    ganvas evaluate runs/00001-dcgan64-pictures --features inception --weights pt_inception-2015-12-05-6726825d.pth
    ganvas evaluate somebodys-pictures.zip --data ~/pictures --out somebodys-scores.json
    """,
)
@click.argument("run", metavar="RUN|PICTURES", type=click.Path(path_type=Path))
@click.option(
    "--data", metavar="DATASET", help="Score against these real pictures, packed or not.  [default: those that the run was trained on]"
)
@click.option(
    "--samples", type=Count(), metavar="N", help="How many pictures to score.  [default: 10000 new ones of a run, all of PICTURES]"
)
@checkpoint_option
@noise_option
@features_options("Network whose features are compared")
@click.option(
    "--resolution",
    type=click.IntRange(4, 1024),
    metavar="PIXELS",
    help="With PICTURES and a DATASET that is not packed: side of the real pictures.  [default: that of PICTURES]",
)
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE.json", help="Write the scores there, too.")
@json_option
@quiet_option
def evaluate(
    run: Path,
    data: str | None,
    samples: int | None,
    checkpoint: Checkpoint | None,
    noise: float | None,
    features: str | None,
    weights: Path | None,
    weights_sha256: str | None,
    resolution: int | None,
    out: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Score RUN's pictures and write its report, or score PICTURES of any generator.

    New pictures are compared with real ones that RUN was trained on; report.html in RUN shows scores, curves and grids.
    PICTURES are a folder (folders in it may be classes), an archive or a packed data set; they need --data.
    """
    with results_only():
        from ganvas import api

        scores = api.evaluate(
            run,
            data=data,
            samples=samples,
            checkpoint=checkpoint,
            noise=noise,
            features=features,
            weights=weights,
            weights_sha256=weights_sha256,
            resolution=resolution,
            out=out,
            quiet=quiet,
        )
    if as_json:
        print_json(scores.to_json())
        return
    from ganvas.runs import RunFolder, is_run

    click.echo(scores.summary())
    report = RunFolder(run).report_file
    if is_run(run) and report.exists():
        click.echo(f"\nreport     {report}")
    if out is not None:
        click.echo(f"scores     {out}", err=True)


@click.command(
    cls=ExampleCommand,
    context_settings=CONTEXT,
    examples="""
    ganvas sample runs/00001-dcgan64-pictures new-pictures
    ganvas sample runs/00001-dcgan64-pictures new-pictures -n 1000 --seed 7 --truncation 0.7
    ganvas sample runs/00002-emoji-emoji faces -n 16 --classes smileys-emotion --grid
    ganvas sample runs/00002-emoji-emoji best -n 200 --best 10% --by both
    ganvas sample runs/00003-cifar10-cifar10 synthetic -n 1000 --balanced --as-dataset
    ganvas sample runs/00004-dogs-dogs submission --kaggle
    """,
)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("-n", type=Count(), metavar="N", help="How many pictures are drawn.  [default: 64; 10000 with --kaggle]")
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, metavar="S", help="Picture I of seed S is the same whatever N is."
)
@click.option(
    "--truncation",
    type=click.FloatRange(0, min_open=True),
    metavar="T",
    help="Redraw latent values beyond T (a StyleGAN: draw styles towards their mean, 0 to 1): lower is more typical and less varied.",
)
@click.option("--classes", type=Names(), metavar="A,B", help="Only these classes.")
@click.option("--balanced", is_flag=True, help="As many pictures of each class.")
@click.option("--best", metavar="10%|K", help="Keep only the best of the N drawn: a share, or how many.")
@click.option("--by", type=click.Choice(["logit", "realism", "both"]), help="What the best go by.  [default: realism]")
@click.option("--watermark", metavar="TEXT|FILE", help="Stamp a visible mark on the pictures that are written.")
@click.option("--kaggle", is_flag=True, help="Write images.zip for Kaggle's Generative Dog Images, and score it with MiFID.")
@click.option("--as-dataset", is_flag=True, help="Write class folders (train/<class>/...), to train others on.")
@checkpoint_option
@noise_option
@click.option("--no-ema", is_flag=True, help="The generator as it was trained, without averaging its parameters.")
@click.option(
    "--engine",
    default="auto",
    show_default=True,
    metavar="NAME",
    help="How the network is computed: auto (the fastest within one grey level of eager), eager (the reference), fp32, fp16 or bf16.",
)
@click.option("--grid", is_flag=True, help="Also one picture of all of them.")
@json_option
@quiet_option
def sample(
    run: Path,
    out: Path,
    n: int | None,
    seed: int,
    truncation: float | None,
    classes: tuple[str, ...] | None,
    balanced: bool,
    best: str | None,
    by: Literal["logit", "realism", "both"] | None,
    watermark: str | None,
    kaggle: bool,
    as_dataset: bool,
    checkpoint: Checkpoint | None,
    noise: float | None,
    no_ema: bool,
    engine: str,
    grid: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Make new pictures with RUN's generator, as PNG files in OUT."""
    with results_only():
        from ganvas import api

        made = api.sample(
            run,
            out,
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
            noise=noise,
            ema=not no_ema,
            engine=engine,
            grid=grid,
            quiet=quiet,
        )
    if as_json:
        print_json(made.to_json())
    else:
        click.echo(made.summary())


@click.command(
    cls=ExampleCommand,
    context_settings=CONTEXT,
    examples="""
    ganvas ema runs/00001-stylegan2-64-pictures --sigma 0.12
    ganvas evaluate runs/00001-stylegan2-64-pictures --checkpoint ema-0.120
    """,
)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--sigma", type=float, required=True, metavar="S", help="Width of the average as a share of the run, such as 0.12.")
@json_option
def ema(run: Path, sigma: float, as_json: bool) -> None:
    """Average RUN's generator over another share of the run, after training.

    RUN must have been trained with --set 'ema={kind: power}'. The new checkpoint is named by the width, such as ema-0.120, and
    every command takes it by --checkpoint.
    """
    with results_only():
        from ganvas import api

        made = api.ema(run, sigma=sigma)
    if as_json:
        print_json(made.to_json())
    else:
        click.echo(made.summary())
