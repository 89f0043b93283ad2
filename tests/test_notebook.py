"""Results as a notebook shows them."""

from __future__ import annotations

import base64
import inspect
from pathlib import Path

import pytest

from ganvas import notebook
from ganvas.auto.choice import Choice
from ganvas.metrics.compare import Comparison
from ganvas.metrics.scores import Evaluation
from ganvas.verbs.exploring import Written


class Result(notebook.Shown):
    def __init__(self, *paths: Path):
        self.paths = paths

    def summary(self) -> str:
        return "FD <b> & KID"

    def written(self) -> tuple[Path, ...]:
        return self.paths


def test_words_are_shown_as_they_are_printed() -> None:
    assert Result()._repr_html_() == "<pre>FD &lt;b&gt; &amp; KID</pre>"


@pytest.mark.parametrize("kind", ["png", "gif"])
def test_the_first_picture_that_is_there_is_shown(tmp_path: Path, kind: str) -> None:
    text, gone, there = tmp_path / "a.json", tmp_path / "b.png", tmp_path / f"c.{kind}"
    text.write_text("{}")
    there.write_bytes(b"pixels")
    encoded = base64.b64encode(b"pixels").decode()
    assert f'<img src="data:image/{kind};base64,{encoded}">' in Result(text, gone, there)._repr_html_()
    assert "<img" not in Result(text, gone)._repr_html_()


def test_results_of_the_python_api_are_shown_so() -> None:
    for kind in (Choice, Comparison, Evaluation, Written):
        assert issubclass(kind, notebook.Shown)
        assert not inspect.isabstract(kind)
