"""evaluation.json: its schema, its words, and when a run is judged by what it learnt to please."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from ganvas.config import io
from ganvas.metrics.scores import ABOUT, Evaluation, Score, class_score_name, judged_by_itself, schema

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"


def _evaluation(features: str = "efficientnet-lite0", **more: object) -> Evaluation:
    score = Score(
        value=0.5, low=0.25, high=0.75, confidence=0.95, features=features, n=10_000, split="train", resizer="none", reference_n=9_000
    )
    known = dict.fromkeys(("fd", "kid", "precision", "recall", "density", "coverage"), score)
    return Evaluation.model_validate({**known, "features_identity": "x", "data_checksum": "y", "dim": 4, "seconds": 1.0} | more)


def test_the_schema_is_the_one_that_is_documented() -> None:
    """`python -m ganvas.metrics.scores > docs/reference/evaluation.schema.json` writes it."""
    assert json.loads((REFERENCE / "evaluation.schema.json").read_text()) == schema()


def test_every_score_is_explained() -> None:
    text = (REFERENCE / "evaluation.md").read_text()
    for key in ABOUT:
        assert f"`{key}`" in text, key
    for field in Evaluation.model_fields:
        assert f"`{field}`" in text, field


def test_it_is_written_and_read_without_loss() -> None:
    found = _evaluation()
    again = Evaluation.model_validate(json.loads(json.dumps(found.to_json())))
    assert again == found
    assert again.to_json() == found.to_json()
    with pytest.raises(ValidationError):
        Evaluation.model_validate(found.to_json() | {"version": 3})


def test_unknown_keys_of_later_versions_do_no_harm() -> None:
    assert Evaluation.model_validate(_evaluation().to_json() | {"new_score": 1}) == _evaluation()


def test_the_table_shows_intervals_and_never_another_is_as_is() -> None:
    text = _evaluation().summary()
    assert "0.25 to 0.75" in text
    assert "25.0% to 75.0%" in text
    assert class_score_name("inception-2015") == "IS"
    assert class_score_name("efficientnet-lite0") == "IS on efficientnet-lite0"
    score = _evaluation("inception-2015").fd
    text = _evaluation("inception-2015", fid=score, inception_score=score, fd_infinity=score).summary()
    for name in ("FID ", "FID-infinity", "IS "):
        assert f"\n{name}" in text
    assert "\nFD " not in text


@pytest.mark.parametrize(
    ("backbone", "judge", "flagged"),
    [
        ("efficientnet-lite0", "efficientnet-lite0", True),
        ("efficientnet-lite0", "efficientnet-lite2", True),
        ("efficientnet-lite0", "inception-2015", False),
        ("inception-2015", "inception-2015", True),
        (None, "efficientnet-lite0", False),
    ],
)
def test_a_run_judged_by_the_network_in_its_loss_is_flagged(
    backbone: str | None, judge: str, flagged: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = io.load("dcgan32")
    monkeypatch.setattr(type(config.family), "backbones", (backbone,) if backbone else ())
    caution = judged_by_itself(config, judge)
    assert (caution is not None) is flagged
    if caution is not None:
        assert backbone is not None
        assert backbone in caution
        text = _evaluation(judge, warnings=[caution]).summary()
        assert f"Beware: {caution}" in text


def test_no_recipe_of_today_has_a_network_in_its_loss() -> None:
    assert io.load("dcgan32").family.backbones == ()
