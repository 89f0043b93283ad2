"""Choose an average after training: a checkpoint whose generator is averaged at another width."""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganvas import runs
from ganvas.config.optim import MAX_SIGMA, PowerEmaConfig
from ganvas.errors import RunError, UsageError
from ganvas.families.base import Family, StepState
from ganvas.nn.spectral import follow
from ganvas.notebook import Shown
from ganvas.runs import average_name
from ganvas.training import checkpoint
from ganvas.training.ema import pass_fixed_latents, restimate_batch_norms
from ganvas.training.power_ema import Reconstruction, reconstruct
from ganvas.verbs.model import Model, load
from ganvas.verbs.training import sole_writer

ROUGH = 0.1
"""A profile that is missed by more of its size than this is worth a warning."""


@dataclass(frozen=True)
class Averaged(Shown):
    """A checkpoint that was made of averages."""

    run: Path
    checkpoint: str
    sigma: float
    images: int
    snapshots: int
    missed: float
    """How far the wanted profile is missed, as a share of its size."""

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {**asdict(self), "run": str(self.run)}

    def summary(self) -> str:
        """For people."""
        lines = [
            f"{self.run / 'checkpoints' / self.checkpoint}: the generator averaged over {self.sigma:g} of {self.images:,} pictures",
            f"made of {self.snapshots} moments; its profile is missed by {self.missed:.1%} of its size",
        ]
        if self.missed > ROUGH:
            lines.append(
                "that is rough: a width between the two that were tracked is nearer, or keep more moments (ema.snapshots, ema.every)"
            )
        return "\n".join([*lines, f"next    ganvas evaluate {self.run} --checkpoint {self.checkpoint}"])


def average(run: str | Path, sigma: float, family: Family | None = None) -> Averaged:
    """See `ganvas.ema`."""
    folder = runs.open_run(run)
    config = folder.config()
    if not 0 < sigma < MAX_SIGMA:
        raise UsageError(f"sigma {sigma:g} is no width of an average: expected a share of the run above 0 and below {MAX_SIGMA:.3f}")
    if not isinstance(config.ema, PowerEmaConfig):
        raise UsageError(f"{folder.path} kept no averages of which others can be made: train a run with --set 'ema={{kind: power}}'")
    with sole_writer(folder):
        model = load(folder.path, checkpoint="last", device="cpu", family=family)
        made = reconstruct(folder.averages, latest(model), model.checkpoint.images, config.ema.sigmas, sigma)
        name = average_name(sigma)
        _save(model, made, name, sigma)
    return Averaged(folder.path, name, sigma, model.checkpoint.images, made.snapshots, made.missed)


def latest(model: Model) -> dict[str, Tensor]:
    """Both averages at the checkpoint: `0/module/parameter` and `1/module/parameter`.

    Raises:
        RunError: the checkpoint has no second one.
    """
    second = model.checkpoint.owners().get("ema", {}).get("second")
    if second is None:
        raise RunError(f"the checkpoint {model.checkpoint.path} has no second average: it was made with another kind of ema")
    first = {f"0/{name}/{key}": p.detach() for name in model.family.averaged for key, p in model.modules[name].named_parameters()}
    return {**first, **second}


def _save(model: Model, made: Reconstruction, name: str, sigma: float) -> None:
    """Write the checkpoint: the run's last one, with the average that was made in place of its own."""
    family, saved = model.family, model.checkpoint
    averages: dict[str, nn.Module] = {module: copy.deepcopy(model.modules[module]) for module in family.averaged}
    with torch.no_grad():
        for module, average in averages.items():
            for key, parameter in average.named_parameters():
                parameter.copy_(made.parameters[f"{module}/{key}"])
    for module, network in family.modules().items():
        saved.load_module(module, network)
    for module, average in averages.items():
        follow(average, family.modules()[module])
    provenance = model.folder.provenance()
    state = StepState(saved.facts["seed"], model.device, provenance.get("precision", "fp32"), label_weights=model.class_weights)
    sampler = family.sampler({**family.modules(), **averages})
    with torch.no_grad():
        restimate_batch_norms(averages, lambda: pass_fixed_latents(sampler, state))
    modules = {**family.modules(), **{f"{module}_ema": average for module, average in averages.items()}}
    facts = {key: saved.facts[key] for key in ("images", "step", "seconds", "seed")}
    facts["average"] = {"sigma": sigma, "of": model.checkpoint_name, "snapshots": made.snapshots, "missed": made.missed}
    checkpoint.save(model.folder.checkpoints / name, modules, {}, facts)
