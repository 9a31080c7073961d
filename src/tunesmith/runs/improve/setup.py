"""From a recipe to what every round of a self-improvement needs. Writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tunesmith.core.errors import DataError, RecipeError, Unsupported
from tunesmith.core.records import Prompt
from tunesmith.data import Prepared, Renderer, prepare
from tunesmith.data.digests import digest
from tunesmith.data.kinds import PAIRED, Kind
from tunesmith.models.open import Described
from tunesmith.models.teacher import describe_teacher
from tunesmith.recipe import AUTO, JudgeSection, Recipe, Source
from tunesmith.runs.findings import require_checked
from tunesmith.runs.graded_files import grader_files
from tunesmith.runs.heldout import HeldOut, divide
from tunesmith.runs.improve.rows import Question
from tunesmith.runs.improve.wanted import LONGEST, Wanted
from tunesmith.runs.rendering import require_going_on
from tunesmith.runs.setup import Reader, early_choices, pinned, reader_of

_ASKED: Kind = "grpo"
"""The objective under which rows are read as prompts, whatever stands behind them."""


@dataclass(frozen=True, slots=True)
class ImproveSetup:
    """The prompts of a self-improvement, the base, and the recipe of its rounds.

    `asked` is the recipe as it was given, `opening` the same without `auto`, by which the base is
    opened; `wanted` has a number for the longest answer. `questions` are those that answers are
    drawn to, `held_out` those that choose and judge.
    """

    asked: Recipe
    opening: Recipe
    described: Described
    renderer: Renderer
    context: int
    wanted: Wanted
    prepared: Prepared
    questions: list[Question]
    held_out: HeldOut
    inputs: dict[str, str]
    warnings: tuple[str, ...]

    @property
    def pairs(self) -> bool:
        """Whether pairs of answers are learned instead of single ones."""
        return self.asked.objective.kind in PAIRED

    def recipe_over(self, rows: Path) -> Recipe:
        """The recipe of one round: as asked for, over these rows, all of them to be learned.

        It begins with the base, not with the last round's model: so no round learns the slips of
        those before it, and none is further from the base than its own rows take it (STaR, Zelikman
        et al. 2022, §3.1). What was held out of the prompts judges, so nothing is held out here.
        """
        data = {
            "train": (str(rows.absolute()),),
            "validation": None,
            "validation_share": 0.0,
            "group_by": None,
            "mapping": None,
            "checks": "off",
        }
        evaluate = {"level": "none", "most_forgetting": None, "metrics": ()}
        return self.asked.model_copy(
            update={
                "data": self.asked.data.model_copy(update=data),
                "evaluate": self.asked.evaluate.model_copy(update=evaluate),
                "judge": JudgeSection(),
            }
        )


def set_up_improvement(recipe: Recipe, wanted: Wanted) -> ImproveSetup:
    """Read, check, render and split the prompts.

    Raises DataError, ModelError, RecipeError or Unsupported, each with what to do.
    """
    _require_supported(recipe)
    recipe = pinned(recipe)
    reader = reader_of(recipe, sees=False)
    require_going_on(reader.described, "`tunesmith improve`")
    models = [reader.described]
    if recipe.objective.teacher is not None:
        models += [describe_teacher(recipe.objective.teacher, reader.described, reader.context)]
    prepared = _prepared(recipe, reader)
    opening = early_choices(recipe, reader.bare, len(np.unique(prepared.train.rows))).recipe
    # Saved with each round's model, so that serving renders as training did.
    reader.described.tokenizer.chat_template = reader.template
    held_out = divide(prepared.held_out, prepared.prompts, opening.evaluate.rows)
    if not held_out.judging:
        raise DataError(
            "No prompt is held out, so no round could be judged. Give more prompts, raise "
            "data.validation_share, or name a file of held-out prompts (data.validation)."
        )
    questions = _questions(prepared, reader.renderer)
    everything = [each.prompt for each in questions] + held_out.prompts + held_out.choosing_prompts
    room = _room(everything, wanted.max_new_tokens, reader.described, reader.context)
    return ImproveSetup(
        asked=recipe,
        opening=opening,
        described=reader.described,
        renderer=reader.renderer,
        context=reader.context,
        wanted=replace(wanted, max_new_tokens=room),
        prepared=prepared,
        questions=questions,
        held_out=held_out,
        inputs=prepared.files | _hashes(recipe, models),
        warnings=require_checked(recipe.data.checks, prepared.report),
    )


def _require_supported(recipe: Recipe) -> None:
    kind = recipe.objective.kind
    able = ("sft", *PAIRED)
    if kind not in able:
        raise Unsupported(
            f"`tunesmith improve` learns from a model's own answers, and objective.kind is {kind}. "
            f"Set it to sft, which learns the accepted ones, or to {', '.join(PAIRED[:-1])} or "
            f"{PAIRED[-1]}, which learn from pairs of a better and a worse one."
        )
    if recipe.model.from_scratch:
        raise Unsupported(
            "model.from_scratch begins with random weights, whose answers nothing accepts. Leave "
            "it out."
        )
    if any(isinstance(source, Source) for source in recipe.data.train or ()):
        raise RecipeError(
            "data.train gives weights to sources, and here every prompt is answered equally often. "
            "Leave the weights out."
        )
    if recipe.data.canaries:
        raise RecipeError(
            "data.canaries plants secrets in rows to learn, and here a model learns its own "
            "answers. Leave it out."
        )


def _prepared(recipe: Recipe, reader: Reader) -> Prepared:
    """The rows as prompts, read, checked, rendered and split."""

    def share(rows: int) -> float:
        return float(early_choices(recipe, reader.bare, rows).recipe.data.validation_share)

    data = recipe.data
    data.require_train()
    return prepare(data, _ASKED, reader.trained, reader.context, share)  # type: ignore[arg-type]


def _questions(prepared: Prepared, renderer: Renderer) -> list[Question]:
    """Every training row as a question."""
    examples = prepared.examples(np.unique(prepared.train.rows).tolist())
    pairs = ((example, renderer.prompt(example)) for example in examples)
    return [Question.of(example, prompt) for example, prompt in pairs if prompt is not None]


def _room(prompts: Sequence[Prompt], wanted: int | None, described: Described, context: int) -> int:
    """The longest answer in tokens. Raises DataError where a prompt leaves no room for it."""
    longest = max(prompts, key=lambda prompt: len(prompt.ids_N))
    room = context - len(longest.ids_N)
    if room >= (wanted or 1):
        return wanted or min(LONGEST, room)
    lower = f", where --max-new-tokens is {wanted}" if wanted else ""
    raise DataError(
        f"{longest.origin}: the prompt has {len(longest.ids_N)} tokens, and {described.name} is "
        f"given at most {context} (data.context), so {max(0, room)} are left for an answer{lower}. "
        f"Shorten the prompt, {'lower --max-new-tokens, ' if wanted else ''}or raise data.context."
    )


def _hashes(recipe: Recipe, models: Sequence[Described]) -> dict[str, str]:
    """SHA-256 of the files of the models, of the template, and of those that graders name."""
    patterns = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt")
    folders = [Path(described.location) for described in models]
    paths = [path for each in folders for name in patterns for path in sorted(each.glob(name))]
    paths += grader_files(recipe.reward)
    if recipe.data.template != AUTO:
        paths.append(Path(recipe.data.template))
    return {str(path): digest(path) for path in paths}
