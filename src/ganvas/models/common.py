"""What several architectures share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from ganvas.config.model import Init, Output
from ganvas.errors import UsageError
from ganvas.nn.conv import dcgan_init
from ganvas.types import ClassWeights, Images, Labels, Logits, PerImage

CHANNELS = 3

OUTPUTS: dict[Output, Callable[[], nn.Module]] = {"tanh": nn.Tanh, "sigmoid": nn.Sigmoid}
"""A generator's last activation."""


def _torch_init(module: nn.Module) -> None:
    """PyTorch's own, which the layers already have."""


INITS: dict[Init, Callable[[nn.Module], None]] = {"normal": dcgan_init, "torch": _torch_init}
"""How a network's weights begin."""


@runtime_checkable
class SelfSupervised(Protocol):
    """A discriminator that learns from real pictures beside telling them from fakes."""

    def learn(self, images: Images, labels: Labels | None = None) -> tuple[Logits, dict[str, tuple[float, PerImage]]]:
        """Logits, and by name a weight and a loss at each picture."""
        ...


def needed(labels: Labels | ClassWeights | None) -> Tensor:
    """The labels that a conditional network can't do without.

    Raises:
        UsageError: there are none.
    """
    if labels is None:
        raise UsageError("this model is conditional: it needs a class for each picture")
    return labels
