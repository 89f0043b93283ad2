"""The page of an inspection: whole, self-contained and safe whatever the names say."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from ganvas.data.inspect import inspect
from ganvas.data.packed import open_packed
from ganvas.data.prepare import prepare
from ganvas.metrics.inspection import render, write_inspection

EVIL = "<script>alert(1)</script>$x_{"


class Checker(HTMLParser):
    """Counts tags, and fails on one that is closed without having been opened."""

    VOID = frozenset({"meta", "img", "br", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.seen.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inspection")
    for n in range(60):
        noise = np.random.default_rng(n % 50).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        path = folder / "s" / ("plain" if n % 3 else EVIL.replace("/", "|")) / f"{n}{EVIL.replace('/', '|')}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise).resize((80 + n % 4, 80), Image.Resampling.BICUBIC).save(path, quality=60 + n % 30)
    prepare(folder / "s", folder / "out", resolution=72, holdout=0, quiet=True)
    return open_packed(folder / "out")


def test_the_page_is_whole_and_asks_nothing_of_the_network(dataset):
    page = render(inspect(dataset, quiet=True), dataset)
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert "script" not in checker.seen
    assert not re.search(r'(src|href)="(?!data:)', page)
    for heading in ("Ready to train on?", "Classes", "Pictures", "Sizes before packing", "Colours", "Extremes", "Copies"):
        assert f"<h2>{heading}</h2>" in page
    for kind, data in re.findall(r'src="data:image/(\w+);base64,([^"]+)"', page):
        opened = Image.open(io.BytesIO(base64.b64decode(data)))
        assert opened.format == kind.upper()
        opened.load()


def test_pictures_classes_and_near_copies_are_shown(dataset):
    found = inspect(dataset, quiet=True)
    assert found.copies.near == 10
    page = render(found, dataset)
    assert page.count('alt="a picture and its near copy"') == 10
    assert 'alt="pictures of plain"' in page
    assert page.count('alt="mean of ') == 3


def test_it_is_written_whole(dataset, tmp_path):
    path = write_inspection(inspect(dataset, quiet=True), dataset, tmp_path / "deep" / "page.html")
    assert path.read_text(encoding="utf-8").endswith("</html>\n")
    assert [entry.name for entry in path.parent.iterdir()] == ["page.html"]


def test_unlabelled_pictures_of_one_size(pictures_folder, tmp_path):
    prepare(pictures_folder, tmp_path / "out", resolution=8, holdout=0, quiet=True)
    opened = open_packed(tmp_path / "out")
    page = render(inspect(opened, quiet=True), opened)
    assert "the pictures have no labels" in page
    assert "All are 16 x 16." in page
    description = json.loads((tmp_path / "out" / "dataset.json").read_text())
    del description["files"]["train.sizes.npy"]
    (tmp_path / "out" / "dataset.json").write_text(json.dumps(description))
    (tmp_path / "out" / "train.sizes.npy").unlink()
    opened = open_packed(tmp_path / "out")
    assert "prepare it again to see them" in render(inspect(opened, quiet=True), opened)


@pytest.fixture
def pictures_folder(tmp_path):
    (tmp_path / "s").mkdir()
    for n in range(3):
        Image.new("RGB", (16, 16), (80 * n, 0, 0)).save(tmp_path / "s" / f"{n}.png")
    return tmp_path / "s"
