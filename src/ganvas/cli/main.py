"""The `ganvas` command: its group, and the one place that catches errors and exits."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from types import FrameType
from typing import Any, NoReturn

import click

from ganvas import __version__
from ganvas.cli.base import CONTEXT, ExampleCommand
from ganvas.cli.data import inspect, prepare
from ganvas.cli.doctor import doctor
from ganvas.cli.explore import compare, interpolate, report, sweep_noise, sweep_truncation, timeline
from ganvas.cli.neighbours import neighbours
from ganvas.cli.recipes import recipes
from ganvas.cli.results import ema, evaluate, sample
from ganvas.cli.runs import diagnose, info, runs
from ganvas.cli.train import train
from ganvas.errors import UserError, nearest

DEBUG = "GANVAS_DEBUG"
"""Environment variable that shows tracebacks."""
INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it (128 + SIGINT)."""
BROKEN_PIPE = 141
"""Exit status when the reader of our output went away, as shells have it (128 + SIGPIPE)."""


class Ganvas(ExampleCommand, click.Group):
    """The group of commands, which names the nearest command for a misspelt one."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first argument names, or a usage error with the nearest."""
        name = args[0]
        if not name.startswith("-") and name not in self.commands:
            known = self.list_commands(ctx)
            raise click.UsageError(f'there is no command "{name}"{nearest(name, known) or "; expected one of " + ", ".join(known)}', ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command and write out all of its output, here where a closed pipe can still be caught."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            _silence_stdout()
            return BROKEN_PIPE
        return result


def _silence_stdout() -> None:
    """Send what is still buffered nowhere, so that the interpreter's last flush doesn't complain."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


@click.group(
    cls=Ganvas,
    context_settings=CONTEXT,
    invoke_without_command=True,
    examples="""
    ganvas doctor
    ganvas train dcgan64 --data ~/pictures --budget 2h
    ganvas evaluate runs/00001-dcgan64-pictures
    ganvas sample runs/00001-dcgan64-pictures new-pictures --grid
    """,
)
@click.version_option(__version__, message="ganvas %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Turn a folder of pictures into a generator of new ones."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


_RESULTS = (evaluate, neighbours, sample, ema)
_EXPLORING = (interpolate, timeline, sweep_truncation, sweep_noise, report, compare)
for _command in (recipes, prepare, inspect, train, *_RESULTS, *_EXPLORING, diagnose, runs, info, doctor):
    cli.add_command(_command)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit status: 0, 1 for what failed, 2 for wrong usage, 130 after Ctrl-C.

    Args:
        arguments: the words after `ganvas`; None takes those of this process.
    """
    began = time.time()  # a budget counts start-up too
    try:
        result = cli.main(None if arguments is None else list(arguments), prog_name="ganvas", standalone_mode=False, obj=began)
        return result if isinstance(result, int) else 0
    except UserError as error:
        return _fail(str(error), error, error.exit_status)
    except click.UsageError as error:
        return _fail(_usage(error), None, 2)
    except click.ClickException as error:
        return _fail(error.format_message(), None, error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _say("interrupted")
        return INTERRUPTED
    except MemoryError as error:
        return _fail(_OUT_OF_MEMORY, error, 1)
    except Exception as error:  # noqa: BLE001 - the one place where nothing may pass: a user never meets a traceback
        return _unexpected(error)


_OUT_OF_MEMORY = (
    "there is not enough memory for this; close other programs, or use smaller batches (--batch) or a smaller recipe (`ganvas recipes`)"
)


def _usage(error: click.UsageError) -> str:
    message = error.format_message().rstrip(".")
    message = message[:1].lower() + message[1:] if not message.startswith("--") else message
    command = error.ctx.command_path if error.ctx else "ganvas"
    return f"{message}\nTry `{command} --help`."


def _unexpected(error: Exception) -> int:
    text = " ".join(str(error).split())
    if type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in text or "not enough memory" in text:
        return _fail(_OUT_OF_MEMORY, error, 1)
    hint = "" if os.environ.get(DEBUG) else f" ({DEBUG}=1 shows where; please report it)"
    return _fail(f"something unexpected went wrong: {type(error).__name__}: {text or 'no more is known'}{hint}", error, 1)


def _fail(message: str, error: BaseException | None, status: int) -> int:
    if error is not None and os.environ.get(DEBUG):
        import traceback

        _say("".join(traceback.format_exception(error)).rstrip())
    _say(f"ganvas: error: {message}")
    return status


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        click.echo(text, err=True)


def _terminate(signum: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + signum)


def main() -> NoReturn:
    """The console script: runs the command of this process and exits."""
    if threading.current_thread() is threading.main_thread():
        # So that a killed command still removes its temporary files; training puts its own handler in place.
        signal.signal(signal.SIGTERM, _terminate)
    sys.exit(run())
