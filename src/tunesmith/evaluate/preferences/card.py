"""What the model card says of a model tuned by preferences or rewards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tunesmith.evaluate.card import Shown, shown_of
from tunesmith.evaluate.preferences.measured import PreferenceMeasured
from tunesmith.evaluate.preferences.tables import tables_of_preferences

Json = Mapping[str, Any]


def shown_of_preferences(
    verdict: Json,
    measured: PreferenceMeasured,
    artefact: str,
    recipe: Json,
    opened_by: str = "AutoModelForCausalLM",
) -> Shown:
    """The arguments are as for `card.shown_of`."""
    usual = shown_of(verdict, measured.run, artefact, recipe, opened_by)
    return replace(usual, tables=tables_of_preferences(verdict, measured), loss=measured.loss)
