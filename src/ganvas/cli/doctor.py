"""`ganvas doctor`."""

from __future__ import annotations

import click

from ganvas.cli.base import CONTEXT, ExampleCommand, json_option, print_json, results_only


@click.command(
    cls=ExampleCommand,
    context_settings=CONTEXT,
    examples="""
    ganvas doctor
    ganvas doctor --json
    """,
)
@json_option
def doctor(as_json: bool) -> None:
    """Say what this machine can do, and how fast.

    Processor, GPU, measured bf16 and fp32 rates, memory, disk, versions, and what training would choose.
    """
    with results_only():
        from ganvas import machine

        found = machine.examine()
    if as_json:
        print_json(found.to_json())
    else:
        click.echo(found.summary())
