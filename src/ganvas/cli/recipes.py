"""`ganvas recipes`."""

from __future__ import annotations

import click

from ganvas.cli.base import CONTEXT, ExampleCommand, json_option, print_json, table


@click.command(
    cls=ExampleCommand,
    context_settings=CONTEXT,
    examples="""
    ganvas recipes
    ganvas recipes dcgan64 > mine.yaml
    ganvas train mine.yaml --data ~/pictures
    """,
)
@click.argument("name", required=False)
@json_option
def recipes(name: str | None, as_json: bool) -> None:
    """List the recipes, or print one as YAML to copy and change."""
    from ganvas.config import io

    if name is not None:
        text = io.recipe_text(name)
        if as_json:
            print_json(io.recipe(name).model_dump(mode="json"))
        else:
            click.echo(text, nl=not text.endswith("\n"))
        return
    found = {n: io.recipe(n) for n in io.recipe_names()}
    if as_json:
        print_json(
            [
                {
                    "name": n,
                    "family": config.family.kind,
                    "resolution": config.data.resolution,
                    "conditional": config.family.conditional,
                    "about": config.about,
                    "source": config.source,
                }
                for n, config in found.items()
            ]
        )
    else:
        rows = [(n, config.family.kind, str(config.data.resolution), config.source) for n, config in found.items()]
        click.echo(table(rows, ("NAME", "FAMILY", "RESOLUTION", "SOURCE")))
