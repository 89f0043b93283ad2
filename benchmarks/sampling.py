"""Sampling speed: ganvas beside eager fp32 PyTorch, of the same weights, in one run.

    python benchmarks/sampling.py [RECIPE or RUN ...] [--json] [--rounds 7] [--pictures 256] [--cpu-time]

For each, pictures of the same latents, from latents to uint8 pixels, without files. The peer is the generator of
PyTorch's own parts: NCHW, fp32, in eval mode, with its spectral norms already divided out, in batches of 64. ganvas is
what `ganvas sample` uses: the engine chosen for this model on this machine (`--engine` names another). They take turns;
the ratio is the median of pairs. Recipes start from random weights and batch-norm statistics of their own pictures; runs
are read from their best checkpoint. Also printed: how far ganvas' pixels are from the peer's, in grey levels.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ganvas.config import io
from ganvas.families import build_family
from ganvas.models import residual
from ganvas.models.faster import engines, materialise, on_engine
from ganvas.nn.norm import batch_norms
from ganvas.runs import is_run
from ganvas.sampling.engines import REFERENCE, choose
from ganvas.sampling.render import CHUNK, Sampler
from ganvas.training.device import set_up
from ganvas.types import to_pixels
from machine import compared
from residual import CLASSES, PLAIN, ours_double, plain_double

RECIPES = ("cifar10-dcgan64", "biggan64", "sngan32")


class Peer:
    """The generator of PyTorch's own parts."""

    def __init__(self, generator: nn.Module):
        with torch.no_grad():
            self.generator = copy.deepcopy(generator).eval()
            materialise(self.generator)
        for layer in self.generator.modules():
            layer.__class__ = PLAIN.get(type(layer), layer.__class__)
        self.generator.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]

    def __call__(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        """uint8 (B, H, W, 3)."""
        residual.double = plain_double  # the blocks find this function by its name
        try:
            images = self.generator(latents, labels)
        finally:
            residual.double = ours_double
        return ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def of_recipe(name: str) -> tuple[nn.Module, Callable[[nn.Module], Sampler], Tensor | None]:
    """A generator whose batch norms know its own pictures, what makes samplers of such, and the classes' weights."""
    config = io.recipe(name)
    conditional = config.family.conditional
    family = build_family(
        config.family, resolution=config.data.resolution, classes=CLASSES if conditional else 0, seed=0, device=torch.device("cpu")
    )
    generator = family.modules()["generator"]
    weights = torch.ones(CLASSES, dtype=torch.float64) if conditional else None
    for norm in batch_norms(generator):
        norm.momentum = None  # the mean over all batches
        norm.reset_running_stats()
    generator.train()
    with torch.no_grad():
        for batch in range(4):
            latents = family.sampler(family.modules()).latents(1, batch * CHUNK, CHUNK)
            generator(latents, torch.arange(CHUNK) % CLASSES if conditional else None)
    generator.eval().requires_grad_(False)
    return generator, lambda module: family.sampler({**family.modules(), "generator": module}), weights


def of_run(path: str) -> tuple[nn.Module, Callable[[nn.Module], Sampler], Tensor | None]:
    """The same of a trained run."""
    from ganvas.verbs.model import load

    model = load(path, device="cpu")
    modules = {**model.family.modules(), **model.modules}
    return model.generator, lambda module: model.family.sampler({**modules, "generator": module}), model.class_weights


def measured(name: str, engine: str, pictures: int, rounds: int, clock: Callable[[], float]) -> dict[str, Any]:
    """Both sides' pictures per second, their ratio, and their difference in grey levels."""
    generator, sampler_of, weights = of_run(name) if is_run(Path(name)) else of_recipe(name)
    reference, peer = sampler_of(generator), Peer(generator)
    known, chosen = engines(generator), engine
    if engine == "auto":
        chosen = choose(reference, lambda e: sampler_of(on_engine(generator, e)), known, weights=weights, quiet=True).engine
    ours = reference if chosen == REFERENCE else sampler_of(on_engine(generator, chosen))
    batches = []
    for start in range(0, pictures, CHUNK):
        labels = None if weights is None else (torch.arange(start, start + CHUNK) % len(weights))
        batches.append((reference.latents(0, start, CHUNK), labels))
    sides: dict[str, Callable[[], np.ndarray]] = {
        "ours": lambda: np.concatenate([drawn(ours, *batch) for batch in batches]),
        "peer": lambda: np.concatenate([peer(*batch).numpy() for batch in batches]),
    }
    taken: dict[str, list[float]] = {side: [] for side in sides}
    made: dict[str, np.ndarray] = {}
    with torch.inference_mode():
        for turn in range(rounds + 1):
            for side, draw in sides.items():
                start = clock()
                made[side] = draw()
                if turn:  # the first chooses kernels and lays out weights
                    taken[side].append(clock() - start)
    far = np.abs(made["ours"].astype(np.int16) - made["peer"])
    what = f"sampling {name}, pictures per second of {'processor time' if clock is time.process_time else 'time'}"
    return compared(what, len(batches) * CHUNK, taken) | {
        "engine": chosen,
        "levels": {"largest": int(far.max()), "mean": round(float(far.mean()), 5), "share_beyond_one": float((far > 1).mean())},
    }


def drawn(sampler: Sampler, latents: Tensor, labels: Tensor | None) -> np.ndarray:
    """uint8 (B, H, W, 3), as `ganvas.sampling.render` makes them."""
    return to_pixels(sampler(latents, labels)).numpy()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=RECIPES, help=f"recipes or run folders (default: {' '.join(RECIPES)})")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--engine", default="auto", help="auto, eager, fp32, fp16, fp16/1, bf16 ... (default: auto)")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--pictures", type=int, default=256, help="a multiple of 64")
    parser.add_argument("--cpu-time", action="store_true", help="seconds of the processor, not of the clock")
    options = parser.parse_args()
    set_up(None)
    clock = time.process_time if options.cpu_time else time.perf_counter
    results = [measured(name, options.engine, options.pictures, options.rounds, clock) for name in options.what]
    if options.json:
        print(json.dumps({"sampling": results}))
        return
    for result in results:
        low, high = result["ratio_range"]
        levels = result["levels"]
        print(f"{result['what']}\n  ganvas ({result['engine']})  {result['ours']:>9}\n  eager fp32      {result['peer']:>9}")
        print(f"  ratio {result['ratio']} (pairs: {low} to {high})")
        print(f"  grey levels: largest {levels['largest']}, mean {levels['mean']}, beyond one {levels['share_beyond_one']:.1e}")


if __name__ == "__main__":
    main()
