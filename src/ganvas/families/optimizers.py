"""Optimizers: one table, keyed by config type; all parameters are updated by one fused kernel."""

from __future__ import annotations

import torch
from torch import nn

from ganvas.config.optim import AdamConfig, MuonConfig, Optimizer, SgdConfig
from ganvas.families.muon import Muon


def adam(module: nn.Module, config: AdamConfig) -> torch.optim.Optimizer:
    """Kingma and Ba 2015, algorithm 1."""
    return torch.optim.Adam(module.parameters(), lr=config.lr, betas=config.betas, eps=config.eps, fused=True)


def sgd(module: nn.Module, config: SgdConfig) -> torch.optim.Optimizer:
    """v = m v + g; p = p - lr v."""
    return torch.optim.SGD(module.parameters(), lr=config.lr, momentum=config.momentum, fused=True)


def muon(module: nn.Module, config: MuonConfig) -> torch.optim.Optimizer:
    """Muon for matrices, Adam for the rest."""
    return Muon(module, config.lr, config.momentum, config.betas, config.eps)


def anneal(optimizer: torch.optim.Optimizer, config: Optimizer, annealed: float) -> None:
    """Move Adam's beta2 to where it should be, `annealed` of the way from its first value to its final one."""
    if isinstance(config, AdamConfig) and config.final_beta2 is not None:
        beta1, beta2 = config.betas
        for group in optimizer.param_groups:
            group["betas"] = (beta1, beta2 + (config.final_beta2 - beta2) * annealed)


OPTIMIZERS = {AdamConfig: adam, SgdConfig: sgd, MuonConfig: muon}


def build_optimizer(module: nn.Module, config: Optimizer) -> torch.optim.Optimizer:
    """The optimizer of a module's parameters that a config describes."""
    return OPTIMIZERS[type(config)](module, config)  # type: ignore[arg-type]
