"""The section of the recipe about answers that are sampled and graded while a model is trained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from tunesmith.recipe.fields import (
    AUTO,
    Auto,
    Count,
    FullShare,
    Index,
    NotNegative,
    Positive,
    Section,
    knob,
)
from tunesmith.recipe.kinds import REINFORCED

if TYPE_CHECKING:
    from tunesmith.recipe.sections import Recipe

Clip = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]


class RolloutsSection(Section):
    """Answers that the model gives while it learns from their grades. `engine.batch_size` counts
    the prompts of a step."""

    answers: Annotated[int, Field(ge=1, le=1024)] = knob(8, "answers to a prompt")
    """How many are sampled. Each is held against the others, so more of them tell more surely which
    is good, and a rare success is found sooner; the prompt itself is computed once for all."""

    max_new_tokens: Auto | Count = knob(AUTO, "tokens")
    """The longest answer that is sampled. One that is not ended by then is graded as it stands."""

    temperature: Positive = knob(1.0, "temperature")
    """Answers are drawn at it and learned at it. Below 1 less is found that the model does rarely;
    at 1 what is learned from is what the model itself says."""

    held_out_temperature: NotNegative = knob(0.0, "temperature")
    """Held-out prompts are answered at it, one answer each. 0 takes the likeliest token each time;
    where answers are to differ from each other, judge them at the temperature that is learned
    at."""

    updates: Count = knob(1, "optimiser steps to the same answers")
    """Sampling costs most. With more than 1 its answers are used again, held within the clip by how
    likely they were when they were sampled."""

    variant: Auto | Literal["grpo", "dr_grpo", "dapo"] = knob(AUTO)
    """objective.kind=grpo only. dr_grpo divides neither by the spread of a group's grades nor by
    the length of an answer, which would favour easy and hard prompts and long wrong answers (Liu et
    al. 2025); dapo lets every token count alike, and what is rare grow faster (Yu et al. 2025)."""

    kl_weight: NotNegative = knob(0.0, "grade for a nat of KL(tuned ‖ base)")
    """What leaving the base costs. Verifiers need none; a reward model or a judge is a guess that
    can be hacked, and 0.02 to 0.1 keeps the model where the guess holds. Above 0 the base is run
    beside the model, forward only: the same weights with the adapter switched off."""

    kl_in: Auto | Literal["loss", "reward"] = knob(AUTO)
    """Where that cost stands: beside the loss of each token, as in GRPO, or in the grade of the
    whole answer, as in RLOO and PPO."""

    clip_low: Clip = knob(0.2, "share of a probability")
    """An answer that was better or worse than expected moves its tokens' probabilities by at most
    so much before it is sampled anew: downwards."""

    clip_high: Auto | Clip = knob(AUTO, "share of a probability")
    """And upwards. dapo's 0.28 lets rare tokens grow, so that the model goes on trying."""

    resample: Index = knob(0, "times")
    """grpo and rloo only: prompts whose answers are all graded alike teach nothing, and are
    replaced by others, up to so many times a step (dynamic sampling, Yu et al. 2025)."""

    success: Annotated[float, Field(allow_inf_nan=False)] = knob(1.0, "grade")
    """From this grade on an answer counts as a success, in metrics and report. Nothing is learned
    by it."""

    discount: FullShare = knob(1.0, "share a token")
    """ppo only: what comes a token later counts so much."""

    trace: FullShare = knob(0.95, "share a token")
    """ppo only: how far the critic is trusted; 1 waits for the grade itself, which is surer and
    noisier (Schulman et al. 2016)."""

    value_weight: Positive = knob(0.1, "loss of the critic beside that of the policy")
    """ppo only."""

    value_clip: Positive = knob(0.2, "grade")
    """ppo only: how far an update moves what the critic expects."""


_OF_PPO = ("discount", "trace", "value_weight", "value_clip")


def rollout_faults(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """(key, finished sentence) for each value of the section that the objective has no use for.

    Keys that are `auto` by default say of themselves, once chosen, where they are unused.
    """
    kind, asked = recipe.objective.kind, recipe.rollouts
    fields = type(asked).model_fields
    given = [
        key
        for key, field in fields.items()
        if field.default != AUTO and getattr(asked, key) != field.default
    ]
    owners = ", ".join(REINFORCED) if kind not in REINFORCED else "ppo"
    if asked.variant in ("dr_grpo", "dapo") and kind != "grpo":
        yield "rollouts.variant", _unused(f"variant={asked.variant}", "grpo", kind)
    for key in given:
        if kind not in REINFORCED or (key in _OF_PPO and kind != "ppo"):
            yield f"rollouts.{key}", _unused(key, owners, kind)
    if kind in REINFORCED:
        yield from _groups(recipe)


def _unused(what: str, owners: str, kind: str) -> str:
    return (
        f"rollouts.{what} is for objective.kind={owners}, and objective.kind is {kind}. Leave it "
        "out."
    )


def _groups(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Where answers to a prompt are held against each other."""
    kind, asked = recipe.objective.kind, recipe.rollouts
    if kind in ("grpo", "rloo") and asked.answers < 2:
        yield (
            "rollouts.answers",
            f"objective.kind={kind} holds the answers to a prompt against each other, and "
            "rollouts.answers is 1. Set rollouts.answers=8, or objective.kind=reinforce.",
        )
    if kind not in ("grpo", "rloo") and asked.resample:
        yield (
            "rollouts.resample",
            f"rollouts.resample replaces prompts whose answers are graded alike, and "
            f"objective.kind={kind} learns from those, too. Leave it out.",
        )
    if kind == "ppo" and asked.kl_in == "loss":
        yield (
            "rollouts.kl_in",
            "rollouts.kl_in=loss would hide the cost from the critic of objective.kind=ppo. Set "
            "rollouts.kl_in=reward.",
        )
