"""The public Python API: prepare, inspect, choose, train, resume, load, sample, evaluate. Torch is imported when a function is called."""

from __future__ import annotations

from ganvas.api.data import inspect, prepare
from ganvas.api.judging import compare, diagnose, evaluate, neighbours, report
from ganvas.api.names import AnyPath, CheckpointName
from ganvas.api.pictures import interpolate, load, sample, sweep_noise, sweep_truncation, timeline
from ganvas.api.training import Run, TrainPlan, choose, ema, plan, resume, train
from ganvas.errors import UserError

__all__ = [
    "AnyPath",
    "CheckpointName",
    "Run",
    "TrainPlan",
    "UserError",
    "choose",
    "compare",
    "diagnose",
    "ema",
    "evaluate",
    "inspect",
    "interpolate",
    "load",
    "neighbours",
    "plan",
    "prepare",
    "report",
    "resume",
    "sample",
    "sweep_noise",
    "sweep_truncation",
    "timeline",
    "train",
]
