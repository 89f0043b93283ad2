"""How fast pictures are prepared, beside a plain loop of Pillow on one thread, and in how much memory.

    python benchmarks/prepare.py dogs-vs-cats.zip --resolution 64 [--json]
    python benchmarks/prepare.py --memory 1000 10000 100000 [--json]

Both sides read every picture of the source, convert it to RGB, crop and resize it with Lanczos and write it to a .npy
file; ours also checks, labels, hashes and lists. They take turns; the median of the pairs' ratios counts. `--memory` makes
zips of so many JPEG of 32 px, prepares each in a process of its own, and prints the most memory that it held.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ganvas.data.prepare import prepare
from ganvas.data.source import PICTURES
from machine import compared, describe

MEMORY_COUNTS = (1_000, 10_000, 100_000)
_SMALL = 32
_PATCHES = 64
_MEASURED = """
import json, platform, resource, sys, time
from pathlib import Path
from ganvas.data.prepare import prepare
start = time.perf_counter()
made = prepare(sys.argv[1], sys.argv[2], resolution=int(sys.argv[3]), holdout=0, quiet=True)
seconds = time.perf_counter() - start
if Path("/proc/self/status").exists():  # here ru_maxrss would include the process that started this one
    kib = int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
else:
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**10 if platform.system() == "Darwin" else 1)
print(json.dumps({"pictures": sum(made.splits.values()), "seconds": round(seconds, 1), "peak_memory_mib": round(kib / 2**10)}))
"""


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


def in_its_own_process(source: Path, out: Path, resolution: int) -> dict[str, Any]:
    """Prepare a source and say how many pictures, seconds and MiB at most; the system has to tell the latter (not Windows)."""
    command = [sys.executable, "-c", _MEASURED, str(source), str(out), str(resolution)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def make_zip(path: Path, count: int) -> None:
    """A zip of so many JPEG of 32 px, all different up to 16 million: patches of smooth noise, moved and with bits flipped."""
    random = np.random.default_rng(0)
    patches = []
    for _ in range(_PATCHES):
        coarse = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        patches.append(np.asarray(coarse.resize((_SMALL, _SMALL), Image.Resampling.BICUBIC)))
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(count):
            rest, patch = divmod(number, _PATCHES)
            rest, right = divmod(rest, _SMALL)
            flipped, down = divmod(rest, _SMALL)
            pixels = np.roll(patches[patch], (down, right), (0, 1)) ^ np.uint8(flipped)
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, "JPEG", quality=90)
            archive.writestr(f"{number:08}.jpg", file.getvalue())


def memory(counts: list[int], folder: Path | None) -> dict[str, Any]:
    """The most memory that preparing so many pictures takes, for each count."""
    rows = []
    for count in counts:
        with tempfile.TemporaryDirectory(dir=folder) as name:
            make_zip(Path(name) / "pictures.zip", count)
            rows.append(in_its_own_process(Path(name) / "pictures.zip", Path(name) / "out", _SMALL))
    return {"what": f"peak memory of preparing JPEG of {_SMALL} px, MiB", "rows": rows, "machine": describe()}


def speed(source: Path, resolution: int, rounds: int) -> dict[str, Any]:
    """Ours beside the plain loop, in turns, and the memory of one run of ours."""
    taken: dict[str, list[float]] = {"ours": [], "peer": []}
    with tempfile.TemporaryDirectory() as name:
        measured = in_its_own_process(source, Path(name) / "first", resolution)  # also brings the source into the system's cache
    count = measured["pictures"]
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            start = time.perf_counter()
            prepare(source, Path(name) / "ours", resolution=resolution, holdout=0, quiet=True)
            taken["ours"].append(time.perf_counter() - start)
            start = time.perf_counter()
            found = plain(source, Path(name) / "plain.npy", resolution)
            taken["peer"].append(time.perf_counter() - start)
        if found != count:
            raise SystemExit(f"the plain loop read {found:,} pictures of {source}, ours {count:,}: nothing to compare")
    result = compared(f"preparing {source.name} at {resolution} px, pictures per second", count, taken)
    return result | {"pictures": count, "peak_memory_mib": measured["peak_memory_mib"]}


def show(result: dict[str, Any]) -> None:
    """Print a result for people."""
    if "rows" in result:
        print(f"{'pictures':>12}{'seconds':>10}{'MiB':>8}")
        for row in result["rows"]:
            print(f"{row['pictures']:>12,}{row['seconds']:>10}{row['peak_memory_mib']:>8}")
    else:
        low, high = result["ratio_range"]
        print(f"{result['what']}: {result['pictures']:,} pictures, at most {result['peak_memory_mib']} MiB")
        print(f"ganvas {result['ours']:,}, plain loop {result['peer']:,}: ratio {result['ratio']} (pairs: {low} to {high})")
    machine = result["machine"]
    print(f"{machine['processor']}, {machine['cores']} cores, {machine['date']}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, nargs="?", help="a zip of pictures")
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", type=int, nargs="*", metavar="COUNT", help="measure memory with so many generated pictures instead")
    parser.add_argument("--folder", type=Path, help="with --memory: where there is room (a million take 5 GB)")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    options = parser.parse_args()
    if (options.source is None) == (options.memory is None):
        parser.error("expected either a zip of pictures or --memory")
    if options.memory is None:
        result = speed(options.source, options.resolution, options.rounds)
    else:
        result = memory(options.memory or list(MEMORY_COUNTS), options.folder)
    if options.json:
        print(json.dumps(result))
    else:
        show(result)


if __name__ == "__main__":
    main()
