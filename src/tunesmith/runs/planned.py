"""The plan of a run as it is kept and told: predicted, and afterwards what it took (plan.json)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tunesmith.core.files import read_json, read_jsonl, write_json
from tunesmith.runs.fitting import gigabytes
from tunesmith.runs.folder import RunFolder
from tunesmith.runs.memory import Room


@dataclass(frozen=True, slots=True)
class Predicted:
    """What a run takes: seconds of its parts, tokens, and peak memory in bytes.

    `steps` are the updates, which with `validation` and `checkpoints` make the training stage;
    `judging` measures the base and the result, and is the most it takes: answers may end early.
    `trunk` runs what is frozen once for each row, before training, where training then reads that.
    """

    steps: float
    validation: float
    checkpoints: float
    judging: float
    tokens: int
    peak_bytes: float
    judging_peak_bytes: float
    trunk: float = 0.0

    @property
    def training(self) -> float:
        """Seconds of the training stage."""
        return self.steps + self.validation + self.checkpoints

    def to_json(self) -> dict[str, Any]:
        """With the names of the measured values, so that each stands beside its prediction."""
        return {
            "seconds": self.steps,
            "validation_seconds": self.validation,
            "checkpoint_seconds": self.checkpoints,
            "training_seconds": self.training,
            "judging_seconds_at_most": self.judging,
            "trunk_seconds": self.trunk,
            "tokens": self.tokens,
            "tokens_per_second": self.tokens / self.steps,
            "peak_memory_bytes": round(self.peak_bytes),
            "judging_peak_memory_bytes": round(self.judging_peak_bytes),
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of one run.

    `facts` are counts that need no measuring, `paths` which ways of computing it takes and why,
    `changes` what was set otherwise than by default so that it fits, each a sentence.
    """

    facts: Mapping[str, Any]
    paths: Mapping[str, str]
    predicted: Predicted
    room: Room | None
    calibration_seconds: float
    changes: tuple[str, ...] = field(default=())

    def in_short(self) -> str:
        """`About 4 min to train …, peak 2.1 GB of 24 GB, then at most 1 min to judge.`"""
        predicted = self.predicted
        of = "" if self.room is None else f" of {gigabytes(self.room.bytes)}"
        judging, unit = predicted.judging, self.facts.get("unit", "tokens")
        then = f", then at most {minutes(judging)} to judge" if judging else ""
        frozen = (
            f"{minutes(predicted.trunk)} for what is frozen, once, and " if predicted.trunk else ""
        )
        return (
            f"About {frozen}{minutes(predicted.training)} to train {predicted.tokens:,} {unit} "
            f"({predicted.tokens / predicted.steps:,.0f} a second), peak "
            f"{gigabytes(max(predicted.peak_bytes, predicted.judging_peak_bytes))}{of}{then}."
        )

    def after_trunk(self, seconds: float, note: str) -> Plan:
        """With what is frozen run once before, or not, as `note` says."""
        paths = {**self.paths, "trunk": note} if note else self.paths
        return replace(self, paths=paths, predicted=replace(self.predicted, trunk=seconds))

    def sentences(self) -> list[str]:
        """What a user wants to know before it starts: time, memory, changes, and ways taken."""
        return [self.in_short(), *self.changes, " ".join(self.paths.values())]

    def to_json(self) -> dict[str, Any]:
        """The content of plan.json before training."""
        limit = {"memory_limit_bytes": None if self.room is None else self.room.bytes}
        return {
            **self.facts,
            "paths": dict(self.paths),
            "changes": list(self.changes),
            "predicted": {
                **self.predicted.to_json(),
                **limit,
                "calibration_seconds": self.calibration_seconds,
            },
        }


def note_cost(folder: RunFolder, training_seconds: float, peak_bytes: int) -> dict[str, Any]:
    """Add to the plan what the training stage took; returns it.

    `training_seconds` are those of this process: what an earlier one did before the run was resumed
    is added from its steps alone.
    """
    steps = [line for line in read_jsonl(folder.metrics) if "tokens" in line]
    seconds = sum(line["seconds"] for line in steps)
    tokens = sum(line["tokens"] for line in steps)
    plan = read_json(folder.plan)
    plan["measured"] = {
        "steps": len(steps),
        "seconds": seconds,
        "training_seconds": max(training_seconds, seconds),
        "tokens": tokens,
        "tokens_per_second": tokens / seconds,
        "peak_memory_bytes": peak_bytes,
    }
    write_json(folder.plan, plan)
    return dict(plan)


def afterwards(plan: Mapping[str, Any]) -> str:
    """`Planned 4.0 min, took 4.2 min; planned 2.1 GB at the peak, needed 2.0 GB.`"""
    predicted, measured = plan["predicted"], plan["measured"]
    steps = plan["steps"]
    part = f" for {measured['steps']} of {steps} steps" if measured["steps"] < steps else ""
    return (
        f"Planned {minutes(predicted['training_seconds'])}, took "
        f"{minutes(measured['training_seconds'])}{part}; planned a peak of "
        f"{gigabytes(predicted['peak_memory_bytes'])}, needed "
        f"{gigabytes(measured['peak_memory_bytes'])}."
    )


def minutes(seconds: float) -> str:
    """`12 s`, `4.2 min`, `3.1 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 9.5 else f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
