"""From a sampler to pixels, in fixed chunks: picture i of a seed never depends on how many are drawn."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from ganvas.sampling.labels import draw_labels
from ganvas.types import ClassWeights, Images, Labels, Latents, to_pixels

CHUNK = 64


@runtime_checkable
class Sampler(Protocol):
    """Makes pictures of latents."""

    latent_size: int

    def latents(self, seed: int, start: int, count: int, *, truncation: float | None = None, stream: str = "sample") -> Latents:
        """(count, latent_size) of the pictures start, start + 1, ..., on the processor."""
        ...

    def __call__(self, latents: Latents, labels: Labels | ClassWeights | None) -> Images:
        """Pictures (B, 3, R, R) in [-1, 1]. Weights of classes (B, classes) are mixtures: see `ganvas.nn.embed`."""
        ...


@runtime_checkable
class Truncating(Protocol):
    """What a sampler may offer beside, where it is not the latents that are truncated: StyleGAN truncates in W."""

    def truncated(self, truncation: float) -> Sampler:
        """The same sampler, at a truncation."""
        ...


@runtime_checkable
class OfClass(Protocol):
    """What a sampler may offer beside, where a class decides which latents there are."""

    def latents_of(
        self, labels: Labels | None, seed: int, start: int, count: int, *, truncation: float | None = None, stream: str = "sample"
    ) -> Latents:
        """As `Sampler.latents`, of the classes (count,)."""
        ...


@runtime_checkable
class Noisy(Protocol):
    """What a sampler may offer beside, where latents are real pictures' codes, to which noise is added."""

    noise: float
    """Its deviation, that of training unless it is set."""


def draw_latents(
    sampler: Sampler, labels: Labels | None, seed: int, start: int, count: int, *, truncation: float | None = None, stream: str = "sample"
) -> Latents:
    """(count, latent_size) of the pictures start, start + 1, ..., which are to be of these classes (count,)."""
    if isinstance(sampler, OfClass):
        return sampler.latents_of(labels, seed, start, count, truncation=truncation, stream=stream)
    return sampler.latents(seed, start, count, truncation=truncation, stream=stream)


def at_truncation(sampler: Sampler, truncation: float | None) -> Sampler:
    """The sampler, truncated where it is not its latents that are."""
    return sampler.truncated(truncation) if truncation is not None and isinstance(sampler, Truncating) else sampler


def class_labels(start: int, count: int, seed: int, weights: Tensor | None, chosen: Sequence[int] | None) -> Labels | None:
    """Class indices of the pictures start, start + 1, ...: the chosen classes in turn, or drawn as the data has them."""
    if chosen:
        return torch.tensor([chosen[i % len(chosen)] for i in range(start, start + count)])
    if weights is None:
        return None
    return draw_labels(weights, seed, start, count, "sample/label")


@torch.inference_mode()
def render(
    sampler: Sampler,
    count: int,
    *,
    seed: int = 0,
    start: int = 0,
    truncation: float | None = None,
    weights: Tensor | None = None,
    chosen: Sequence[int] | None = None,
    device: torch.device | str = "cpu",
    precision: str = "fp32",
    stream: str = "sample",
) -> Iterator[np.ndarray]:
    """uint8 (b, H, W, 3) of the pictures start to start + count - 1, b up to 64.

    Each chunk of 64 is computed whole, whichever of its pictures are asked for.
    """
    device, sampler = torch.device(device), at_truncation(sampler, truncation)
    for chunk in range(start // CHUNK, math.ceil((start + count) / CHUNK)):
        first = chunk * CHUNK
        labels = class_labels(first, CHUNK, seed, weights, chosen)
        latents = draw_latents(sampler, labels, seed, first, CHUNK, truncation=truncation, stream=stream).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            pixels = to_pixels(sampler(latents, None if labels is None else labels.to(device)))
        yield pixels[max(0, start - first) : min(CHUNK, start + count - first)].numpy()


@torch.inference_mode()
def render_latents(
    sampler: Sampler,
    latents: Latents,
    labels: Labels | ClassWeights | None = None,
    *,
    device: torch.device | str = "cpu",
    precision: str = "fp32",
) -> np.ndarray:
    """uint8 (n, H, W, 3) of latents (n, size), with the class of each or its weights of classes.

    Computed in chunks of exactly 64, the last one padded, so that a picture does not depend on its neighbours' number.
    """
    device, made = torch.device(device), []
    for start in range(0, len(latents), CHUNK):
        part = _padded(latents[start : start + CHUNK]).to(device)
        classes = None if labels is None else _padded(labels[start : start + CHUNK]).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            made.append(to_pixels(sampler(part, classes))[: len(latents) - start].numpy())
    return np.concatenate(made)


def _padded(rows: Tensor) -> Tensor:
    """The rows and, up to 64, copies of the last one."""
    missing = CHUNK - len(rows)
    return rows if missing == 0 else torch.cat([rows, rows[-1:].expand(missing, *rows.shape[1:])])
