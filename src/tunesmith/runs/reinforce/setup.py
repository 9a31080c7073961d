"""From a recipe to everything a run that learns from grades needs before its weights are loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tunesmith.core.errors import DataError, Unsupported
from tunesmith.core.records import Prompt, Tokens
from tunesmith.data import Prepared, Renderer
from tunesmith.data.digests import digest
from tunesmith.engine.libraries import require as require_optimizer
from tunesmith.models.open import Described
from tunesmith.models.teacher import describe_teacher
from tunesmith.recipe import AUTO, Recipe, Resolved
from tunesmith.recipe.methods import METHODS
from tunesmith.runs.findings import require_checked
from tunesmith.runs.graded_files import grader_files
from tunesmith.runs.heldout import HeldOut, divide, spread
from tunesmith.runs.rendering import require_going_on
from tunesmith.runs.rewards import open_reward
from tunesmith.runs.setup import pinned, probe_tokens, read_data, reader_of

CHOOSING_PROMPTS = 64
"""At most this many prompts are answered at each look during training."""


@dataclass(frozen=True, slots=True)
class ReinforceSetup:
    """A recipe without `auto`, the prompts that it speaks of, and the base.

    `prompts` are those that answers are sampled to, `held_out` those that choose and judge. The
    other fields are as in `runs.setup.Setup`.
    """

    resolved: Resolved
    described: Described
    renderer: Renderer
    prepared: Prepared
    prompts: list[Prompt]
    held_out: HeldOut
    probes: list[Tokens]
    templated: bool
    inputs: dict[str, str]
    warnings: tuple[str, ...]
    teacher: Described | None = None

    @property
    def recipe(self) -> Recipe:
        """The resolved recipe."""
        return self.resolved.recipe

    @property
    def variant(self) -> str:
        """The line of `objectives.reinforcement.VARIANTS` that the recipe asks for."""
        kind = self.recipe.objective.kind
        return str(self.recipe.rollouts.variant) if kind == "grpo" else kind

    def choosing(self) -> list[Prompt]:
        """The held-out prompts by which weights are chosen while it learns."""
        held_out = self.held_out
        prompts = held_out.prompts if held_out.shared else held_out.choosing_prompts
        return spread(prompts, CHOOSING_PROMPTS)

    def rehearsed(self, most: int) -> list[Prompt]:
        """At most `most` of the prompts that are learned from, evenly spread."""
        return spread(self.prompts, most)


def set_up_reinforced(recipe: Recipe) -> ReinforceSetup:
    """Read, check, render and split the prompts, and choose every `auto`.

    Raises DataError, ModelError, RecipeError or Unsupported, each with what to do.
    """
    recipe.data.require_train()
    open_reward(recipe.reward)
    _require_supported(recipe)
    if recipe.engine.optimizer != AUTO:
        require_optimizer(recipe.engine.optimizer)
    recipe = pinned(recipe)
    reader = reader_of(recipe, sees=False)
    described = reader.described
    require_going_on(described, f"objective.kind={recipe.objective.kind}")
    name = recipe.objective.teacher
    teacher = None if name is None else describe_teacher(name, described, reader.context)
    prepared, resolved = read_data(recipe, reader)
    described.tokenizer.chat_template = reader.template  # saved with the result
    _require_room(prepared.train, resolved.recipe, described)
    templated = reader.bare.has_chat_template
    return ReinforceSetup(
        resolved=resolved,
        described=described,
        renderer=reader.renderer,
        prepared=prepared,
        prompts=prepared.prompts(np.unique(prepared.train.rows).tolist()),
        held_out=divide(prepared.held_out, prepared.prompts, resolved.recipe.evaluate.rows),
        probes=probe_tokens(recipe, reader.renderer, reader.context, templated),
        templated=templated,
        inputs=prepared.files | _hashes([described, *([teacher] if teacher else [])], recipe),
        warnings=require_checked(recipe.data.checks, prepared.report),
        teacher=teacher,
    )


def _require_supported(recipe: Recipe) -> None:
    """Raises Unsupported for what is no part of learning from grades."""
    kind, method = recipe.objective.kind, recipe.model.method
    if not METHODS[method].packs:
        raise Unsupported(
            f"model.method={method} learns tokens that stand before each prompt, and "
            f"objective.kind={kind} looks back at the base, which has none. Set model.method=lora."
        )
    for key, asked in (
        ("objective.teacher", recipe.objective.teacher is not None and kind == "ppo"),
        ("objective.kl_to_base", bool(recipe.objective.kl_to_base)),
        ("data.canaries", bool(recipe.data.canaries)),
        ("model.from_scratch", recipe.model.from_scratch),
        ("engine.decay_to_base", bool(recipe.engine.decay_to_base)),
        ("evaluate.most_forgetting", recipe.evaluate.most_forgetting is not None),
    ):
        if asked:
            raise Unsupported(
                f"{key} is for objectives that learn from answers, and objective.kind={kind} "
                f"learns from grades. Leave {key} out; rollouts.kl_weight holds the model near "
                "its base."
            )


def _require_room(train: Sequence[Tokens], recipe: Recipe, described: Described) -> None:
    """Raises DataError where a prompt leaves no room for an answer."""
    longest = max(train, key=len)
    room = described.context - len(longest)
    if room < recipe.rollouts.max_new_tokens:
        raise DataError(
            f"{longest.origin}: the prompt has {len(longest)} tokens, and {described.name} reads "
            f"at most {described.context}, so {max(0, room)} are left for an answer, where "
            f"rollouts.max_new_tokens is {recipe.rollouts.max_new_tokens}. Shorten the prompt, or "
            "lower rollouts.max_new_tokens."
        )


def _hashes(models: Sequence[Described], recipe: Recipe) -> dict[str, str]:
    """SHA-256 of the files of base and teacher, and of those that graders name."""
    folders = [Path(described.location) for described in models]
    patterns = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt")
    paths = [path for each in folders for name in patterns for path in sorted(each.glob(name))]
    paths += grader_files(recipe.reward)
    return {str(path): digest(path) for path in paths}
