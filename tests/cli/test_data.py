"""`ganvas prepare` of known layouts and `ganvas inspect`, as they are typed."""

from __future__ import annotations

import json

import pytest
from PIL import Image

import ganvas as package
from small import disks

VOC = b"<annotation><object><bndbox><xmin>4</xmin><ymin>4</ymin><xmax>30</xmax><ymax>20</ymax></bndbox></object></annotation>"


@pytest.fixture
def boxed(tmp_path):
    for kind in ("n02085620-Chihuahua", "n02085936-Maltese_dog"):
        for folder in ("Images", "Annotation"):
            (tmp_path / "dogs" / folder / kind).mkdir(parents=True)
        for n in range(3):
            Image.effect_noise((40, 30), 80 + n).convert("RGB").save(tmp_path / "dogs" / "Images" / kind / f"{n}.png")
            (tmp_path / "dogs" / "Annotation" / kind / str(n)).write_bytes(VOC)
    (tmp_path / "dogs" / "Annotation" / kind / "2").write_bytes(b"")
    return tmp_path / "dogs"


def test_prepare_with_boxes_counts_and_lists_what_was_rejected(ganvas, tmp_path, boxed):
    done = ganvas("prepare", boxed, tmp_path / "out", "--crop", "box", "--boxes", "each", "--resolution", 8, "--json", "-q")
    found = json.loads(done.out)
    assert (done.status, found["splits"], found["rejected"]) == (0, {"train": 5}, 1)
    assert found["classes"] == ["Chihuahua", "Maltese_dog"]
    assert "its annotation is empty" in (tmp_path / "out" / "rejected.csv").read_text()


def test_boxes_without_the_crop_are_wrong_usage(ganvas, tmp_path, boxed):
    done = ganvas("prepare", boxed, tmp_path / "out", "--boxes", "each")
    assert done.status == 2
    assert "--crop box" in done.err


def test_inspect_a_source_and_what_it_was_packed_into(ganvas, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = disks(tmp_path / "disks", count=40)
    done = ganvas("inspect", source, "--resolution", 16, "-q")
    assert done.status == 0
    assert "2, perfectly balanced: each has 20 training pictures" in done.out
    assert "Ready to train on? Not as it is." in done.out
    assert "page        disks-inspection.html" in done.out
    assert (tmp_path / "disks-inspection.html").read_text().startswith("<!doctype html>")
    assert ganvas("prepare", source, tmp_path / "packed", "--resolution", 16, "-q").status == 0
    done = ganvas("inspect", tmp_path / "packed", "--json", "-q")
    assert json.loads(done.out)["classes"] == {"blue": 20, "red": 20}
    assert not (tmp_path / "packed-inspection.html").exists()
    done = ganvas("inspect", tmp_path / "packed", "--json", "--out", tmp_path / "page.html", "-q")
    assert json.loads(done.out)["resolution"] == 16
    assert (tmp_path / "page.html").exists()


def test_inspect_with_boxes(ganvas, tmp_path, boxed):
    done = ganvas("inspect", boxed, "--crop", "box", "--json", "-q", "--resolution", 8)
    assert json.loads(done.out)["crop"] == "box"


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("nowhere",), 1, "does not exist"),
        (("disks", "--crop", "box"), 2, "bounding boxes"),
        (("packed", "--crop", "none"), 2, "is packed already"),
        (("packed", "--resolution", "512"), 1, "expected at least 512"),
        (("packed", "--out", "disks"), 2, "disks is a folder"),
        (("packed", "--boxes", "some"), 2, "--boxes"),
    ],
)
def test_inspect_says_what_is_wrong(ganvas, tmp_path, monkeypatch, arguments, status, words):
    monkeypatch.chdir(tmp_path)
    ganvas("prepare", disks(tmp_path / "disks", count=8), "packed", "--resolution", 16, "-q")
    done = ganvas("inspect", *arguments)
    assert (done.status, done.out) == (status, "")
    assert words in done.err
    assert not list(tmp_path.glob("*.html"))


def test_in_python(tmp_path):
    found = package.inspect(disks(tmp_path / "disks", count=10), resolution=8, quiet=True)
    assert found.classes == {"blue": 5, "red": 5}
    assert not list(tmp_path.glob("*.html"))
