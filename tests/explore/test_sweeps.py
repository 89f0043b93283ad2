"""Sweeps in tables and plots, and what they say of copies."""

from __future__ import annotations

from ganvas.explore.sweeps import Point, copies_no_more, plots, table
from ganvas.metrics.copying import NearCopies
from ganvas.metrics.evaluate import Evaluation, Score
from ganvas.verbs.sweeping import advice


def point(at: float | None, value: float, near: float | None = None) -> Point:
    """With a share of near-copies beside a tenth of the control, which chance does not explain from 0.2 on."""
    score = Score(value=value, features="efficientnet-lite0", n=100, split="train", resizer="none", reference_n=100)
    scores = Evaluation(fd=score, kid=score, precision=score, recall=score, features_identity="x", data_checksum="y", dim=4, seconds=1.0)
    if near is None:
        return Point(at, scores)
    about = {
        "low": 0.0,
        "high": 1.0,
        "control": 0.1,
        "excess": max(0.0, ((near or 0) - 0.1) / 0.9),
        "threshold_features": 0.3,
        "threshold_pixels": 0.3,
    }
    return Point(at, scores, NearCopies(share=near, certain=near >= 0.2, **about))


def test_the_table_is_csv_and_each_plot_a_png() -> None:
    points = [point(0.5, 0.25), point(None, 0.75)]
    assert table(points, "truncation").splitlines() == [
        "truncation,fd,kid,precision,recall",
        "0.5,0.25,0.25,0.25,0.25",
        "none,0.75,0.75,0.75,0.75",
    ]
    made = plots(points, "truncation")
    assert set(made) == {"distance.png", "precision-recall.png", "trade-off.png"}
    assert all(data.startswith(b"\x89PNG") for data in made.values())


def test_near_copies_stand_in_the_table_and_have_a_plot_where_they_were_looked_for() -> None:
    points = [point(0.1, 0.25, 0.3), point(0.3, 0.5, 0.1)]
    assert table(points, "noise").splitlines() == [
        "noise,fd,kid,precision,recall,near_copies,near_copies_control",
        "0.1,0.25,0.25,0.25,0.25,0.3,0.1",
        "0.3,0.5,0.5,0.5,0.5,0.1,0.1",
    ]
    assert "near-copies.png" in plots(points, "noise")
    assert points[0].to_json("noise")["near_copies"]["share"] == 0.3


def test_the_noise_that_is_named_is_the_first_after_which_copies_stay_rare() -> None:
    points = [point(0.1, 100, 0.3), point(0.2, 110, 0.1), point(0.3, 120, 0.25), point(0.4, 130, 0.104), point(0.5, 140, 0.05)]
    assert copies_no_more(points) is points[3]
    assert advice(points, 0.1).endswith("for FD 130.00 instead of 100.00 at noise 0.1: --noise 0.4.")
    assert "(10.4% at noise 0.4, 10.0% of the control pictures)" in advice(points, 0.1)
    # Chance may explain 15%, but half of a per cent more is what is let pass.
    assert copies_no_more([point(0.1, 100, 0.15), point(0.2, 110, 0.1)]) is not None
    assert copies_no_more([point(0.1, 100, 0.15)]) is None
    assert "try a larger one" in advice(points[:1], 0.1)
    assert "nothing speaks for more" in advice(points[3:], 0.4)
    assert copies_no_more([point(0.1, 1)]) is None
