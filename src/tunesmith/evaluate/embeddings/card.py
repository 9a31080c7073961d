"""What the model card says of a model that makes vectors of texts; none of its rows are told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunesmith.evaluate.card import Shown
from tunesmith.evaluate.embeddings.figures import LOSS
from tunesmith.evaluate.embeddings.measured import EmbedMeasured
from tunesmith.evaluate.embeddings.page import figure_tables
from tunesmith.evaluate.labels.card import TASKS
from tunesmith.evaluate.labels.opening import opening

Json = Mapping[str, Any]


def shown_of_embeddings(
    measured: EmbedMeasured, artefact: str, recipe: Json, naming: Json
) -> Shown:
    """As `labels.card.shown_of_labels`."""
    kind, model = recipe["objective"]["kind"], recipe["model"]
    return Shown(
        course=measured.course,
        tables={"learned": figure_tables(measured)},
        opening=opening(kind, artefact, model["base"], naming, model["method"]),
        task=TASKS[kind],
        loss=LOSS,
    )
