"""Features of pictures that were not rounded to whole levels: of a generator's output as it comes."""

from __future__ import annotations

import torch
from torch import Tensor

from ganvas.errors import UsageError
from ganvas.features.network import FeatureNetwork
from ganvas.types import Images

# torch-fidelity's copy of the network refuses anything but uint8.
_WHOLE_LEVELS = "inception-2015"


def features_of_floats(net: FeatureNetwork, images: Images) -> Tensor:
    """Floating point (B, 3, H, W) in [-1, 1] to float32 (B, dim) on the CPU; neither rounded nor clamped.

    Of pictures that hold whole levels, what `FeatureNetwork.features` gives, up to rounding in float32.

    Raises:
        UsageError: the network takes whole levels only.
    """
    if net.name == _WHOLE_LEVELS:
        raise UsageError(f"the features {net.name} take pictures in whole levels only: expected others here, such as efficientnet-lite0")
    levels = images.detach().float().add(1).mul(127.5).permute(0, 2, 3, 1)
    parts = [net._part(part, False)[0] for part in levels.split(net.chunk) if len(part)]
    return torch.cat([torch.empty(0, net.dim), *parts]).clone()
