"""What a run has come to, as plain values for its checkpoints."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from tunesmith.core.records import Validation


@dataclass(slots=True)
class Progress:
    """What a run has come to; saved in each checkpoint as JSON.

    `tokens_per_micro_batch` is set once memory ran out and the micro-batches became smaller.
    """

    step: int = 0
    best_step: int = 0
    best_loss: float = math.inf
    stopped_early: bool = False
    validations: list[Validation] = field(default_factory=list)
    tokens_per_micro_batch: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values; an unset best loss is None."""
        return {
            "step": self.step,
            "best_step": self.best_step,
            "best_loss": None if math.isinf(self.best_loss) else self.best_loss,
            "stopped_early": self.stopped_early,
            "validations": [[v.step, v.epoch, v.loss, v.best] for v in self.validations],
            "tokens_per_micro_batch": self.tokens_per_micro_batch,
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> Progress:
        """What `to_json` gave."""
        return Progress(
            step=value["step"],
            best_step=value["best_step"],
            best_loss=math.inf if value["best_loss"] is None else value["best_loss"],
            stopped_early=value["stopped_early"],
            validations=[Validation(*entry) for entry in value["validations"]],
            tokens_per_micro_batch=value["tokens_per_micro_batch"],
        )
