"""Checkpoints: safetensors and JSON, made valid by a manifest of checksums, replaced as a whole.

A checkpoint is a dict of owners. Modules are one file each, named as the family names them; whatever else has state
(optimizers, averages, plan, hooks) gives a `state_dict` whose tensors go to `owners.safetensors` and whose other
values go to `state.json`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ganvas import artifact
from ganvas.errors import RunError

FORMAT = 1
_TENSOR = "__tensor__"


def save(path: Path, modules: Mapping[str, nn.Module], owners: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """Write a checkpoint in the place of the old one; the checksum of its manifest.

    Args:
        path: the folder, replaced as a whole.
        modules: name to module; `name.safetensors` each.
        owners: name to state (nested dicts and lists of tensors and JSON values).
        facts: JSON values for people and later commands, such as images.

    Raises:
        UserError: the disk is full; the old checkpoint is still there.
    """
    artifact.clear_leftovers(path)
    with artifact.new_folder(path) as folder:
        for name, module in modules.items():
            _save_tensors(module.state_dict(), folder / f"{name}.safetensors")
        tensors: dict[str, Tensor] = {}
        state = {name: _split(owner, name, tensors) for name, owner in owners.items()}
        _save_tensors(tensors, folder / "owners.safetensors")
        _write(folder / "state.json", {"format": FORMAT, **facts, "owners": state})
        files = {f.name: artifact.sha256(f) for f in sorted(folder.iterdir())}
        _write(folder / "manifest.json", {"format": FORMAT, "files": files})
        return artifact.sha256(folder / "manifest.json")


def duplicate(path: Path, to: Path) -> None:
    """Write a checkpoint's copy in the place of the old one there.

    Raises:
        UserError: the disk is full; the old checkpoint is still there.
    """
    artifact.clear_leftovers(to)
    with artifact.new_folder(to) as folder:
        shutil.copytree(path, folder, dirs_exist_ok=True)


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, allow_nan=False), encoding="utf-8")


def _save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    try:
        save_file({k: v.detach().contiguous().cpu() for k, v in tensors.items()}, path)
    except SafetensorError as error:
        # safetensors wraps what the system said; a full disk is passed on as such.
        if "os error 28" in str(error) or "No space" in str(error):
            raise OSError(28, "No space left on device", str(path)) from error
        raise


def _split(value: Any, where: str, tensors: dict[str, Tensor]) -> Any:
    """The value with its tensors moved into `tensors` and their keys left in their place."""
    if isinstance(value, Tensor):
        tensors[where] = value
        return {_TENSOR: where}
    if isinstance(value, Mapping):
        return {str(k): _split(v, f"{where}/{k}", tensors) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_split(v, f"{where}/{i}", tensors) for i, v in enumerate(value)]
    return value


def _join(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, dict):
        return tensors[value[_TENSOR]] if _TENSOR in value else {k: _join(v, tensors) for k, v in value.items()}
    return [_join(v, tensors) for v in value] if isinstance(value, list) else value


class Checkpoint:
    """A checkpoint on disk, its checksums verified when it is opened.

    Raises:
        RunError: it is missing or damaged.
    """

    def __init__(self, path: Path):
        artifact.recover(path)
        self.path = path
        manifest = self._json("manifest.json")
        for name, checksum in manifest["files"].items():
            file = path / name
            if not file.is_file() or artifact.sha256(file) != checksum:
                raise RunError(
                    f"the checkpoint {path} is damaged: {name} is {'changed' if file.is_file() else 'missing'}; "
                    "use another checkpoint (--checkpoint best or last) or a copy of it"
                )
        self.checksum = artifact.sha256(path / "manifest.json")
        self.facts = self._json("state.json")

    def _json(self, name: str) -> dict[str, Any]:
        try:
            return json.loads((self.path / name).read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            there = self.path.is_dir()
            raise RunError(
                f"the checkpoint {self.path} is damaged: {name} is missing"
                if there
                else f"there is no checkpoint {self.path}: the run saved none before it ended"
            ) from error
        except (OSError, ValueError) as error:
            raise RunError(f"the checkpoint {self.path} is damaged: {name} can't be read") from error

    @property
    def images(self) -> int:
        """Real pictures that had been shown."""
        return self.facts["images"]

    def has(self, module: str) -> bool:
        """Whether a module's weights are in it."""
        return (self.path / f"{module}.safetensors").is_file()

    def tensors(self, name: str) -> dict[str, Tensor]:
        """A module's weights by their names.

        Raises:
            RunError: they can't be read.
        """
        try:
            return load_file(self.path / f"{name}.safetensors")
        except (OSError, SafetensorError) as error:
            raise RunError(f"{self.path / name}.safetensors can't be read: {error}") from error

    def load_module(self, name: str, module: nn.Module) -> None:
        """Copy a module's weights into `module`.

        Raises:
            RunError: they do not fit it.
        """
        try:
            module.load_state_dict(load_file(self.path / f"{name}.safetensors"))
        except (OSError, SafetensorError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[-1:] or [repr(error)]
            raise RunError(f"{self.path / name}.safetensors does not fit the run's config: {reason[0].strip()}") from error

    def owners(self) -> dict[str, Any]:
        """Name to state, as it was given to `save` (keys of dicts are strings)."""
        return _join(self.facts["owners"], load_file(self.path / "owners.safetensors"))


def optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """An optimizer's state as nested dicts of tensors and JSON values."""
    state = optimizer.state_dict()
    return {"state": {str(k): v for k, v in state["state"].items()}, "param_groups": state["param_groups"]}


def load_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Restore `optimizer_state`; each tensor gets its parameter's memory format, as a fused kernel needs it."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    restored: dict[int, dict[str, Any]] = {}
    for key, values in state["state"].items():
        parameter = parameters[int(key)]
        restored[int(key)] = {
            name: torch.empty_like(parameter, dtype=v.dtype).copy_(v) if isinstance(v, Tensor) and v.shape == parameter.shape else v
            for name, v in values.items()
        }
    optimizer.load_state_dict({"state": restored, "param_groups": state["param_groups"]})
