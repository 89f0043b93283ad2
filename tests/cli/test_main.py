"""The command's words, its errors and its exit statuses, without training anything."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

import ganvas as package
from ganvas.cli import main as cli_main
from ganvas.cli.main import cli
from ganvas.config import io
from ganvas.errors import RunError, TrainingFailed, UsageError

COMMANDS = sorted(cli.commands)


def test_the_commands_are_those_of_the_manual() -> None:
    names = "compare diagnose doctor ema evaluate info inspect interpolate neighbours "
    names += "prepare recipes report runs sample sweep-noise sweep-truncation timeline train"
    assert set(COMMANDS) == set(names.split())


@pytest.mark.parametrize("flag", ["--help", "-h"])
@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_every_help_shows_an_example(ganvas: Any, command: str | None, flag: str) -> None:
    done = ganvas(*([command] if command else []), flag)
    assert done.status == 0
    assert f"Examples:\n  ganvas {command or ''}" in done.out


def parses(command: click.Command, words: list[str]) -> None:
    with command.make_context(command.name, words):
        pass


@pytest.mark.parametrize("command", list(cli.commands.values()), ids=lambda c: c.name)
def test_every_example_can_be_parsed(command: click.Command) -> None:
    import shlex

    examples = [line for line in getattr(command, "examples", "").splitlines() if line.startswith(f"ganvas {command.name}")]
    assert examples
    for example in examples:
        parses(command, shlex.split(example.partition(">")[0])[2:])


def test_alone_it_shows_its_help(ganvas: Any) -> None:
    alone = ganvas()
    assert alone.status == 0
    assert alone.out == ganvas("--help").out


def test_version(ganvas: Any) -> None:
    assert ganvas("--version").out == f"ganvas {package.__version__}\n"


def test_help_at_every_level_loads_nothing_heavy() -> None:
    heavy = ("torch", "numpy", "pydantic", "matplotlib", "PIL", "tqdm", "yaml")
    script = f"""
import sys
from ganvas.cli.main import run
for words in [[], ["--help"], ["--version"], *[[c, "--help"] for c in {COMMANDS!r}]]:
    assert run(words) == 0
