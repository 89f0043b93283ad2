"""From latents to pictures: what a family of GANs gives for sampling."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganvas import rng
from ganvas.config.family import LatentConfig
from ganvas.families.coding import Instances
from ganvas.models.stylegan2 import Generator as StyleGenerator
from ganvas.sampling import latent
from ganvas.types import ClassWeights, Images, Labels, Latents, Styles

CENTRE_LATENTS = 2_048
"""Latents whose mean w is the centre of a class; its error is a 45th of their spread."""


class GanSampler:
    """Latents to pictures through a generator."""

    def __init__(self, generator: nn.Module, config: LatentConfig):
        self.generator, self.config, self.latent_size = generator, config, config.size

    def latents(self, seed: int, start: int, count: int, *, truncation: float | None = None, stream: str = "sample") -> Latents:
        """(count, size), each of its (seed, stream, index)."""
        return latent.draw(self.config, seed, start, count, truncation=truncation, stream=stream)

    def __call__(self, latents: Latents, labels: Labels | ClassWeights | None) -> Images:
        """Pictures in [-1, 1]."""
        return self.generator(latents, labels)


class InstanceSampler:
    """Codes to pictures through a generator; its latents are codes, made of those of real pictures, of a class if one is asked for."""

    def __init__(self, generator: nn.Module, instances: Instances, beside: LatentConfig | None = None):
        """`beside`: noise that latents hold after the codes."""
        self.generator, self.instances, self.beside = generator, instances, beside
        self.latent_size = instances.config.size + (0 if beside is None else beside.size)

    @property
    def noise(self) -> float:
        """Deviation of what is added to codes."""
        return self.instances.noise

    @noise.setter
    def noise(self, value: float) -> None:
        self.instances.noise = value

    def latents(self, seed: int, start: int, count: int, *, truncation: float | None = None, stream: str = "sample") -> Latents:
        """(count, size), each of its (seed, stream, index), of pictures of any class."""
        return self.latents_of(None, seed, start, count, truncation=truncation, stream=stream)

    def latents_of(
        self, labels: Labels | None, seed: int, start: int, count: int, *, truncation: float | None = None, stream: str = "sample"
    ) -> Latents:
        """(count, size), each of its (seed, stream, index) and class; `truncation` bounds the noise about real pictures' codes."""
        codes = self.instances.draw(seed, stream, start, count, labels=labels, bound=truncation)
        if self.beside is None:
            return codes
        noise = latent.draw(self.beside, seed, start, count, truncation=truncation, stream=f"{stream}/beside")
        return torch.cat([codes, noise.to(codes)], 1)

    def __call__(self, latents: Latents, labels: Labels | ClassWeights | None) -> Images:
        """Pictures in [-1, 1]. Classes are in the codes; whole ones given beside them are taken for those.

        Raises:
            TypeError: for weights of classes, of which no picture can be made.
        """
        if labels is not None and labels.is_floating_point():
            raise TypeError("codes are of pictures of one class: there are no mixtures of classes")
        return self.generator(latents)


class StyleSampler:
    """Latents to pictures through mapped latents, where truncation acts: w' = mean + psi (w - mean).

    Karras et al. 2019, appendix B, with the mean over latents of a picture's own class, found from the present weights.
    """

    def __init__(self, generator: StyleGenerator, config: LatentConfig, psi: float | None = None, centres: dict[int, Tensor] | None = None):
        """`psi`: 0 to 1, None: not truncated. `centres`: those that are known already."""
        self.generator, self.config, self.latent_size = generator, config, config.size
        self.psi, self._centres = psi, {} if centres is None else centres

    def truncated(self, truncation: float) -> StyleSampler:
        """The same, its styles drawn towards their mean: 0 makes the mean picture, 1 changes nothing."""
        return StyleSampler(self.generator, self.config, truncation, self._centres)

    def latents(self, seed: int, start: int, count: int, *, truncation: float | None = None, stream: str = "sample") -> Latents:
        """(count, size), each of its (seed, stream, index), whatever `truncation` is: see `truncated`."""
        return latent.draw(self.config, seed, start, count, stream=stream)

    def styles(self, latents: Latents, labels: Labels | ClassWeights | None = None) -> Styles:
        """(B, layers, style size): w for each layer, truncated."""
        styles = self.generator.styles(latents, labels)
        if self.psi is None:
            return styles
        return torch.lerp(self._means(labels, latents.device)[:, None], styles, self.psi)

    def __call__(self, latents: Latents, labels: Labels | ClassWeights | None) -> Images:
        """Pictures, about in [-1, 1]."""
        return self.generator(latents, labels, styles=self.styles(latents, labels))

    def _means(self, labels: Labels | ClassWeights | None, device: torch.device) -> Tensor:
        """(1 or B, style size): the mean w of each picture's class, or of its mixture of classes."""
        if labels is None:
            return self._centre(None, device)[None]
        if not labels.is_floating_point():
            return torch.stack([self._centre(int(label), device) for label in labels])
        used = [int(c) for c in (labels != 0).any(0).nonzero()]
        return labels[:, used] @ torch.stack([self._centre(c, device) for c in used])

    def _centre(self, label: int | None, device: torch.device) -> Tensor:
        key = -1 if label is None else label
        if key not in self._centres:
            latents = rng.normals(0, "centre of w", 0, CENTRE_LATENTS, self.latent_size).to(device)
            labels = None if label is None else torch.full((CENTRE_LATENTS,), label, device=device)
            with torch.inference_mode(False), torch.no_grad():
                self._centres[key] = self.generator.mapping(latents.clone(), labels).mean(0)
        return self._centres[key]


def sampler_of(generator: nn.Module, config: LatentConfig) -> GanSampler | StyleSampler:
    """What draws samples with a generator."""
    return StyleSampler(generator, config) if isinstance(generator, StyleGenerator) else GanSampler(generator, config)
