"""The choice itself: pictures looked at, machine measured, rules applied."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ganvas.auto import expected, rules
from ganvas.auto.choice import Choice, Reason
from ganvas.auto.pace import LATE, pace
from ganvas.auto.pictures import Looks, looks, sizes
from ganvas.auto.rules import Length
from ganvas.config import CodedConfig, InstanceConfig, io
from ganvas.config.family import AloneConfig
from ganvas.config.run import RunConfig, TrainConfig
from ganvas.data.prepare import resolve_config
from ganvas.errors import UsageError
from ganvas.features.backbone import load_features
from ganvas.metrics.reference import TRAINING_CAP, reference
from ganvas.training.device import choose_device, choose_precision, set_up
from ganvas.units import format_duration, parse_duration

NAME = "auto"
DEFAULT_BUDGET = "30m"
FEATURES = "efficientnet-lite0"
LABELS = ("family.generator.labels", "family.discriminator.labels", "family.classes")


def choose(data: str | Path, *, settings: Iterable[str] = (), overrides: Mapping[str, Any] | None = None, quiet: bool = False) -> Choice:
    """What to train on these pictures, on this machine, in this time.

    Args:
        data: a packed data set, a source of pictures, or `builtin:emoji`.
        settings: `key.sub=value` as `--set` takes them; they stand, and what depends on them follows.
        overrides: dotted keys with their values, such as `train.budget`; after `settings`.
        quiet: no progress.

    Raises:
        UsageError: a setting is wrong, or asks for what data or machine do not have.
        DataError: the data can't be used.
    """
    given = _given(settings, overrides)
    config = _base(str(data), rules.RECIPES[64], {}, given)
    device = choose_device(config.train.device)
    precision = choose_precision(config.train.precision, device)
    set_up(config.train.threads)
    length = _length(config.train)
    reasons: list[Reason] = []

    @cache
    def rate(resolution: int) -> float:
        at = _base(str(data), rules.RECIPES[resolution], {"data.resolution": resolution}, given)
        return pace(at, _classes(at), device, precision)

    if "data.resolution" in given:
        side = config.data.resolution
    else:
        side, reason = rules.resolution(sizes(data, config.data), length, rate)
        reasons.append(reason)
    packed = resolve_config(data, _base(str(data), rules.RECIPES[64], {"data.resolution": side}, given).data, quiet=quiet)
    net = load_features(config.evaluation.features if config.evaluation else FEATURES, device=str(device))
    real = reference(packed.split("train"), packed.checksum, net, limit=TRAINING_CAP, quiet=quiet)
    seen = looks(packed, real.features)
    recipe, keys, decided = _decide(seen, side, given)
    reasons += decided
    chosen = _base(str(data), recipe, keys, given)
    paces, usual = _paces(chosen, lambda at: pace(chosen, len(packed.classes), device, precision, at=at))
    shown, warm = rules.planned(length, seen.pictures, paces, usual)
    if usual:
        keys |= {"family.codes.warmup": warm}
    average, reason = rules.average(shown)
    if "ema" not in {key.partition(".")[0] for key in given}:
        keys |= average
        reasons.append(reason)
    if isinstance(chosen.family, CodedConfig) and not any(key.startswith("family.codes.augment") for key in given):
        changes, reason = rules.told(seen, chosen.augment.flip, shown)
        keys |= changes
        reasons += [] if reason is None else [reason]
    keys |= rules.grids(shown)
    if isinstance(chosen.family, InstanceConfig | CodedConfig):
        keys |= rules.looked_at(shown, chosen.family.codes.fitted)
    chosen = _base(str(data), recipe, keys, given)
    seconds = length.seconds if length.seconds is not None else paces.seconds(shown, warm) / rules.SHARE
    sooner = f", {warm:,} of them by their pixels, {paces.warming / paces.late:.1f} times as fast" if warm else ""
    reasons.append(_machine(paces.late, shown, seen.pictures, seconds, length, f"{device}, {precision}", sooner))
    return Choice(chosen, tuple(reasons), paces.late, shown, seconds, expected.sentence(seen, chosen.data.resolution, shown))


def _paces(chosen: RunConfig, rate: Callable[[int], float]) -> tuple[rules.Paces, int]:
    """How fast the config's stretches train, and its warm-up's pictures; `rate`: pictures per second after so many."""
    late, family = rate(LATE), chosen.family
    if not isinstance(family, AloneConfig):
        return rules.Paces(late, late, late), 0
    warm, turns = family.codes.warmup if isinstance(family, CodedConfig) else 0, family.comparison.in_turn
    turning = max(late, rate(warm)) if turns else late
    return rules.Paces(max(turning, rate(0)) if warm else turning, turning, late, turns), warm


def _decide(seen: Looks, side: int, given: Mapping[str, Any]) -> tuple[str, dict[str, Any], list[Reason]]:
    """The recipe, the config's keys and the reasons, as far as pictures decide. What was asked for needs no reason."""
    reasons: list[Reason] = []
    conditional, reason = rules.labels(seen)
    asked = [given[key] for key in LABELS if key in given]
    if asked:
        conditional = any(value not in (None, False) for value in asked)
    else:
        reasons.append(reason)
    recipe, keys, reason = rules.networks(seen, side, conditional)
    reasons.append(reason)
    for rule in (rules.mirroring, rules.batch):
        decided, reason = rule(seen)
        if not set(decided) & set(given):
            keys |= decided
            reasons.append(reason)
    return recipe, {"data.resolution": side, **keys}, reasons


def _machine(fast: float, shown: int, count: int, seconds: float, length: Length, machine: str, sooner: str) -> Reason:
    passes = shown / max(1, count)
    takes = length.text if length.seconds is not None else f"about {format_duration(seconds)}"
    return Reason(
        "machine", machine, f"{fast:,.0f} pictures/s measured: about {shown:,} shown in {takes}, {passes:,.1f} times each{sooner}"
    )


def _given(settings: Iterable[str], overrides: Mapping[str, Any] | None) -> dict[str, Any]:
    """What was asked for, as dotted keys."""
    return dict(map(io.parse_setting, settings)) | dict(overrides or {})


def _base(data: str, recipe: str, keys: Mapping[str, Any], given: Mapping[str, Any]) -> RunConfig:
    """A recipe with what was decided, and then what was asked for."""
    values = io.parse(io.recipe_text(recipe), recipe)
    values["name"] = NAME
    for part in ("data", "train", "log", "samples", "checkpoint"):  # what is the user's or decided here, not the recipe's
        values.pop(part, None)
    length = {} if any(f"train.{name}" in given for name in io.LENGTHS) else {"train.budget": DEFAULT_BUDGET}
    for key, value in ({"data.path": data} | length | dict(keys) | dict(given)).items():
        io.assign(values, key, value, "--set" if key in given else NAME)
    return io.validate(values, NAME)


def _classes(config: RunConfig) -> int:
    """Classes to measure a pace with, which hardly depends on how many there are."""
    return 10 if config.family.conditional else 0


def _length(train: TrainConfig) -> Length:
    if train.budget is not None:
        return Length(train.budget, parse_duration(train.budget), None)
    if train.epochs is not None:
        epochs = train.epochs
        return Length(f"{epochs:g} passes", None, lambda count: max(1, round(epochs * count)))
    images = train.images
    if images is None:
        raise UsageError("no length was given: use --budget 30m, --images 500k or --epochs 100")
    return Length(f"{images:,} pictures", None, lambda _: images)
