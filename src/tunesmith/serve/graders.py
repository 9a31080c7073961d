"""Graders tried before a job uses them, as the published interface answers it.

In this process run those that take a moment. Code runs behind walls, where the operator allows it;
what could take for ever, and what asks a model, is for jobs, or refused.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any

from tunesmith.core.errors import RecipeError, Unsupported
from tunesmith.recipe.graders import names_of, walk
from tunesmith.runs.grader_trial import Trial, grader_faults, try_grader
from tunesmith.serve.errors import bad_request, too_many
from tunesmith.serve.jobs.recipe import require_allowed
from tunesmith.serve.settings import Settings

LONGEST = 16_000
"""Characters of an answer, and of an item as JSON: comparing texts takes the square of these."""

LONGEST_FILLED = 64_000
"""Characters of a grader as JSON, once all names in it stand for an answer or an item."""
MOST_INSIDE = 16
TRIED = 2
"""Graders that are tried at once."""

_PATIENT = ("regex", "json_schema")
"""Graders with patterns of the client, which have no bound on the time that they take."""

_NOTHING_WRONG: Mapping[str, Any] = {
    "formula_parse_error": False,
    "sample_parse_error": False,
    "truncated_observation_error": False,
    "unresponsive_reward_error": False,
    "invalid_variable_error": False,
    "other_error": False,
    "python_grader_server_error": False,
    "python_grader_server_error_type": None,
    "python_grader_runtime_error": False,
    "python_grader_runtime_error_details": None,
    "model_grader_server_error": False,
    "model_grader_server_error_details": None,
    "model_grader_refusal_error": False,
    "model_grader_parse_error": False,
}
_FLAGS = {
    "variable": "invalid_variable_error",
    "sample": "sample_parse_error",
    "code": "python_grader_runtime_error",
    "formula": "formula_parse_error",
    "other": "other_error",
}


class Graders:
    """The acts on graders; nothing of them is kept."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._trying = threading.BoundedSemaphore(TRIED)

    def validate(self, grader: Any) -> Mapping[str, Any]:
        """The grader, if a job may use it. Raises ApiError 400, with every fault."""
        if faults := grader_faults(grader):
            raise bad_request("\n".join(faults), param="grader", code="invalid_grader")
        try:
            require_allowed(grader, self._settings)
        except RecipeError as error:
            raise bad_request(str(error), param="grader", code="invalid_grader") from None
        checked: Mapping[str, Any] = grader
        return checked

    def run(self, grader: Any, model_sample: str, item: Any = None) -> dict[str, Any]:
        """What the answer is worth, in the shape of the interface. Raises ApiError 400.

        The reward of an answer that could not be graded is 0, and `errors` say why: in jobs such an
        answer is left out.
        """
        self.validate(grader)
        _require_short(model_sample, item)
        slow = [each["type"] for each in walk(grader) if each["type"] in _PATIENT]
        if slow:
            raise bad_request(
                f"A grader of the type {slow[0]} can be used by a job and is not run here, as its "
                "patterns may take for ever. Try it with `tunesmith grade`.",
                param="grader",
            )
        _require_small(grader, model_sample, item)
        if not self._trying.acquire(blocking=False):
            raise too_many("Other graders are being tried. Try again.", 1)
        try:
            return _shown(grader, try_grader(grader, item or {}, model_sample))
        except Unsupported as error:
            raise bad_request(str(error), param="grader") from None
        finally:
            self._trying.release()


def _require_small(grader: Mapping[str, Any], model_sample: str, item: Any) -> None:
    """What is compared is as long as its templates make it, as often as there are graders."""
    inside = sum(1 for _ in walk(grader))
    if inside > MOST_INSIDE:
        raise bad_request(
            f"The grader has {inside} graders in it, and {MOST_INSIDE} are the most here.",
            param="grader",
        )
    written = json.dumps(grader)
    filled = len(written) + written.count("{{") * max(len(model_sample), len(json.dumps(item)))
    if filled > LONGEST_FILLED:
        raise bad_request(
            f"With its names filled in the grader would have {filled:,} characters, and "
            f"{LONGEST_FILLED:,} are the most here. Try it on a shorter answer or item.",
            param="grader",
        )


def _require_short(model_sample: str, item: Any) -> None:
    if item is not None and not isinstance(item, Mapping):
        raise bad_request("item must be an object: the fields of a row.", param="item")
    for param, text in (("model_sample", model_sample), ("item", json.dumps(item))):
        if len(text) > LONGEST:
            raise bad_request(
                f"{param} has {len(text):,} characters, and {LONGEST:,} are the most here. Try the "
                "grader on a shorter one.",
                param=param,
            )


def _shown(grader: Mapping[str, Any], trial: Trial) -> dict[str, Any]:
    errors = dict(_NOTHING_WRONG)
    for kind, sentence in trial.failures.items():
        errors[_FLAGS[kind]] = True
        if kind == "code":
            errors["python_grader_runtime_error_details"] = sentence
    (name,) = names_of((grader,))
    reward = trial.reward or 0.0
    return {
        "reward": reward,
        "sub_rewards": dict(trial.parts),
        "model_grader_token_usage_per_model": {},
        "metadata": {
            "name": name,
            "type": grader["type"],
            "execution_time": trial.seconds,
            "scores": {name: reward, **trial.parts},
            "token_usage": None,
            "sampled_model_name": None,
            "errors": errors,
        },
    }
