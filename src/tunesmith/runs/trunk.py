"""The frozen part of a run's model: whether its states are kept, where, and who reads them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.core.files import read_json
from tunesmith.core.ports import Batches, SiteModel
from tunesmith.core.records import Tokens
from tunesmith.data import PackedBatches, Sequences, WithPlanted
from tunesmith.engine.loop import Settings, on_device
from tunesmith.models.methods import Tuned
from tunesmith.models.trunk import Trunk, open_trunk
from tunesmith.models.trunk_store import Budget
from tunesmith.runs.environment import memory_bytes
from tunesmith.runs.folder import RunFolder
from tunesmith.runs.plan import bytes_needed
from tunesmith.runs.setup import Setup

MEMORY_SHARE = 1 / 8
"""Of the machine's memory. The rest is for the model, and for whatever else the machine does."""
DISK_SHARE = 1 / 2
"""Of what is free beyond the run's own checkpoints: others write there, too."""


@dataclass(frozen=True, slots=True)
class Paths:
    """The way through the model in training and in validation, and the trunk that both may use.

    After `meeting` steps every training example was met.
    """

    training: SiteModel
    validation: SiteModel
    trunk: Trunk
    meeting: int

    def to_json(self) -> dict[str, Any]:
        """For plan.json: where states are kept ("" for nowhere), how much, and in words."""
        return {"kept": self.trunk.place, "bytes": self.trunk.bytes, "note": self.trunk.note}

    def refill(self, batches: Batches, done_steps: int, tuned: Tuned) -> None:
        """Compute again what `done_steps` of a run had kept, in the same batches: the same bits."""
        if self.trunk.forward is not None and self.training is self.trunk.forward:
            device = tuned.base.model.device
            steps = range(min(done_steps, self.meeting))
            places = (divmod(step, batches.steps_per_epoch) for step in steps)
            self.trunk.forward.refill(
                on_device(batch, device) for place in places for batch in batches.step(*place)
            )


def choose_paths(
    setup: Setup, folder: RunFolder, tuned: Tuned, batches: PackedBatches, settings: Settings
) -> Paths:
    """Keep the states of what a run meets more than once, as far as model and machine allow.

    A run that was begun without keeping them goes on without: kept and computed states may differ
    in their last bits.
    """
    plain = tuned.base.forward
    before = read_json(folder.plan).get("trunk") if folder.plan.exists() else None
    if before is not None and not before["kept"]:
        return Paths(plain, plain, Trunk(None, before["note"]), 0)
    epochs = -(-settings.total_steps // batches.steps_per_epoch)
    trains = batches.mix.meets_again(epochs)
    validates = settings.total_steps > settings.validate_every
    met_again = [
        *([setup.prepared.trained_on] if trains else []),
        *([setup.held_out.choosing] if validates else []),
    ]
    trunk = _open(met_again, folder, tuned, setup)
    if before is not None and trunk.forward is None:
        changed = " The run was begun with them kept, so its last bits may differ from here on."
        trunk = Trunk(None, trunk.note + changed)
    kept_path = trunk.forward or plain
    meeting = batches.mix.epochs_to_meet_all * batches.steps_per_epoch
    return Paths(kept_path if trains else plain, kept_path if validates else plain, trunk, meeting)


def _open(
    met_again: Sequence[Sequence[Tokens]], folder: RunFolder, tuned: Tuned, setup: Setup
) -> Trunk:
    if not met_again:
        return Trunk(None, "")
    own = bytes_needed(tuned, setup.recipe.engine.keep_checkpoints)
    free = max(0, shutil.disk_usage(folder.path).free - own)
    budget = Budget(
        memory=int(MEMORY_SHARE * (memory_bytes() or 0)),
        disk=int(DISK_SHARE * free),
        folder=folder.path,
    )
    tokens, sites = (sum(column) for column in zip(*map(_rows, met_again), strict=True))
    return open_trunk(tuned.base, tokens=tokens, sites=sites, budget=budget)


def _rows(examples: Sequence[Tokens]) -> tuple[int, int]:
    """All tokens and all sites of some sequences; a store knows them without reading any."""
    if isinstance(examples, Sequences | WithPlanted):
        return int(examples.lengths.sum()), int(examples.sites.sum())
    return sum(map(len, examples)), sum(example.sites for example in examples)
