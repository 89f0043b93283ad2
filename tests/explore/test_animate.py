"""Moving pictures."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganvas.errors import UsageError
from ganvas.explore.animate import back_and_forth, gif, mp4, pace

FRAMES = [np.full((33, 47, 3), level, np.uint8) for level in (0, 128, 255)]


def test_a_gif_has_every_frame_and_holds_the_last() -> None:
    with Image.open(io.BytesIO(gif(FRAMES, fps=10))) as moving:
        assert (moving.size, moving.n_frames, moving.info["loop"]) == ((47, 33), 3, 0)  # type: ignore[attr-defined]
        for i, frame in enumerate(FRAMES):
            moving.seek(i)
            assert np.asarray(moving.convert("RGB"))[5, 5].tolist() == frame[5, 5].tolist()
            assert moving.info["duration"] == (1100 if i == 2 else 100)


def test_an_mp4_has_even_sides_and_can_be_read(tmp_path: Path) -> None:
    coder = pytest.importorskip("imageio_ffmpeg")
    path = tmp_path / "a.mp4"
    path.write_bytes(mp4(FRAMES, fps=5, hold=0.4))
    command = [coder.get_ffmpeg_exe(), "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    done = subprocess.run(command, capture_output=True, check=True)
    assert b"Video: h264" in done.stderr
    frames = np.frombuffer(done.stdout, np.uint8).reshape(-1, 34, 48, 3)
    assert len(frames) == 5
    # Grey comes back about as it was: the coder loses a little.
    assert abs(int(frames[1, 10, 10].mean()) - 128) < 6


def test_without_a_coder_it_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(UsageError, match=r"ganvas\[video\]"):
        mp4(FRAMES)


def test_back_and_forth_has_no_jump_and_no_double_frame() -> None:
    assert [int(f[0, 0, 0]) for f in back_and_forth(FRAMES)] == [0, 128, 255, 128]
    assert len(back_and_forth(FRAMES[:2])) == 2


def test_few_frames_are_shown_slowly() -> None:
    assert (pace(4), pace(20), pace(500)) == (2, 5, 12)
