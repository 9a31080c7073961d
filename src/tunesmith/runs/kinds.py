"""Which runs write and which label: the same acts, from another setup."""

from __future__ import annotations

from tunesmith.recipe import LABELS, REINFORCED, Recipe
from tunesmith.runs.images.setup import ImageSetup, set_up_images
from tunesmith.runs.labels.setup import LabelSetup, set_up_labels
from tunesmith.runs.reinforce.setup import ReinforceSetup, set_up_reinforced
from tunesmith.runs.setup import Setup, set_up

AnySetup = Setup | LabelSetup | ImageSetup | ReinforceSetup


def set_up_any(recipe: Recipe) -> AnySetup:
    """The setup that the recipe's objective asks for."""
    if recipe.objective.kind == "image":
        return set_up_images(recipe)
    if recipe.objective.kind in REINFORCED:
        return set_up_reinforced(recipe)
    return set_up_labels(recipe) if recipe.objective.kind in LABELS else set_up(recipe)
