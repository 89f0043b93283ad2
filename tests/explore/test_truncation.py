"""Truncations and noises in words."""

from __future__ import annotations

import pytest

from ganvas.errors import UsageError
from ganvas.explore.noise import parse_noises
from ganvas.explore.truncation import parse_truncations


def test_words_become_rising_truncations() -> None:
    assert parse_truncations(["none", "1", "0.5", "1.0"]) == (0.5, 1.0, None)


@pytest.mark.parametrize("word", ["0", "-1", "much", "nan"])
def test_what_is_no_truncation_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match=r"0\.5,1,none"):
        parse_truncations([word])


def test_words_and_numbers_become_rising_noises() -> None:
    assert parse_noises(["0.3", "0", 0.1, "0.30"]) == (0, 0.1, 0.3)


@pytest.mark.parametrize("word", ["-0.1", "much", "nan", "inf"])
def test_what_is_no_noise_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match=r"0\.1,0\.3,0\.5"):
        parse_noises([word])
