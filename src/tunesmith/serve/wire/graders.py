"""Graders tried by themselves. What a grader is, `recipe.graders` says; here it is an object."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tunesmith.serve.wire.base import Answer, Asked


class GraderAsked(Asked):
    """A grader that is to be looked at."""

    grader: dict[str, Any]


class GraderValidated(Answer):
    """The grader, as it was sent: a job may use it."""

    grader: dict[str, Any]


class GraderRunAsked(Asked):
    """An answer that is to be graded, and the row that it answers."""

    grader: dict[str, Any]
    model_sample: str
    item: dict[str, Any] | None = None


class GraderErrors(Answer):
    """What went wrong, kind by kind."""

    formula_parse_error: bool
    sample_parse_error: bool
    truncated_observation_error: bool
    unresponsive_reward_error: bool
    invalid_variable_error: bool
    other_error: bool
    python_grader_server_error: bool
    python_grader_server_error_type: str | None
    python_grader_runtime_error: bool
    python_grader_runtime_error_details: str | None
    model_grader_server_error: bool
    model_grader_server_error_details: str | None
    model_grader_refusal_error: bool
    model_grader_parse_error: bool


class GraderMetadata(Answer):
    """How it went."""

    name: str
    type: str
    execution_time: float = Field(description="Seconds.")
    scores: dict[str, Any]
    token_usage: int | None
    sampled_model_name: str | None
    errors: GraderErrors


class GraderRun(Answer):
    """What the answer is worth."""

    reward: float
    sub_rewards: dict[str, Any]
    model_grader_token_usage_per_model: dict[str, Any]
    metadata: GraderMetadata
