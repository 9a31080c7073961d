"""What is looked for in answers: the metrics chosen by the task, the user's patterns and check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tunesmith.core.errors import RecipeError
from tunesmith.core.records import Prompt
from tunesmith.evaluate.measure import Grading
from tunesmith.evaluate.metrics import METRICS, Chosen, Grader, choose, load_check, load_patterns
from tunesmith.recipe import AUTO, Recipe, Resolved


@dataclass(frozen=True, slots=True)
class Graded:
    """The function that looks at an answer, and what the verdict says of it."""

    grader: Grader
    grading: Grading


def graded_by(recipe: Recipe, prompts: Sequence[Prompt]) -> Graded:
    """What the recipe says of answers to these held-out questions.

    Metrics that none of the references allows are left out, and the reason says so; where none is
    left, the references choose. Raises RecipeError for a check that cannot be loaded and for a
    pattern that is no regular expression.
    """
    evaluate = recipe.evaluate
    chosen = _chosen(recipe, prompts)
    if chosen.unusable and not chosen.metrics:
        chosen = choose(prompts)
    reason = chosen.reason
    if chosen.unusable:
        reason += f"; left out, as the held-out answers do not fit: {', '.join(chosen.unusable)}"
    patterns = dict(evaluate.patterns or {})
    check = None if evaluate.check is None else load_check(Path(evaluate.check))
    metrics = [METRICS[key] for key in chosen.metrics]
    return Graded(
        Grader(metrics, load_patterns(patterns), check),
        Grading(chosen.metrics, reason, patterns),
    )


def require_metrics(recipe: Recipe, prompts: Sequence[Prompt]) -> None:
    """Raises RecipeError if a metric that the recipe names has nothing to say of these rows."""
    unusable = _chosen(recipe, prompts).unusable
    if unusable:
        name = METRICS[unusable[0]].name
        raise RecipeError(
            f"evaluate.metrics names {unusable[0]} ({name}), which cannot be taken of the held-out "
            f"answers: {_needs(unusable[0])}. Leave it out, or set evaluate.metrics=auto."
        )


def with_metrics(resolved: Resolved, grading: Grading) -> Resolved:
    """The recipe with the metrics that were chosen, where it left them open."""
    evaluate = resolved.recipe.evaluate
    if evaluate.metrics != AUTO:
        return resolved
    recipe = resolved.recipe.model_copy(
        update={"evaluate": evaluate.model_copy(update={"metrics": grading.metrics})}
    )
    return replace(
        resolved,
        recipe=recipe,
        reasons={**resolved.reasons, "evaluate.metrics": grading.reason},
    )


def _chosen(recipe: Recipe, prompts: Sequence[Prompt]) -> Chosen:
    named = recipe.evaluate.metrics
    return choose(prompts, None if named == AUTO else named)


def _needs(key: str) -> str:
    needs = {
        "json": "none of them is a JSON object or array",
        "tool": "none calls a tool, or the template writes calls in a form that is not read here",
        "number": "none of them holds a number",
    }
    return needs.get(key.partition("_")[0], "there are none, for the rows are documents")
