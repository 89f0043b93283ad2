"""What all tests share: a cache of their own, the local pictures, the command line in this process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    # Workers share the cores, and so do the commands that they start; torch reads this when it is imported.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))))


@dataclass(frozen=True)
class Finished:
    """A command line that ended."""

    status: int
    out: str
    err: str


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the user's cache out of the tests, and theirs out of the user's; pytest-xdist's workers share one."""
    base = tmp_path_factory.getbasetemp()
    cache = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "ganvas-cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANVAS_CACHE", str(cache))
        patch.delenv("GANVAS_DEBUG", raising=False)
        patch.delenv("GANVAS_INCEPTION_WEIGHTS", raising=False)
        yield


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Each worker of pytest-xdist computes on one thread: theirs would wait for each other on a small machine."""
    import torch

    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of local pictures; a test that asks for it is skipped where there is none."""
    given = os.environ.get("GANVAS_SHARED_DATA")
    folder = Path(given) if given else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the local pictures: there is no {folder} (GANVAS_SHARED_DATA names another place)")
    return folder


@pytest.fixture
def ganvas(capsys: pytest.CaptureFixture[str]) -> Callable[..., Finished]:
    """Run a command line in this process: `ganvas("train", "dcgan64", ...)`."""
    from ganvas.cli.main import run

    def call(*arguments: Any) -> Finished:
        capsys.readouterr()
        status = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Finished(status, captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """96 disks of two classes at 16 pixels, 16 of them held out."""
    from ganvas.data.prepare import prepare
    from small import disks

    folder = tmp_path_factory.mktemp("disks")
    prepare(disks(folder / "pictures"), folder / "packed", resolution=16, holdout=1 / 6, quiet=True)
    return folder / "packed"


@pytest.fixture(scope="session")
def trained(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A class-conditional run on the disks that ended, with scores while training; tests leave it as it is."""
    import ganvas
    from small import config

    out = tmp_path_factory.mktemp("trained") / "run"
    labels = {"family__generator__labels": "onehot", "family__discriminator__labels": "projection"}
    settings = config(data=packed, **labels, evaluation={"every": 64, "samples": 100})
    ganvas.train(settings, out=out, quiet=True)
    return out


@pytest.fixture(scope="session")
def unconditional(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same without classes, and with uniform latents."""
    import ganvas
    from small import config

    out = tmp_path_factory.mktemp("unconditional") / "run"
    ganvas.train(config(data=packed, family__latent__distribution="uniform"), out=out, quiet=True)
    return out
