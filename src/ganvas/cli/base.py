"""What the commands share: examples in their help, kinds of values, and one JSON on standard output."""

from __future__ import annotations

import contextlib
import inspect
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from ganvas.errors import UserError
from ganvas.units import parse_count, parse_duration

CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

F = TypeVar("F", bound=Callable[..., Any])


class ExampleCommand(click.Command):
    """A command whose help ends with examples."""

    def __init__(self, *args: Any, examples: str = "", **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.examples = inspect.cleandoc(examples)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples as they are, without wrapping them."""
        super().format_epilog(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):
                for line in self.examples.splitlines():
                    formatter.write(f"{'':{formatter.current_indent}}{line}\n")


class Duration(click.ParamType):
    """A duration such as 30m, kept as it was written; `parse_duration` gives its seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text, if it is a duration."""
        try:
            parse_duration(value)
        except UserError as error:
            self.fail(str(error), param, ctx)
        return value


class Count(click.ParamType):
    """A whole number above zero, such as 50000, 200k or 2M."""

    name = "count"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number."""
        if isinstance(value, int):
            return value
        try:
            return parse_count(value)
        except UserError as error:
            return self.fail(str(error), param, ctx)


class Names(click.ParamType):
    """Names with commas between them."""

    name = "names"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """The names, without empty ones."""
        if isinstance(value, tuple):
            return value
        names = tuple(name.strip() for name in value.split(",") if name.strip())
        if not names:
            self.fail("expected names with commas between them, such as cats,dogs", param, ctx)
        return names


def json_option(command: F) -> F:
    """`--json`: a command's result as JSON."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as JSON and nothing else on standard output.")(command)


def quiet_option(command: F) -> F:
    """`--quiet`: no progress."""
    return click.option("-q", "--quiet", is_flag=True, help="No progress on standard error.")(command)


def features_options(what: str) -> Callable[[F], F]:
    """`--features`, `--weights` and `--weights-sha256`: which network describes the pictures."""
    weights = click.option(
        "--weights",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Weights of the features, where they don't come with ganvas.",
    )
    checksum = click.option("--weights-sha256", metavar="HEX", help="What the SHA-256 of that file must begin with, 8 digits or more.")
    name = click.option(
        "--features",
        metavar="NAME",
        help=f"{what}: efficientnet-lite0, efficientnet-lite2, inception or dinov2.  [default: as in the run's config]",
    )

    def add(command: F) -> F:
        return name(weights(checksum(command)))

    return add


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


@contextlib.contextmanager
def results_only() -> Iterator[None]:
    """Keep standard output for the result: whatever a library prints there meanwhile goes to standard error."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def table(rows: Sequence[Sequence[str]], header: Sequence[str] | None = None) -> str:
    """Rows in aligned columns."""
    lines = [list(header), *map(list, rows)] if header else [list(row) for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))] if lines else []
    return "\n".join("  ".join(f"{cell:<{w}}" for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines)
