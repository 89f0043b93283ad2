"""What every part of a config shares: frozen, and unknown keys refused with the nearest known one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from ganvas.errors import UsageError, nearest


class Part(BaseModel):
    """A part of a run's config."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)


def kind_or(default: str) -> BeforeValidator:
    """For a union told apart by `kind`: a mapping that names none is of the kind `default`."""

    def named(value: Any) -> Any:
        return {"kind": default, **value} if isinstance(value, dict) and "kind" not in value else value

    return BeforeValidator(named)


def explain(error: ValidationError, model: type[BaseModel], where: str) -> UsageError:
    """A `UsageError` that names each wrong key, what it was and what was expected."""
    lines = []
    for item in error.errors():
        keys = [str(part) for part in item["loc"]]
        path = ".".join(_without_tags(model, keys))
        if item["type"] == "extra_forbidden":
            known = known_keys(model, keys[:-1])
            lines.append(f'"{path}" is no key of a config{nearest(keys[-1], known) or "; expected one of " + ", ".join(sorted(known))}')
        elif item["type"] == "missing":
            lines.append(f'"{path}" is missing')
        elif item["type"] == "union_tag_invalid":
            context = item.get("ctx", {})
            tag = str(context.get("tag"))
            expected = [word.strip().strip("'") for word in str(context.get("expected_tags")).split(",")]
            lines.append(f'"{path}.kind" is "{tag}", expected one of {", ".join(expected)}{nearest(tag, expected)}')
        else:
            message = item["msg"].removeprefix("Value error, ")
            shown = "" if isinstance(item["input"], dict) else f", not {item['input']!r}"
            lines.append(f'"{path}": {message[:1].lower() + message[1:]}{shown}' if path else message)
    return UsageError(f"{where}: " + "; ".join(lines))


def _models(annotation: Any) -> Iterable[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) is not None:
        for argument in get_args(annotation):
            yield from _models(argument)


def _below(models: list[type[BaseModel]], key: str) -> list[type[BaseModel]]:
    """The models that the value of `key` may be, or the one of `models` whose `kind` is `key`."""
    found = [m for model in models if key in model.model_fields for m in _models(model.model_fields[key].annotation)]
    return found or [m for m in models if key in _kinds(m)]


def _kinds(model: type[BaseModel]) -> tuple[Any, ...]:
    field = model.model_fields.get("kind")
    return () if field is None else get_args(field.annotation)


def known_keys(model: type[BaseModel], keys: list[str]) -> set[str]:
    """The keys known at a place in a config; pydantic puts a union's tag into the place, which is allowed for."""
    models = [model]
    for key in keys:
        models = _below(models, key)
    return {name for m in models for name in m.model_fields}


def _without_tags(model: type[BaseModel], keys: list[str]) -> list[str]:
    """The place of a value without the tags that pydantic puts into it."""
    kept, models = [], [model]
    for key in keys:
        is_tag = bool(models) and all(key not in m.model_fields for m in models) and any(key in _kinds(m) for m in models)
        if not is_tag:
            kept.append(key)
        models = _below(models, key)
    return kept
