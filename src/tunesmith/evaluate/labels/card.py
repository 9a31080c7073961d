"""What the model card says of a model that labels; none of its rows are told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunesmith.evaluate.card import Shown
from tunesmith.evaluate.labels import scores
from tunesmith.evaluate.labels.measured import LabelMeasured
from tunesmith.evaluate.labels.opening import opening
from tunesmith.evaluate.labels.page import tables_of_labels

Json = Mapping[str, Any]

TASKS = {
    "classify": "text-classification",
    "tag": "token-classification",
    "image": "image-classification",
    "embed": "sentence-similarity",
    "reward": "text-classification",
}
"""What model hubs call them."""


def shown_of_labels(
    verdict: Json, measured: LabelMeasured, artefact: str, recipe: Json, naming: Json
) -> Shown:
    """`artefact` is adapter or model, `recipe` as resolved, `naming` the content of labels.json."""
    kind, model = recipe["objective"]["kind"], recipe["model"]
    return Shown(
        course=measured.course,
        tables=tables_of_labels(verdict, measured),
        opening=opening(kind, artefact, model["base"], naming, model["method"]),
        labels=measured.names,
        task=TASKS[kind],
        loss=scores.LOSSES[measured.problem],
    )
