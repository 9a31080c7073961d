"""Checkpoints: whole or absent, hashed when written, verified when read.

checkpoints/step-00000120/
    manifest.json        sha256 of each file below
    state.json           plain numbers: step, best loss, …
    <group>.safetensors  one a group of tensors
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from tunesmith.core.errors import CheckpointError
from tunesmith.core.files import read_json, remove_partial, sha256, whole_folder, write_json

_MANIFEST = "manifest.json"
_STATE = "state.json"
_PREFIX = "step-"

Groups = Mapping[str, Mapping[str, torch.Tensor]]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What was saved after `step` optimiser steps."""

    step: int
    state: dict[str, Any]
    groups: dict[str, dict[str, torch.Tensor]]


class Checkpoints:
    """The checkpoints of one run. The newest `keep` are kept."""

    def __init__(self, folder: Path, keep: int) -> None:
        self._folder = folder
        self._keep = keep

    def steps(self) -> list[int]:
        """The steps saved, oldest first."""
        found = self._folder.glob(f"{_PREFIX}*")
        return sorted(int(path.name.removeprefix(_PREFIX)) for path in found)

    def save(self, step: int, state: Mapping[str, Any], groups: Groups) -> None:
        """Write one checkpoint, then remove the oldest beyond `keep`.

        Raises StorageError if the disk refuses; the earlier checkpoints are still there then.
        """
        remove_partial(self._folder)
        with whole_folder(self._path(step)) as folder:
            for name, tensors in groups.items():
                save_file(dict(tensors), folder / f"{name}.safetensors")
            write_json(folder / _STATE, dict(state))
            files = sorted(path for path in folder.iterdir())
            write_json(folder / _MANIFEST, {path.name: sha256(path) for path in files})
        for old in self.steps()[: -self._keep]:
            shutil.rmtree(self._path(old))

    def forget_after(self, step: int) -> None:
        """Remove the checkpoints of later steps: a run that goes on from `step` makes its own."""
        for later in self.steps():
            if later > step:
                shutil.rmtree(self._path(later))

    def load(self, step: int | None = None) -> Checkpoint:
        """Read and verify the checkpoint of `step`, by default the newest.

        Raises CheckpointError if it is missing or any file differs from its hash; the sentence
        offers the one before it.
        """
        steps = self.steps()
        if step is None:
            step = steps[-1]
        elif step not in steps:
            listed = ", ".join(str(known) for known in steps) or "none"
            raise CheckpointError(
                f"{self._folder} has no checkpoint of step {step}. It has: {listed}."
            )
        folder = self._path(step)
        self._verify(step, folder)
        groups = {path.stem: load_file(path) for path in folder.glob("*.safetensors")}
        return Checkpoint(step, read_json(folder / _STATE), groups)

    def _verify(self, step: int, folder: Path) -> None:
        try:
            manifest = read_json(folder / _MANIFEST)
        except (OSError, ValueError):
            raise CheckpointError(self._refusal(step, f"{_MANIFEST} cannot be read")) from None
        unlisted = {path.name for path in folder.iterdir()} - {_MANIFEST, *manifest}
        if unlisted:
            reason = f"{min(unlisted)} is not in {_MANIFEST}"
            raise CheckpointError(self._refusal(step, reason))
        for name, digest in manifest.items():
            path = folder / name
            if not path.is_file():
                raise CheckpointError(self._refusal(step, f"{name} is missing"))
            if sha256(path) != digest:
                raise CheckpointError(self._refusal(step, f"{name} does not match its hash"))

    def _refusal(self, step: int, reason: str) -> str:
        earlier = [known for known in self.steps() if known < step]
        offer = (
            f"The one before it is of step {earlier[-1]}: resume with --from-step {earlier[-1]}."
            if earlier
            else "There is none before it: start again in a new folder."
        )
        return f"The checkpoint {self._path(step)} is damaged and was not used: {reason}. {offer}"

    def _path(self, step: int) -> Path:
        return self._folder / f"{_PREFIX}{step:08d}"
