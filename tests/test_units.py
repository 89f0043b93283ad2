"""Durations, counts and sizes."""

import pytest

from ganvas.errors import UsageError
from ganvas.units import format_bytes, format_duration, format_energy, parse_count, parse_duration, parse_part


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("30min", 1800), ("2h", 7200), ("11h30m", 41400), ("1d", 86400), ("1.5h", 5400), (" 2H ", 7200)],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["soon", "", "30", "m", "-5m", "0s", "0h0m", "30m2h", "1e3s", "5 m", "٣h x"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="30m"):
        parse_duration(text)


@pytest.mark.parametrize("seconds", [1, 59, 60, 3600, 3725, 86400, 90061])
def test_a_written_duration_reads_back_to_its_two_largest_units(seconds: int) -> None:
    unit = 3600 if seconds >= 86400 else 60 if seconds >= 3600 else 1
    assert parse_duration(format_duration(seconds)) == seconds // unit * unit


def test_no_time_is_written_as_zero_seconds() -> None:
    assert (format_duration(0), format_duration(-3), format_duration(0.4)) == ("0s", "0s", "0s")


@pytest.mark.parametrize(
    ("text", "count"), [("5", 5), ("2_000_000", 2_000_000), ("200k", 200_000), ("2M", 2_000_000), ("1.5k", 1500), ("1,000", 1000)]
)
def test_counts_are_read(text: str, count: int) -> None:
    assert parse_count(text) == count


@pytest.mark.parametrize("text", ["0", "-3", "many", "1.5", "", "2G", "1e6"])
def test_what_is_no_count_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected a whole number"):
        parse_count(text)


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 * 2**30, "3.0 GiB"), (5 * 2**40, "5.0 TiB")]
)
def test_sizes_are_written(size: int, text: str) -> None:
    assert format_bytes(size) == text


@pytest.mark.parametrize(("text", "part"), [("10%", 20), ("0.1%", 1), ("100 %", 200), ("33.3%", 67), ("7", 7), ("200", 200)])
def test_parts_are_read(text: str, part: int) -> None:
    assert parse_part(text, 200) == part


@pytest.mark.parametrize("text", ["0", "201", "0%", "100.1%", "ten", "", "1.5", "-3"])
def test_what_is_no_part_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="from 1 to 200"):
        parse_part(text, 200)


def test_energies_are_written_as_on_a_bill() -> None:
    assert [format_energy(j) for j in (0, 3600, 36_000 * 4.44, 3.6e6 * 1.5)] == ["0 Wh", "1 Wh", "44.4 Wh", "1.5 kWh"]
