"""Transfer: a run that begins with what an older one learnt.

Generators and discriminators learn edges, textures and colours that serve other pictures too, so that a few hundred
pictures suffice for what is particular to them (Wang et al. 2018, arXiv:1805.01677). Freezing the discriminator's
first layers keeps it from learning few pictures by heart (FreezeD: Mo, Cho and Shin 2020, arXiv:2002.10964).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ganvas.config import RunConfig
from ganvas.errors import RunError, UsageError
from ganvas.families.base import Family
from ganvas.families.coding import Coder
from ganvas.training.checkpoint import Checkpoint

LEAST = 0.5
"""Share of a module's parameters that must fit: with fewer, the networks are others and nothing is transferred."""


@dataclass(frozen=True)
class Taken:
    """What one module took over."""

    parameters: int
    """Numbers that were copied."""
    fresh: tuple[str, ...]
    """Parameters and statistics that begin anew, having other shapes or none there: those of the classes, mostly."""


def take_over(family: Family, saved: Checkpoint, older: RunConfig) -> dict[str, Taken]:
    """Copy a checkpoint's weights into a new family's modules, wherever name and shape agree.

    Modules that are averaged begin with the average, whose pictures are the better ones. The rule that codes are made by
    is kept, too, where `older` (the config of the checkpoint's run) makes them of the same features: by it, a generator
    already knows what is asked for.

    Raises:
        RunError: the checkpoint's networks are others.
    """
    found = {}
    for name, module in family.modules().items():
        if isinstance(module, Coder):
            if saved.has(name) and module.is_of(getattr(older.family, "codes", None)) and module.take(saved.tensors(name)):
                found[name] = Taken(0, ())
            continue
        if next(module.parameters(), None) is None:
            continue  # what a regulariser remembers is of the older game
        stored = f"{name}_ema" if saved.has(f"{name}_ema") else name
        if not saved.has(stored):
            raise RunError(f"{saved.path} holds no {name}: only a run of the same kind can be transferred")
        found[name] = _copy(module, saved.tensors(stored), f"{saved.path / stored}.safetensors")
    return found


@torch.no_grad()
def _copy(module: nn.Module, tensors: dict[str, Tensor], where: str) -> Taken:
    own = module.state_dict()
    fitting = {key for key, value in own.items() if key in tensors and tensors[key].shape == value.shape}
    sizes = {key: parameter.numel() for key, parameter in module.named_parameters()}
    copied = sum(size for key, size in sizes.items() if key in fitting)
    if copied < LEAST * sum(sizes.values()):
        raise RunError(
            f"{where} fits {copied / max(1, sum(sizes.values())):.0%} of this run's parameters: transfer needs the same networks; "
            "leave the recipe out to take the older run's own"
        )
    for key in fitting:
        own[key].copy_(tensors[key])
    return Taken(copied, tuple(sorted(set(own) - fitting)))


def freeze_first(family: Family, layers: int) -> int:
    """Stop the discriminator's first layers from learning; how many parameters that are.

    A layer is a convolution or a linear layer, with the norms before the next one. In residual blocks, layers count in
    the order in which the block names them.

    Raises:
        UsageError: the family has no discriminator, or it has no more layers than that.
    """
    module = family.modules().get("discriminator")
    if module is None:
        raise UsageError(
            "transfer.freeze keeps the first layers of a discriminator, and these networks have none: leave it out, "
            "or begin with the run of a GAN (of the family gan, as ganvas recipes lists them)"
        )
    blocks = list(_layers(module))
    if layers >= len(blocks):
        most = len(blocks) - 1
        raise UsageError(f"transfer.freeze is {layers}, but the discriminator has {most + 1} layers: expected 0 to {most}")
    chosen = [parameter for block in blocks[:layers] for parameter in block]
    for parameter in chosen:
        parameter.requires_grad_(False)
    return sum(parameter.numel() for parameter in chosen)


def _layers(module: nn.Module) -> Iterator[list[nn.Parameter]]:
    """The parameters of each layer, in order."""
    waiting: list[nn.Parameter] = []
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear) and waiting:
            yield waiting
            waiting = []
        waiting = waiting + list(part.parameters(recurse=False))
    if waiting:
        yield waiting
