"""Training speed of a residual recipe: ganvas beside eager fp32 PyTorch with the same networks, in one run.

    python benchmarks/residual.py [RECIPE] [--json] [--batch N] [--rounds 3] [--steps 2] [--cpu-time]

The peer takes the same steps with the same parameters, in NCHW memory and fp32, made of PyTorch's own parts as one
writes them: doubling and averaging as steps of their own beside 3x3 convolutions, batch norm and then a gain and an
offset, PyTorch's spectral norm parametrization, attention with a softmax of products, Adam by default. They take turns;
each figure is the median over the rounds. `--cpu-time` counts the processor's seconds instead of the clock's, for
a machine that is busy with other work.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from ganvas.config import GanConfig, RunConfig, io
from ganvas.families import build_family
from ganvas.families.base import Family, StepState
from ganvas.models import residual
from ganvas.nn.attention import SelfAttention
from ganvas.nn.norm import ConditionalBatchNorm2d
from ganvas.nn.resample import Conv1x1, Conv3x3, DownConv3x3, UpConv3x3
from ganvas.training.device import choose_precision, set_up
from ganvas.types import Batch
from machine import compared

CLASSES = 10


class PlainUp(nn.Conv2d):
    """Doubling, then a convolution."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', 2H, 2W)."""
        return super().forward(F.interpolate(input, scale_factor=2.0))


class PlainDown(nn.Conv2d):
    """A convolution, then averaging."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H/2, W/2)."""
        return F.avg_pool2d(super().forward(input), 2)


class PlainAttention(SelfAttention):
    """Products and a softmax."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        query, key, value = self.query(x).flatten(2), F.max_pool2d(self.key(x), 2).flatten(2), F.max_pool2d(self.value(x), 2).flatten(2)
        weights = torch.softmax(query.transpose(1, 2) @ key, 2)
        return x + self.gamma * self.out((value @ weights.transpose(1, 2)).view(x.shape[0], -1, *x.shape[2:]))


class PlainConditional(ConditionalBatchNorm2d):
    """Batch norm, then a gain and an offset."""

    def forward(self, input: Tensor, condition: Tensor | None = None) -> Tensor:
        """(B, C, H, W) to the same shape."""
        normalised = nn.BatchNorm2d.forward(self, input)
        gain, offset = self.to_affine(condition)[:, :, None, None].chunk(2, 1)
        return normalised * (1 + gain) + offset


PLAIN = {
    UpConv3x3: PlainUp,
    DownConv3x3: PlainDown,
    Conv3x3: nn.Conv2d,
    Conv1x1: nn.Conv2d,
    SelfAttention: PlainAttention,
    ConditionalBatchNorm2d: PlainConditional,
}


ours_double = residual.double


def plain_double(x: Tensor) -> Tensor:
    """Each pixel four times."""
    return F.interpolate(x, scale_factor=2.0)


def build(config: RunConfig) -> Family:
    """The recipe's family."""
    return build_family(config.family, resolution=config.data.resolution, classes=CLASSES, seed=0, device=torch.device("cpu"))


def build_plain(config: RunConfig) -> Family:
    """The same networks of PyTorch's own parts."""
    players, settings = {}, {}
    for player in ("generator", "discriminator"):
        players[player] = getattr(config.family, player).spectral_norm
        settings[f"family.{player}.spectral_norm"] = False
    family = build(io.load(config.name, (), settings))
    for player, module in family.modules().items():
        for layer in list(module.modules()):
            layer.__class__ = PLAIN.get(type(layer), layer.__class__)
            embeds = isinstance(layer, nn.Embedding) and player == "generator"
            if players[player] and isinstance(layer, nn.Conv2d | nn.Linear | nn.Embedding) and not embeds:
                parametrizations.spectral_norm(layer)
        module.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        options = getattr(config.family, f"optimizer_{player[0]}")
        family.optimizers()[player] = torch.optim.Adam(module.parameters(), options.lr, options.betas)  # type: ignore[index]
    return family


def stepper(family: Family, images: Tensor, precision: str, at: int = 0) -> Callable[[], None]:
    """One step of a family on the same batch over and over; `at`: after so many pictures."""
    state, batch = StepState(0, torch.device("cpu"), precision), len(images)
    state.images = at
    labels, position = torch.arange(batch) % CLASSES, 0

    def draw() -> Batch:
        nonlocal position
        position += batch
        return Batch(images, labels, position - batch)

    def step() -> None:
        family.step(draw, state)
        state.images, state.step = at + position, state.step + 1

    return step


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", nargs="?", default="biggan64")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--batch", type=int, help="default: the recipe's")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=2, help="steps in each round")
    parser.add_argument("--cpu-time", action="store_true", help="seconds of the processor, not of the clock")
    options = parser.parse_args()
    set_up(None)
    config, clock = io.recipe(options.recipe), time.process_time if options.cpu_time else time.perf_counter
    if not isinstance(config.family, GanConfig):
        raise SystemExit(f"{options.recipe} is no GAN: there is no peer for it here")
    batch, size = options.batch or config.train.batch, config.data.resolution
    images = torch.rand(batch, 3, size, size, generator=torch.Generator().manual_seed(0)).mul(2).sub(1)
    precision = choose_precision("auto", torch.device("cpu"))
    steps = {
        "ours": stepper(build(config), images.contiguous(memory_format=torch.channels_last), precision),
        "peer": stepper(build_plain(config), images, "fp32"),
    }
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(options.rounds + 1):
        for name, step in steps.items():
            # The blocks find this function by its name; the first turn chooses kernels and is not counted.
            residual.double = plain_double if name == "peer" else ours_double
            start = clock()
            for _ in range(options.steps if turn else 1):
                step()
            if turn:
                taken[name].append((clock() - start) / options.steps)
    shown = batch * config.family.d_steps
    unit = "processor time" if options.cpu_time else "time"
    what = f"training {options.recipe}, batch {batch}, real pictures per second of {unit}"
    result = compared(what, shown, taken) | {"precision": precision}
    if options.json:
        print(json.dumps(result))
        return
    print(f"{result['what']}\nganvas ({precision})  {result['ours']:>8}\neager fp32      {result['peer']:>8}")
    print(f"ratio {result['ratio']} (pairs: {result['ratio_range'][0]} to {result['ratio_range'][1]})")


if __name__ == "__main__":
    main()
