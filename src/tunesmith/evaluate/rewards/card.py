"""What the model card says of a reward model of pairs; none of its rows are told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunesmith.evaluate.card import Shown
from tunesmith.evaluate.labels.card import TASKS
from tunesmith.evaluate.labels.opening import opening
from tunesmith.evaluate.rewards.figures import LOSS
from tunesmith.evaluate.rewards.measured import RewardMeasured
from tunesmith.evaluate.rewards.page import tables_of

Json = Mapping[str, Any]


def shown_of_rewards(
    verdict: Json, measured: RewardMeasured, artefact: str, recipe: Json, naming: Json
) -> Shown:
    """As `labels.card.shown_of_labels`."""
    kind, model = recipe["objective"]["kind"], recipe["model"]
    return Shown(
        course=measured.course,
        tables=tables_of(verdict, measured),
        opening=opening(kind, artefact, model["base"], naming, model["method"]),
        task=TASKS[kind],
        loss=LOSS,
    )