found = sorted(set({heavy!r}) & set(sys.modules))
sys.exit(f"loaded {{found}}" if found else 0)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["trian"], ['no command "trian"', 'did you mean "train"']),
        (["train", "--buget", "3m"], ["--buget", "--budget"]),
        (["train", "dcgan64", "--data", "x", "--budget", "soon"], ["--budget", '"soon" is no duration', "30m"]),
        (["train", "dcgan64", "--data", "x", "--stop-after", "0s"], ["--stop-after", "no time at all"]),
        (["train", "dcgan64", "--data", "x", "--images", "many"], ["--images", '"many" is no count']),
        (["train", "dcgan64", "--data", "x", "--images", "0"], ["--images", "above zero"]),
        (["train", "dcgan64", "--data", "x", "--epochs", "0"], ["--epochs"]),
        (["train", "dcgan64", "--data", "x", "--batch", "0"], ["--batch"]),
        (["train", "dcgan64", "--data", "x", "--precision", "fp8"], ["--precision", "bf16"]),
        (["train", "dcgan64", "--data", "x", "--images", "5", "--budget", "3m"], ["--images and --budget"]),
        (["train", "dcgan64"], ["--data"]),
        (["train"], ["--data", "builtin:emoji"]),
        (["train", "dcgan46", "--data", "x"], ['no recipe "dcgan46"', 'did you mean "dcgan64"']),
        (["train", "nowhere.yaml", "--data", "x"], ["nowhere.yaml", "can't be read"]),
        (["train", "dcgan64", "--data", "x", "--set", "sede=1"], ['did you mean "seed"']),
        (["train", "dcgan64", "--data", "x", "--set", "seed"], ["key.sub=value"]),
        (["train", "--resume", "x", "--batch", "3"], ["leave out --batch"]),
        (["train", "--resume", "x", "--images", "5", "--budget", "3m"], ["--images and --budget each say how long"]),
        (["train", "dcgan64", "--resume", "x", "--data", "y", "--dry-run"], ["leave out RECIPE, --data, --dry-run"]),
        (["train", "dcgan64", "extra", "--data", "x"], ["extra"]),
        (["prepare", "x"], ["OUT"]),
        (["prepare", "x", "y", "--resolution", "3"], ["--resolution"]),
        (["prepare", "x", "y", "--crop", "middle"], ["--crop", "center"]),
        (["prepare", "x", "y", "--classes", ","], ["--classes", "cats,dogs"]),
        (["prepare", "x", "y", "--holdout", "1"], ["--holdout"]),
        (["prepare", "x", "y", "--background", "blurple"], ["--background", "#ffcc00"]),
        (["sample", "x", "y", "-n", "-1"], ["-n"]),
        (["sample", "x", "y", "--truncation", "0"], ["--truncation"]),
        (["evaluate", "x", "--checkpoint", "first"], ["--checkpoint", "best"]),
        (["recipes", "emojy"], ["emojy"]),
        (["sample", "x", "y", "--by", "luck"], ["--by", "realism"]),
        (["interpolate", "x", "y", "--steps", "1"], ["--steps"]),
        (["interpolate", "x", "y", "--mode", "zigzag"], ["--mode", "slerp"]),
        (["sweep-truncation", "x", "y", "--truncations", "much"], ['"much" is no truncation']),
        (["sweep-noise", "x", "y", "--noises", "much"], ['"much" is no noise']),
        (["sample", "x", "y", "--noise", "-0.1"], ["--noise"]),
        (["compare"], ["RUN"]),
        (["ema", "x"], ["--sigma"]),
    ],
)
def test_wrong_usage_is_one_message_and_status_two(
    ganvas: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], expected: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    done = ganvas(*words)
    assert done.status == 2
    assert done.out == ""
    assert done.err.startswith("ganvas: error: ")
    assert done.err.count("error:") == 1
    for word in expected:
        assert word in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_broken_yaml_is_named_with_its_line(ganvas: Any, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("seed: 1\ntrain: {images: [}\n")
    done = ganvas("train", path, "--data", "builtin:emoji")
    assert done.status == 2
    assert "mine.yaml is no valid YAML in line 2" in done.err


@pytest.mark.parametrize(
    "words",
    [
        ["info"],
        ["evaluate"],
        ["report"],
        ["compare"],
        ["sample", "OUT"],
        ["interpolate", "OUT"],
        ["timeline", "OUT"],
        ["sweep-truncation", "OUT"],
        ["sweep-noise", "OUT"],
        ["train", "--resume"],
    ],
)
def test_what_is_no_run_is_said_to_be_none(ganvas: Any, tmp_path: Path, words: list[str]) -> None:
    for path, expected in ((tmp_path / "nowhere", "no run"), (tmp_path, "holds no run")):
        arguments = [words[0], path, tmp_path / "out"] if words[-1] == "OUT" else [*words, path]
        done = ganvas(*arguments)
        assert done.status == 1
        assert expected in done.err
        assert list(tmp_path.iterdir()) == []


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Make `ganvas recipes` fail."""

    def names() -> list[str]:
        raise error

    monkeypatch.setattr(io, "recipe_names", names)


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (RunError("the run is broken"), 1, "ganvas: error: the run is broken\n"),
        (UsageError("that is no way"), 2, "ganvas: error: that is no way\n"),
        (TrainingFailed("it gave NaN"), 1, "ganvas: error: it gave NaN\n"),
        (KeyboardInterrupt(), 130, "\ninterrupted\n"),
        (MemoryError(), 1, "not enough memory"),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried"), 1, "--batch"),
        (ValueError("some\ninner  thing"), 1, "unexpected went wrong: ValueError: some inner thing (GANVAS_DEBUG=1"),
        (ZeroDivisionError(), 1, "ZeroDivisionError"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_every_failure_is_a_message_with_its_status(
    ganvas: Any, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int, words: str
) -> None:
    failing(monkeypatch, error)
    done = ganvas("recipes")
    assert (done.status, done.out) == (status, "")
    assert words in done.err
    assert "Traceback" not in done.err


def test_debug_shows_the_traceback(ganvas: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, ValueError("inner"))
    monkeypatch.setenv(cli_main.DEBUG, "1")
    done = ganvas("recipes")
    assert done.status == 1
    assert "Traceback" in done.err
    assert "in names" in done.err


def test_the_list_of_recipes_has_name_family_resolution_and_source(ganvas: Any) -> None:
    lines = ganvas("recipes").out.splitlines()
    assert lines[0].split() == ["NAME", "FAMILY", "RESOLUTION", "SOURCE"]
    row = next(line for line in lines if line.startswith("dcgan128 "))
    assert row.split()[:3] == ["dcgan128", "gan", "128"]
    assert "arXiv:1511.06434" in row


def test_recipes_as_json_are_an_array_and_one_is_an_object(ganvas: Any) -> None:
    listed = json.loads(ganvas("recipes", "--json").out)
    assert [r["name"] for r in listed] == io.recipe_names()
    assert all({"name", "family", "resolution", "source"} <= set(r) for r in listed)
    one = json.loads(ganvas("recipes", "dcgan32", "--json").out)
    assert io.validate(one, "json") == io.recipe("dcgan32")


def test_a_printed_recipe_is_the_file_and_trains_as_it_is(ganvas: Any, tmp_path: Path) -> None:
    text = ganvas("recipes", "dcgan64").out
    assert text == io.recipe_text("dcgan64")
    (tmp_path / "mine.yaml").write_text(text)
    assert io.load(str(tmp_path / "mine.yaml")) == io.recipe("dcgan64")


@pytest.mark.skipif(os.name == "nt", reason="POSIX pipes")
def test_a_closed_pipe_ends_quietly() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run([sys.executable, "-m", "ganvas", "recipes"], stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (cli_main.BROKEN_PIPE, "")


def started(script: str) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


BUSY = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # shells let what runs in the background ignore it
from ganvas import artifact
from ganvas.config import io
from ganvas.cli.main import main
from pathlib import Path
def busy():
    with artifact.new_folder(Path({folder!r})):
        print("ready", flush=True)
        time.sleep(60)
io.recipe_names = busy
sys.argv = ["ganvas", "recipes"]
main()
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize(("number", "status", "said"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "")])
def test_a_killed_command_leaves_nothing_half_written(tmp_path: Path, number: signal.Signals, status: int, said: str) -> None:
    process = started(BUSY.format(folder=str(tmp_path / "out")))
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == status
    assert err.strip() == said
    assert list(tmp_path.iterdir()) == []


def test_python_dash_m_is_the_same_command() -> None:
    done = subprocess.run([sys.executable, "-m", "ganvas", "trian"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith('ganvas: error: there is no command "trian"')


def test_json_is_alone_on_standard_output_even_if_a_library_prints(capsys: pytest.CaptureFixture[str]) -> None:
    from ganvas.cli.base import print_json, results_only

    with results_only():
        print("a library's noise")  # noqa: T201
    print_json({"name": "café"})
    captured = capsys.readouterr()
    assert captured.out == '{\n  "name": "café"\n}\n'
    assert "noise" in captured.err


def test_a_table_is_aligned() -> None:
    from ganvas.cli.base import table

    assert table([("a", "bb"), ("ccc", "d")], ("N", "M")) == "N    M\na    bb\nccc  d"


def recorded(monkeypatch: pytest.MonkeyPatch, name: str, result: Any) -> dict[str, Any]:
    """Replace a function of the API by one that writes down what it is called with."""
    from ganvas import api

    calls: dict[str, Any] = {}

    def call(*arguments: Any, **options: Any) -> Any:
        calls.update(options, arguments=arguments)
        return result

    monkeypatch.setattr(api, name, call)
    return calls


class Answer:
    """Stands for whatever a verb returns."""

    def __init__(self, **values: Any):
        self.__dict__.update(values)

    def to_json(self) -> dict[str, Any]:
        return {"answer": 42}

    def summary(self) -> str:
        return "for people"


def test_the_options_of_train_reach_the_config(ganvas: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls = recorded(monkeypatch, "train", Answer(state="finished", message="all is well"))
    words = "--images 200k --seed 7 --batch 16 --device cpu --precision fp32 --threads 2 --stop-after 1h30m --quiet".split()
    done = ganvas("train", "dcgan32", "--data", "x", "--out", tmp_path / "r", "--set", "family.latent.size=9", *words)
    (config,) = calls["arguments"]
    assert (done.status, done.out) == (0, "all is well\n")
    assert (config.train.images, config.train.epochs, config.train.budget) == (200_000, None, None)
    assert (config.seed, config.train.batch, config.train.device, config.train.precision, config.train.threads) == (7, 16, "cpu", "fp32", 2)
    assert config.family.latent.size == 9
    assert (calls["data"], calls["out"], calls["stop_after"], calls["quiet"]) == ("x", tmp_path / "r", 5400.0, True)


def test_a_failed_run_has_status_one(ganvas: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded(monkeypatch, "train", Answer(state="failed", message="it broke"))
    assert ganvas("train", "dcgan32", "--data", "x", "--budget", "1m").status == 1


def test_data_may_come_from_the_config(ganvas: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = recorded(monkeypatch, "train", Answer(state="finished", message=""))
    assert ganvas("train", "dcgan32", "--set", "data.path=builtin:emoji").status == 0
    assert calls["arguments"][0].data.path == "builtin:emoji"


def test_resume_takes_a_length_and_a_time(ganvas: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls = recorded(monkeypatch, "resume", Answer(state="stopped", message=""))
    assert ganvas("train", "--resume", tmp_path, "--images", "2M", "--stop-after", "2h").status == 0
    assert (calls["arguments"], calls["images"], calls["stop_after"]) == ((tmp_path,), 2_000_000, 7200.0)


@pytest.mark.parametrize(
    ("verb", "words", "expected"),
    [
        (
            "prepare",
            [
                "a.zip",
                "out",
                "--resolution",
                "32",
                "--classes",
                "x, y",
                "--limit",
                "1k",
                "--holdout",
                "0.1",
                "--background",
                "#ff0080",
                "--force",
            ],
            {
                "resolution": 32,
                "crop": "center",
                "classes": ("x", "y"),
                "limit": 1000,
                "holdout": 0.1,
                "background": (255, 0, 128),
                "force": True,
            },
        ),
        (
            "evaluate",
            ["run", "--samples", "5k", "--checkpoint", "last", "--features", "inception", "--weights", "w.pth", "--data", "d"],
            {"samples": 5000, "checkpoint": "last", "features": "inception", "weights": Path("w.pth"), "data": "d"},
        ),
        (
            "evaluate",
            ["pictures.zip", "--data", "d", "--resolution", "64", "--out", "scores.json"],
            {"data": "d", "resolution": 64, "out": Path("scores.json"), "samples": None},
        ),
        (
            "sample",
            ["run", "out", "-n", "9", "--seed", "3", "--truncation", "0.7", "--classes", "x", "--no-ema", "--grid"],
            {"n": 9, "seed": 3, "truncation": 0.7, "classes": ("x",), "ema": False, "grid": True, "checkpoint": None},
        ),
        (
            "sample",
            ["run", "out", "--best", "10%", "--by", "both", "--balanced", "--watermark", "AI", "--as-dataset"],
            {"n": None, "best": "10%", "by": "both", "balanced": True, "watermark": "AI", "as_dataset": True, "kaggle": False},
        ),
        (
            "interpolate",
            [
                "run",
                "o",
                "--rows",
                "3",
                "--steps",
                "5",
                "--mode",
                "linear",
                "--classes",
                "a,b",
                "--seed",
                "2",
                "--format",
                "gif",
                "--noise",
                "0.2",
                "--no-ema",
            ],
            {"rows": 3, "steps": 5, "mode": "linear", "classes": ("a", "b"), "seed": 2, "formats": ("gif",), "noise": 0.2, "ema": False},
        ),
        ("timeline", ["run", "out", "--pictures", "4", "--moments", "6"], {"pictures": 4, "moments": 6, "formats": None}),
        (
            "sweep-truncation",
            ["run", "o", "--truncations", "1,none,0.5", "--samples", "1k"],
            {"truncations": (0.5, 1.0, None), "samples": 1000},
        ),
        ("sweep-noise", ["run", "o", "--noises", "0.3,0,0.1", "--samples", "1k"], {"noises": (0, 0.1, 0.3), "samples": 1000}),
        (
            "evaluate",
            ["run", "--checkpoint", "ema-0.120", "--noise", "0.3"],
            {"checkpoint": "ema-0.120", "noise": 0.3},
        ),
        ("ema", ["run", "--sigma", "0.12"], {"sigma": 0.12}),
        ("report", ["run", "--plots"], {"plots": True}),
        ("compare", ["a", "b", "--out", "c.html"], {"arguments": (Path("a"), Path("b")), "out": Path("c.html")}),
    ],
)
def test_options_reach_the_python_api(
    ganvas: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, verb: str, words: list[str], expected: dict[str, Any]
) -> None:
    calls = recorded(monkeypatch, verb.replace("-", "_"), Answer())
    assert ganvas(verb, *words).out == "for people\n"
    assert {key: calls[key] for key in expected} == expected
    assert json.loads(ganvas(verb, *words, "--json").out) == {"answer": 42}
