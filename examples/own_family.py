"""A family of your own: what takes a step is yours, all the rest (data, averages, checkpoints, resuming) is ganvas's.

    python examples/own_family.py [PICTURES] [OUT]

The family here is a denoiser with one level of noise (Karras et al. 2022, eq. 2): no GAN at all, in 50 lines.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

import ganvas
from ganvas import rng
from ganvas.config import io
from ganvas.families.base import Draw, StepState
from ganvas.types import Batch

RESOLUTION = 32


class Denoiser:
    """Predicts pictures from noisy ones."""

    averaged: tuple[str, ...] = ("denoiser",)
    classes = 0

    def __init__(self, noise: float = 1.0, seed: int = 0) -> None:
        rng.seed_torch(seed, "weights")
        self.noise = noise
        self.net = nn.Sequential(
            nn.Conv2d(3, 32, 5, padding=2),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Conv2d(32, 32, 5, padding=2),
            nn.ReLU(),
            nn.Conv2d(32, 3, 5, padding=2),
        )
        self.optimizer = torch.optim.Adam(self.net.parameters(), 2e-3)

    def modules(self) -> Mapping[str, nn.Module]:
        """Each becomes a file of every checkpoint."""
        return {"denoiser": self.net}

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """Their state is kept too, so that a resumed run equals an uninterrupted one."""
        return {"denoiser": self.optimizer}

    def step(self, draw: Draw, state: StepState) -> dict[str, Tensor]:
        """One update. Random numbers are addressed by the picture's place in the stream, never drawn in passing."""
        batch = draw()
        clean = batch.images
        noise = rng.normals(state.seed, "noise", batch.start, len(clean), clean[0].numel()).view(clean.shape).to(clean.device)
        with state.autocast():
            loss = (self.net(clean + self.noise * noise).float() - clean).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return {"loss": loss.detach()}

    def probe(self, batch: Batch, state: StepState) -> dict[str, Tensor]:
        """Logged for training pictures and for held-out ones."""
        return {"power": batch.images.square().mean()}

    def sampler(self, modules: Mapping[str, nn.Module]) -> DenoiserSampler:
        """With the averages, or with the modules themselves."""
        return DenoiserSampler(modules["denoiser"])


class DenoiserSampler:
    """Noise to a denoised picture, in one step."""

    latent_size = 3 * RESOLUTION**2

    def __init__(self, net: nn.Module) -> None:
        self.net = net

    def latents(self, seed: int, start: int, count: int, *, truncation: float | None = None, stream: str = "sample") -> Tensor:
        """Noise for the pictures start, start + 1, ..."""
        return rng.normals(seed, stream, start, count, self.latent_size, truncation)

    def __call__(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        """Pictures in [-1, 1]."""
        return self.net(latents.view(-1, 3, RESOLUTION, RESOLUTION)).clamp(-1, 1)


def main(pictures: str = "builtin:emoji", out: str | None = None) -> None:
    """Train for 20,000 pictures, stop half-way, and go on."""
    folder = Path(out or tempfile.mkdtemp()) / "denoiser"
    config = io.load("dcgan32", ["train.images=10000", "evaluation=null", "samples.every=5000", "log.every=2000"])
    run = ganvas.train(config, data=pictures, out=folder, family=Denoiser(), quiet=True)
    print(run.message)
    run = ganvas.resume(run.path, images=20_000, family=Denoiser(), quiet=True)
    print(run.message)
    model = ganvas.load(run.path, family=Denoiser())
    print(model.sample(8).shape, "uint8 pictures of", len(run.folder.metrics()), "log lines")


if __name__ == "__main__":
    main(*sys.argv[1:])
