"""How far training is from what the machine can do: each recipe's step beside its floors, and where its time goes.

    python benchmarks/limits.py [RECIPE...] [--json] [--rounds 5] [--steps 6]

A step's operations (products and sums of matrix products and convolutions, counted as they are dispatched) over the rate
of a bf16 matrix product that is measured in the same run is the time that arithmetic alone needs. The bytes that the
step's kernels read and write, over the measured rate of copying memory, is what moving them would take if no cache
held anything: kernels that find their input in a cache are faster. A step can't be faster than the first, and is
rarely faster than the larger one.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

import machine
import residual
from ganvas.auto.pace import LATE, ROUND
from ganvas.config import io
from ganvas.families import build_family
from ganvas.families.base import Settling, StepState
from ganvas.training.device import choose_precision, set_up
from ganvas.types import Batch

RECIPES = ("cifar10-dcgan64", "dogs-biggan", "cifar10-sncgan", "matching64", "projected64")
CLASSES = 10
KINDS = {
    "matrix products": ("mm", "addmm", "bmm", "baddbmm", "mv", "linear"),
    "convolutions": ("convolution", "mkldnn_convolution", "_convolution_pointwise", "thnn_conv2d"),
    "gradients of convolutions": ("convolution_backward",),
    "norms": ("native_batch_norm", "native_batch_norm_backward", "native_layer_norm"),
    "activations": (
        "leaky_relu",
        "leaky_relu_backward",
        "clamp_min",
        "threshold_backward",
        "tanh",
        "tanh_backward",
        "sigmoid",
        "clamp",
        "sigmoid_backward",
    ),
    "copies and casts": ("copy", "cat", "contiguous", "clone", "fill", "zero", "constant_pad_nd"),
    "optimizer and average": ("_fused_adam", "_foreach_lerp", "_fused_sgd"),
}


class Traffic(TorchDispatchMode):
    """Bytes that kernels read and write; views move none."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count, and go on."""
        out = func(*args, **(kwargs or {}))
        if not func.is_view and "empty" not in func.__name__:
            self.bytes += sum(_bytes(tree) for tree in (args, kwargs, out))
        return out


def _bytes(tree: Any) -> int:
    return sum(leaf.numel() * leaf.element_size() for leaf in tree_leaves(tree) if isinstance(leaf, Tensor))


def stepper(recipe: str) -> tuple[Callable[[], None], int]:
    """A step of a recipe on drawn pictures, and how many pictures it shows."""
    config, device = io.recipe(recipe), torch.device("cpu")
    family = build_family(config.family, resolution=config.data.resolution, classes=CLASSES, seed=0, device=device)
    batch, side, precision = config.train.batch, config.data.resolution, choose_precision("auto", device)
    pictures = (torch.rand(batch, 3, side, side) * 2 - 1).contiguous(memory_format=torch.channels_last)
    if isinstance(family, Settling):
        family.settle(Batch(pictures, torch.arange(batch) % CLASSES, 0), StepState(0, device, precision))
    return residual.stepper(family, pictures, precision, LATE), batch * getattr(config.family, "d_steps", 1)


def bandwidth(megabytes: int = 256, seconds: float = 1.0) -> float:
    """Bytes read and written per second by a copy that no cache holds: the best of a second."""
    source = torch.zeros(megabytes * 2**18)
    target, best, end = torch.zeros_like(source), 0.0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        target.copy_(source)
        best = max(best, 2 * source.numel() * source.element_size() / (time.perf_counter() - start))
    return best


def shares(step: Callable[[], None], steps: int = ROUND) -> dict[str, float]:
    """Shares of a step's time by kind of operation."""
    with profile(activities=[ProfilerActivity.CPU]) as found:
        for _ in range(steps):
            step()
    kinds = {name: kind for kind, names in KINDS.items() for name in names}
    spent: Counter[str] = Counter()
    for event in found.key_averages():
        name = event.key.rpartition("::")[2].rstrip("_")
        spent[kinds.get(name, kinds.get(event.key.rpartition("::")[2], "other"))] += event.self_cpu_time_total
    total = sum(spent.values())
    return {kind: round(time / total, 3) for kind, time in spent.most_common()}


def measure(recipe: str, rate: float, copying: float, rounds: int, steps: int) -> dict[str, Any]:
    """A recipe's step beside its floors; seconds are for one picture."""
    step, pictures = stepper(recipe)
    for _ in range(3):
        step()
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(steps):
            step()
        taken.append((time.perf_counter() - start) / steps / pictures)
    with FlopCounterMode(display=False) as counter, Traffic() as traffic:
        for _ in range(ROUND):
            step()
    shown = ROUND * pictures
    operations, moved, seconds = counter.get_total_flops() / shown, traffic.bytes / shown, statistics.median(taken)
    return {
        "recipe": recipe,
        "pictures_per_second": round(1 / seconds, 1),
        "range": [round(1 / max(taken), 1), round(1 / min(taken), 1)],
        "gigaoperations_per_picture": round(operations / 1e9, 3),
        "megabytes_per_picture": round(moved / 1e6, 2),
        "share_of_arithmetic": round(operations / rate / seconds, 3),
        "share_of_traffic": round(moved / copying / seconds, 3),
        "time_by_kind": shares(step),
    }


def table(found: Iterable[dict[str, Any]]) -> str:
    """The results for people, in Markdown."""
    lines = [
        "| recipe | pictures/s | Gop/picture | arithmetic alone would take | MB/picture | traffic alone would take |",
        "|" + "---|" * 6,
    ]
    for one in found:
        cells = [
            one["recipe"],
            f"{one['pictures_per_second']:.0f}",
            f"{one['gigaoperations_per_picture']:.2f}",
            f"{one['share_of_arithmetic']:.0%} of the time",
            f"{one['megabytes_per_picture']:.1f}",
            f"{one['share_of_traffic']:.0%} of the time",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", f"| recipe | {' | '.join([*KINDS, 'other'])} |", "|" + "---|" * (len(KINDS) + 2)]
    for one in found:
        spent = [f"{one['time_by_kind'].get(kind, 0):.0%}" for kind in (*KINDS, "other")]
        lines.append(f"| {one['recipe']} | {' | '.join(spent)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", default=RECIPES)
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2 * ROUND, help="steps in each round")
    options = parser.parse_args()
    set_up(None)
    torch.manual_seed(0)
    rate, copying = machine.matmul_rate(torch.bfloat16), bandwidth()
    found = [measure(recipe, rate, copying, options.rounds, options.steps) for recipe in options.recipes]
    about = machine.describe() | {"bf16_matmul_tflops": round(rate / 1e12, 2), "copy_gb_per_second": round(copying / 1e9, 1)}
    if options.json:
        print(json.dumps({"machine": about, "recipes": found}))
        return
    print(table(found))
    print(f"\nbf16 matrix product {about['bf16_matmul_tflops']} TFLOP/s, copying {about['copy_gb_per_second']} GB/s read and written;")
    print(f"{about['processor']}, {about['threads']} threads, torch {about['torch']}, {about['date']}")


if __name__ == "__main__":
    main()
