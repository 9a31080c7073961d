"""From a recipe to everything that a labelling run needs before its weights are loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from tunesmith.core.errors import Unsupported
from tunesmith.core.records import Tokens
from tunesmith.data import Prepared, Sequences, prepare
from tunesmith.data.classes import Problem, Targets
from tunesmith.data.digests import digest
from tunesmith.data.labelled import LabelRenderer
from tunesmith.data.rewards import RewardRenderer, targets_of
from tunesmith.data.tags import check_tags
from tunesmith.models.classifier_form import reads_onwards
from tunesmith.models.open import Described, describe
from tunesmith.recipe import AUTO, DataSection, Facts, Recipe, Resolved, resolve
from tunesmith.runs.findings import require_checked
from tunesmith.runs.heldout import DIVIDED_FROM, spread
from tunesmith.runs.rendering import renderer_of, require_going_on, template_of
from tunesmith.runs.setup import check_device, facts_of, pinned
from tunesmith.runs.starting import Begun

FITTED = 20_000

_HEADLESS: Mapping[str, Problem] = {"embed": "similarity", "reward": "preference"}
"""Kinds whose rows are not classes to be told apart."""

CHOOSING_ROWS = 1000
"""At most this many rows are labelled at each validation during training: that costs little."""


@dataclass(frozen=True, slots=True)
class Judges:
    """The held-out rows by purpose: `choosing` choose the weights and the temperature, `judging`
    give the verdict. `shared` says that they were too few, so all do both."""

    choosing: list[Tokens]
    judging: list[Tokens]
    shared: bool


class Labelling(Begun, Protocol):
    """What any run that labels knows before a model is opened, be it of texts or of images."""

    @property
    def targets(self) -> Targets: ...
    @property
    def held_out(self) -> Judges: ...
    @property
    def warnings(self) -> tuple[str, ...]: ...
    def rehearsed(self, most: int) -> list[Tokens]: ...
    def fitted(self) -> list[Tokens]: ...


@dataclass(frozen=True, slots=True)
class LabelSetup:
    """A recipe without `auto`, and the data, classes and base it speaks of.

    `inputs` are the SHA-256 of every file that decides what the run becomes, `warnings` what the
    checks of the data's texts have to say.
    """

    resolved: Resolved
    described: Described
    renderer: LabelRenderer | RewardRenderer
    prepared: Prepared
    targets: Targets
    held_out: Judges
    inputs: dict[str, str]
    warnings: tuple[str, ...]

    @property
    def recipe(self) -> Recipe:
        """The resolved recipe."""
        return self.resolved.recipe

    def rehearsed(self, most: int) -> list[Tokens]:
        """The sequences of at most `most` training rows, evenly spread, which are asked again."""
        return some_rows(self.prepared.train, most)

    def fitted(self) -> list[Tokens]:
        """The training rows, evenly spread, that simple learners are fitted on."""
        return self.rehearsed(FITTED)


def set_up_labels(recipe: Recipe) -> LabelSetup:
    """Read, check, render and split the data, find its classes, and choose every `auto`.

    Raises DataError, ModelError, RecipeError or Unsupported, each with what to do.
    """
    recipe.data.require_train()
    recipe = pinned(recipe)
    described = describe(recipe.model.base)
    require_going_on(described, f"objective.kind={recipe.objective.kind}")
    check_device(recipe)
    bare = facts_of(described)
    early = resolve(recipe, bare).recipe.data
    if early.context > described.context:
        raise Unsupported(
            f"data.context is {early.context} tokens, but {described.name} reads at most "
            f"{described.context}. Set data.context to that or less."
        )
    reason = _with_template(described, recipe)
    renderer = label_renderer(described, recipe.objective.kind, early)

    def share(rows: int) -> float:
        return float(resolve(recipe, replace(bare, examples=rows)).recipe.data.validation_share)

    kind = recipe.objective.kind
    problem = _HEADLESS.get(kind, recipe.objective.problem)
    prepared = prepare(
        recipe.data,  # type: ignore[arg-type]  # require_train has seen that files are named
        kind,
        renderer,
        int(early.context),
        share,
        classes=problem not in ("regression", "similarity", "preference"),
    )
    of_tags = check_tags(prepared.train) if kind == "tag" else []
    targets = _targets(kind, prepared, problem)
    resolved = _as_rendered(_resolved(recipe, bare, prepared, targets), prepared, reason)
    return LabelSetup(
        resolved=resolved,
        described=described,
        renderer=renderer,
        prepared=prepared,
        targets=targets,
        held_out=judges_of(prepared.held_out, resolved.recipe.evaluate.rows),
        inputs=prepared.files | _hashes(described, recipe),
        warnings=(
            *require_checked(recipe.data.checks, prepared.report),
            *of_tags,
            *_cut(prepared, resolved.recipe),
        ),
    )


def label_renderer(
    described: Described, kind: str, data: DataSection
) -> LabelRenderer | RewardRenderer:
    """How rows of a kind become tokens; answers by the tokenizer's own template.

    Raises as `rendering.renderer_of`.
    """
    tokenizer = described.tokenizer
    if kind != "reward":
        return LabelRenderer(
            tokenizer,
            last=kind == "tag" and reads_onwards(described.config),
            cut=data.too_long == "cut",
        )
    padding = getattr(described.config, "pad_token_id", None)
    if padding is None:
        padding = tokenizer.pad_token_id
    if padding is None:
        padding = tokenizer.eos_token_id
    answers = renderer_of(described, tokenizer.chat_template, data.completion_as)
    return RewardRenderer(answers, padding)


def _with_template(described: Described, recipe: Recipe) -> str:
    """Have answers rendered as the recipe says, in training as in use; the reason for it."""
    if recipe.objective.kind != "reward":
        return ""
    template, reason = template_of(described, recipe.data.template)
    # Saved with the result, so that answers are rendered to be judged as training did.
    described.tokenizer.chat_template = template
    return reason


def _targets(kind: str, prepared: Prepared, problem: Problem | Literal["auto"]) -> Targets:
    if kind == "reward":
        return targets_of(prepared)
    return Targets.tags(prepared.train) if kind == "tag" else Targets.found(prepared.train, problem)


def _resolved(recipe: Recipe, bare: Facts, prepared: Prepared, targets: Targets) -> Resolved:
    """All choices, now that the rows are counted and measured."""
    rows = prepared.train
    held_out = 0 if recipe.data.validation else len(np.unique(prepared.held_out.rows))
    trained = len(np.unique(rows.rows))
    facts = replace(
        bare,
        examples=trained + held_out,
        mean_tokens=float(rows.lengths.sum() / trained),
        sequences=prepared.mix.epoch_size,
        mean_sequence=prepared.mix.per_epoch(rows.lengths) / prepared.mix.epoch_size,
    )
    return with_problem(resolve(recipe, facts), targets)


def _as_rendered(found: Resolved, prepared: Prepared, reason: str) -> Resolved:
    """With what is to be said of the template, where there is one."""
    if not reason:
        return found
    reasons = dict(found.reasons)
    if "data.template" in reasons:
        reasons["data.template"] = reason
    if prepared.trains_completions():
        return Resolved(found.recipe, reasons)
    reasons["data.completion_as"] = "the data holds no prompt/completion rows"
    data = found.recipe.data.model_copy(update={"completion_as": "chat"})
    return Resolved(found.recipe.model_copy(update={"data": data}), reasons)


def with_problem(found: Resolved, targets: Targets) -> Resolved:
    """With the problem that the labels pose, where the recipe left it open."""
    open_kinds = ("embed", "reward")
    if found.recipe.objective.problem != "auto" or found.recipe.objective.kind in open_kinds:
        return found
    why = "some row has several labels" if targets.problem == "multi_label" else "each has one"
    why = "each word has one tag" if targets.words else why
    objective = found.recipe.objective.model_copy(update={"problem": targets.problem})
    return Resolved(
        found.recipe.model_copy(update={"objective": objective}),
        {**found.reasons, "objective.problem": why},
    )


def judges_of(held_out: Sequences, most: int) -> Judges:
    """Every third row chooses; of the others at most `most`, evenly spread, judge."""
    rows = np.unique(held_out.rows)
    if len(rows) < DIVIDED_FROM:
        return Judges(list(held_out), list(held_out), shared=True)
    choosing, others = np.arange(len(rows)) % 3 == 0, np.arange(len(rows)) % 3 != 0
    return Judges(
        _sequences(held_out, spread(rows[choosing].tolist(), CHOOSING_ROWS)),
        _sequences(held_out, spread(rows[others].tolist(), most)),
        shared=False,
    )


def some_rows(sequences: Sequences, most: int) -> list[Tokens]:
    """The sequences of at most `most` rows, evenly spread, each with all that are its own."""
    return _sequences(sequences, spread(np.unique(sequences.rows).tolist(), most))


def _sequences(sequences: Sequences, rows: Sequence[int]) -> list[Tokens]:
    return list(sequences.at(np.flatnonzero(np.isin(sequences.rows, rows))))


def _cut(prepared: Prepared, recipe: Recipe) -> list[str]:
    """What to say of texts of which the beginning is read."""
    if recipe.data.too_long != "cut":
        return []
    sides = [prepared.train.lengths, prepared.held_out.lengths]
    lengths_N, context = np.concatenate(sides), int(recipe.data.context)
    filled = int((lengths_N >= context).sum())
    return [
        f"data.too_long=cut: {filled:,} of {len(lengths_N):,} texts have {context} tokens or more; "
        f"of those the first {context} are read, in training as in use."
    ]


def _hashes(described: Described, recipe: Recipe) -> dict[str, str]:
    """SHA-256 of the files of the base, and of the template where a file is named."""
    folder = Path(described.location)
    patterns = ("*.safetensors", "*.json", "*.model", "*.txt")
    paths = [path for pattern in patterns for path in sorted(folder.glob(pattern))]
    if recipe.objective.kind == "reward":
        paths += sorted(folder.glob("*.jinja"))
        paths += [Path(recipe.data.template)] if recipe.data.template != AUTO else []
    return {str(path): digest(path) for path in paths}
