"""Processor time, and energy where the machine tells."""

from __future__ import annotations

from pathlib import Path

import pytest

from ganvas.training.energy import Meter, Spent


def zone(folder: Path, name: str, microjoules: int | str, most: int = 1_000_000) -> Path:
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / "energy_uj").write_text(f"{microjoules}\n")
    (folder / name / "max_energy_range_uj").write_text(f"{most}\n")
    return folder / name / "energy_uj"


def test_packages_are_summed_their_parts_are_not_and_counters_wrap(tmp_path: Path) -> None:
    first, second = zone(tmp_path, "intel-rapl:0", 900_000), zone(tmp_path, "intel-rapl:1", 0)
    part = zone(tmp_path, "intel-rapl:0:0", 0)
    meter = Meter(tmp_path)
    first.write_text("100000")
    second.write_text("250000")
    part.write_text("999999")
    assert meter.read().joules == pytest.approx(0.2 + 0.25)
    second.write_text("350000")
    assert meter.read().joules == pytest.approx(0.2 + 0.35)


def test_a_machine_that_does_not_tell_has_none(tmp_path: Path) -> None:
    assert Meter(tmp_path / "nowhere").read().joules is None
    zone(tmp_path, "intel-rapl:0", "forbidden")
    assert Meter(tmp_path).read().joules is None


def test_a_counter_that_goes_away_is_not_guessed(tmp_path: Path) -> None:
    file = zone(tmp_path, "intel-rapl:0", 5)
    meter = Meter(tmp_path)
    file.unlink()
    assert meter.read().joules is None


def test_processor_time_grows_with_work() -> None:
    meter = Meter()
    sum(i * i for i in range(300_000))
    spent = meter.read().cpu_seconds
    assert spent is not None
    assert spent > 0


def test_sessions_add_up_and_what_one_does_not_know_the_sum_does_not() -> None:
    assert Spent(1.0, 2.0).plus(Spent(3.0, 4.0)) == Spent(4.0, 6.0)
    assert Spent(1.0, None).plus(Spent(3.0, 4.0)) == Spent(4.0, None)
