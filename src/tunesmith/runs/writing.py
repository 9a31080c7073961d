"""Acts that only a model that writes can be asked for."""

from __future__ import annotations

from tunesmith.core.errors import Unsupported
from tunesmith.recipe import LABELS, REINFORCED, Recipe

OF_ANY_MODEL = ("chat", "export")
"""Acts for which it does not matter from what a model learned."""


def require_writing(recipe: Recipe, act: str) -> None:
    """Raises Unsupported where an act is for models that write, and the recipe's labels."""
    kind = recipe.objective.kind
    if kind in REINFORCED and act not in OF_ANY_MODEL:
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
