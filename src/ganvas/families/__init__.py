"""The families of training: one table, keyed by config type."""

from __future__ import annotations

import torch

from ganvas.config.family import CodedConfig, GanConfig, InstanceConfig, MatchingConfig
from ganvas.config.family import Family as FamilyConfig
from ganvas.families.base import Family
from ganvas.families.coded import Coded
from ganvas.families.gan import Gan
from ganvas.families.instance import InstanceGan
from ganvas.families.matching import Matching

FAMILIES = {GanConfig: Gan, InstanceConfig: InstanceGan, MatchingConfig: Matching, CodedConfig: Coded}


def build_family(config: FamilyConfig, *, resolution: int, classes: int, seed: int, device: torch.device) -> Family:
    """The family that a config describes.

    Raises:
        UsageError: the config asks for what the data does not have.
    """
    return FAMILIES[type(config)](config, resolution=resolution, classes=classes, seed=seed, device=device)  # type: ignore[arg-type]
