"""`ganvas.neighbours` and `ganvas neighbours`, on a run and on pictures of any generator."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ganvas as package
from ganvas.data.packed import open_packed
from ganvas.errors import RunError, UsageError


@pytest.fixture
def copies(packed: Path, tmp_path: Path) -> Path:
    """A zip of training pictures, some of them mirrored."""
    with zipfile.ZipFile(tmp_path / "copies.zip", "w") as file:
        for i, picture in enumerate(open_packed(packed).split("train").images):
            Image.fromarray(np.ascontiguousarray(picture[:, ::-1] if i % 4 == 0 else picture)).save(tmp_path / "one.png")
            file.write(tmp_path / "one.png", f"{i:03}.png")
    return tmp_path / "copies.zip"


def test_a_run_beside_its_training_pictures(trained: Path, tmp_path: Path) -> None:
    trained = Path(shutil.copytree(trained, tmp_path / "run"))
    found = package.neighbours(trained, tmp_path / "page.html", samples=100, shown=5, quiet=True)
    said = found.memorisation
    assert (said.n, said.reference_n, said.held_out) == (100, 80, False)
    record = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert record["near_copies"]["share"] == said.near_copies.share
    assert len(record["suspicious"]) == 5
    assert record["checkpoint"] in ("best", "last")
    assert (record["seed"], record["features_name"], record["page"]) == (1, "efficientnet-lite0", str(tmp_path / "page.html"))
    page = (tmp_path / "page.html").read_text()
    assert page.count("<img") == 2 + (5 + 8) * 7
    assert not re.search(r"(src|href)=\"(?!data:)", page), "the page needs nothing beside it"
    for words in ("Most suspicious", "A random sample", "Too few pictures were held out", "nearest in pixels", ".png"):
        assert words in page
    again = package.neighbours(trained, samples=100, shown=5, quiet=True)
    assert (again.memorisation, again.suspicious, again.page) == (said, found.suspicious, None)
    report = (trained / "report.html").read_text()
    for words in ("Does it copy?", said.sentences()[0].replace("'", "&#x27;"), "nearest in features and in pixels"):
        assert words in report
    (trained / "neighbours.json").write_text('{"n": "many"}')
    package.report(trained)
    assert "Does it copy?" not in (trained / "report.html").read_text()


def test_copies_in_an_archive_are_found_out(ganvas, copies: Path, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = ganvas("neighbours", copies, "--data", packed, "-q", "--show", 3)
    assert done.status == 0, done.err
    assert done.out.startswith("100.0% of the generated pictures")
    assert "page     copies-neighbours.html" in done.out
    page = (tmp_path / "copies-neighbours.html").read_text()
    assert "near-copy</span>" in page
    assert re.search(r"<figcaption>\d{3}\.png <span", page), "each by its file's name"
    assert "0.0, mirrored" in page
    done = ganvas("neighbours", copies, "--data", packed, "-q", "--json")
    record = json.loads(done.out)
    assert record["median_pixels"] == 0
    assert record["pixels"]["z"] < -5
    assert record["page"] is None
    assert set(record["suspicious_names"]) <= {f"{i:03}.png" for i in range(80)}


def test_a_run_keeps_its_page_unless_it_is_named(ganvas, trained: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    done = ganvas("neighbours", run, "--samples", 100, "-q")
    assert done.status == 0, done.err
    assert f"page     {run / 'neighbours.html'}" in done.out
    assert (run / "neighbours.html").exists()


def test_what_is_wrong_is_said(ganvas, trained: Path, packed: Path, copies: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="too few to tell copies"):
        package.neighbours(trained, samples=10)
    with pytest.raises(UsageError, match="is a folder"):
        package.neighbours(trained, tmp_path, samples=100)
    with pytest.raises(RunError, match="--data DATASET"):
        package.neighbours(copies)
    with pytest.raises(RunError, match="there is no run"):
        package.neighbours(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="--checkpoint is for runs"):
        package.neighbours(copies, data=packed, checkpoint="best")
    with pytest.raises(UsageError, match="is a run: expected training pictures"):
        package.neighbours(copies, data=trained)
    done = ganvas("neighbours", copies)
    assert (done.status, done.out) == (1, "")
    assert "Traceback" not in done.err
