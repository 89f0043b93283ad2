"""The report of a run, from run folders in every condition."""

from __future__ import annotations

import base64
import io as bytes_io
import json
import math
import re
import socket
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ganvas import artifact
from ganvas.config import io
from ganvas.errors import UserError
from ganvas.metrics import report
from ganvas.metrics.report import SLIDER_GRIDS, write_report
from ganvas.metrics.scores import ABOUT
from ganvas.runs import RunFolder

SCORE = {"features": "efficientnet-lite0", "n": 10_000, "split": "train", "resizer": "bicubic to 160x160"}
NASTY = "<script>alert('x')</script>&\"'"


class Page(HTMLParser):
    """What a browser would load and show of a page; fails on tags that don't close."""

    VOID = frozenset({"img", "input", "meta", "br"})

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.words += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def read(folder: RunFolder) -> Page:
    path = write_report(folder)
    assert path == folder.report_file
    return Page(path.read_text(encoding="utf-8"))


def picture(uri: str | None) -> Image.Image:
    assert uri is not None
    kind, _, data = uri.partition(";base64,")
    assert kind in ("data:image/png", "data:image/webp")
    opened = Image.open(bytes_io.BytesIO(base64.b64decode(data)))
    opened.load()
    return opened


@pytest.fixture
def bare(tmp_path: Path) -> RunFolder:
    """A run that has nothing but its folder."""
    folder = RunFolder(tmp_path / "00001-run")
    folder.path.mkdir()
    return folder


@pytest.fixture
def full(bare: RunFolder) -> RunFolder:
    """A run that has everything."""
    bare.config_file.write_text(io.dump(io.load("dcgan32", ["data.path=/data/cats"])))
    bare.provenance_file.write_text(json.dumps({"ganvas": "0.1.0", "data": {"checksum": "abc123", "classes": ["cat", "dog"]}}))
    status = {"state": "finished", "pid": 1, "host": socket.gethostname(), "started": 0, "heartbeat": 0, "images": 50_000, "seconds": 75.0}
    bare.status_file.write_text(json.dumps(status | {"pictures_per_second": 666.6, "best": {"images": 40_000, "kid": 0.0125}}))
    keys = [key for curves in report.PLOTS for key in curves.keys]
    lines = [{"images": i * 1000, "seconds": i, **{key: 0.5 + 0.3 * math.sin(i) for key in keys}, "extra": i} for i in range(1, 51)]
    bare.metrics_file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    evaluations = [{"images": i * 10_000, "kid": 0.1 / i, "features": "efficientnet-lite0"} for i in range(1, 6)]
    bare.evaluations_file.write_text("".join(json.dumps(line) + "\n" for line in evaluations))
    values = {"fd": 12.3456, "kid": 0.01234, "precision": 0.71, "recall": 0.32}
    scores = {name: {"value": value, **SCORE} for name, value in values.items()}
    bare.evaluation_file.write_text(json.dumps({**scores, "checkpoint": "best", "images": 40_000}))
    bare.samples.mkdir()
    for i in range(SLIDER_GRIDS + 7):
        artifact.write_bytes(bare.samples / f"{i * 1000:09d}.png", png((i, 0, 0)))
    return bare


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Titles instead of plots, where a test is about something else: drawing is what takes a report's time."""
    monkeypatch.setattr(report, "_figure", lambda title, *_: f"<h3>{title}</h3>")


