"""What results look like where a notebook shows them: as they are printed, with a picture below."""

from __future__ import annotations

import base64
import html
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path

_PICTURES = ("png", "gif")
"""Kinds of files that are shown in place."""


class Shown(ABC):
    """A result that says in words what it is: a notebook shows these, and the first picture that it wrote."""

    @abstractmethod
    def summary(self) -> str:
        """For people."""

    def written(self) -> Iterable[Path]:
        """Files that belong to it."""
        return ()

    def _repr_html_(self) -> str:
        for path in self.written():
            if (kind := path.suffix.removeprefix(".")) in _PICTURES and path.is_file():
                return shown(self.summary(), path.read_bytes(), kind)
        return shown(self.summary())


def shown(text: str, picture: bytes | None = None, kind: str = "png") -> str:
    """HTML of a text as it is printed, and of a picture file's bytes."""
    words = f"<pre>{html.escape(text)}</pre>"
    if picture is None:
        return words
    return f'{words}<img src="data:image/{kind};base64,{base64.b64encode(picture).decode()}">'
