"""What a job measured step by step, as the published interface offers it: a CSV file.

    step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy

Losses are nats per learned token, over the whole step and over the rows that are held out to choose
by. `train_accuracy` is the share of learned tokens that no other was held likelier than, before the
step's update, by their weights. A cell is empty where nothing was measured. No token is counted
that is not learned: none is hidden, none is added.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from tunesmith.core.files import read_jsonl, write_text

COLUMNS = ("step", "train_loss", "train_accuracy", "valid_loss", "valid_mean_token_accuracy")
NAME = "step_metrics.csv"

_STEP = {"loss": "train_loss", "token_accuracy": "train_accuracy"}
_LOOK = {"held_out_loss": "valid_loss", "token_accuracy": "valid_mean_token_accuracy"}


def write_results(metrics: Path, target: Path) -> int:
    """Write the CSV of a run's metrics.jsonl; returns the learned tokens that were trained on.

    These are counted as often as they were seen, by the weight that they have.
    """
    steps: dict[int, dict[str, Any]] = {}
    tokens = 0.0
    for line in read_jsonl(metrics):
        is_look = "held_out_loss" in line
        row = steps.setdefault(line["step"], {"step": line["step"]})
        row |= _renamed(line, _LOOK if is_look else _STEP)
        tokens += line.get("supervised_tokens", 0.0)
    text = StringIO(newline="")
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(steps.values())
    target.parent.mkdir(parents=True, exist_ok=True)
    write_text(target, text.getvalue())
    return round(tokens)


def _renamed(line: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {column: line[name] for name, column in names.items() if name in line}