def png(colour: tuple[int, int, int]) -> bytes:
    buffer = bytes_io.BytesIO()
    Image.fromarray(np.full((20, 20, 3), colour, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.usefixtures("quick")
def test_a_report_says_how_the_run_stands(full: RunFolder) -> None:
    words = read(full).words
    for word in (
        "00001-run",
        "finished",
        "50,000",
        "1m15s",
        "667",
        "after 40,000 pictures, KID 0.0125",
        "/data/cats, 32x32",
        "abc123",
        "cat, dog",
    ):
        assert word in words
    assert "halflife_images" in words


@pytest.mark.usefixtures("quick")
def test_every_score_has_its_value_features_number_split_and_sentence(full: RunFolder) -> None:
    words = read(full).words
    for word in (
        "12.35",
        "0.01234",
        "0.71",
        "0.32",
        "efficientnet-lite0",
        "10,000",
        "bicubic to 160x160",
        "no published FID",
        "checkpoint: best",
    ):
        assert word in words
    for sentence in (ABOUT[key].sentence for key in ("fd", "kid", "precision", "recall")):
        assert sentence in words


def test_every_curve_is_a_picture(full: RunFolder) -> None:
    page = read(full)
    charts = [picture(attributes["src"]) for attributes in page.all("img") if (attributes["alt"] or "").endswith("over pictures shown")]
    assert len(charts) == len(report.PLOTS) + 1
    assert all(chart.mode == "RGBA" and chart.width > 500 for chart in charts)
    for title in ("KID while training", *(curves.title for curves in report.PLOTS)):
        assert title in page.words
    assert '"extra": 50' in page.words


def test_nothing_is_loaded_from_anywhere(full: RunFolder) -> None:
    text = write_report(full).read_text(encoding="utf-8")
    page = Page(text)
    for attributes in (attributes for _, attributes in page.tags):
        for key in ("src", "href", "action", "data"):
            assert key not in attributes or (attributes[key] or "").startswith("data:image/")
    assert not re.search(r"https?://|url\(|@import", re.sub(r"data:image/[a-z]+;base64,[A-Za-z0-9+/=]+", "", text))


@pytest.mark.usefixtures("quick")
def test_the_latest_grid_is_shown_without_loss_and_the_slider_keeps_first_and_last(full: RunFolder) -> None:
    page = read(full)
    grids = [a for a in page.all("img") if a.get("class") == "grid"]
    latest, frames = grids[0], grids[1:]
    assert picture(latest["src"]).convert("RGB").getpixel((0, 0)) == (SLIDER_GRIDS + 6, 0, 0)
    assert len(frames) == SLIDER_GRIDS
    assert [frames[0]["data-images"], frames[-1]["data-images"]] == ["0", f"{(SLIDER_GRIDS + 6) * 1000:,}"]
    assert ["hidden" in frame for frame in frames] == [True] * (SLIDER_GRIDS - 1) + [False]
    (slider,) = page.all("input")
    assert (slider["min"], slider["max"], slider["value"]) == ("0", str(SLIDER_GRIDS - 1), str(SLIDER_GRIDS - 1))


def test_a_run_without_anything_has_a_report(bare: RunFolder) -> None:
    page = read(bare)
    assert "unknown" in page.words
    assert "ganvas evaluate" in page.words
    assert page.all("img") == []


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "missing",
    ["config.yaml", "provenance.json", "status.json", "metrics.jsonl", "evaluations.jsonl", "evaluation.json", "samples/000000000.png"],
)
def test_each_part_may_be_missing_or_damaged(full: RunFolder, missing: str) -> None:
    (full.path / missing).write_bytes(b'{"images": "many"}\n\xff{[')
    damaged = read(full).words
    (full.path / missing).unlink()
    for words in (damaged, read(full).words):
        assert "00001-run" in words


@pytest.mark.usefixtures("quick")
def test_a_damaged_latest_grid_gives_way_to_the_one_before(full: RunFolder) -> None:
    full.grids()[-1][1].write_bytes(b"\x89PNG broken")
    (latest, *_) = [a for a in read(full).all("img") if a.get("class") == "grid"]
    assert picture(latest["src"]).convert("RGB").getpixel((0, 0)) == (SLIDER_GRIDS + 5, 0, 0)


def test_names_of_any_kind_are_text_and_never_markup(full: RunFolder) -> None:
    full.config_file.write_text(io.dump(io.load("dcgan32", overrides={"name": NASTY, "about": NASTY, "data.path": NASTY})))
    full.provenance_file.write_text(json.dumps({NASTY: NASTY, "data": {"classes": [NASTY]}}))
    full.evaluation_file.write_text(json.dumps({NASTY: {"value": NASTY, **dict.fromkeys(SCORE, NASTY)}, "checkpoint": NASTY}))
    status = json.loads(full.status_file.read_text()) | {"reason": NASTY, "state": "failed"}
    full.status_file.write_text(json.dumps(status))
    full.metrics_file.write_text(json.dumps({"images": 5, NASTY: 5}) + "\n")
    full.evaluations_file.write_text(json.dumps({"images": 5, "kid": 0.1, "features": NASTY}) + "\n")
    page = read(full)
    assert page.words.count("<script>alert('x')</script>") >= 9
    assert len(page.all("script")) == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, "much", True, [1]])
