"""`ganvas doctor` and what it measures."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from ganvas import machine


@pytest.fixture(scope="module")
def found() -> machine.Machine:
    return machine.examine(seconds=0.05)


def test_doctor_prints_an_object_with_all_that_was_asked(ganvas: Any, monkeypatch: pytest.MonkeyPatch, found: machine.Machine) -> None:
    monkeypatch.setattr(machine, "examine", lambda: found)
    value = json.loads(ganvas("doctor", "--json").out)
    assert value["cores"] >= 1
    assert value["flops"]["fp32"] > 1e6
    assert value["flops"]["bf16"] > 1e6
    assert value["device"] in ("cpu", "cuda", "mps")
    assert 0 < value["memory_available"] <= value["memory_total"]
    assert value["disk_free"] > 0
    assert value["versions"]["torch"] == torch.__version__.partition("+")[0] or value["versions"]["torch"] == torch.__version__
    assert value["features"]["efficientnet-lite0"] == "ready"
    shown = ganvas("doctor").out
    for word in ("processor", "instructions", "gpu", "measured", "training", "memory", "disk", "kernels", "versions", "FLOPS"):
        assert word in shown


def healthy(found: machine.Machine) -> machine.Machine:
    return dataclasses.replace(
        found, device="cpu", bf16_unit="AMX", flops={"bf16": 2e12, "fp32": 2e11}, memory_available=2**35, disk_free=2**40, threads=99
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bf16_unit": None, "precision": "fp32"}, "no AMX or AVX512-BF16"),
        ({"flops": {"bf16": 1e11, "fp32": 2e11}}, "--precision fp32"),
        ({"threads": 1, "cores": 8}, "1 threads for 8 cores"),
        ({"memory_available": 2**30}, "1.0 GiB of memory"),
        ({"disk_free": 2**20}, "1.0 MiB of disk"),
        ({"features": {"efficientnet-lite0": "the weights are gone"}}, "the weights are gone"),
        ({"versions": {"pillow": None}}, "Missing: pillow"),
    ],
)
def test_what_stands_in_the_way_is_said_in_plain_words(found: machine.Machine, change: dict[str, Any], words: str) -> None:
    assert not any(words in warning for warning in machine._warnings(healthy(found)))
    assert any(words in warning for warning in machine._warnings(dataclasses.replace(healthy(found), **change)))


def test_a_container_limits_cores_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"cpu.max": "150000 100000", "memory.max": str(2**30), "memory.current": str(2**28)}
    monkeypatch.setattr(machine, "_cgroup", lambda name: files.get(name, ""))
    assert machine.cores() <= 2
    assert machine.memory() == (2**30, 2**30 - 2**28)


def test_no_limit_is_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"cpu.max": "max 100000", "memory.max": "max", "memory.current": "5"}
    monkeypatch.setattr(machine, "_cgroup", lambda name: files.get(name, ""))
    total, available = machine.memory()
    assert total >= available > 5
    assert machine.cores() >= 1


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="Linux says so in a file")
def test_flags_are_found_with_an_older_pytorch_too(monkeypatch: pytest.MonkeyPatch) -> None:
    now = machine.processor_flags()
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert machine.processor_flags() == now
