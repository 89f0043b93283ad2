"""Training speed: ganvas beside a plain fp32 PyTorch loop of the same networks, in one run.

    python benchmarks/throughput.py [--json] [--data PACKED] [--rounds 5] [--steps 12]

Both train the `cifar10-dcgan64` networks on the same real batches of 64 from memory, without a loader, on all cores.
The peer is the DCGAN loop as tutorials write it: NCHW, fp32, BCE with logits, Adam, D on real and fake, then G; with
denormals flushed and memory in huge pages, as ours. They take turns; each figure is the median over the rounds.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import torch
from torch import Tensor

from dcgan_loop import BATCH, LATENT, discriminator, generator, initialise, steps
from ganvas.config import EmaConfig, io
from ganvas.families import build_family
from ganvas.families.base import StepState
from ganvas.training.device import set_up
from ganvas.types import Batch, to_images
from machine import compared, matmul_rate

BATCHES = 10


def plain(batches: list[Tensor]) -> Callable[[], None]:
    """One step of the plain loop."""
    g, d = generator(), discriminator()
    for module in (g, d):
        initialise(module)
    step, at = steps(g, d), 0

    def taken() -> None:
        nonlocal at
        step(batches[at % len(batches)])
        at += 1

    return taken


def ours(batches: list[Tensor]) -> Callable[[], None]:
    """One step of ganvas, as its loop makes it."""
    from ganvas.training.device import choose_precision
    from ganvas.training.ema import Ema

    config, device = io.recipe("cifar10-dcgan64"), torch.device("cpu")
    family = build_family(config.family, resolution=64, classes=0, seed=0, device=device)
    check_same_networks(family.modules())
    state = StepState(0, device, choose_precision("auto", device))
    ema = Ema(config.ema, {"generator": family.modules()["generator"]}) if isinstance(config.ema, EmaConfig) else None
    at = 0

    def draw() -> Batch:
        nonlocal at
        images, at = batches[at % len(batches)], at + 1
        return Batch(images, None, (at - 1) * BATCH)

    def step() -> None:
        family.step(draw, state)
        state.images, state.step = at * BATCH, state.step + 1
        if ema:
            ema.update(state.images, BATCH)

    return step


def check_same_networks(modules: object) -> None:
    """The two sides train parameters of the same shapes."""
    for name, peer in (("generator", generator()), ("discriminator", discriminator())):
        mine = [tuple(p.shape) for p in modules[name].parameters()]  # type: ignore[index]
        if mine != [tuple(p.shape) for p in peer.parameters()]:
            raise SystemExit(f"the {name}s differ: nothing to compare")


def operations() -> float:
    """Multiplications and additions for each real picture of a step, in convolutions alone.

    D forwards on real, fake and fake again (3), its gradients of weights and inputs on real and fake (2 x 2, the
    first layer's inputs need none) and of inputs for G (1); G forwards (1) and its gradients of weights and inputs (2).
    """
    d = [(4096 // 4**k, entering, leaving) for k, (entering, leaving) in enumerate(((3, 64), (64, 128), (128, 256), (256, 512)), 1)]
    g = [(16 * 4**k, entering, leaving) for k, (entering, leaving) in enumerate(((512, 256), (256, 128), (128, 64), (64, 3)))]
    d_pass = [2 * area * 16 * a * b for area, a, b in d]
    g_pass = [2 * area * 16 * a * b for area, a, b in g] + [2 * LATENT * 512 * 16]
    return sum(d_pass) * (3 + 4 + 1) - 2 * d_pass[0] + sum(g_pass) * 3


def seconds_of(step: Callable[[], None], steps: int) -> float:
    """Seconds for one step, over `steps` of them."""
    start = time.perf_counter()
    for _ in range(steps):
        step()
    return (time.perf_counter() - start) / steps


def real_batches(data: str | None) -> list[Tensor]:
    """Real pictures (10 batches) in [-1, 1], NCHW memory: of a packed data set, or the built-in emoji."""
    from ganvas.data.prepare import resolve

    split = resolve(data or "builtin:emoji", resolution=64, quiet=True).split("train")
    pixels = torch.from_numpy(split.gather(torch.arange(BATCH * BATCHES).numpy()))
    return list(to_images(pixels).contiguous().split(BATCH))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--data", help="a packed data set of 64 pixels or more (default: builtin:emoji)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=12, help="steps in each round")
    options = parser.parse_args()
    set_up(None)
    torch.manual_seed(0)
    batches = real_batches(options.data)
    channels_last = [b.contiguous(memory_format=torch.channels_last) for b in batches]
    sides = {"ours": ours(channels_last), "peer": plain(batches)}
    for step in sides.values():
        seconds_of(step, 4)
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(options.rounds):
        for name, step in sides.items():
            taken[name].append(seconds_of(step, options.steps))
    result = compared("training cifar10-dcgan64, real pictures per second", BATCH, taken)
    rate = matmul_rate(torch.bfloat16)
    result |= {
        "share_of_bf16_matmul_rate": round(result["ours"] * operations() / rate, 3),
        "bf16_matmul_tflops": round(rate / 1e12, 2),
        "gigaoperations_per_picture": round(operations() / 1e9, 2),
    }
    if options.json:
        print(json.dumps(result))
        return
    print(f"{'':28}pictures/s")
    print(f"{'ganvas':28}{result['ours']:>10}")
    print(f"{'plain PyTorch loop, fp32':28}{result['peer']:>10}")
    print(f"ratio {result['ratio']} (pairs: {result['ratio_range'][0]} to {result['ratio_range'][1]})")
    print(f"share of the bf16 matmul rate ({result['bf16_matmul_tflops']} TFLOP/s): {result['share_of_bf16_matmul_rate']:.1%}")
    print(
        f"{result['machine']['processor']}, {result['machine']['threads']} threads, torch {torch.__version__}, {result['machine']['date']}"
    )


if __name__ == "__main__":
    main()
