"""Configs in and out: YAML text, recipes by name, `--set key.sub=value`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from ganvas.config.base import explain, known_keys
from ganvas.config.run import RunConfig
from ganvas.errors import UsageError, nearest

LENGTHS = ("images", "epochs", "budget")


def parse(text: str, where: str) -> dict[str, Any]:
    """The mapping that a YAML text holds.

    Raises:
        UsageError: the text is no YAML, or no mapping.
    """
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise UsageError(f"{where} is no valid YAML{place}: {getattr(error, 'problem', None) or error}") from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UsageError(f"{where} holds {type(value).__name__}, expected keys and values such as `seed: 0`")
    return value


def validate(values: Mapping[str, Any], where: str) -> RunConfig:
    """The config that a mapping describes.

    Raises:
        UsageError: an unknown key, or a value of a wrong type or out of range.
    """
    try:
        return RunConfig.model_validate(dict(values))
    except ValidationError as error:
        raise explain(error, RunConfig, where) from error


def dump(config: RunConfig) -> str:
    """The config as YAML, every key written out."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)


def read(path: Path) -> dict[str, Any]:
    """The mapping that a config file holds.

    Raises:
        UsageError: it can't be read, or holds no YAML mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is no text" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise UsageError(f"{path} can't be read as a config: {reason}") from error
    return parse(text, str(path))


def recipe_names() -> list[str]:
    """The recipes that ship with the package, in order of their names."""
    folder = resources.files("ganvas.recipes")
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def recipe_text(name: str) -> str:
    """A recipe as it ships.

    Raises:
        UsageError: there is none of that name.
    """
    names = recipe_names()
    if name not in names:
        raise UsageError(
            f'there is no recipe "{name}"{nearest(name, names) or ""} (`ganvas recipes` lists them; a config of your own is named by its path)'
        )
    return resources.files("ganvas.recipes").joinpath(f"{name}.yaml").read_text(encoding="utf-8")


def recipe(name: str) -> RunConfig:
    """A recipe's config by its name.

    Raises:
        UsageError: there is none of that name.
    """
    return validate(parse(recipe_text(name), name), f"recipe {name}")


def load(recipe_or_path: str, settings: Iterable[str] = (), overrides: Mapping[str, Any] | None = None) -> RunConfig:
    """A recipe's name or a config file's path, changed by `key.sub=value` settings and then by `overrides`.

    `overrides` maps dotted keys to values; a length (images, epochs, budget) replaces whichever was there.

    Raises:
        UsageError: no such recipe or file, an unknown key, a value of a wrong type.
    """
    is_path = recipe_or_path.endswith((".yaml", ".yml")) or "/" in recipe_or_path or "\\" in recipe_or_path
    values = read(Path(recipe_or_path)) if is_path else parse(recipe_text(recipe_or_path), recipe_or_path)
    for setting in settings:
        assign(values, *parse_setting(setting), "--set")
    for key, value in (overrides or {}).items():
        assign(values, key, value, "option")
    return validate(values, recipe_or_path)


def parse_setting(setting: str) -> tuple[str, Any]:
    """The dotted key and the value of `key.sub=value`.

    Raises:
        UsageError: it is not of that form, or its value is no YAML.
    """
    key, sep, text = setting.partition("=")
    if not sep or not key.strip():
        raise UsageError(f'--set "{setting}" is not of the form key.sub=value, for example --set family.latent.size=128')
    try:
        return key.strip(), yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f'--set "{setting}": the value is no valid YAML') from error


def assign(values: dict[str, Any], key: str, value: Any, where: str) -> None:
    """Set a dotted key in a mapping of configs.

    Raises:
        UsageError: the key, or one above it, is none of a config's.
    """
    parts = key.split(".")
    place = values
    for depth, part in enumerate(parts):
        if depth == 0 and part not in RunConfig.model_fields:
            known = known_keys(RunConfig, [])
            raise UsageError(
                f'{where}: "{key}" is no key of a config{nearest(part, known) or "; expected one of " + ", ".join(sorted(known))}'
            )
        if depth == len(parts) - 1:
            break
        below = place.get(part)
        if below is None:
            below = place[part] = {}
        if not isinstance(below, dict):
            raise UsageError(f'{where}: "{key}" goes below "{".".join(parts[: depth + 1])}", which holds the value {below!r}')
        place = below
    if parts[0] == "train" and parts[-1] in LENGTHS and value is not None:
        for other in LENGTHS:
            place.pop(other, None)
    place[parts[-1]] = value
