"""Words for durations, counts and sizes, read and written one way everywhere."""

from __future__ import annotations

import re

from ganvas.errors import UsageError

_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)d)?(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m(?:in)?)?(?:(\d+(?:\.\d+)?)s)?")


def parse_duration(text: str) -> float:
    """Seconds in a duration such as `30m`, `11h30m`, `90s` or `1d`.

    Raises:
        UsageError: the text is no duration, or is not longer than zero.
    """
    match = _DURATION.fullmatch(text.strip().lower())
    groups = match.groups() if match else (None,) * 4
    if not any(groups):
        raise UsageError(f'"{text}" is no duration: expected one such as 90s, 30m, 2h or 11h30m')
    seconds = sum(float(g) * _SECONDS[unit] for g, unit in zip(groups, "dhms", strict=True) if g)
    if seconds <= 0:
        raise UsageError(f'"{text}" is no time at all: expected a duration such as 90s or 30m')
    return seconds


def format_duration(seconds: float) -> str:
    """A duration as people write it: `45s`, `12m30s`, `11h30m`."""
    total = max(0, round(seconds))
    days, rest = divmod(total, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, secs = divmod(rest, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "m"), (secs, "s")]
    shown = [(n, u) for n, u in parts if n][:2]
    return "".join(f"{n}{u}" for n, u in shown) or "0s"


def parse_count(text: str) -> int:
    """A whole number above zero, as `2000000`, `2_000_000`, `200k` or `2M`.

    Raises:
        UsageError: the text is no such number.
    """
    match = re.fullmatch(r"(\d[\d_,]*(?:\.\d+)?)\s*([kKmM]?)", text.strip())
    if not match:
        raise UsageError(f'"{text}" is no count: expected a whole number such as 50000, 200k or 2M')
    scale = {"": 1, "k": 1_000, "m": 1_000_000}[match[2].lower()]
    value = float(match[1].replace("_", "").replace(",", "")) * scale
    if value != int(value) or value < 1:
        raise UsageError(f'"{text}" is no count: expected a whole number above zero')
    return int(value)


def format_bytes(n: float) -> str:
    """A size as people read it, in binary units: `1.5 GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if n < 1024:
            return f"{n:.0f} {unit}" if unit == "B" else f"{n:.1f} {unit}"
        n /= 1024
    return f"{n:.1f} TiB"


def format_energy(joules: float) -> str:
    """An energy as electricity bills have it: `12.3 Wh`, `1.24 kWh`."""
    hours = joules / 3600
    return f"{hours:.3g} Wh" if hours < 1000 else f"{hours / 1000:.3g} kWh"


def parse_part(text: str, whole: int) -> int:
    """How many of `whole` things `10%` or `20` are: at least one, at most all.

    Raises:
        UsageError: the text is neither a share above 0% up to 100% nor a whole number from 1 to `whole`.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(%?)", text.strip())
    if match and match[2] and 0 < float(match[1]) <= 100:
        return max(1, round(whole * float(match[1]) / 100))
    if match and not match[2] and match[1].isdecimal() and 1 <= int(match[1]) <= whole:
        return int(match[1])
    raise UsageError(f'"{text}" is no part of {whole:,}: expected a share such as 10%, or a number from 1 to {whole:,}')
