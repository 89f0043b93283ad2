"""A tiny denoiser: a family that is no GAN, which shows that the loop knows neither G nor D."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ganvas import rng
from ganvas.families.base import Draw, StepState
from ganvas.types import Batch


class Denoiser:
    """Predicts a picture from a noisy one (Karras et al. 2022, eq. 2, at one noise level)."""

    averaged: tuple[str, ...] = ("denoiser",)
    classes = 0

    def __init__(self, resolution: int, seed: int = 0):
        rng.seed_torch(seed, "weights")
        self.resolution = resolution
        self.net = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.1), nn.Conv2d(8, 3, 3, padding=1)
        )
        self.optimizer = torch.optim.Adam(self.net.parameters(), 1e-3)

    def modules(self) -> Mapping[str, nn.Module]:
        return {"denoiser": self.net}

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        return {"denoiser": self.optimizer}

    def step(self, draw: Draw, state: StepState) -> dict[str, Tensor]:
        batch = draw()
        x = batch.images
        noise = rng.normals(state.seed, "noise", batch.start, x.shape[0], x[0].numel()).view(x.shape)
        loss = (self.net(x + 0.5 * noise) - x).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return {"loss": loss.detach()}

    def probe(self, batch: Batch, state: StepState) -> dict[str, Tensor]:
        return {"power": batch.images.square().mean()}

    def sampler(self, modules: Mapping[str, nn.Module]) -> DenoiserSampler:
        return DenoiserSampler(modules["denoiser"], self.resolution)


class DenoiserSampler:
    """One step from noise to the mean picture."""

    def __init__(self, net: nn.Module, resolution: int):
        self.net, self.resolution, self.latent_size = net, resolution, 3 * resolution**2

    def latents(self, seed: int, start: int, count: int, *, truncation: float | None = None, stream: str = "sample") -> Tensor:
        return rng.normals(seed, stream, start, count, self.latent_size, truncation)

    def __call__(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        return self.net(latents.view(-1, 3, self.resolution, self.resolution)).clamp(-1, 1)
