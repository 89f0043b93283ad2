"""Does training slow down with the number of pictures? The same networks, fed from packed sets of 1,000 and 1,000,000.

    python benchmarks/packed.py --folder FOLDER [--counts 1000 1000000] [--rounds 15] [--steps 40] [--json]

The pictures are generated JPEG of 32 px, all different, as prepare.py makes them; sets are kept in FOLDER and made only
once (a million take 9 GB while they are made, 3 GB after that). One pair of networks (`dcgan32`, the fastest at that size, so
that drawing weighs most) takes steps on batches of the first set and of the second in turns; figures are medians over the
rounds, ratios are of rounds that stand side by side. Batches are drawn as training draws them: shuffled anew for each pass.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from ganvas.config import io
from ganvas.data.packed import open_packed
from ganvas.data.prepare import prepare
from ganvas.families import build_family
from ganvas.families.base import StepState
from ganvas.training.device import choose_precision, set_up
from ganvas.training.stream import Stream
from machine import describe
from prepare import make_zip

RECIPE = "dcgan32"
SIDE = 32
COUNTS = (1_000, 1_000_000)


def packed(folder: Path, count: int) -> Path:
    """The packed set of so many pictures, made if it is not there."""
    out = folder / f"packed-{count}"
    if not out.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as name:
            make_zip(Path(name) / "pictures.zip", count)
            prepare(Path(name) / "pictures.zip", out, resolution=SIDE, holdout=0, quiet=True)
    return out


def measure(folder: Path, counts: list[int], rounds: int, steps: int) -> dict[str, Any]:
    """Pictures per second of training on each set, in turns."""
    set_up(None)
    config, device = io.recipe(RECIPE), torch.device("cpu")
    family = build_family(config.family, resolution=SIDE, classes=0, seed=0, device=device)
    state = StepState(0, device, choose_precision("auto", device))
    streams = [
        Stream(open_packed(packed(folder, count)).split("train"), config.train.batch, 0, device, None, labelled=False) for count in counts
    ]

    def seconds(stream: Stream) -> float:
        start = time.perf_counter()
        for _ in range(steps):
            family.step(stream, state)
            state.step += 1
            state.images += config.train.batch
        return (time.perf_counter() - start) / steps

    for stream in streams:
        seconds(stream)
    taken = []
    for number in range(rounds):
        # Which set comes first in a round is no advantage to it.
        order = range(len(streams)) if number % 2 == 0 else reversed(range(len(streams)))
        found = {at: seconds(streams[at]) for at in order}
        taken.append([found[at] for at in range(len(streams))])
    rows = []
    for number, count in enumerate(counts):
        rate = config.train.batch / statistics.median(row[number] for row in taken)
        ratios = sorted(row[0] / row[number] for row in taken)
        low, _, high = statistics.quantiles(ratios, n=4)
        rows.append({"pictures": count, "rate": round(rate, 1), "ratio": round(statistics.median(ratios), 3)})
        rows[-1]["quartiles"] = [round(low, 3), round(high, 3)]
    return {"what": f"training {RECIPE} on packed sets, pictures per second", "rows": rows, "rounds": rounds, "machine": describe()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where the sets are, or where there is room for them")
    parser.add_argument("--counts", type=int, nargs="+", default=list(COUNTS), help="pictures in each set; all are held against the first")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=40, help="in each round, on each set")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    options = parser.parse_args()
    result = measure(options.folder, options.counts, options.rounds, options.steps)
    if options.json:
        print(json.dumps(result))
        return
    print(f"{'pictures':>12}{'pictures/s':>12}{'ratio':>8}   middle half of the pairs")
    for row in result["rows"]:
        print(f"{row['pictures']:>12,}{row['rate']:>12}{row['ratio']:>8}   {row['quartiles'][0]} to {row['quartiles'][1]}")
    machine = result["machine"]
    print(f"{result['what']}; {machine['processor']}, {machine['cores']} cores, {machine['date']}")


if __name__ == "__main__":
    main()
