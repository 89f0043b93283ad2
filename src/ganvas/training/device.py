"""Which device and which precision a run uses, from what the machine has."""

from __future__ import annotations

import platform

import torch

from ganvas.errors import UsageError
from ganvas.training.pages import use_huge_pages


def choose_device(name: str = "auto") -> torch.device:
    """The device for `auto`, `cpu`, `cuda`, `cuda:N` or `mps`; auto takes CUDA, then MPS, then the processor.

    Raises:
        UsageError: no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f'"{name}" is no device: expected auto, cpu, cuda, cuda:0 or mps') from error
    here = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}.get(device.type, 0)
    if (device.index or 0) >= here:
        raise UsageError(f'this machine has no "{name}": `ganvas doctor` says what it has; use --device auto')
    return device


def has_fast_bf16(device: torch.device) -> bool:
    """Whether bf16 products run in hardware: AMX or AVX512-BF16 on a processor, Ampere or newer on CUDA."""
    if device.type == "cpu":
        if platform.machine().lower() not in ("x86_64", "amd64"):
            return False
        checks = [getattr(torch.cpu, name, None) for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported")]
        return any(check() for check in checks if check is not None)
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def choose_precision(name: str, device: torch.device) -> str:
    """`fp32` or `bf16` for `auto`, `fp32` or `bf16`."""
    if name == "auto":
        return "bf16" if has_fast_bf16(device) else "fp32"
    return name


def set_up(threads: int | None) -> None:
    """Settings of the process that training and sampling want.

    Denormal numbers, which zero-initialised layers and small gradients make, are up to 20 times slower to compute
    with, and mean nothing here: they are flushed to zero. Memory comes in huge pages where the system has them.
    """
    use_huge_pages()
    torch.set_flush_denormal(True)
    if threads is not None:
        torch.set_num_threads(threads)
