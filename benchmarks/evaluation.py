"""Scoring speed: ganvas beside torch-fidelity, the same scores of the same pictures by the same network, in one run.

    python benchmarks/evaluation.py [--json] [--pictures 10000] [--rounds 3] [--data DATASET] [--extractor timm|ganvas]

Both get N generated and N real pictures in memory and nothing else: they load EfficientNet-Lite0's published weights,
describe 2 N pictures, and give the Frechet distance, KID, precision, recall and, where ganvas gives it, the Inception
Score's formula on the network's own classes. Nothing is cached on either side. They take turns; each figure is the
median over the rounds, the ratio that of the pairs. Scores that disagree stop the benchmark.

The peer is torch-fidelity with its default settings, on the processor. The network is registered as its documentation
says a custom feature extractor is: timm's `tf_efficientnet_lite0`, pictures resized by PyTorch's anti-aliased bicubic.
`--extractor ganvas` gives it ganvas' own network instead, which shows what of the ratio is due to the network.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
import torch.nn.functional as F
import torch_fidelity
from torch import Tensor

from fidelity import Pictures, TwoLayers
from ganvas.data.prepare import resolve
from ganvas.features.backbone import load_features
from ganvas.features.lite import LITE0
from ganvas.features.network import FeatureNetwork
from ganvas.metrics.evaluate import evaluate, reference
from machine import compared

SIDE = 64
NAMES = {"fd": "FD", "kid": "KID", "precision": "precision", "recall": "recall", "class_score": "IS's formula"}
CLASS_SCORES = ("inception_score", "is_on_features")
# How far the two may be apart, in each score's own measure: KID and the class score draw other subsets and parts.
FAR = {
    "fd": lambda a: 1e-3 * a["fd"],
    "kid": lambda a: max(a["kid_std"], 1e-3 * abs(a["kid"])),
    "precision": lambda _: 2e-3,
    "recall": lambda _: 2e-3,
}

Scores = dict[str, float]
Sides = dict[str, Callable[[np.ndarray, np.ndarray], Scores]]


class Lite0Extractor(TwoLayers):
    """EfficientNet-Lite0 as timm has it."""

    def __init__(self, name: str, features_list: list[str], **_: Any):
        super().__init__(name, features_list)
        published = torch.load(LITE0.weights or "", weights_only=True)
        self.network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
        self.network.load_state_dict(dict(zip(self.network.state_dict(), published.values(), strict=True)))

    def describe(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """See `TwoLayers`."""
        images = F.interpolate(pixels.float(), size=(128, 128), mode="bicubic", antialias=True, align_corners=False)
        features = self.network.forward_head(self.network.forward_features(images / 127.5 - 1), pre_logits=True)
        return features, self.network.classifier(features)


class OwnExtractor(TwoLayers):
    """The same through ganvas' network."""

    def __init__(self, name: str, features_list: list[str], **_: Any):
        super().__init__(name, features_list)
        self.own: FeatureNetwork = load_features()

    def describe(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """See `TwoLayers`."""
        return self.own.features_and_logits(pixels.permute(0, 2, 3, 1))


EXTRACTORS = {"timm": Lite0Extractor, "ganvas": OwnExtractor}


def ours(generated: np.ndarray, real: np.ndarray) -> Scores:
    """ganvas' scores."""
    net = load_features()
    with tempfile.TemporaryDirectory() as nothing:
        compared = reference(Pictures(real), "benchmark", net, cache=Path(nothing), quiet=True)
    found = evaluate(np.array_split(generated, max(1, len(generated) // 500)), compared, net, quiet=True).to_json()
    scores = {name: found[name]["value"] for name in ("fd", "kid", "precision", "recall")} | {"kid_std": found["kid"]["std"]}
    if (name := next((name for name in CLASS_SCORES if name in found), None)) is not None:
        scores["class_score"] = found[name]["value"]
    return scores


def peer(extractor: str, classes: bool) -> Callable[[np.ndarray, np.ndarray], Scores]:
    """torch-fidelity's."""
    torch_fidelity.register_feature_extractor(f"lite0-{extractor}", EXTRACTORS[extractor])

    def score(generated: np.ndarray, real: np.ndarray) -> Scores:
        found = torch_fidelity.calculate_metrics(
            input1=Pictures(generated),
            input2=Pictures(real),
            feature_extractor=f"lite0-{extractor}",
            fid=True,
            kid=True,
            prc=True,
            isc=classes,
            kid_subset_size=min(1000, len(real)),
            cuda=False,
            verbose=False,
        )
        scores = {"fd": found["frechet_inception_distance"], "kid": found["kernel_inception_distance_mean"]}
        scores |= {name: found[name] for name in ("precision", "recall")}
        return scores | ({"class_score": found["inception_score_mean"]} if classes else {})

    return score


def pictures(n: int, data: str | None) -> tuple[np.ndarray, np.ndarray]:
    """N generated and N real ones, 64x64: of a data set, with its other pictures blurred as the generated; or drawn.

    What they show has no influence on the time.
    """
    if data is None:
        return draw(n, seed=1, noise=20), draw(n, seed=0, noise=12)
    split = resolve(data, resolution=SIDE, quiet=True).split("train")
    if len(split) < 2 * n:
        raise SystemExit(f"{data} holds {len(split):,} pictures: {n:,} real and {n:,} to be blurred are needed; ask for fewer --pictures")
    real, other = split.gather(np.arange(n)), split.gather(np.arange(n, 2 * n))
    blurred = F.avg_pool2d(torch.from_numpy(other).permute(0, 3, 1, 2).float(), 3, stride=1, padding=1, count_include_pad=False)
    return blurred.round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy(), real


def draw(n: int, seed: int, noise: float) -> np.ndarray:
    """Coloured waves with noise, uint8 (n, 64, 64, 3): no two alike."""
    random = np.random.default_rng(seed)
    ramp = np.linspace(0, 1, SIDE, dtype=np.float32)
    parts = []
    for start in range(0, n, 500):
        b = min(500, n - start)
        across, down = (random.uniform(1, 9, (b, 1, 1, 3)).astype(np.float32) for _ in range(2))
        waves = np.sin(ramp[None, :, None, None] * across + ramp[None, None, :, None] * down)
        parts.append(np.clip((waves + 1) * 100 + random.normal(0, noise, waves.shape), 0, 255).astype(np.uint8))
    return np.concatenate(parts)


def check(found: Scores, other: Scores) -> None:
    """Stop where the two do not agree."""
    for name, far in FAR.items():
        if abs(found[name] - other[name]) > far(found):
            raise SystemExit(f"the two give different scores ({NAMES[name]}: {found[name]} and {other[name]}): nothing to compare")


def measure(sides: Sides, generated: np.ndarray, real: np.ndarray, rounds: int) -> tuple[dict[str, list[float]], dict[str, Scores]]:
    """Seconds of each side in each round, and their scores."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    scores: dict[str, Scores] = {}
    for index in range(rounds):
        for name, side in sides.items():
            start = time.perf_counter()
            scores[name] = side(generated, real)
            taken[name].append(time.perf_counter() - start)
            print(f"round {index + 1} of {rounds}, {name}: {taken[name][-1]:.1f} s", file=sys.stderr, flush=True)
    return taken, scores


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--pictures", type=int, default=10_000, help="generated ones, and as many real ones")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", help="a data set of twice as many pictures (default: drawn ones)")
    parser.add_argument("--extractor", choices=EXTRACTORS, default="timm", help="the peer's network")
    options = parser.parse_args()
    if options.pictures < 16 or options.rounds < 1:
        parser.error("16 pictures and 1 round are the least")
    generated, real = pictures(options.pictures, options.data)
    # Whatever is done once in a process is done here.
    classes = "class_score" in ours(generated[:16], real[:16])
    sides = {"ours": ours, "peer": peer(options.extractor, classes)}
    sides["peer"](generated[:16], real[:16])
    taken, scores = measure(sides, generated, real, options.rounds)
    check(scores["ours"], scores["peer"])
    result = {
        **compared(f"scoring {options.pictures} generated against as many real pictures, pictures per second", 2 * options.pictures, taken),
        "seconds": {name: [round(value, 2) for value in values] for name, values in taken.items()},
        "extractor": options.extractor,
        "torch_fidelity": torch_fidelity.__version__,
        "scores": scores,
    }
    print(json.dumps(result) if options.json else table(result))


def table(result: dict[str, Any]) -> str:
    """The result for people."""
    lines = [f"{'':28}{'ganvas':>14}{'torch-fidelity':>16}", f"{'pictures/s':28}{result['ours']:>14}{result['peer']:>16}"]
    for name in result["scores"]["peer"]:
        mine, other = (result["scores"][side][name] for side in ("ours", "peer"))
        lines.append(f"{NAMES[name]:28}{mine:>14.5g}{other:>16.5g}")
    about = result["machine"]
    lines.append(f"ratio {result['ratio']} (pairs: {result['ratio_range'][0]} to {result['ratio_range'][1]})")
    lines.append(f"{about['processor']}, {about['threads']} threads, torch {about['torch']}, {about['date']}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
