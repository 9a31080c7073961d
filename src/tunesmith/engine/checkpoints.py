"""Checkpoints: whole or absent, hashed when written, verified when read.

checkpoints/step-00000120/
    manifest.json        sha256 of each file below
    state.json           plain numbers: step, best loss, …
    <group>.safetensors  one a group of tensors
    best.safetensors     the best weights up to here, the same file in all that share them
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from tunesmith.core.errors import CheckpointError
from tunesmith.core.files import (
    read_json,
    remove_partial,
    sha256,
    storage_errors,
    whole_folder,
    write_json,
)

_MANIFEST = "manifest.json"
_STATE = "state.json"
_PREFIX = "step-"
_BEST = "best.safetensors"

Groups = Mapping[str, Mapping[str, torch.Tensor]]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What was saved after `step` optimiser steps."""

    step: int
    state: dict[str, Any]
    groups: Groups


class _Files(Groups):
    """Groups of tensors in a folder; each is read when it is asked for, and not kept."""

    def __init__(self, folder: Path) -> None:
        self._paths = {
            path.stem: path for path in folder.glob("*.safetensors") if path.name != _BEST
        }

    def __getitem__(self, name: str) -> dict[str, torch.Tensor]:
        return load_file(self._paths[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


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
            if self._best.exists():
                _link(self._best, folder / _BEST)
            write_json(folder / _STATE, dict(state))
            files = sorted(path for path in folder.iterdir())
            write_json(folder / _MANIFEST, {path.name: sha256(path) for path in files})
        for old in self.steps()[: -self._keep]:
            shutil.rmtree(self._path(old))

    def forget_after(self, step: int) -> None:
        """Remove the checkpoints of later steps: a run that goes on from `step` makes its own.

        The best weights are again those known at `step`.
        """
        for later in self.steps():
            if later > step:
                shutil.rmtree(self._path(later))
        self._best.unlink(missing_ok=True)
        if (known := self._path(step) / _BEST).exists():
            _link(known, self._best)

    def save_best(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Write the best weights so far; every checkpoint saved from now on holds them too.

        They are kept on disk and not in memory, where they would cost as much as the weights.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        new = self._best.with_name(f"new-{_BEST}")
        with storage_errors(self._best):
            save_file(dict(tensors), new)
            os.replace(new, self._best)

    def load_best(self) -> dict[str, torch.Tensor]:
        """What `save_best` wrote last."""
        return load_file(self._best)

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
        return Checkpoint(step, read_json(folder / _STATE), _Files(folder))

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

    @property
    def _best(self) -> Path:
        return self._folder / _BEST


def _link(source: Path, target: Path) -> None:
    """The same file under another name; a copy where the file system has no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
