"""Errors for people."""

from ganvas.errors import RunError, TrainingFailed, UsageError, UserError, nearest


def test_statuses_are_two_for_wrong_usage_and_one_for_all_else() -> None:
    assert (UsageError.exit_status, UserError.exit_status, RunError.exit_status, TrainingFailed.exit_status) == (2, 1, 1, 1)


def test_the_nearest_word_is_offered_and_nothing_where_none_is_near() -> None:
    assert 'did you mean "dcgan64"' in nearest("dcgan46", ["emoji", "dcgan64", "dcgan128"])
    assert nearest("zzz", ["emoji"]) == ""
    assert nearest("", []) == ""
