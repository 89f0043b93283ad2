"""Kinds of arguments."""

from __future__ import annotations

from os import PathLike

AnyPath = str | PathLike[str]
CheckpointName = str
"""`best`, `last`, `fresh` (the best one that did not copy, where `best` does), or what `ema` made, such as `ema-0.120`."""
