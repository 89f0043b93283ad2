"""What is wrong with a run: verdicts on real curves, and each check on made-up ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from ganvas.config import GanConfig, io
from ganvas.metrics import health
from ganvas.metrics.advice import REMEDIES, advice
from ganvas.metrics.checks import CHECKS, LIMITS
from ganvas.metrics.health import Detector, looks
from ganvas.runs import RunFolder
from ganvas.sampling.grid import grid, write_png
from small import config

KEPT = Path(__file__).parents[1] / "data" / "health"
RUNS: dict[str, dict[str, Any]] = yaml.safe_load((KEPT / "labels.yaml").read_text(encoding="utf-8"))
MISSED = {"wgan-clip-large": "not learnt yet", "older-cats-nonormd": "not learnt yet"}
"""Collapsed by eye, and judged otherwise: 312 steps, or one look at a run that is no longer young, are too few for a verdict."""
TOO_KIND = {"early-sngan", "sngan-cifar", "wgan-gp-cifar", "wgan-clip-cifar", "older-churches-dcgan128"}
"""Not learnt yet by eye, and nothing is found: their blotches differ as much as pictures do."""

UNSEEN = {"frozen"}
"""Warnings that no run that is kept has had."""


@pytest.mark.parametrize("name", RUNS)
def test_the_verdict_on_a_run_that_was_made(name: str) -> None:
    found, label = health.judge(RunFolder(KEPT / name)), RUNS[name]["label"]
    if name in MISSED:
        assert (label, found.word) == ("collapsed", MISSED[name])
    elif name in TOO_KIND:
        assert (label, found.word) == ("not learnt yet", "no")
    else:
        assert found.word == {"fine": "no"}.get(label, label)
    # A run that is fine is never said to have collapsed, not even in between.
    if label != "collapsed":
        assert [f.kind for f in found.findings if f.severity == "collapse"] == []


@pytest.mark.parametrize("name", [name for name, run in RUNS.items() if "expects" in run])
def test_a_run_that_was_made_for_a_warning_gets_it(name: str) -> None:
    found = health.judge(RunFolder(KEPT / name))
    assert set(RUNS[name]["expects"]) <= {f.kind for f in found.findings if f.severity == "warning"}


def test_every_warning_of_numbers_was_seen_on_a_real_run() -> None:
    seen = {f.kind for name in RUNS for f in health.judge(RunFolder(KEPT / name)).findings}
    assert {check.kind for check in CHECKS if check.severity == "warning"} - seen == UNSEEN


def test_both_sets_have_what_the_page_claims() -> None:
    counts = {which: [run["label"] for run in RUNS.values() if run["set"] == which] for which in ("calibration", "check")}
    for labels in counts.values():
        assert {"collapsed", "fine", "not learnt yet"} == set(labels)
    assert sum(label == "collapsed" for labels in counts.values() for label in labels) >= 6
    assert sum(label == "fine" for labels in counts.values() for label in labels) >= 6
    assert all(sum(f.stat().st_size for f in (KEPT / name).iterdir()) < 56_000 for name in RUNS)


# -- The detector on made-up looks ------------------------------------------------------------------------------------

WELL = {"variety": 1.0, "twins": 0.0, "nearest": 1.0, "dimensions": 1.0, "detail": 1.0, "roughness": 1.0, "saturated": 0.0, "change": 0.2}


def fed(*values: dict[str, float], every: int = 50_000, **settings: Any) -> Detector:
    """A detector that saw these looks, `every` pictures and 1000 steps apart."""
    detector = Detector(config(**settings))
    for i, each in enumerate(values, 1):
        detector.observe(every * i, {"step": 1000.0 * i, **each})
    return detector


def kinds(detector: Detector) -> list[str]:
    return [finding.kind for finding in detector.active]


@pytest.mark.parametrize(
    ("kind", "ill"),
    [
        ("mode collapse", {"variety": 0.3}),
        ("mode collapse", {"twins": 0.5}),
        ("mode collapse", {"dimensions": 0.3}),
        ("mode collapse", {"nearest": 0.4}),
        ("dead pictures", {"detail": 0.1}),
        ("dead pictures", {"saturated": 0.7}),
        ("noise", {"roughness": 6.0}),
        ("little recall", {"recall": 0.001, "precision": 0.6}),
        ("frozen", {"change": 0.0}),
        ("restless", {"change": 1.2}),
        ("discriminator wins", {"d_accuracy_real": 0.99, "d_accuracy_fake": 1.0}),
        ("learning by heart", {"d_accuracy_train": 0.95, "d_accuracy_heldout": 0.5}),
        (
            "learning by heart",
            {"d_accuracy_train": 0.95, "d_accuracy_heldout": 0.9, "d_logit_train": 4, "d_logit_heldout": 0, "d_logit_fake": -2},
        ),
        ("recall falls", {"recall": 0.1, "precision": 0.0}),
        ("near-copies", {"near_copies": 0.1}),
        ("gradients", {"gradient_g": 1e3}),
        ("gradients", {"gradient_d": 1e-5}),
        ("penalty explodes", {"r1": 300.0}),
    ],
)
def test_each_check_begins_after_some_looks_and_ends(kind: str, ill: dict[str, float]) -> None:
    usual = {**WELL, "recall": 0.5, "precision": 0.5, "gradient_g": 1.0, "gradient_d": 1.0, "r1": 0.5}
    usual |= {"near_copies": 0.01, "near_copies_usual": 0.03}
    usual |= {"d_accuracy_real": 0.7, "d_accuracy_fake": 0.7, "d_accuracy_train": 0.8, "d_accuracy_heldout": 0.75}
    course = max(check.looks for check in CHECKS if check.kind == kind)
    before = [usual] * 6
    assert kind not in kinds(fed(*before))
    assert kind not in kinds(fed(*before, *[usual | ill] * (min(c.looks for c in CHECKS if c.kind == kind) - 1)))
    detector = fed(*before, *[usual | ill] * course)
    assert kind in kinds(detector)
    (finding,) = [f for f in detector.active if f.kind == kind]
    assert finding.since == 50_000 * 7
    assert finding.seen
    assert finding.helps
    over = fed(*before, *[usual | ill] * course, *[usual] * course)
    assert kind not in kinds(over)
    assert [(f.kind, f.until) for f in over.past if f.kind == kind] == [(kind, 50_000 * (6 + course))]


def test_a_young_run_has_not_learnt_and_an_old_one_collapsed() -> None:
    same = WELL | {"variety": 0.1, "twins": 1.0}
    young = Detector(config())
    for i in range(1, 6):
        young.observe(1000 * i, {"step": 10.0 * i, **same})
    assert kinds(young) == ["not learnt yet"]
    assert kinds(fed(*[same] * 3))[0] == "mode collapse"
    # What was learnt can be lost at any age.
    lost = Detector(config())
    for i in range(1, 6):
        lost.observe(1000 * i, {"step": 10.0 * i, **(WELL if i < 3 else same)})
    assert kinds(lost) == ["mode collapse"]
    assert "varied before" in lost.active[0].seen


def test_a_slow_run_that_gets_better_has_not_collapsed() -> None:
    same = WELL | {"variety": 0.1, "twins": 1.0}
    slow = [same | {"kid": kid} for kid in (1.6, 1.35, 0.83, 0.74)]
    assert all("mode collapse" not in kinds(fed(*slow[:n])) for n in range(1, 5))
    stuck = fed(*[same | {"kid": kid} for kid in (1.6, 1.59, 1.61, 1.6)])
    assert kinds(stuck)[0] == "mode collapse"
    # What was learnt and lost is lost, whatever the last evaluation says.
    assert kinds(fed(WELL, WELL, *slow[:3]))[0] == "mode collapse"


def test_few_kinds_are_a_collapse_unless_the_run_is_young_or_gets_better() -> None:
    few = WELL | {"nearest": 0.4}
    # Pictures of networks that have learnt nothing are varied: that is no sign that anything was lost.
    assert all("mode collapse" not in kinds(fed(WELL, WELL, *[few | {"kid": kid} for kid in (1.6, 1.3, 0.8)][:n])) for n in range(4))
    stuck = fed(WELL, WELL, *[few | {"kid": kid} for kid in (0.78, 0.8, 0.81, 0.82)])
    assert kinds(stuck) == ["mode collapse"]
    assert "few kinds" in stuck.active[0].seen
    assert kinds(fed(*[few] * 5, every=1000)) == ["not learnt yet"]


def test_a_look_without_a_number_says_nothing_about_it() -> None:
    ill = WELL | {"variety": 0.1}
    detector = fed(WELL, WELL, ill, {"loss_g": 1.0}, ill, {"loss_g": 1.0}, ill)
    assert kinds(detector) == ["mode collapse"]
    assert detector.active[0].since == 150_000


def test_a_wasserstein_critic_may_be_sure() -> None:
    sure = {"d_accuracy_real": 1.0, "d_accuracy_fake": 1.0}
    assert kinds(fed(*[sure] * 5)) == ["discriminator wins"]
    wasserstein = {"family__loss": {"kind": "wasserstein", "clip": 0.01}, "family__critic_augment": None}
    assert kinds(fed(*[sure] * 5, **wasserstein)) == []


def test_lines_of_one_moment_are_one_look() -> None:
    a, b = [{"images": 2, "x": 1.0}, {"images": 1, "x": 3}], [{"images": 2, "y": 2.0, "word": "no number"}, {"nothing": 1}]
    assert list(looks(a, b)) == [(1, {"images": 1, "x": 3}), (2, {"images": 2, "x": 1, "y": 2})]


# -- Advice -----------------------------------------------------------------------------------------------------------


def test_every_finding_has_advice_with_and_without_a_config() -> None:
    for kind in {check.kind for check in CHECKS} | {"not finite"}:
        assert kind in REMEDIES
        assert advice(kind, None)
    for name in io.recipe_names():
        config = io.recipe(name)
        # What can't befall a run needs no advice: there may be no penalty, and no discriminator.
        never = {"penalty explodes"} | (set() if isinstance(config.family, GanConfig) else {"discriminator wins"})
        assert [kind for kind in REMEDIES if kind not in never and not advice(kind, config)] == []


def test_settings_that_are_named_can_be_set() -> None:
    """Each `--set` of each piece of advice, for every recipe, makes a valid config."""
    import shlex

    for name in io.recipe_names():
        for kind in REMEDIES:
            for words in advice(kind, io.recipe(name)):
                parts = shlex.split(words.partition("--set")[1] + words.partition("--set")[2]) if "--set" in words else []
                settings = [parts[i + 1].rstrip(",") for i, part in enumerate(parts) if part == "--set"]
                if settings and "the paper's clip" not in words:
                    assert io.load(name, settings).name == name


def test_advice_leaves_out_what_the_run_has() -> None:
    assert not any("critic_augment" in words for words in advice("mode collapse", config()))
    bare = config(family__critic_augment=None, family__latent__size=1, family__generator__norm=None)
    words = " ".join(advice("mode collapse", bare))
    for setting in ("critic_augment", "latent.size=100", "generator.norm=batch", "optimizer_g.lr=0.0001", "on_collapse=rollback"):
        assert setting in words
    assert any("codes.augment" in words for words in advice("near-copies", io.recipe("codes64")))
    told = io.load("codes64", ["family.codes.augment={after: 50000}"])
    assert not any("codes.augment" in words for name in (told, io.recipe("drawings64")) for words in advice("near-copies", name))


# -- What a folder holds ----------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    run = RunFolder(tmp_path)
    run.config_file.write_text(io.dump(config(samples__rows=4)))
    return run


def varied(seed: int = 0) -> np.ndarray:
    """16 pictures of four by four plain squares."""
    drawn = np.random.default_rng(seed).integers(0, 256, (16, 4, 4, 3)).astype(np.uint8)
    return drawn.repeat(4, 1).repeat(4, 2)


def show(folder: RunFolder, *made: np.ndarray, real: np.ndarray | None = None, first: int = 100_000) -> None:
    """Grids, 100,000 pictures apart."""
    for i, pictures in enumerate(made):
        write_png(folder.samples / f"{first + 100_000 * i:09d}.png", grid(pictures, 4))
    if real is not None:
        write_png(folder.real_file, grid(real, 4))


def test_a_run_that_has_nothing_is_unknown(folder: RunFolder) -> None:
    found = health.judge(folder)
    assert (found.collapsed, found.diverged, found.word) == (None, None, "unknown")
    show(folder, varied() // 100, real=varied(), first=0)
    assert health.judge(folder).collapsed is None  # the untrained networks say nothing
    assert "nothing to judge by" in health.judge(folder).summary()


def test_an_older_run_is_judged_by_its_grids(folder: RunFolder) -> None:
    show(folder, varied(1), varied(2), varied(3), real=varied())
    found = health.judge(folder)
    assert (found.collapsed, found.word, found.reasons) == (False, "no", ())
    assert found.variety == pytest.approx(1, abs=0.3)
    show(folder, 100 + varied(1) // 20, 100 + varied(2) // 20, first=400_000)
    found = health.judge(folder)
    assert found.collapsed is True
    assert "the average's pictures differ by only" in found.reasons[0]
    assert found.going_on[0].since == 400_000


def test_pictures_that_come_twice_are_a_collapse(folder: RunFolder) -> None:
    show(folder, varied(1)[np.arange(16) % 4], varied(2)[np.arange(16) % 4], real=varied())
    found = health.judge(folder)
    assert (found.collapsed, found.twins) == (True, 1)
    assert "have a twin" in found.reasons[0]


def test_little_recall_is_told_and_is_no_collapse(folder: RunFolder) -> None:
    folder.evaluation_file.write_text(json.dumps({"precision": {"value": 0.8}, "recall": {"value": 0.001}}))
    assert [f.kind for f in health.judge(folder).findings] == ["little recall in the end"]


@pytest.mark.parametrize(
    ("precision", "recall", "coverage", "kinds"),
    [
        (0.01, 0.001, None, ["unlike real pictures"]),
        (0.01, 0.001, 0.3, ["unlike real pictures"]),
        # A texture of photographs' colours.
        (0.84, 0.0, 0.01, ["unlike real pictures"]),
        (0.83, 0.003, 0.45, ["little recall in the end"]),
        # Drawings after ten minutes: new ones that are near to few of those trained on.
        (0.2, 0.56, 0.18, []),
    ],
)
def test_a_run_that_ends_with_pictures_unlike_real_ones_is_told_so(
    folder: RunFolder, precision: float, recall: float, coverage: float | None, kinds: list[str]
) -> None:
    scores = {"precision": precision, "recall": recall, "coverage": coverage}
    folder.evaluation_file.write_text(json.dumps({name: {"value": value} for name, value in scores.items()}))
    assert [f.kind for f in health.judge(folder).findings] == kinds


def test_a_kid_that_rises_again_is_divergence(folder: RunFolder) -> None:
    folder.evaluations_file.write_text("".join(json.dumps({"images": i, "kid": k}) + "\n" for i, k in enumerate([0.3, 0.1, 0.5])))
    found = health.judge(folder)
    assert (found.diverged, found.collapsed, found.word) == (True, None, "diverged")
    assert found.reasons == ("KID rose from 0.1000 to 0.5000",)


def test_small_kids_are_all_alike(folder: RunFolder) -> None:
    lines = [{"images": i, "kid": k} for i, k in enumerate([0.001, 3 * LIMITS.kid_floor / 2])]
    folder.evaluations_file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert health.judge(folder).diverged is False


def test_rows_for_a_report_are_worst_first_and_empty_for_a_run_that_is_well(folder: RunFolder) -> None:
    assert health.judge(RunFolder(KEPT / "lr-1e-2-emoji")).rows() == []
    first, *_ = health.judge(RunFolder(KEPT / "strong-d-emoji")).rows()
    assert first[:2] == ("collapse", "since 40,000")
    assert first[2].startswith("mode collapse: ")
    assert "family.critic_augment" in first[3]
