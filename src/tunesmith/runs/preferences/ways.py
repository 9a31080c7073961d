"""Letting a model answer held-out prompts several times, and having each answer graded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tunesmith.core.ports import Grader
from tunesmith.core.records import Answered, Prompt, Rollout, Tokens
from tunesmith.core.seeds import derive
from tunesmith.evaluate.preferences.measured import Drawn, Way
from tunesmith.models.open import Base
from tunesmith.models.rollouts import InProcessRollouts
from tunesmith.recipe import Recipe
from tunesmith.runs.heldout import spread
from tunesmith.runs.preferences.references import log_probs

TEMPERATURE = 1.0
"""Answers are drawn from the model as it is: only so its distance from the base can be told."""

_DRAWN = {"none": (0, 0), "quick": (32, 2), "full": (256, 4)}
_USUAL = (128, 2)


def asked_and_drawn(level: str) -> tuple[int, int]:
    """At most how many prompts are answered, and how often each."""
    return _DRAWN.get(level, _USUAL)


def draw(
    base: Base,
    stop_ids: Sequence[int],
    prompts: Sequence[Prompt],
    recipe: Recipe,
    most_tokens: int | None = None,
) -> list[list[Rollout]]:
    """Answers of the model in `base` as it stands; equal for equal weights and recipes. They have
    at most `most_tokens`, or as many as the recipe lets an answer have that judges."""
    evaluate = recipe.evaluate
    _, answers = asked_and_drawn(evaluate.level)
    base.model.eval()
    seed = derive(recipe.engine.seed, "answers")
    sampler = InProcessRollouts(base, stop_ids)
    longest = most_tokens or evaluate.max_new_tokens
    return sampler.sample(prompts, answers, longest, TEMPERATURE, seed)


def way(
    name: str,
    title: str,
    prompts: Sequence[Prompt],
    drawn: Sequence[Sequence[Rollout]],
    grader: Grader | None,
) -> Way:
    """The answers with their grades; without a grader none has a score."""
    flat = [(prompt, each) for prompt, some in zip(prompts, drawn, strict=True) for each in some]
    graded = iter(
        []
        if grader is None
        else grader.grade(
            [
                Answered(prompt.origin, prompt.messages, each.text, prompt.reference, prompt.tests)
                for prompt, each in flat
            ]
        )
    )

    def told(each: Rollout) -> Drawn:
        grade = next(graded, None)
        if grade is None:
            return Drawn(each.text, len(each.ids_N))
        return Drawn.graded(each.text, len(each.ids_N), grade)

    return Way(name, title, tuple(tuple(told(each) for each in some) for some in drawn))


def with_log_probs(
    found: Way,
    prompts: Sequence[Prompt],
    drawn: Sequence[Sequence[Rollout]],
    base: Base,
    budget: int,
) -> Way:
    """The tuned model's answers with their log-probabilities under `base` and under itself."""
    rows = [
        _row(prompt, each, number)
        for prompt, some in zip(prompts, drawn, strict=True)
        for number, each in enumerate(some)
    ]
    if not rows:
        return found
    held = np.split(log_probs(base, rows, budget), np.cumsum([row.sites for row in rows])[:-1])
    under_base = iter(held)
    answers = tuple(
        tuple(
            replace(told, log_probs=(float(next(under_base).sum()), float(each.log_probs_N.sum())))
            for told, each in zip(some, rollouts, strict=True)
        )
        for some, rollouts in zip(found.answers, drawn, strict=True)
    )
    return Way(found.name, found.title, answers)


def prompts_of(prompts: Sequence[Prompt], level: str) -> list[Prompt]:
    """Those of the held-out prompts that are answered."""
    return spread(prompts, asked_and_drawn(level)[0])


def _row(prompt: Prompt, answer: Rollout, part: int) -> Tokens:
    ids_N = np.concatenate([prompt.ids_N, answer.ids_N]).astype(np.int32)
    weights_N = np.ones(len(ids_N), dtype=np.float32)
    weights_N[: len(prompt.ids_N)] = 0
    return Tokens(prompt.origin, ids_N, weights_N, len(answer.text.encode()), part)
