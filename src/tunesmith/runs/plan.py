"""What a run will do, what it needs, and afterwards what it took: plan.json."""

from __future__ import annotations

from typing import Any

from tunesmith.core.files import read_json, read_jsonl, write_json
from tunesmith.models.methods import MODEL, Tuned
from tunesmith.runs.environment import peak_memory_bytes
from tunesmith.runs.folder import RunFolder
from tunesmith.runs.setup import Setup


def plan(setup: Setup, tuned: Tuned, steps_per_epoch: int, steps: int) -> dict[str, Any]:
    """The content of plan.json before training. `parameters` counts the adapter, too."""
    train = setup.prepared.train
    return {
        "parameters": sum(weight.numel() for weight in tuned.module.parameters()),
        "trained_parameters": tuned.trainable,
        "forward": tuned.base.forward.name,
        "steps_per_epoch": steps_per_epoch,
        "steps": steps,
        "tokens_per_epoch": sum(map(len, train)),
        "supervised_tokens_per_epoch": sum(example.sites for example in train),
    }


def note_cost(folder: RunFolder) -> None:
    """Add to the plan what all steps took, and the peak memory of this process."""
    steps = [line for line in read_jsonl(folder.metrics) if "tokens" in line]
    seconds = sum(line["seconds"] for line in steps)
    measured = {
        "seconds": seconds,
        "tokens_per_second": sum(line["tokens"] for line in steps) / seconds,
        "peak_memory_bytes": peak_memory_bytes(),
    }
    write_json(folder.plan, {**read_json(folder.plan), "measured": measured})


def bytes_needed(tuned: Tuned, keep_checkpoints: int) -> int:
    """What a run may write: its checkpoints, one more while it is being written, and the result.

    A checkpoint holds, in float32, each trained weight, its best value, and two moments.
    """
    whole = sum(weight.numel() * weight.element_size() for weight in tuned.module.parameters())
    result = whole if tuned.artefact == MODEL else tuned.trainable * 4
    return (keep_checkpoints + 1) * 16 * tuned.trainable + result
