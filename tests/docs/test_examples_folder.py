"""The scripts and the notebook in examples/ run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

pytestmark = pytest.mark.docs


def test_own_family(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / "own_family.py", "builtin:emoji", tmp_path], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "finished after 20,0" in done.stdout
    assert (tmp_path / "denoiser/checkpoints/last/denoiser_ema.safetensors").exists()


# zmq and jupyter_client warn of event loops and sockets in ways that are not ours to mend.
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.ipynb")), ids=lambda p: p.stem)
def test_notebook(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = nbformat.read(path, as_version=4)
    committed = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in committed), "the notebook was committed without its outputs"
    assert any("image/png" in output.get("data", {}) for cell in committed for output in cell.outputs)
    monkeypatch.setenv("GANVAS_EXAMPLE_BUDGET", "20s")
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    errors = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs if output.output_type == "error"]
    assert errors == []
