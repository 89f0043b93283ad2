"""Run the marked examples of README.md and docs/guide, as a reader would.

A block of bash or python after a line `<!-- run -->` is run; the marked blocks of a page run in order, in one empty
folder, with `~` a home that holds `pictures/`. What would take long is shortened by `<!-- run: 2h => 2m; old => new -->`,
so that the reader sees the real words; an example whose words are gone from the block fails.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "guide").glob("**/*.md"))]
_BLOCK = re.compile(r"^<!-- run(?:: (?P<changes>.*?))? -->\n+^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.docs


@dataclass(frozen=True)
class Example:
    """A block to run: `language` is bash or python, `line` is where it begins."""

    language: str
    code: str
    line: int


def examples(text: str) -> list[Example]:
    """The marked blocks of a page, shortened as their marks say."""
    found = []
    for match in _BLOCK.finditer(text):
        code = match["code"]
        for change in filter(None, (part.strip() for part in (match["changes"] or "").split(";"))):
            old, arrow, new = (word.strip() for word in change.partition("=>"))
            assert arrow, f'"{change}" is not of the form old => new'
            assert old in code, f'"{old}" is to be replaced in an example that does not have it:\n{code}'
            code = code.replace(old, new)
        found.append(Example(match["language"], code, text.count("\n", 0, match.start()) + 1))
    assert len(found) == len(re.findall(r"^<!-- run", text, re.MULTILINE)), "a mark is not followed by a block of code"
    return found


def command(example: Example) -> list[str]:
    """How an example is run."""
    if example.language == "python":
        return [sys.executable, "-W", "error", "-c", example.code]
    assert example.language == "bash", f"blocks of {example.language} can't be run"
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("needs bash")
    return [bash, "-euo", "pipefail", "-c", example.code]


def furnish(home: Path) -> dict[str, str]:
    """Put pictures into a home, and return the environment to run in."""
    generator = np.random.default_rng(0)
    (home / "pictures").mkdir(parents=True)
    for i in range(96):
        picture = np.full((48, 64, 3), generator.integers(0, 255, 3), np.uint8)
        y, x = generator.integers(4, 24, 2)
        picture[y : y + 16, x : x + 16] = generator.integers(0, 255, 3)
        Image.fromarray(picture).save(home / "pictures" / f"{i:03}.jpg")
    # Caches of the real home stay in use: matplotlib's list of fonts takes seconds to make.
    caches = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "HOME": str(home), "USERPROFILE": str(home), "XDG_CACHE_HOME": caches, "PATH": path}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_examples_of_a_page_work(page: Path, tmp_path: Path) -> None:
    environment = furnish(tmp_path / "home")
    folder = tmp_path / "here"
    folder.mkdir()
    for example in examples(page.read_text(encoding="utf-8")):
        done = subprocess.run(
            command(example),
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=600,
        )
        where = f"{page.relative_to(ROOT)}, line {example.line}"
        assert done.returncode == 0, f"{where}: status {done.returncode}\n{example.code}\n{done.stdout}"


def test_the_readme_has_an_example_that_is_run() -> None:
    assert examples((ROOT / "README.md").read_text(encoding="utf-8"))


def test_marks_are_understood() -> None:
    first = "<!-- run: 2h => 2m; big=>small -->\n\n```bash\ntrain big --budget 2h\n```\n"
    text = f"x\n{first}```bash\nnot run\n```\n<!-- run -->\n```python\n1\n```\n"
    assert examples(text) == [Example("bash", "train small --budget 2m\n", 2), Example("python", "1\n", 10)]


@pytest.mark.parametrize("text", ["<!-- run: a => b -->\n```bash\nc\n```\n", "<!-- run: a -->\n```bash\na\n```\n", "<!-- run -->\nwords\n"])
def test_marks_that_fit_nothing_fail(text: str) -> None:
    with pytest.raises(AssertionError):
        examples(text)
