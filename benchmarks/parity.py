"""Parity: ganvas' scores beside torch-fidelity's, of the same pictures by the same network.

    python benchmarks/parity.py [--json] [--pictures 1000] [--data DATASET]

Real pictures of the data set, and as many others of it, blurred and with noise, in the place of generated ones. ganvas
scores them as `ganvas evaluate` does; torch-fidelity gets the same network as a custom feature extractor. KID's subsets are
drawn by the same seed, so `KID, same subsets` takes the pictures in torch-fidelity's order, while `ganvas evaluate` takes
them in a random one. Precision, recall, density and coverage are also compared with brute force: whole matrices in float64.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch_fidelity
from PIL import Image, ImageFilter
from torch import Tensor

from fidelity import Pictures, TwoLayers
from ganvas.data.prepare import resolve
from ganvas.features.backbone import load_features
from ganvas.features.network import FeatureNetwork
from ganvas.metrics.evaluate import evaluate, reference
from ganvas.metrics.kernel import kid
from ganvas.metrics.scores import class_score_name
from ganvas.rng import permutation

FIDELITY = {
    "FD": "frechet_inception_distance",
    "KID, same subsets": "kernel_inception_distance_mean",
    "KID, std over subsets": "kernel_inception_distance_std",
    "precision": "precision",
    "recall": "recall",
    "IS": "inception_score_mean",
    "IS, std over splits": "inception_score_std",
}
Row = tuple[str, float, float]


class Extractor(TwoLayers):
    """ganvas' network."""

    net: FeatureNetwork

    def __init__(self, name: str, features_list: list[str], **_: Any):
        super().__init__(name, features_list)

    def describe(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """See `TwoLayers`."""
        return self.net.features_and_logits(pixels.permute(0, 2, 3, 1))


def worse(pixels: np.ndarray) -> np.ndarray:
    """The pictures, blurred a little and with some noise."""
    blurred = np.stack([np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(0.7))) for picture in pixels])
    noise = np.random.default_rng(0).normal(0, 6, pixels.shape)
    return np.clip(np.round(blurred + noise), 0, 255).astype(np.uint8)


def torch_fidelitys(generated: np.ndarray, real: np.ndarray, net: FeatureNetwork) -> dict[str, float]:
    """torch-fidelity's metrics, by its own names."""
    Extractor.net = net
    torch_fidelity.register_feature_extractor("ganvas", Extractor)
    return torch_fidelity.calculate_metrics(
        input1=Pictures(generated),
        input2=Pictures(real),
        cuda=False,
        isc=True,
        fid=True,
        kid=True,
        prc=True,
        feature_extractor="ganvas",
        kid_subset_size=len(real) // 2,
        cache=False,
        verbose=False,
        save_cpu_ram=True,
    )


def brute_force(real: Tensor, fake: Tensor, k: int = 3, wide: int = 5) -> dict[str, float]:
    """Precision, recall, density and coverage from whole matrices of distances in float64."""
    within, among, across = (torch.cdist(a.double(), b.double()) for a, b in ((real, real), (fake, fake), (real, fake)))
    reach, far = (within.kthvalue(n + 1, 1).values[:, None] for n in (k, wide))
    return {
        "precision": float((across <= reach).any(0).double().mean()),
        "recall": float((across <= among.kthvalue(k + 1, 1).values).any(1).double().mean()),
        "density": float((across <= far).sum(0).double().mean()) / wide,
        "coverage": float((across <= far).any(1).double().mean()),
    }


def parity(generated: np.ndarray, real: np.ndarray, net: FeatureNetwork) -> dict[str, list[Row]]:
    """(score, ours, theirs) against torch-fidelity and against brute force."""
    with tempfile.TemporaryDirectory() as nothing:
        compared = reference(Pictures(real), "parity", net, cache=Path(nothing), quiet=True)
    found = evaluate([generated], compared, net, quiet=True)
    scores = {name: score.value for name, score in found.scores().items()}
    fake_rows, real_rows = net.features(generated), net.features(real)
    same = kid(fake_rows, real_rows, subset_size=len(real) // 2)
    class_score = found.is_on_features
    if class_score is None:
        raise SystemExit(f"{net.name} has no logits: nothing to compare the Inception Score on")
    ours = {
        "FD": scores["fd"],
        "KID, same subsets": same.value,
        "KID, std over subsets": same.std,
        "precision": scores["precision"],
        "recall": scores["recall"],
        "IS": class_score.value,
        "IS, std over splits": class_score.std or 0.0,
    }
    theirs = torch_fidelitys(generated, real, net)
    exact = brute_force(real_rows, fake_rows)
    return {
        "torch-fidelity": [
            (name.replace("IS", class_score_name(net.name)), value, float(theirs[FIDELITY[name]])) for name, value in ours.items()
        ],
        "brute force": [(name, scores[name], value) for name, value in exact.items()],
    }


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--pictures", type=int, default=1_000, help="of either side")
    parser.add_argument("--data", default="builtin:emoji")
    options = parser.parse_args(arguments)
    train = resolve(options.data, resolution=64, quiet=True).split("train")
    order = permutation(len(train), "parity")
    real, others = (train.gather(np.sort(part)) for part in (order[: options.pictures], order[options.pictures : 2 * options.pictures]))
    net = load_features()
    net.has_logits = True
    tables = parity(worse(others), real, net)
    if options.json:
        rows: dict[str, Any] = {
            peer: [{"score": name, "ours": a, "peer": b, "difference": a - b} for name, a, b in table] for peer, table in tables.items()
        }
        print(json.dumps({"pictures": len(real), "data": options.data, **rows}, indent=2))
        return
    print(f"{len(real):,} generated and {len(real):,} real pictures of {options.data}")
    for peer, table in tables.items():
        print(f"\n| score | ganvas | {peer} | difference |\n|---|---|---|---|")
        for name, a, b in table:
            print(f"| {name} | {a:.6f} | {b:.6f} | {a - b:+.1e} |")


if __name__ == "__main__":
    sys.exit(main())
