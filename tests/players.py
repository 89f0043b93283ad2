"""What every pair of networks has to show."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from ganvas.errors import UsageError


def unlearnt(module: nn.Module) -> list[str]:
    """Parameters without a gradient."""
    return [name for name, p in module.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]


def check_both_learn(generator: nn.Module, discriminator: nn.Module, latents: Tensor, labels: Tensor | None, resolution: int) -> Tensor:
    """Pictures and logits of their shapes, and a gradient to every parameter; the pictures."""
    pictures = generator(latents, labels)
    assert pictures.shape == (len(latents), 3, resolution, resolution)
    logits = discriminator(pictures, labels)
    assert logits.shape == (len(latents),)
    # Not a plain sum: that of batch-normalised maps is constant, and has no gradient.
    (logits * torch.randn(len(latents))).sum().backward()
    assert unlearnt(generator) == []
    assert unlearnt(discriminator) == []
    return pictures


def check_the_class_matters(generator: nn.Module, discriminator: nn.Module, size: int = 20) -> None:
    """Of three classes: other pictures of the same latents (of `size`), other logits of the same picture, and no guess without labels."""
    z, labels = torch.randn(1, size).expand(2, -1), torch.tensor([0, 2])
    pictures = generator(z, labels)
    assert not torch.allclose(pictures[0], pictures[1])
    a, b = discriminator(pictures[:1].expand(2, -1, -1, -1), labels)
    assert a != b
    for network, entering in ((generator, z), (discriminator, pictures)):
        with pytest.raises(UsageError, match="conditional"):
            network(entering)
