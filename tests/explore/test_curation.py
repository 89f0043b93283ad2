"""The best of many."""

from __future__ import annotations

import pytest
import torch

from ganvas.errors import UsageError
from ganvas.explore.curation import choose, merit, needed, ranks

VALUES = torch.tensor([0.1, 0.9, 0.5, 0.7, 0.3, 0.8])


def test_the_best_come_first() -> None:
    assert choose(VALUES, "2") == [1, 5]
    assert choose(VALUES, "50%") == [1, 5, 3]
    assert choose(VALUES, "1%") == [1]
    assert choose(torch.tensor([float("inf"), 1.0, float("inf")]), "2") == [0, 2]


def test_of_each_class_as_many() -> None:
    labels = torch.tensor([0, 1, 0, 1, 0, 1])
    assert choose(VALUES, "2", labels) == [1, 2]
    assert choose(VALUES, "3", labels) == [1, 2, 4]
    assert sorted(choose(VALUES, "34%", labels)) == [1, 2]


@pytest.mark.parametrize("best", ["0", "7", "0%", "101%", "many", "-1", "1.5", ""])
def test_what_is_no_part_is_refused(best: str) -> None:
    with pytest.raises(UsageError, match="10%"):
        choose(VALUES, best)


def test_both_is_the_mean_of_ranks_whatever_the_scales() -> None:
    scores = {"logit": torch.tensor([1e6, 0.0, 5e5]), "realism": torch.tensor([0.1, 0.2, 0.3])}
    assert merit(scores, "both").tolist() == [0.5, 0.25, 0.75]
    assert needed("both") == ("logit", "realism")
    assert merit(scores, "realism").argmax() == 2


def test_equal_values_share_their_rank() -> None:
    assert ranks(torch.tensor([1.0, 2.0, 2.0, 3.0])).tolist() == pytest.approx([0, 0.5, 0.5, 1])
    assert ranks(torch.tensor([5.0])).tolist() == [0]
