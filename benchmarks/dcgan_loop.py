"""The DCGAN loop as PyTorch tutorials write it: what others train on a processor, and what ganvas is held against.

    python benchmarks/dcgan_loop.py DATA OUT.zip --minutes 30 [--seed 0] [--threads 2]

NCHW, fp32, BCE with logits, Adam 2e-4, batch 64, D on real and on fake, then G; its pictures come from memory in a new
order in each epoch. Two things that tutorials do not have are added, in its favour: denormals are flushed, and memory
comes in huge pages (6% more pictures; results of before the evening of 2026-11-22 are without). When its time is over it
draws 10,000 pictures with the batch norms' running statistics, for `ganvas evaluate OUT.zip --data DATA`.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ganvas import artifact
from ganvas.data.packed import is_packed, open_packed
from ganvas.data.prepare import resolve
from ganvas.sampling.grid import png
from ganvas.training.device import set_up
from ganvas.types import to_images, to_pixels

BATCH, LATENT = 64, 100
WIDTHS = (512, 256, 128, 64)
"""Maps of the generator's layers at 64 px, from 4x4 on (SYSTEMS, section 2); at 32 px it begins with the second."""


def widths(resolution: int) -> tuple[int, ...]:
    """Maps of each layer from 4x4 on, for 16, 32 or 64 px."""
    return WIDTHS[len(WIDTHS) - int(math.log2(resolution)) + 2 :]


def generator(resolution: int = 64) -> nn.Sequential:
    """(B, 100, 1, 1) to (B, 3, R, R) in [-1, 1]; at 64 px SYSTEMS' section 2, as the report prints it."""
    layers: list[nn.Module] = []
    entering, stride, padding = LATENT, 1, 0
    for leaving in widths(resolution):
        layers += [nn.ConvTranspose2d(entering, leaving, 4, stride, padding, bias=False), nn.BatchNorm2d(leaving), nn.ReLU(True)]
        entering, stride, padding = leaving, 2, 1
    return nn.Sequential(*layers, nn.ConvTranspose2d(entering, 3, 4, 2, 1, bias=False), nn.Tanh())


def discriminator(resolution: int = 64) -> nn.Sequential:
    """(B, 3, R, R) to logits (B,); its sigmoid is in the loss, which is as fast and safer."""
    entering, *others = reversed(widths(resolution))
    layers: list[nn.Module] = [nn.Conv2d(3, entering, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True)]
    for leaving in others:
        layers += [nn.Conv2d(entering, leaving, 4, 2, 1, bias=False), nn.BatchNorm2d(leaving), nn.LeakyReLU(0.2, True)]
        entering = leaving
    return nn.Sequential(*layers, nn.Conv2d(entering, 1, 4, 1, 0, bias=False), nn.Flatten(0))


def initialise(module: nn.Module) -> None:
    """N(0, 0.02), batch norms N(1, 0.02)."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0, 0.02)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1, 0.02)


def steps(g: nn.Module, d: nn.Module) -> Callable[[Tensor], None]:
    """A step of the loop on real pictures (64, 3, R, R) in [-1, 1]."""
    loss = nn.BCEWithLogitsLoss()
    optimizer_g, optimizer_d = (torch.optim.Adam(m.parameters(), lr=2e-4, betas=(0.5, 0.999)) for m in (g, d))
    ones, zeros = torch.ones(BATCH), torch.zeros(BATCH)

    def step(real: Tensor) -> None:
        optimizer_d.zero_grad()
        loss(d(real), ones).backward()
        fake = g(torch.randn(BATCH, LATENT, 1, 1))
        loss(d(fake.detach()), zeros).backward()
        optimizer_d.step()
        optimizer_g.zero_grad()
        loss(d(fake), ones).backward()
        optimizer_g.step()

    return step


def epochs(pixels: np.ndarray) -> Iterator[Tensor]:
    """Batches of 64 in [-1, 1], NCHW, without end; what is left of an epoch after its last whole batch is dropped."""
    while True:
        for rows in torch.randperm(len(pixels)).split(BATCH):
            if len(rows) == BATCH:
                yield to_images(torch.from_numpy(pixels[rows.numpy()])).contiguous()


@torch.no_grad()
def draw(g: nn.Module, count: int) -> np.ndarray:
    """uint8 (count, R, R, 3)."""
    g.eval()
    parts = [to_pixels(g(torch.randn(min(BATCH, count - at), LATENT, 1, 1))).numpy() for at in range(0, count, BATCH)]
    return np.concatenate(parts)


def archive(pictures: np.ndarray) -> bytes:
    """A zip of PNG."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for index, pixels in enumerate(pictures):
            file.writestr(f"{index:05}.png", png(pixels))
    return buffer.getvalue()


def main() -> None:
    """Train, draw, and print what it took as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="a packed data set of 16, 32 or 64 pixels, or builtin:emoji")
    parser.add_argument("out", type=Path, help="a .zip file to write")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pictures", type=int, default=10_000, help="how many to draw")
    options = parser.parse_args()
    begun, began_cpu = time.time(), time.process_time()
    set_up(options.threads)
    torch.manual_seed(options.seed)
    packed = open_packed(options.data) if is_packed(options.data) else resolve(options.data, resolution=64, quiet=True)
    train = packed.split("train")
    pixels = train.gather(np.arange(len(train)))
    g, d = generator(pixels.shape[1]), discriminator(pixels.shape[1])
    for module in (g, d):
        initialise(module)
    step, images = steps(g, d), 0
    for real in epochs(pixels):
        step(real)
        images += BATCH
        if time.time() - begun >= 60 * options.minutes:
            break
    spent = {"images": images, "seconds": time.time() - begun, "cpu_seconds": time.process_time() - began_cpu}
    made = draw(g, options.pictures)
    artifact.write_bytes(options.out, archive(made))
    counts = {name: sum(p.numel() for p in module.parameters()) for name, module in (("generator", g), ("discriminator", d))}
    json.dump(spent | {"parameters": counts}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
