"""Acts that only a model that writes can be asked for."""

from __future__ import annotations

from tunesmith.core.errors import Unsupported
from tunesmith.recipe import LABELS, Recipe


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
