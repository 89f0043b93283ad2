"""Real pictures beside which a run's grids can be seen."""

from __future__ import annotations

import numpy as np

from ganvas import rng
from ganvas.data.packed import PackedDataset, Split
from ganvas.runs import RunFolder
from ganvas.sampling.grid import grid, write_png
from ganvas.sampling.render import class_labels
from ganvas.training.stream import class_weights


def write_real(folder: RunFolder, data: PackedDataset) -> None:
    """Write `samples/real.png`, if it is missing: training pictures drawn by chance, in the grids' shape and of their classes."""
    if folder.real_file.exists():
        return
    config, train = folder.config(), data.split("train")
    count = config.samples.rows * config.samples.columns
    weights = class_weights(train.labels, len(data.classes)) if config.family.conditional else None
    labels = class_labels(0, count, config.seed, weights, None)
    chosen = choose(train, count, config.seed, None if labels is None else labels.numpy())
    write_png(folder.real_file, grid(train.gather(chosen), config.samples.columns))


def choose(split: Split, count: int, seed: int, labels: np.ndarray | None) -> np.ndarray:
    """Indices of `count` pictures (of the classes `labels`, in that order), none twice before all were shown once."""
    if labels is None or split.labels is None:
        return np.resize(rng.permutation(len(split), seed, "real"), count)
    chosen = np.zeros(count, np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(split.labels == label)
        wanted = labels == label
        chosen[wanted] = np.resize(members[rng.permutation(len(members), seed, "real", int(label))], int(wanted.sum()))
    return chosen
