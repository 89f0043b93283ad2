"""How much a generator's pictures teach: the classification accuracy score (Ravuri and Vinyals 2019).

A small classifier is trained on real pictures, on synthetic ones with the classes that they were asked for, and on both
together, for equally many steps each; all are tested on real pictures that neither the generator nor the classifier was
trained on. A generator that misses parts of a class shows here even where its pictures look good one by one.

    python benchmarks/classification.py runs/00001-cifar10-sncgan-cifar10 [--images 100000] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import ganvas
import machine
from ganvas import rng
from ganvas.errors import UserError
from ganvas.progress import Progress
from ganvas.sampling.render import class_labels
from ganvas.types import to_images
from ganvas.verbs.evaluating import open_data

BATCH = 128
RATE = 2e-3
SEED = 0


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut, halving the side (He et al. 2016)."""

    def __init__(self, narrow: int, wide: int):
        super().__init__()
        self.first, self.second = nn.Conv2d(narrow, wide, 3, 2, 1, bias=False), nn.Conv2d(wide, wide, 3, 1, 1, bias=False)
        self.shortcut = nn.Conv2d(narrow, wide, 1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(wide) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """(B, narrow, H, W) to (B, wide, H / 2, W / 2)."""
        y = F.relu(self.norms[0](self.first(x)))
        # Pooled, not strided (He et al. 2019): nothing is skipped, and oneDNN 1x1 convolutions of stride 2 and 8 channels crash.
        return F.relu(self.norms[1](self.second(y)) + self.shortcut(F.avg_pool2d(x, 2)))


def classifier(classes: int, width: int) -> nn.Module:
    """Pictures (B, 3, H, W) in [-1, 1] to logits (B, classes)."""
    stem = [nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    blocks = [Residual(width, 2 * width), Residual(2 * width, 4 * width), Residual(4 * width, 8 * width)]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8 * width, classes))


def train(pixels: np.ndarray, labels: np.ndarray, classes: int, images: int, width: int, what: str, quiet: bool) -> nn.Module:
    """A classifier of uint8 (n, H, W, 3), after `images` pictures seen, mirrored at random."""
    rng.seed_torch(SEED, "classifier")
    net = classifier(classes, width).to(memory_format=torch.channels_last)
    steps = max(1, images // BATCH)
    optimizer = torch.optim.AdamW(net.parameters(), RATE, weight_decay=5e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps + 1)
    with Progress(f"classifier on {what}", images, quiet=quiet) as progress:
        for step in range(steps):
            draw = np.random.default_rng([SEED, step])
            chosen = draw.integers(0, len(pixels), BATCH)
            batch = to_images(torch.from_numpy(pixels[chosen]))
            flipped = torch.from_numpy(draw.random(BATCH) < 0.5)
            batch = torch.where(flipped[:, None, None, None], batch.flip(3), batch)
            loss = F.cross_entropy(net(batch), torch.from_numpy(labels[chosen]))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            progress.update(BATCH)
    return net.eval()


@torch.inference_mode()
def accuracy(net: nn.Module, pixels: np.ndarray, labels: np.ndarray) -> float:
    """Share of pictures whose class is found."""
    parts = range(0, len(pixels), 512)
    found = [net(to_images(torch.from_numpy(pixels[i : i + 512]))).argmax(1) for i in parts]
    return float((torch.cat(found).numpy() == labels).mean())


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All three accuracies.

    Raises:
        UserError: the run knows no classes, or its data holds nothing out.
    """
    model = ganvas.load(options.run, checkpoint=options.checkpoint)
    data = open_data(model.folder, options.data)
    train_split, test = data.split("train"), data.split("test") if "test" in data.splits else data.held_out()
    if not model.classes or train_split.labels is None:
        raise UserError(f"{options.run} is not class-conditional: synthetic pictures need classes to teach")
    if test is None or test.labels is None:
        raise UserError(f"{data.path} holds no pictures out: prepare it with --holdout 0.1")
    n = options.samples or len(train_split)
    real = train_split.gather(np.arange(len(train_split)))
    labels = class_labels(0, n, SEED, model.class_weights, None)
    if labels is None:
        raise UserError(f"{options.run} does not say how often its classes are")
    with Progress("synthetic pictures", n, quiet=options.quiet) as progress:
        blocks = []
        for block in model.batches(n, seed=SEED, truncation=options.truncation):
            blocks.append(block)
            progress.update(len(block))
    made, kinds = np.concatenate(blocks), labels.numpy()
    tested = test.gather(np.arange(len(test)))
    sets = {
        "real": (real, train_split.labels),
        "synthetic": (made, kinds),
        "both": (np.concatenate([real, made]), np.concatenate([train_split.labels, kinds])),
    }
    found = {}
    for name, (pixels, wanted) in sets.items():
        net = train(pixels, wanted, len(model.classes), options.images, options.width, name, options.quiet)
        found[name] = accuracy(net, tested, test.labels)
    most = float(np.bincount(test.labels).max() / len(test))
    return {
        "what": "classification accuracy score: tested on real pictures, trained on synthetic (ours) or real ones (peer)",
        "ours": found["synthetic"],
        "peer": found["real"],
        "ratio": found["synthetic"] / max(found["real"], 1e-9),
        "both": found["both"],
        "most_frequent_class": most,
        "run": str(options.run),
        "checkpoint": model.checkpoint_name,
        "truncation": options.truncation,
        "real_pictures": len(real),
        "synthetic_pictures": n,
        "tested_pictures": len(tested),
        "split": test.name,
        "images_seen": options.images,
        "machine": machine.describe(),
    }


def main() -> int:
    """Print the accuracies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="folder of a class-conditional run")
    parser.add_argument("--data", help="another data set than the run's")
    parser.add_argument("--checkpoint", choices=["best", "last"])
    parser.add_argument("--truncation", type=float)
    parser.add_argument("--samples", type=int, help="synthetic pictures [default: as many as real ones]")
    parser.add_argument("--images", type=int, default=100_000, help="pictures that each classifier sees [100000]")
    parser.add_argument("--width", type=int, default=16, help="feature maps of the classifier's first layer [16]")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quiet", action="store_true")
    options = parser.parse_args()
    began = time.perf_counter()
    try:
        result = measure(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    result["seconds"] = round(time.perf_counter() - began, 1)
    if options.json:
        print(json.dumps(result))
        return 0
    print(f"accuracy on {result['tested_pictures']:,} real pictures ({result['split']}), after {result['images_seen']:,} seen:")
    for name, key in (("real", "peer"), ("synthetic", "ours"), ("both", "both")):
        print(f"  trained on {name:<10} {result[key]:.1%}")
    print(f"  always the most frequent class: {result['most_frequent_class']:.1%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
