"""Which runs write and which label: the same acts, from another setup."""

from __future__ import annotations

from tunesmith.core.errors import Unsupported
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


def require_writing(recipe: Recipe, act: str) -> None:
    """Raises Unsupported where an act is for models that write, and the recipe's labels."""
    kind = recipe.objective.kind
    if kind in REINFORCED and act != "chat":
        raise Unsupported(
            f"`tunesmith {act}` is for models that learn from written answers, and objective.kind "
            f"is {kind}, which learns from grades. `tunesmith train` judges it on held-out "
            "prompts: see its report."
        )
    if kind in LABELS:
        raise Unsupported(
            f"`tunesmith {act}` is for models that write, and objective.kind is {kind}. Train it "
            "with `tunesmith train`, whose report holds it against simpler ways, and ask it with "
            f"`tunesmith {LABELS[kind]}`."
        )
