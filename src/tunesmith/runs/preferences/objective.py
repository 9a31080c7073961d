"""The loss that a recipe's section `preference` asks for, and the sequences that it looks at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tunesmith.core.ports import Objective
from tunesmith.core.records import Tokens
from tunesmith.data.mismatched import WithMismatched
from tunesmith.objectives.preferences import PREFERENCES
from tunesmith.recipe import Recipe
from tunesmith.recipe.preferences import READERS

_ARGUMENTS = {
    "beta": "beta",
    "loss": "variant",
    "label_noise": "smoothing",
    "margin": "margin",
    "sft_weight": "sft",
    "liked_weight": "liked",
    "disliked_weight": "disliked",
}
"""What a key of the section is called by the objectives that read it."""


def preference_objective(recipe: Recipe) -> Objective:
    """The objective of a resolved recipe, with the keys that it reads."""
    kind, asked = recipe.objective.kind, recipe.preference
    read = {
        argument: getattr(asked, key)
        for key, argument in _ARGUMENTS.items()
        if kind in READERS[key]
    }
    return PREFERENCES[kind](**read)


def looked_at(recipe: Recipe, rows: Sequence[Tokens]) -> Sequence[Tokens]:
    """All sequences that the loss of these rows looks at; kto: other answers, too."""
    if recipe.objective.kind != "kto":
        return rows
    return WithMismatched(rows, recipe.data.context)


def row_numbers_of(sequences: Sequence[Tokens]) -> np.ndarray | None:
    """To which row each belongs (int64, N); None where each is a row, or its origin tells."""
    return sequences.row_N if isinstance(sequences, WithMismatched) else None
