"""Which of several ways to compute the same pictures is used: the fastest of those within one grey level of the reference.

The reference is the network as it learnt, in float32 (`eager`). Another way is compared with it on pictures of the very
model: how far rounding moves a pixel depends on the weights, above all on attention, not on the architecture alone.
What was found is kept in a file, so that later calls choose the same at once.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from ganvas import artifact
from ganvas.errors import UserError
from ganvas.progress import Progress
from ganvas.sampling.render import CHUNK, Sampler, class_labels, draw_latents
from ganvas.types import Images

REFERENCE = "eager"
CHECKED = 8 * CHUNK
"""Pictures on which another way is compared with the reference."""
LIMIT = 1.0
"""Grey levels, before rounding to whole ones: nearer than that, no pixel is off by more than one after it."""
SHARE = 0.75
"""Of the limit, that may be reached on the pictures looked at: of one model, 0.91 on 512 went with 1.47 on 1,536 others."""
MANY = 100_000
"""Pictures of which none is expected to be farther off than the limit."""
_EULER = 0.5772156649
_WORTH = 0.9
"""Another way is used if it takes at most this share of the reference's time."""
_TURNS = 3
_STREAM = "engine check"


@dataclass(frozen=True)
class Difference:
    """How far pictures are from the reference's, in grey levels before rounding."""

    largest: float
    mean: float
    beyond: float
    """The share of values that are off by more than one."""
    expected: float
    """The largest of `MANY` pictures, as far as these tell."""

    @property
    def passes(self) -> bool:
        """Whether all are within one grey level, and those of many more pictures most likely will be."""
        return self.largest < SHARE * LIMIT and self.expected < LIMIT


@dataclass(frozen=True)
class Choice:
    """An engine, and why it was chosen."""

    engine: str
    difference: Difference | None = None
    """None for the reference."""
    speedup: float = 1.0
    """How many times as fast as the reference it was when it was chosen."""


def check_batches(sampler: Sampler, weights: Tensor | None) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Latents and labels on which engines are compared, in chunks."""
    for start in range(0, CHECKED, CHUNK):
        labels = class_labels(start, CHUNK, 0, weights, None)
        yield draw_latents(sampler, labels, 0, start, CHUNK, stream=_STREAM), labels


@torch.inference_mode()
def difference(reference: Sequence[Images], other: Sequence[Images]) -> Difference:
    """How far pictures in [-1, 1] are from others; infinite where they hold anything but finite numbers."""
    parts = [(a.float().clamp(-1, 1) - b.float().clamp(-1, 1)).abs().mul(127.5) for a, b in zip(reference, other, strict=True)]
    far = torch.cat(parts).nan_to_num(nan=torch.inf)
    return Difference(float(far.max()), float(far.mean()), float((far > 1).float().mean()), _expected(far.flatten(1).amax(1)))


def _expected(largest: Tensor) -> float:
    """What the largest of `MANY` pictures will be, by the largest of each of some (N,): all infinite where one is.

    Gumbel's distribution, which the largest of many numbers tend to, by its moments (Gumbel 1958, section 6.2.6): the
    mean is mu + 0.5772 beta, the standard deviation pi beta / sqrt(6), and mu + beta ln n is exceeded once in n.
    """
    if len(largest) < 2 or not bool(largest.isfinite().all()):
        return float(largest.max())
    beta = float(largest.std()) * math.sqrt(6) / math.pi
    return float(largest.mean()) + beta * (math.log(MANY) - _EULER)


def choose(
    reference: Sampler, make: Callable[[str], Sampler], names: Sequence[str], *, weights: Tensor | None = None, quiet: bool = False
) -> Choice:
    """The first of the named engines that is within one grey level of the reference, if it is faster too.

    Args:
        reference: the sampler as it is.
        make: an engine's name to its sampler; it raises a `RuntimeError` or an `AttributeError` where this machine can't.
        names: those to be tried, the fastest first; `fp32`, if it is the last, is timed beside the one that was found.
        weights: how often each class appears, for a conditional model.
        quiet: no progress.
    """
    batches = list(check_batches(reference, weights))
    with Progress("choosing how to sample", len(names) + 1, unit="engines", quiet=quiet) as progress, torch.inference_mode():
        right = [reference(*batch) for batch in batches]
        progress.update()
        within: dict[str, tuple[Sampler, Difference]] = {}
        for name in names:
            if not within or name == names[-1]:
                with contextlib.suppress(RuntimeError, AttributeError, TypeError):  # no such operator or unit on this machine
                    sampler = make(name)
                    made = [sampler(*batches[0])]
                    if difference(right[:1], made).passes:  # the rest is drawn for those that may pass
                        found = difference(right, made + [sampler(*batch) for batch in batches[1:]])
                        if found.passes:
                            within[name] = (sampler, found)
            progress.update()
        seconds = _time({REFERENCE: reference, **{name: sampler for name, (sampler, _) in within.items()}}, *batches[0])
    fastest = min(seconds, key=lambda name: seconds[name])
    if fastest == REFERENCE or seconds[fastest] > _WORTH * seconds[REFERENCE]:
        return Choice(REFERENCE)
    return Choice(fastest, within[fastest][1], round(seconds[REFERENCE] / seconds[fastest], 2))


def _time(samplers: dict[str, Sampler], latents: Tensor, labels: Tensor | None) -> dict[str, float]:
    """Seconds of a chunk by each, the least of some, taking turns so that other work on the machine meets all alike."""
    taken: dict[str, list[float]] = {name: [] for name in samplers}
    for _ in range(_TURNS):
        for name, sampler in samplers.items():
            start = time.perf_counter()
            sampler(latents, labels)
            taken[name].append(time.perf_counter() - start)
    return {name: min(values) for name, values in taken.items()}


def remembered(path: Path, names: Sequence[str], find: Callable[[], Choice]) -> Choice:
    """What the file says, or what is found now and kept there. A file that names none of the engines is written anew."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        stored = json.loads(path.read_bytes())
        engine, far = stored["engine"], stored["difference"]
        if engine in (REFERENCE, *names):
            return Choice(engine, None if far is None else Difference(**far), float(stored["speedup"]))
    choice = find()
    with contextlib.suppress(OSError, UserError):  # a cache that can't be written is no reason not to sample
        artifact.write_json(path, asdict(choice))
    return choice
