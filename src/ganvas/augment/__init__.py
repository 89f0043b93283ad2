"""Augmentation: of real pictures, and of all that the critic sees."""

from __future__ import annotations

from ganvas.augment.ada import AdaptiveAugment
from ganvas.augment.diffaug import DiffAugment
from ganvas.config.objective import AdaptiveAugment as AdaptiveAugmentConfig
from ganvas.config.objective import CriticAugment
from ganvas.config.objective import DiffAugment as DiffAugmentConfig

CRITIC_AUGMENTS = {DiffAugmentConfig: DiffAugment, AdaptiveAugmentConfig: AdaptiveAugment}


def build_critic_augment(config: CriticAugment, seed: int) -> DiffAugment | AdaptiveAugment:
    """T of `critic(x) = D(T(x))` that a config describes: (pictures, stream, index of the first) to pictures."""
    return CRITIC_AUGMENTS[type(config)](config, seed)  # type: ignore[arg-type]
