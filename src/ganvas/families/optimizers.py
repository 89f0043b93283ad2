"""Optimizers: one table, keyed by config type; all parameters are updated by one fused kernel."""

from __future__ import annotations

import torch
from torch import nn

from ganvas.config.optim import AdamConfig, Optimizer, SgdConfig


def adam(module: nn.Module, config: AdamConfig) -> torch.optim.Optimizer:
    """Kingma and Ba 2015, algorithm 1."""
    return torch.optim.Adam(module.parameters(), lr=config.lr, betas=config.betas, eps=config.eps, fused=True)


def sgd(module: nn.Module, config: SgdConfig) -> torch.optim.Optimizer:
    """v = m v + g; p = p - lr v."""
    return torch.optim.SGD(module.parameters(), lr=config.lr, momentum=config.momentum, fused=True)


OPTIMIZERS = {AdamConfig: adam, SgdConfig: sgd}


def build_optimizer(module: nn.Module, config: Optimizer) -> torch.optim.Optimizer:
    """The optimizer of a module's parameters that a config describes."""
    return OPTIMIZERS[type(config)](module, config)  # type: ignore[arg-type]
