"""A trained model: loaded from a run, and made to draw pictures."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

import ganvas
from ganvas import runs
from ganvas.data.packed import cache_folder
from ganvas.errors import RunError, UsageError, nearest
from ganvas.families import build_family
from ganvas.families.base import Family, Judging
from ganvas.machine import processor_name
from ganvas.models.faster import engines, on_engine
from ganvas.notebook import shown
from ganvas.runs import RunFolder
from ganvas.sampling.engines import REFERENCE, Choice, choose, remembered
from ganvas.sampling.grid import grid, png
from ganvas.sampling.render import Noisy, Sampler, at_truncation, render, render_latents
from ganvas.training.checkpoint import Checkpoint
from ganvas.training.device import choose_device, set_up
from ganvas.types import PerImage, to_images

if TYPE_CHECKING:
    from PIL.Image import Image


class Pictures(np.ndarray):
    """uint8 (N, H, W, 3) pictures; a notebook shows them as a grid."""

    def __repr__(self) -> str:
        if self.ndim != 4 or self.dtype != np.uint8:
            return super().__repr__()
        return f"Pictures of {self.shape[2]} x {self.shape[1]} pixels: {self.shape[0]}"

    def _repr_png_(self) -> bytes | None:
        if self.ndim != 4 or self.dtype != np.uint8:
            return None
        return png(grid(np.asarray(self)))


class Model:
    """A run's generator, ready to draw."""

    def __init__(
        self,
        folder: RunFolder,
        saved: Checkpoint,
        family: Family,
        modules: dict[str, nn.Module],
        sampler: Sampler,
        device: torch.device,
        name: str,
    ):
        self.folder, self.checkpoint, self.checkpoint_name, self.family = folder, saved, name, family
        self.modules, self.sampler, self.device = modules, sampler, device
        self.resolution = folder.config().data.resolution
        data = folder.provenance().get("data", {})
        self._samplers: dict[str, Sampler] = {REFERENCE: sampler}
        self._conditional = folder.config().family.conditional
        self.classes: tuple[str, ...] = tuple(data.get("classes") or ()) if self._conditional else ()
        counts = data.get("class_counts")
        self.class_weights: Tensor | None = torch.tensor(counts, dtype=torch.float64) if self._conditional and counts else None

    @property
    def generator(self) -> nn.Module:
        """The generator: (latents, labels) to pictures in [-1, 1], in eval mode.

        Raises:
            RunError: the run's family has none.
        """
        if "generator" not in self.modules:
            raise RunError(f"{self.folder.path} has no generator: its modules are {', '.join(self.modules)}")
        return self.modules["generator"]

    @property
    def noise(self) -> float | None:
        """Deviation of what is added to the codes that pictures are made of; None for a model that is told no codes."""
        return self.sampler.noise if isinstance(self.sampler, Noisy) else None

    def add_noise(self, noise: float) -> None:
        """From now on, add noise of this deviation to codes, whose numbers have a mean square of 1.

        Raises:
            UsageError: it is below zero or no number, or the model is told no codes.
        """
        if not isinstance(self.sampler, Noisy):
            raise UsageError(f"{self.folder.path} is told no codes of real pictures to which noise could be added: leave out --noise")
        if not 0 <= noise < math.inf:
            raise UsageError(f"noise {noise:g} is no deviation: expected 0 or more, such as 0.3")
        self.sampler.noise = noise

    def class_indices(self, names: Sequence[str | int]) -> list[int]:
        """Indices of classes given by name or index.

        Raises:
            UsageError: no such class, or the model is not conditional.
        """
        if not self.classes:
            raise UsageError(f"{self.folder.path} is not class-conditional: it can't be asked for a class")
        found = []
        for name in names:
            if isinstance(name, str) and name in self.classes:
                found.append(self.classes.index(name))
            elif str(name).isdecimal() and int(name) < len(self.classes):
                found.append(int(name))
            else:
                known = ", ".join(self.classes)
                raise UsageError(f'"{name}" is no class of {self.folder.path}{nearest(str(name), self.classes)} (classes: {known})')
        return found

    def sample(
        self,
        n: int = 64,
        seed: int = 0,
        truncation: float | None = None,
        labels: Sequence[str | int] | None = None,
        latents: Tensor | np.ndarray | None = None,
        pil: bool = False,
        engine: str = "auto",
    ) -> Pictures | list[Image]:
        """uint8 (n, H, W, 3), or PIL images with `pil`.

        Picture i of a seed is the same whatever `n` is.

        Args:
            n: how many; the number of latents where those are given.
            seed: 0 or more.
            truncation: lower is truer and less varied. Normal latents stay within [-t, t]; a StyleGAN draws its styles
                towards their mean instead, psi from 0 to 1, also those of `latents`. None: not truncated.
            labels: class names or indices, used in turn; None: as frequent as in the data.
            latents: (n, latent size) to draw instead of random ones.
            pil: PIL images instead of an array.
            engine: how the pictures are computed; see `engine`.

        Raises:
            UsageError: a wrong number, size or class, or no such engine.
        """
        chosen = self.class_indices(labels) if labels is not None else None
        if latents is not None:
            pictures = self._of_latents(torch.as_tensor(latents, dtype=torch.float32), chosen, truncation, engine)
        else:
            check_numbers(n, seed, truncation)
            pictures = np.concatenate(list(self.batches(n, seed=seed, truncation=truncation, chosen=chosen, engine=engine)))
        if pil:
            from PIL import Image

            return [Image.fromarray(p) for p in pictures]
        return pictures.view(Pictures)

    def batches(
        self,
        n: int,
        *,
        seed: int = 0,
        truncation: float | None = None,
        chosen: Sequence[int] | None = None,
        engine: str = "auto",
        precision: str | None = None,
    ) -> Iterator[np.ndarray]:
        """Yield uint8 (b, H, W, 3) of the pictures 0 to n - 1 of a seed; see `ganvas.sampling.render`.

        `precision`: "fp32" or "bf16" of the network as it learnt, as scores have it, instead of an engine.
        """
        return render(
            self.sampler if precision is not None else self.sampler_on(engine),
            n,
            seed=seed,
            truncation=truncation,
            weights=self.class_weights,
            chosen=chosen,
            device=self.device,
            precision=precision or "fp32",
        )

    @cached_property
    def engine(self) -> Choice:
        """How pictures are computed unless an engine is named, and how far they are from the reference's.

        The fastest engine that is within one grey level of `eager` on 512 pictures of this very model. It is chosen
        once for a model, a machine and a number of threads, and kept in the cache.
        """
        names = engines(self.modules["generator"]) if self.device.type == "cpu" and "generator" in self.modules else ()
        if not names or not torch.backends.mkldnn.is_available():
            return Choice(REFERENCE)
        parts = [ganvas.__version__, torch.__version__, processor_name(), str(torch.get_num_threads()), *names]
        parts += [] if self.noise is None else [f"noise {self.noise:g}"]
        path = cache_folder() / "engines" / f"{fingerprint(self.modules['generator'], parts)}.json"
        return remembered(path, names, lambda: choose(self.sampler, self._on_engine, names, weights=self.class_weights))

    def sampler_on(self, engine: str) -> Sampler:
        """The sampler that computes by an engine: `auto`, `eager`, `fp32`, `fp16`, `fp16/2` (two parts in fp32) or `bf16`.

        Raises:
            UsageError: no such engine, or it is not for this model or device.
        """
        name = self.engine.engine if engine == "auto" else engine
        if name not in self._samplers:
            if self.device.type != "cpu":
                raise UsageError(f'engine "{name}" is for the processor, and this model is on {self.device}: use auto or eager')
            self._samplers[name] = self._on_engine(name)
        return self._samplers[name]

    def _on_engine(self, name: str) -> Sampler:
        return self.family.sampler({**self.family.modules(), **self.modules, "generator": on_engine(self.generator, name)})

    @cached_property
    def _judge(self) -> Judging:
        family = self.family
        if not isinstance(family, Judging):
            raise UsageError(f"{self.folder.path} has no discriminator to judge pictures: use --by realism")
        for name in family.judges:
            self.checkpoint.load_module(name, family.modules()[name])
        return family

    def judge(self, pictures: np.ndarray, labels: Tensor | None = None) -> PerImage:
        """(n,) the discriminator's logits of uint8 (n, H, W, 3) pictures, with their class indices if it is conditional.

        Raises:
            UsageError: the run's family has no judgement of single pictures.
            RunError: the discriminator's weights are missing or damaged.
        """
        images = to_images(torch.from_numpy(np.ascontiguousarray(pictures)).to(self.device))
        return self._judge.judge(images, None if labels is None else labels.to(self.device)).cpu()

    def draw(self, latents: Tensor, labels: Tensor | None = None, truncation: float | None = None, engine: str = "auto") -> np.ndarray:
        """uint8 (n, H, W, 3) of latents (n, size), each with its class index or its weights of classes (n, classes).

        `truncation` acts only where it is not the latents that it bounds (StyleGAN's styles).
        """
        return render_latents(at_truncation(self.sampler_on(engine), truncation), latents, labels, device=self.device)

    def _of_latents(self, latents: Tensor, chosen: list[int] | None, truncation: float | None, engine: str) -> np.ndarray:
        if latents.ndim != 2 or latents.shape[1] != self.sampler.latent_size:
            raise UsageError(f"latents have the shape {tuple(latents.shape)}, expected (n, {self.sampler.latent_size})")
        classes = chosen or list(range(len(self.classes)))
        labels = torch.tensor([classes[i % len(classes)] for i in range(len(latents))]) if classes else None
        return self.draw(latents, labels, truncation, engine)

    def _repr_html_(self) -> str:
        return shown(f"{self.folder.path}, {self.checkpoint.images:,} pictures seen", png(grid(np.asarray(self.sample(16)))))


