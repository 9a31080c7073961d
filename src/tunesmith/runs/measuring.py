"""What a model is measured on, and the one way in which `train` and `evaluate` measure it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tunesmith.core.records import Prompt, Tokens
from tunesmith.data import Renderer
from tunesmith.evaluate.measure import Checker, Prices, Side, measure
from tunesmith.evaluate.noise import MEASURED_AGAIN
from tunesmith.models.open import Base
from tunesmith.recipe import EvaluateSection, Recipe, generated_rows
from tunesmith.runs.heldout import spread, whole_rows
from tunesmith.runs.open import Opened
from tunesmith.runs.scoring import ModelScorer
from tunesmith.runs.setup import Setup


@dataclass(frozen=True, slots=True)
class Material:
    """Rows that judge, as sequences and as questions, some trained rows likewise, probes, and texts
    that the base wrote; `check` looks at each answer to a question that judges. `infilled` are
    documents that judge, told out of order."""

    judging: Sequence[Tokens]
    prompts: Sequence[Prompt]
    check: Checker
    probes: Sequence[Tokens]
    samples: Sequence[Tokens]
    trained: Sequence[Tokens] = ()
    trained_prompts: Sequence[Prompt] = ()
    infilled: Sequence[Tokens] = ()


def material_of(setup: Setup, samples: Sequence[Tokens]) -> Material:
    """That of a training run."""
    return Material(
        judging=setup.held_out.judging,
        prompts=setup.held_out.prompts,
        check=setup.check,
        probes=setup.probes,
        samples=samples,
        trained=trained_of(setup),
        trained_prompts=setup.trained_prompts,
        infilled=setup.infilled,
    )


def trained_of(setup: Setup) -> list[Tokens]:
    """Some of the rows that the first epoch trained on, evenly spread."""
    in_order = not setup.recipe.data.shuffle
    seen = setup.prepared.seen_first(setup.recipe.engine.seed, in_order=in_order)
    return whole_rows(seen, setup.recipe.evaluate.rows)


def measured_on(base: Base, renderer: Renderer, recipe: Recipe, material: Material) -> Side:
    """Score and question the model in `base` as it stands, as far as the recipe's level says."""
    evaluate = recipe.evaluate
    return measure(
        ModelScorer(base, recipe.engine.tokens_per_micro_batch),
        Opened(base, renderer).sampler,
        material.judging,
        material.trained,
        material.probes,
        spread(material.prompts, generated_rows(evaluate.level, evaluate.rows)),
        check=material.check,
        max_new_tokens=evaluate.max_new_tokens,
        count_tokens=renderer.length,
        samples=material.samples,
        trained_prompts=material.trained_prompts,
        twice=MEASURED_AGAIN,
        infilled=material.infilled,
    )


def prices_of(evaluate: EvaluateSection) -> Prices | None:
    """The prices that the recipe gives; None where it gives none."""
    read, written, hour = evaluate.prompt_price, evaluate.answer_price, evaluate.hour_price
    if read is None and hour is None:
        return None
    return Prices(read, written, hour, evaluate.currency or "")
