"""Which acts a run is for, by what it learned."""

from __future__ import annotations

from tunesmith.core.errors import Unsupported
from tunesmith.recipe import LABELS, PREFERENCES, REINFORCED, Recipe


def require_writing(recipe: Recipe, act: str) -> None:
    """Raises Unsupported where an act is for models that write, and the recipe's labels; or where
    it is for those that learn what is written, and the recipe's learns from what is said of it."""
    kind = recipe.objective.kind
    if kind in (*REINFORCED, *PREFERENCES) and act != "chat":
        learns = "from grades" if kind in REINFORCED else "which answers are better"
        raise Unsupported(
            f"`tunesmith {act}` is for models that learn from written answers, and objective.kind "
            f"is {kind}, which learns {learns}. `tunesmith train` judges it on held-out "
            "prompts: see its report."
        )
    if kind in LABELS:
        raise Unsupported(
            f"`tunesmith {act}` is for models that write, and objective.kind is {kind}. Train it "
            "with `tunesmith train`, whose report holds it against simpler ways, and ask it with "
            f"`tunesmith {LABELS[kind]}`."
        )
