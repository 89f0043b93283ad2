"""How fast pictures are prepared, beside a plain loop of Pillow on one thread.

    python benchmarks/prepare.py cifar10.zip --resolution 64 [--json]

Both read every picture of the source, convert it to RGB, crop and resize it with Lanczos and write it to a .npy file;
ours also checks, labels, hashes and lists. They alternate; the median of the runs counts.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from ganvas.data.prepare import prepare
from ganvas.data.source import PICTURES


def plain(source: Path, out: Path, resolution: int) -> int:
    """What a script would do with a zip of pictures; how many there were."""
    with zipfile.ZipFile(source) as archive:
        names = sorted(name for name in archive.namelist() if Path(name).suffix.lower() in PICTURES)
        pixels = np.lib.format.open_memmap(out, "w+", np.uint8, (len(names), resolution, resolution, 3))
        for row, name in enumerate(names):
            with archive.open(name) as file:
                image = Image.open(file).convert("RGB")
            side = min(image.size)
            left, top = (image.width - side) // 2, (image.height - side) // 2
            box = (left, top, left + side, top + side)
            pixels[row] = np.asarray(image.resize((resolution, resolution), Image.Resampling.LANCZOS, box=box))
        pixels.flush()
    return len(names)


def peak_memory() -> int | None:
    """The most memory that this process has held, in MiB, where the system says so."""
    try:
        import resource
    except ImportError:
        return None
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if platform.system() == "Darwin" else 2**10))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="a zip of pictures")
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    ours, peer, count, memory = [], [], 0, None
    for _ in range(options.runs):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            made = prepare(options.source, Path(folder) / "ours", resolution=options.resolution, holdout=0, quiet=True)
            ours.append(sum(made.splits.values()) / (time.perf_counter() - start))
            memory = memory or peak_memory()  # before the plain loop maps its file
            start = time.perf_counter()
            count = plain(options.source, Path(folder) / "plain.npy", options.resolution)
            peer.append(count / (time.perf_counter() - start))
    result = {
        "source": options.source.name,
        "pictures": count,
        "resolution": options.resolution,
        "ours": round(statistics.median(ours), 1),
        "peer": round(statistics.median(peer), 1),
        "ratio": round(statistics.median(a / b for a, b in zip(ours, peer, strict=True)), 3),
        "unit": "pictures/s",
        "seconds": round(count / statistics.median(ours), 2),
        "peak_memory_mib": memory,
        "runs": options.runs,
        "machine": platform.processor() or platform.machine(),
    }
    if options.json:
        print(json.dumps(result))
    else:
        print(f"{count:,} pictures of {result['source']} at {result['resolution']} px in {result['seconds']} s, peak memory {memory} MiB")
        print(f"ours {result['ours']:,} pictures/s, a plain loop {result['peer']:,}: {result['ratio']}x")


if __name__ == "__main__":
    main()
