"""Convolutions and the weights that GANs start from."""

from __future__ import annotations

from torch import nn
from torch.nn.utils import parametrizations


def dcgan_init(module: nn.Module) -> None:
    """Weights of convolutions and linear layers from N(0, 0.02), of batch norms from N(1, 0.02); biases zero.

    Radford et al. 2016, section 4, and the authors' code for the batch norms.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(layer.weight, 0.0, 0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d) and layer.affine:
            nn.init.normal_(layer.weight, 1.0, 0.02)
            nn.init.zeros_(layer.bias)


def spectral(layer: nn.Module, on: bool) -> nn.Module:
    """The layer, its weight divided by its largest singular value if `on` (Miyato et al. 2018, algorithm 1)."""
    return parametrizations.spectral_norm(layer) if on else layer
