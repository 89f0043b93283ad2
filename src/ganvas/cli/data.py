"""`ganvas prepare` and `ganvas inspect`."""

from __future__ import annotations

from pathlib import Path

import click

from ganvas.cli.base import CONTEXT, Count, ExampleCommand, Names, json_option, print_json, quiet_option, results_only
from ganvas.errors import UsageError


@click.command(
    cls=ExampleCommand,
    context_settings=CONTEXT,
    examples="""
    ganvas prepare ~/pictures data/pictures64 --resolution 64
    ganvas prepare cifar10.zip data/pets --resolution 32 --classes cat,dog --limit 5000
    ganvas prepare stanford-dogs data/dogs --crop box
    ganvas prepare builtin:emoji data/emoji
    """,
)
@click.argument("source")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--resolution", type=click.IntRange(4, 1024), default=64, show_default=True, help="Side of the square pictures, in pixels.")
@click.option(
    "--crop",
    type=click.Choice(["none", "center", "box"]),
    default="center",
    show_default=True,
    help="none stretches to a square, center crops to a square first, box crops to the annotated object and stretches.",
)
@click.option(
    "--boxes",
    type=click.Choice(["first", "largest", "each"]),
    help="With --crop box, which of a picture's boxes: each makes a picture of every one.  [default: first]",
)
@click.option("--labels", metavar="NAME", help="Which labels, where there are several: fine or coarse of CIFAR-100, a column of a table.")
@click.option("--classes", type=Names(), metavar="A,B", help="Only these classes.")
@click.option("--limit", type=Count(), metavar="N", help="At most N training pictures, spread evenly over the source and its classes.")
@click.option(
    "--holdout",
    type=click.FloatRange(0, 1, max_open=True),
    metavar="F",
    help="Share kept out of training, where the source has no val or test folder.  [default: 0.05, at most 1,000 pictures]",
)
@click.option(
    "--background", metavar="COLOUR", default="white", show_default=True, help="What transparent pictures are put on: a name or #rrggbb."
)
@click.option("--force", is_flag=True, help="Replace a data set in OUT that was made otherwise.")
@json_option
@quiet_option
def prepare(
    source: str,
    out: Path,
    resolution: int,
    crop: str,
    boxes: str | None,
    labels: str | None,
    classes: tuple[str, ...] | None,
    limit: int | None,
    holdout: float | None,
    background: str,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Pack the pictures of SOURCE into the data set OUT.

    SOURCE is a folder of pictures, a folder with one folder for each class, a zip or tar archive of either, or
    builtin:emoji. Stanford Dogs, Dogs vs Cats, LSUN, CIFAR and Hugging Face data sets are read in the layout in which
    they are shipped. Top-level folders named train, val and test are splits: only train is trained on.
    """
    colour = _colour(background)
    with results_only():
        from ganvas import api

        made = api.prepare(
            source,
            out,
            resolution=resolution,
            crop=crop,  # pyright: ignore[reportArgumentType] - click.Choice has checked it
            boxes=boxes,
            labels=labels,
            classes=classes,
            limit=limit,
            holdout=holdout,
            background=colour,
            force=force,
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
    ganvas inspect data/cifar64
    ganvas inspect ~/pictures --resolution 128 --out pictures.html
    ganvas inspect stanford-dogs --crop box --json
    """,
)
@click.argument("dataset")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The page with pictures.  [default: DATASET-inspection.html in this folder; none with --json]",
)
@click.option(
    "--resolution", type=click.IntRange(4, 1024), help="Side of the pictures looked at.  [default: the data set's; 64 for a source]"
)
@click.option("--crop", type=click.Choice(["none", "center", "box"]), help="As for prepare, where DATASET is a source.  [default: center]")
@click.option("--boxes", type=click.Choice(["first", "largest", "each"]), help="As for prepare, with --crop box.")
@json_option
@quiet_option
def inspect(
    dataset: str, out: Path | None, resolution: int | None, crop: str | None, boxes: str | None, as_json: bool, quiet: bool
) -> None:
    """Look at DATASET before training on it.

    DATASET is a packed data set or a source of pictures, which is then prepared into the cache. Shown are how balanced
    its classes are, pictures and the mean picture of each, sizes, colours, brightness, contrast, copies and near copies,
    and whether there is enough to train on, with the reasons.
    """
    if out is None and not as_json:
        name = Path(dataset.replace(":", "-")).expanduser().absolute().name.split(".")[0] or "data"
        out = Path(f"{name}-inspection.html")
    with results_only():
        from ganvas import api

        found = api.inspect(dataset, out=out, resolution=resolution, crop=crop, boxes=boxes, quiet=quiet)
    if as_json:
        print_json(found.to_json())
        return
    click.echo(found.summary())
    click.echo(f"\npage        {out}")


def _colour(text: str) -> tuple[int, int, int]:
    from PIL import ImageColor

    try:
        red, green, blue = ImageColor.getrgb(text)[:3]
    except ValueError as error:
        raise UsageError(f'--background "{text}" is no colour: expected a name such as white or a code such as #ffcc00') from error
    return red, green, blue