def fingerprint(module: nn.Module, parts: Sequence[str]) -> str:
    """A short checksum of a network's weights and of what else decides."""
    digest = hashlib.blake2b("/".join(parts).encode(), digest_size=16)
    for name, tensor in module.state_dict().items():
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def check_numbers(n: int, seed: int, truncation: float | None) -> None:
    """Raise `UsageError` for numbers that make no sense."""
    if n < 1:
        raise UsageError(f"{n} pictures can't be drawn: expected 1 or more")
    if seed < 0:
        raise UsageError(f"seed {seed} is below zero: expected 0 or more")
    if truncation is not None and not truncation > 0:
        raise UsageError(f"truncation {truncation:g} is not above zero: expected a threshold such as 0.7, or none")


def load(
    path: str | Path,
    *,
    checkpoint: str | None = None,
    ema: bool = True,
    noise: float | None = None,
    device: str = "auto",
    family: Family | None = None,
) -> Model:
    """See `ganvas.load`."""
    folder = runs.open_run(path)
    set_up(None)
    where = choose_device(device)
    name = checkpoint or folder.default_checkpoint
    runs.check_checkpoint_name(name)
    if name == "fresh" and not (folder.checkpoints / name).exists():
        raise RunError(
            f"{folder.path} has no checkpoint fresh: it is kept where the best one copies training pictures and an earlier one did not; "
            "leave out --checkpoint"
        )
    if name not in runs.TRAINED and not (folder.checkpoints / name).exists():
        raise RunError(f"{folder.path} has no checkpoint {name}: `ganvas ema {folder.path} --sigma {name.removeprefix('ema-')}` makes it")
    saved = Checkpoint(folder.checkpoints / name)
    config, made = folder.config(), folder.provenance()
    if family is None:
        if "." in made.get("family", ""):
            raise UsageError(f"{path} has a family of its own, {made['family']}: load it from Python, ganvas.load(run, family=...)")
        family = build_family(
            config.family,
            resolution=config.data.resolution,
            classes=len(made.get("data", {}).get("classes") or ()),
            seed=config.seed,
            device=where,
        )
    modules = dict(family.modules())
    for module_name in family.averaged:
        stored = f"{module_name}_ema"
        if ema and not saved.has(stored):
            stored = module_name
        saved.load_module(stored, modules[module_name])
        modules[module_name].eval().requires_grad_(False)
    used = {module_name: modules[module_name] for module_name in family.averaged}
    model = Model(folder, saved, family, used, family.sampler(modules), where, name)
    if noise is not None:
        model.add_noise(noise)
    return model
