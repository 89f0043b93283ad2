"""Inception-v3 of 2015, the network that published FID, KID and IS are defined on, through torch-fidelity.

Its weights are the user's to download: they are 91 MB on GitHub and on no package registry.
"""

from __future__ import annotations

import importlib
import io
import os
from pathlib import Path

import torch
from torch import Tensor, nn

from ganvas.errors import UsageError
from ganvas.features.network import FeatureNetwork, read_weights

WEIGHTS_VARIABLE = "GANVAS_INCEPTION_WEIGHTS"
WEIGHTS_FILE = "pt_inception-2015-12-05-6726825d.pth"
WEIGHTS_SHA256 = "6726825d"
"""How the SHA-256 of the published file begins (its name says so)."""
_MEND = (
    f"download weights-inception-2015-12-05-6726825d.pth from https://github.com/toshas/torch-fidelity/releases/tag/v0.2.0 "
    f"(pytorch-fid's {WEIGHTS_FILE} is the same file) and set {WEIGHTS_VARIABLE} to its path"
)


class InceptionFeatures(FeatureNetwork):
    """Inception-v3's 2,048 averaged activations (pool3) and its logits without bias, exactly as torch-fidelity has them."""

    name = "inception-2015"
    dim = 2048
    layer = "pool3 (2048)"
    input_size = 299
    resizer = "TensorFlow 1.x bilinear, not anti-aliased, in float32 to 299x299 (torch-fidelity)"
    precision = "fp32"
    chunk = 16
    has_logits = True
    has_inception_logits = True

    def __init__(self, network: nn.Module, checksum: str, device: str = "cpu"):
        super().__init__(device)
        self.checksum = checksum
        if self.device.type != "cpu":
            self.chunk = 64
        self.network = network.to(self.device).to(memory_format=torch.channels_last)

    @classmethod
    def load(
        cls, weights: Path | None = None, device: str = "cpu", sha256: str | None = None, *, expected: str = WEIGHTS_SHA256
    ) -> InceptionFeatures:
        """The network with the user's copy of the weights: `weights`, or what GANVAS_INCEPTION_WEIGHTS names.

        Raises:
            UsageError: torch-fidelity is not installed; the file is missing, or its SHA-256 does not begin with `sha256` and `expected`.
        """
        given = weights or os.environ.get(WEIGHTS_VARIABLE)
        if not given:
            raise UsageError(f"the features {cls.name} need weights that ganvas can't bring along: {_MEND}")
        try:
            module = importlib.import_module("torch_fidelity.feature_extractor_inceptionv3")
        except ImportError as error:
            raise UsageError(f"the features {cls.name} need torch-fidelity: `pip install ganvas[inception]`") from error
        path = Path(given).expanduser()
        state, checksum = read_weights(path, (expected, sha256), cls.name, _MEND)
        # torch-fidelity unpickles whatever its path holds; it gets our own copy of the tensors instead of the file.
        copy = io.BytesIO()
        torch.save(state, copy)
        copy.seek(0)
        try:
            network = module.FeatureExtractorInceptionV3(cls.name, ["2048", "logits_unbiased"], feature_extractor_weights_path=copy)
        except RuntimeError as error:
            raise UsageError(f"{path} holds the weights of another network: {_MEND}") from error
        return cls(network, checksum, device)

    def _chunk(self, pixels: Tensor, logits: bool) -> tuple[Tensor, Tensor | None]:
        features, classes = self.network(pixels.permute(0, 3, 1, 2))
        return features, classes if logits else None
