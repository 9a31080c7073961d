"""What is looked for in answers: the metrics chosen by the task, the user's patterns and check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tunesmith.core.errors import DataError, RecipeError
from tunesmith.core.records import Prompt
from tunesmith.core.sandbox import KINDS, Sandbox, open_sandbox
from tunesmith.evaluate.measure import Grading
from tunesmith.evaluate.metrics import (
    METRICS,
    Chosen,
    Grader,
    choose,
    code,
    load_check,
    load_patterns,
)
from tunesmith.evaluate.metrics.metric import OfCode
from tunesmith.recipe import AUTO, Recipe, Resolved

_TRIED = 8
"""Rows whose own answers are run before a run begins, to see that their tests can be passed."""


@dataclass(frozen=True, slots=True)
class Graded:
    """The function that looks at an answer, and what the verdict says of it."""

    grader: Grader
    grading: Grading


def graded_by(recipe: Recipe, prompts: Sequence[Prompt]) -> Graded:
    """What the recipe says of answers to these held-out questions.

    Metrics that none of the references allows are left out, and the reason says so; where none is
    left, the references choose. Raises RecipeError for a check that cannot be loaded and for a
    pattern that is no regular expression, Unsupported where code cannot be walled off, and
    DataError where the tests of the rows cannot be passed.
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
    sandbox = _sandbox(recipe) if any(isinstance(each.of, OfCode) for each in metrics) else None
    if sandbox is not None:
        _require_passing(prompts, sandbox)
    return Graded(
        Grader(metrics, load_patterns(patterns), check, sandbox),
        Grading(chosen.metrics, reason, patterns, sandbox.describe() if sandbox else ""),
    )


def _sandbox(recipe: Recipe) -> Sandbox:
    """Where the answers' code is run. Raises RecipeError where the recipe does not allow that."""
    allowed = recipe.evaluate.run_code
    if allowed is False:
        raise RecipeError(
            "code_passes executes code that the models write, and evaluate.run_code is false. "
            "Allow it with --set evaluate.run_code=true, or leave code_passes out."
        )
    return open_sandbox(weak=allowed == "limits_only")


def _require_passing(prompts: Sequence[Prompt], sandbox: Sandbox) -> None:
    """Raises DataError if of some rows not one answer passes its own tests."""
    tried = [prompt for prompt in prompts if prompt.tests][:_TRIED]
    ends = [code.outcome(prompt, prompt.answer, sandbox) for prompt in tried]
    first = next(iter(ends), None)
    if first is None or any(end is not None and end.passed for end in ends):
        return
    raise DataError(
        f"{tried[0].origin}: the row's own answer does not pass its tests: it {KINDS[first.kind]}"
        f"{f' ({first.said})' if first.said else ''}. Nor does that of any other row among the "
        f"first {len(tried)} with tests, so code_passes would say nothing. Correct `tests`, which "
        "are Python statements that raise where the answer is wrong."
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
        "code": "no row has a field `tests` with the Python statements that its code must pass",
    }
    return needs.get(key.partition("_")[0], "there are none, for the rows are documents")
