"""Moving pictures as bytes: GIF, and MP4 where a coder for it is installed."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
from PIL import Image

from ganvas.errors import UsageError

FRAMES_PER_SECOND = 12.0
HOLD = 1.0
"""Seconds for which the last frame stays."""
SHORTEST = 4.0
"""Seconds that an animation takes at least, at two frames a second or more, so that it can be followed."""


def pace(frames: int) -> float:
    """Frames per second for so many of them."""
    return min(FRAMES_PER_SECOND, max(2.0, frames / SHORTEST))


def gif(frames: Sequence[np.ndarray], fps: float | None = None, hold: float = HOLD) -> bytes:
    """Frames uint8 (H, W, 3) of one size, looping without end, each with 256 colours of its own."""
    fps = fps or pace(len(frames))
    pictures = [Image.fromarray(frame).quantize(256) for frame in frames]
    step = round(1000 / fps)
    times = [step] * (len(frames) - 1) + [step + round(1000 * hold)]
    buffer = io.BytesIO()
    pictures[0].save(buffer, "GIF", save_all=True, append_images=pictures[1:], duration=times, loop=0, disposal=1)
    return buffer.getvalue()


def mp4(frames: Sequence[np.ndarray], fps: float | None = None, hold: float = HOLD) -> bytes:
    """The same as H.264, playable everywhere: sides are made even with white.

    Raises:
        UsageError: the coder is not installed.
    """
    coder, fps = mp4_coder(), fps or pace(len(frames))
    height, width = frames[0].shape[:2]
    sides = (height + height % 2, width + width % 2)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "animation.mp4"
        # Quality 8 of 10 keeps the edges of small pictures; macro blocks of 2 keep the size.
        writer = coder.write_frames(str(path), (sides[1], sides[0]), fps=fps, quality=8, macro_block_size=2, ffmpeg_log_level="error")
        writer.send(None)
        try:
            for frame in [*frames, *[frames[-1]] * round(hold * fps)]:
                sheet = np.full((*sides, 3), 255, np.uint8)
                sheet[:height, :width] = frame
                writer.send(np.ascontiguousarray(sheet))
        finally:
            writer.close()
        return path.read_bytes()


def mp4_coder() -> ModuleType:
    """The package that codes MP4.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise UsageError("MP4 needs a coder: `pip install ganvas[video]` brings it, or use --format gif") from error
    return imageio_ffmpeg


def back_and_forth(frames: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The frames and, backwards, those between the ends: a loop without a jump."""
    return [*frames, *frames[-2:0:-1]]
