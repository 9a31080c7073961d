"""Replace every `auto` by a value and keep the reason for it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from tunesmith.recipe import defaults, images, preferences
from tunesmith.recipe.defaults import Choice, Facts
from tunesmith.recipe.fields import AUTO
from tunesmith.recipe.kinds import LABELS, REINFORCED
from tunesmith.recipe.methods import METHODS
from tunesmith.recipe.optimizers import RULES
from tunesmith.recipe.sections import Recipe

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Resolved:
    """A recipe without `auto`, and why each `auto` became what it is, by dotted key.

    Some `auto` stay: `data.template`, where it names the template of the base's own tokenizer;
    `evaluate.metrics` and `objective.problem`, for which the rows must be read; and
    `model.pooling`, for which the base must be opened.
    """

    recipe: Recipe
    reasons: Mapping[str, str]


def resolve(recipe: Recipe, facts: Facts) -> Resolved:
    """Choose what the recipe leaves open; what it says is kept, and choices follow from it."""
    facts = replace(facts, from_scratch=recipe.model.from_scratch, objective=recipe.objective.kind)
    choices = _Choices(recipe)
    device = choices.pick("model.device", (facts.device, "the fastest device of this machine"))
    facts = replace(facts, device=device)
    _resolve_model(choices, facts, recipe)
    context = _resolve_data(choices, facts, recipe)
    _resolve_engine(choices, facts, recipe)
    _resolve_rollouts(choices, facts, context)
    level = recipe.evaluate.level
    labels = facts.objective in LABELS
    for key, choice in (
        ("beta", preferences.beta(facts.objective)),
        ("margin", preferences.margin(facts.objective)),
        ("sft_weight", preferences.sft_weight(facts.objective)),
    ):
        choices.pick(f"preference.{key}", choice)
    unused = f"not used by objective {facts.objective}"
    choices.pick("model.pooling", (AUTO, "chosen by how the base reads" if labels else unused))
    choices.pick("objective.problem", (AUTO, "chosen by the rows' labels" if labels else unused))
    choices.pick("evaluate.metrics", (AUTO, "chosen by the held-out answers"))
    choices.pick("evaluate.rows", defaults.evaluated_rows(level, labels))
    choices.pick("evaluate.examples", defaults.examples_shown(level, facts.objective))
    choices.pick("evaluate.max_new_tokens", defaults.max_new_tokens(facts, level, context))
    return choices.resolved()


def _resolve_model(choices: _Choices, facts: Facts, recipe: Recipe) -> None:
    method = recipe.model.method
    for key, choice in (
        ("rank", defaults.rank(facts, method)),
        ("alpha", defaults.alpha(method)),
        ("layers", defaults.layers(facts, method)),
    ):
        value, reason = choice
        used = key in METHODS[method].keys
        choices.pick(f"model.{key}", (value, reason if used else f"not used by method {method}"))
    choices.pick("model.dtype", defaults.dtype(facts))


def _resolve_data(choices: _Choices, facts: Facts, recipe: Recipe) -> int:
    """Returns the context."""
    has_file = recipe.data.validation is not None
    choices.pick("data.template", (AUTO, "the template of the base's own tokenizer"))
    choices.pick("data.completion_as", defaults.completion_as(facts))
    choices.pick("data.validation_share", defaults.validation_share(facts, has_file))
    choices.pick("data.together", defaults.together(facts, recipe.data.shuffle))
    choices.pick("data.image_size", images.size(facts))
    choices.pick("data.augment", images.augment(facts, recipe.model.method))
    return choices.pick("data.context", defaults.context(facts))


def _resolve_rollouts(choices: _Choices, facts: Facts, context: int) -> None:
    used = facts.objective in REINFORCED
    variant = choices.pick("rollouts.variant", ("grpo", "GRPO as it was published"))
    for key, (value, reason) in (
        ("clip_high", defaults.clip_high(variant)),
        ("kl_in", defaults.kl_in(facts)),
        ("max_new_tokens", defaults.rollout_tokens(facts, context)),
    ):
        unused = f"not used by objective {facts.objective}"
        choices.pick(f"rollouts.{key}", (value, reason if used else unused))


def _resolve_engine(choices: _Choices, facts: Facts, recipe: Recipe) -> None:
    method, max_steps = recipe.model.method, recipe.engine.max_steps
    rules: Any = images if facts.objective == "image" else defaults
    batch = choices.pick("engine.batch_size", rules.batch_size(facts))
    per_epoch = math.ceil(facts.sequences / batch) * recipe.rollouts.updates
    passes = defaults.epochs_for(max_steps, per_epoch) if max_steps else defaults.epochs(facts)
    steps = choices.pick("engine.epochs", passes) * per_epoch
    steps = min(steps, max_steps or steps)
    context = choices.value("data.context")
    rule = RULES[choices.pick("engine.optimizer", defaults.optimizer(recipe.engine.memory))]
    for key, choice in (
        (
            "learning_rate",
            defaults.rate_times(
                recipe.engine.rate_multiplier,
                defaults.rate_for(rule, rules.learning_rate(facts, method)),
            ),
        ),
        ("tokens_per_micro_batch", defaults.tokens_per_micro_batch(facts, context)),
        ("images_per_micro_batch", images.per_micro_batch(facts)),
        ("activation_checkpointing", defaults.activation_checkpointing()),
        ("schedule", defaults.schedule(rule)),
        ("warmup", defaults.warmup(facts, steps)),
        (
            "weight_decay",
            defaults.decay_for(
                rule, defaults.weight_decay(facts, method, recipe.engine.decay_to_base)
            ),
        ),
        ("checkpoint_every", defaults.checkpoint_every(steps)),
        ("validate_every", rules.validate_every(per_epoch, steps)),
        ("patience", defaults.patience(facts)),
        ("keep_best", defaults.keep_best(facts)),
    ):
        choices.pick(f"engine.{key}", choice)


class _Choices:
    """The values of a recipe while its `auto` ones are being chosen."""

    def __init__(self, recipe: Recipe) -> None:
        self._values: dict[str, dict[str, Any]] = recipe.model_dump()
        self._reasons: dict[str, str] = {}

    def value(self, key: str) -> Any:
        """The present value of a dotted key."""
        section, _, field = key.partition(".")
        return self._values[section][field]

    def pick(self, key: str, choice: Choice[Value]) -> Value:
        """The value asked for, or the one of `choice` where `auto` was."""
        section, _, field = key.partition(".")
        if self._values[section][field] == AUTO:
            self._values[section][field], self._reasons[key] = choice
        chosen: Value = self._values[section][field]
        return chosen

    def resolved(self) -> Resolved:
        """The recipe, validated again: a chosen value obeys the same bounds as a given one."""
        return Resolved(Recipe.model_validate(self._values), dict(self._reasons))