def test_what_is_no_number_is_left_out_of_the_curves(bare: RunFolder, value: Any) -> None:
    lines = [{"images": 1000, "loss_g": 1.0}, {"images": 2000, "loss_g": value}, {"images": value, "loss_g": 1.0}, {"loss_g": 1.0}]
    bare.metrics_file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    page = read(bare)
    assert len(page.all("img")) == 1
    assert "Losses" in page.words


def test_rates_that_never_change_need_no_curve(bare: RunFolder) -> None:
    for rates, shown in (((1e-4, 1e-4), False), ((1e-4, 5e-5), True)):
        bare.metrics_file.write_text("".join(json.dumps({"images": i, "lr_g": rate}) + "\n" for i, rate in enumerate(rates)))
        assert ("Learning rates" in read(bare).words) is shown


def test_an_inception_score_names_fid(bare: RunFolder) -> None:
    score = {**SCORE, "features": "inception-2015"}
    bare.evaluation_file.write_text(json.dumps({name: {"value": 9.5, **score} for name in ("fd", "fid", "inception_score")}))
    words = read(bare).words
    assert ABOUT["fid"].sentence in words
    assert "no published FID" not in words


@pytest.mark.usefixtures("quick")
def test_intervals_yardstick_classes_and_warnings_are_shown(full: RunFolder) -> None:
    score = {**SCORE, "value": 4.5, "low": 4.25, "high": 4.75, "confidence": 0.95}
    sides = dict.fromkeys(("fd", "kid", "precision", "recall", "density", "coverage"), score | {"value": 8.125})
    evaluation = {
        "format": "ganvas-evaluation",
        "version": 2,
        **dict.fromkeys(ABOUT, score),
        "yardstick": {"split": "val", "n": 150, "held_out": sides, "generated": sides},
        "per_class": {"n": 120, "least": 100, "classes": [{"name": NASTY, "fd": score, "kid": score}], "too_few": {"rare": [3, 4]}},
        "notes": ["two files were left out"],
        "warnings": ["FD of few pictures is too high"],
    }
    full.evaluation_file.write_text(json.dumps(evaluation))
    words = read(full).words
    for about in ABOUT.values():
        assert about.sentence in words
    for word in ("(4.25 to 4.75)", "IS on efficientnet-lite0", "8.125", "150 of either kind", NASTY, "1 classes have fewer than 100"):
        assert word in words, word
    assert "Beware: FD of few pictures is too high." in words
    assert "two files were left out." in words
    for damaged in (
        {"yardstick": 3, "per_class": [1]},
        {"yardstick": {"held_out": {}}, "per_class": {"classes": [2, {"fd": 1}]}, "notes": 7},
    ):
        full.evaluation_file.write_text(json.dumps(evaluation | damaged))
        assert "00001-run" in read(full).words


@pytest.mark.usefixtures("quick")
def test_an_earlier_report_stays_when_the_disk_is_full(full: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    before = write_report(full).read_bytes()

    def full_disk(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(UserError, match="disk is full"):
        write_report(full)
    assert full.report_file.read_bytes() == before
