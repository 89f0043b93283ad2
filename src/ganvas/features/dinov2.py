"""DINOv2 (Oquab et al. 2023): features learned without labels, which follow people's judgement better than Inception's.

Stein et al. 2023 (arXiv 2306.04675) compare FD on many features with what people see, and propose FD on ViT-L/14's
(`FD-DINOv2`). The weights are the user's to download: they are on no package registry. ganvas knows no checksum of them
that their makers published, so it says of scores on them when nobody vouched for the file.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ganvas.errors import UsageError
from ganvas.features.network import FeatureNetwork, read_weights
from ganvas.features.resize import resize
from ganvas.features.vit import VisionTransformer
from ganvas.types import Levels, Pixels

WEIGHTS_VARIABLE = "GANVAS_DINOV2_WEIGHTS"
"""Names a weights file, or a folder that holds such files under their own names."""
_GRID = 37
# Means and deviations of ImageNet's channels, of pictures in [0, 1].
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Part of the release, but only training needs it.
_UNUSED = "mask_token"


@dataclass(frozen=True)
class Size:
    """One of the released networks (Oquab et al. 2023, appendix on architectures)."""

    name: str
    dim: int
    depth: int
    heads: int
    bytes: str

    @property
    def file(self) -> str:
        """The released file's name."""
        return f"{self.short}_pretrain.pth"

    @property
    def short(self) -> str:
        """What the release calls it."""
        return self.name.replace("-", "_")

    def within(self, folder: Path) -> Path:
        """Its weights file in a folder, also one whose name ends in digits of its checksum."""
        return next(iter(sorted(folder.glob(f"{self.short}_pretrain*.pth"))), folder / self.file)

    @property
    def mend(self) -> str:
        """How to get the weights."""
        return (
            f"download https://dl.fbaipublicfiles.com/dinov2/{self.short}/{self.file} ({self.bytes}) and give its path "
            f"as --weights, or set {WEIGHTS_VARIABLE} to it or to its folder"
        )


SIZES = (
    Size("dinov2-vits14", 384, 12, 6, "88 MB"),
    Size("dinov2-vitb14", 768, 12, 12, "346 MB"),
    Size("dinov2-vitl14", 1024, 24, 16, "1.2 GB"),
)


class DinoFeatures(FeatureNetwork):
    """The class token after the last norm, of pictures resized to 224x224: what FD-DINOv2 is computed on, with ViT-L/14."""

    layer = "class token"
    input_size = 224
    resizer = "anti-aliased bicubic (a = -0.5) in float32 to 224x224, clamped to 0 to 255"
    precision = "fp32"
    chunk = 4

    def __init__(self, size: Size, network: VisionTransformer, checksum: str, vouched: bool, device: str = "cpu"):
        super().__init__(device)
        self.name, self.dim, self.checksum = size.name, size.dim, checksum
        self.network = network.to(self.device)
        if self.device.type != "cpu":
            self.chunk = 64
        if not vouched:
            self.cautions = (
                f"nobody vouched for the weights of {size.name}, whose SHA-256 begins with {checksum[:16]}: ganvas knows no checksum of "
                f"that release; if you trust the file, call it {size.short}_pretrain-{checksum[:8]}.pth, and it is checked from then on",
            )
        self._mean, self._std = (torch.tensor(values, device=self.device).view(1, 3, 1, 1) * 255 for values in (_MEAN, _STD))

    @classmethod
    def load(cls, size: Size, weights: Path | None = None, device: str = "cpu", sha256: str | None = None) -> DinoFeatures:
        """The network with the user's copy of the weights: `weights`, or what GANVAS_DINOV2_WEIGHTS names.

        The file is vouched for by `sha256`, or by its name where that ends in digits of its checksum, as torch hub
        names files (`dinov2_vits14_pretrain-1a2b3c4d.pth`).

        Raises:
            UsageError: the file is missing, holds another network or is not of the checksum named.
        """
        given = weights or os.environ.get(WEIGHTS_VARIABLE)
        if not given:
            raise UsageError(f"the features {size.name} need weights that ganvas can't bring along: {size.mend}")
        path = Path(given).expanduser()
        if path.is_dir():
            path = size.within(path)
        named = re.search(r"-([0-9a-f]{8,64})\.pth$", path.name)
        expected = (sha256, named and named[1])
        state, checksum = read_weights(path, expected, size.name, size.mend)
        network = VisionTransformer(size.dim, size.depth, size.heads, _GRID)
        try:
            network.load_state_dict({key: value.float() for key, value in state.items() if key != _UNUSED})
        except RuntimeError as error:
            raise UsageError(f"{path} holds the weights of another network than {size.name}: {size.mend}") from error
        return cls(size, network, checksum, vouched=any(expected), device=device)

    def prepare(self, pixels: Pixels | Levels) -> Tensor:
        """uint8 or float (B, H, W, 3), 0 to 255, to what the network sees: float (B, 3, 224, 224), by ImageNet's mean and deviation."""
        planes = resize(pixels.permute(0, 3, 1, 2).float().contiguous(), self.input_size)
        # Pillow's resizer, which the paper used, can't leave the levels of a picture either.
        return planes.clamp_(0, 255).sub_(self._mean).div_(self._std)

    def _chunk(self, pixels: Tensor, logits: bool) -> tuple[Tensor, Tensor | None]:
        return self.network(self.prepare(pixels)), None
