"""Power-function averages: their widths, what is tracked, what is kept, and what is made of it afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import ganvas
from ganvas.config import EmaConfig, PowerEmaConfig, io
from ganvas.errors import RunError, UsageError
from ganvas.training.checkpoint import Checkpoint
from ganvas.training.ema import Ema
from ganvas.training.power_ema import PowerEma, Profile, build_ema, coefficients, exponent, reconstruct, relative_width, snapshots
from small import config

BATCH = 50


class Moving(nn.Module):
    """Parameters that follow a given path."""

    def __init__(self, size: int):
        super().__init__()
        self.numbers = nn.Parameter(torch.zeros(size))
        self.still = nn.Parameter(torch.full((3,), 0.7))


def path(steps: int, size: int = 40) -> Tensor:
    """(steps, size): parameters that settle quickly at first and ever more slowly, with a random walk of their own."""
    generator = np.random.default_rng(0)
    t = np.arange(1, steps + 1)[:, None] / steps
    settled = generator.normal(size=size) * np.log(1 + 30 * t) + generator.normal(size=size) * np.sin(9 * t)
    return torch.from_numpy(settled + np.cumsum(generator.normal(size=(steps, size)), 0) * 0.03).float()


def follow(numbers: Tensor, settings: PowerEmaConfig, folder: Path) -> PowerEma:
    module = Moving(numbers.shape[1])
    ema = PowerEma(settings, {"generator": module}, folder)
    for step, now in enumerate(numbers, 1):
        with torch.no_grad():
            module.numbers.copy_(now)
        ema.update(step * BATCH, BATCH)
    return ema


def averages(ema: PowerEma) -> dict[str, Tensor]:
    return {key: tensor.clone() for key, tensor in ema._named()}


def test_widths_and_exponents() -> None:
    # Karras et al. 2024, section 3.1: 0.05 and 0.10 are the exponents 16.97 and 6.94.
    assert exponent(0.05) == pytest.approx(16.97, abs=0.005)
    assert exponent(0.10) == pytest.approx(6.94, abs=0.005)
    for gamma in (0.5, 3.0, 40.0):
        assert exponent(relative_width(gamma)) == pytest.approx(gamma)
        # The standard deviation of the density (gamma + 1) s^gamma on [0, 1].
        mean, square = (gamma + 1) / (gamma + 2), (gamma + 1) / (gamma + 3)
        assert relative_width(gamma) == pytest.approx((square - mean**2) ** 0.5)


def test_products_are_the_integrals() -> None:
    a, b = Profile(400, 16.97), Profile(900, 6.94)
    at = (np.arange(400_000) + 0.5) / 400_000 * 900
    profiles = [np.where(at < p.images, (p.exponent + 1) * at**p.exponent / p.images ** (p.exponent + 1), 0) for p in (a, b)]
    assert a.product(b, 1.0) == pytest.approx(float((profiles[0] * profiles[1]).mean() * 900), rel=1e-4)
    assert a.product(b, 900.0) == pytest.approx(900 * a.product(b, 1.0))


def test_what_is_tracked_is_the_weighted_mean(tmp_path: Path) -> None:
    numbers = path(60)
    tracked = averages(follow(numbers, PowerEmaConfig(sigmas=(0.1, 0.2)), tmp_path))
    edges = np.arange(61) / 60
    for i, sigma in enumerate((0.1, 0.2)):
        # A step's parameters count for the time until the next: the integral of its part of the profile.
        weights = np.diff(edges ** (exponent(sigma) + 1))
        expected = torch.from_numpy(weights).float() @ numbers
        torch.testing.assert_close(tracked[f"{i}/generator/numbers"], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("which", [0, 1])
def test_a_width_that_was_tracked_is_found_exactly(tmp_path: Path, which: int) -> None:
    settings = PowerEmaConfig(every=500)
    latest = averages(follow(path(200), settings, tmp_path))
    made = reconstruct(tmp_path, latest, 200 * BATCH, settings.sigmas, settings.sigmas[which])
    assert made.missed < 1e-5
    torch.testing.assert_close(made.parameters["generator/numbers"], latest[f"{which}/generator/numbers"], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("sigma", [0.04, 0.07, 0.12, 0.2])
def test_another_width_is_close_to_what_would_have_been_tracked(tmp_path: Path, sigma: float) -> None:
    numbers, settings = path(1000), PowerEmaConfig(every=BATCH * 25, snapshots=32)
    latest = averages(follow(numbers, settings, tmp_path / "kept"))
    made = reconstruct(tmp_path / "kept", latest, 1000 * BATCH, settings.sigmas, sigma)
    direct = averages(follow(numbers, PowerEmaConfig(sigmas=(sigma, 0.25 if sigma < 0.2 else 0.1), every=10**9), tmp_path / "direct"))
    wanted = direct["0/generator/numbers"]
    # Beside how far the tracked averages are from it: within a hundredth.
    away = min(float((latest[f"{i}/generator/numbers"] - wanted).norm()) for i in (0, 1))
    assert float((made.parameters["generator/numbers"] - wanted).norm()) < 0.01 * away
    assert made.missed < 0.03
    # What never moved stays what it is.
    torch.testing.assert_close(made.parameters["generator/still"], torch.full((3,), 0.7), rtol=1e-5, atol=1e-5)


def test_coefficients_add_up_to_one() -> None:
    kept = [Profile(at, exponent(s)) for at in range(1000, 9000, 1000) for s in (0.05, 0.1)]
    for sigma in (0.03, 0.08, 0.15, 0.28):
        shares, missed = coefficients(kept, Profile(8000, exponent(sigma)))
        assert float(shares.sum()) == pytest.approx(1, abs=1e-6)
        assert 0 <= missed < 0.5


def test_snapshots_are_bounded_and_evenly_spread(tmp_path: Path) -> None:
    settings, module = PowerEmaConfig(every=200, snapshots=6), Moving(4)
    ema = PowerEma(settings, {"generator": module}, tmp_path)
    most = 0
    for step in range(1, 215):
        ema.update(step * 30, 30)
        most = max(most, len(snapshots(tmp_path)))
    assert most == 6
    seen = [int(file.stem) for file in snapshots(tmp_path)]
    # 6,420 pictures in steps of 30: the first step at each multiple of 1,600.
    assert seen == [1620, 3210, 4800, 6420]
    assert sum(file.stat().st_size for file in snapshots(tmp_path)) < 2 * settings.snapshots * (7 * 4 + 400)


def test_half_lives_stay_the_default(tmp_path: Path) -> None:
    assert isinstance(io.recipe("dcgan64").ema, EmaConfig)
    module = Moving(4)
    assert isinstance(build_ema(EmaConfig(), {"generator": module}, tmp_path), Ema)
    assert isinstance(build_ema(PowerEmaConfig(), {"generator": module}, tmp_path), PowerEma)
    with pytest.raises(UsageError, match=r"both 0\.1"):
        io.load("dcgan64", ["ema={kind: power, sigmas: [0.1, 0.1]}"])
    with pytest.raises(UsageError, match="sigmas"):
        io.load("dcgan64", ["ema={kind: power, sigmas: [0.1, 0.3]}"])


@pytest.fixture(scope="module")
def run(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("power") / "run"
    ema = {"kind": "power", "every": 32, "snapshots": 4}
    networks = {"kind": "biggan", "width": 8, "max_width": 16, "attention": 8}
    settings = config(data=packed, ema=ema, family__generator=networks, family__loss={"kind": "hinge"}, train__images=192)
    ganvas.train(settings, out=out, quiet=True)
    return out


def parameters(checkpoint: Path, name: str = "generator_ema") -> dict[str, Tensor]:
    return load_file(checkpoint / f"{name}.safetensors")


def test_a_run_gets_averages_of_any_width(run: Path) -> None:
    assert [int(file.stem) for file in snapshots(run / "averages")] == [64, 128, 192]
    made = ganvas.ema(run, 0.05)
    assert made.checkpoint == "ema-0.050"
    assert made.missed < 1e-5
    last = run / "checkpoints" / "last"
    own, remade = parameters(last), parameters(run / "checkpoints" / "ema-0.050")
    assert own.keys() == remade.keys()
    for key in own:
        torch.testing.assert_close(remade[key], own[key], rtol=2e-3, atol=2e-4)
    other = ganvas.ema(run, 0.123)
    assert other.checkpoint == "ema-0.123"
    assert "ganvas evaluate" in other.summary()
    wide = parameters(run / "checkpoints" / "ema-0.123")
    assert any(value.is_floating_point() and not torch.allclose(value, own[key]) for key, value in wide.items())
    pictures = ganvas.load(run, checkpoint="ema-0.123").sample(4)
    assert not np.array_equal(pictures, ganvas.load(run, checkpoint="last").sample(4))
    assert ganvas.load(run).checkpoint_name == "last"
    facts = Checkpoint(run / "checkpoints" / "ema-0.123").facts
    assert facts["average"]["sigma"] == 0.123
    assert facts["images"] == 192


def test_what_can_not_be_averaged(run: Path, unconditional: Path) -> None:
    with pytest.raises(UsageError, match=r"ema=\{kind: power\}"):
        ganvas.ema(unconditional, 0.1)
    for sigma in (0.0, 0.3, -1.0):
        with pytest.raises(UsageError, match=r"below 0\.289"):
            ganvas.ema(run, sigma)
    with pytest.raises(RunError, match=r"no checkpoint ema-0\.200: `ganvas ema"):
        ganvas.load(run, checkpoint="ema-0.200")
    with pytest.raises(UsageError, match=r"such as ema-0\.120"):
        ganvas.load(run, checkpoint="ema")


def test_a_run_told_codes_has_averages_of_its_networks_alone(packed: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"data": packed, "ema": {"kind": "power", "every": 64}}
    ganvas.train(config("codes32", **settings, train__images=192), out=tmp_path / "whole", quiet=True)
    ganvas.train(config("codes32", **settings, train__images=128), out=tmp_path / "parts", quiet=True)
    ganvas.resume(tmp_path / "parts", images=192, quiet=True)
    for run in ("whole", "parts"):
        assert [int(file.stem) for file in snapshots(tmp_path / run / "averages")] == [64, 128, 192]
        ganvas.ema(tmp_path / run, 0.123)
    whole, parts = (parameters(tmp_path / run / "checkpoints" / "ema-0.123") for run in ("whole", "parts"))
    assert all(torch.equal(whole[key], value) for key, value in parts.items())
    pictures = ganvas.load(tmp_path / "whole", checkpoint="ema-0.123").sample(4)
    assert not np.array_equal(pictures, ganvas.load(tmp_path / "whole", checkpoint="last").sample(4))
