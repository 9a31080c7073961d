"""The section of the recipe about what answers are worth while a model learns from them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

from pydantic import AfterValidator, BeforeValidator
from pydantic_core import PydanticCustomError

from tunesmith.recipe.fields import (
    Count,
    NotNegative,
    Positive,
    Section,
    Text,
    Words,
    knob,
    received,
)
from tunesmith.recipe.graders import SHAPES, faults, walk
from tunesmith.recipe.judge import EndpointUrl, variable_name

KEY = "reward.graders"


class Graders(tuple[Mapping[str, Any], ...]):
    """Graders as a frozen section can hold them: hashed by content."""

    def __hash__(self) -> int:
        return hash(json.dumps(self, sort_keys=True, default=str))


def _graders(value: Any) -> Any:
    """One grader is a list of one. Each is checked, and every complaint told at once."""
    if value is None:
        return None
    items = [value] if isinstance(value, Mapping) else value
    if not isinstance(items, list | tuple) or not items:
        _refuse(f"{KEY} must be a grader or a list of graders; received {received(value)}.")
    several = len(items) > 1
    found = [
        sentence
        for number, item in enumerate(items)
        for sentence in faults(item, f"{KEY}[{number}]" if several else KEY)
    ]
    if found:
        _refuse("\n".join(found))
    return tuple(items)


def located(value: Any, join: Callable[[str | Path], str]) -> Any:
    """Graders as they were written, of which the files are those that `join` makes of them.

    What is no grader is left as it is, to be refused.
    """
    if isinstance(value, list | tuple):
        return [located(item, join) for item in value]
    if not isinstance(value, Mapping):
        return value
    shape = SHAPES.get(str(value.get("type")))
    paths = [
        name for name, field in (shape.fields if shape else {}).items() if field.kind == "path"
    ]
    found: dict[str, Any] = {
        name: join(value[name]) for name in paths if isinstance(value.get(name), str | Path)
    }
    inner = value.get("graders")
    if isinstance(inner, Mapping):
        found["graders"] = {name: located(each, join) for name, each in inner.items()}
    return {**value, **found}


def _refuse(sentence: str) -> NoReturn:
    raise PydanticCustomError("contradiction", "{sentence}", {"key": KEY, "sentence": sentence})


GraderList = Annotated[
    tuple[dict[str, Any], ...],
    BeforeValidator(_graders, json_schema_input_type=dict[str, Any] | list[dict[str, Any]]),
    AfterValidator(Graders),
    Words(("a grader {type: TYPE, ...}", "a list of graders")),
]
KeyVariable = Annotated[
    str,
    AfterValidator(variable_name("reward.key_variable", "REWARD_KEY")),
    Words(("the name of an environment variable",)),
]


class RewardSection(Section):
    """What an answer is worth: the weighted sum of what graders say of it. See docs/rewards.md."""

    graders: GraderList | None = knob(None)
    """One grader, or several of which the numbers are added, each times its `weight` (1). The types
    are exact, numeric, json_schema, regex, ends_with, length, metric, tests, function (your own
    Python file, which is executed: name only files you trust), model (a reward model), judge, and
    those of the OpenAI fine-tuning interface: string_check, text_similarity, python, score_model,
    label_model, multi. An answer that one of them could not grade is left out and counted, never
    taken for a 0."""

    run_code: bool | Literal["limits_only"] = knob(False)
    """tests and python execute code, so they are refused unless this is true: then behind walls (no
    network, no file of yours; Linux). limits_only settles for limits of time and memory where there
    are no walls, which stops slips and nothing worse: for machines with nothing to lose."""

    url: EndpointUrl | None = knob(None)
    """An OpenAI-compatible endpoint for judge, score_model and label_model, such as
    http://localhost:8000/v1. Prompts, rows and answers are sent there; without it nothing is. Let
    another model judge the run in the end (judge.url): a reward always learns to please its own."""

    model: Text | None = knob(None)
    """What the endpoint calls the model of a judge that names none."""

    key_variable: KeyVariable | None = knob(None)
    """The environment variable that holds the endpoint's key. Only its name is ever written;
    without it no key is sent."""

    temperature: NotNegative | None = knob(0.0, "temperature")
    """How freely the judge answers, where its grader does not say; null sends none."""

    max_tokens: Count | None = knob(512, "tokens")
    """The longest answer of the judge, its thoughts included; null sends no limit."""

    parallel: Count = knob(8, "requests at once")
    """More is faster, until the endpoint refuses; what it refuses is asked again, later."""

    timeout: Positive = knob(60.0, "seconds")
    """A request that takes longer is made again, five times. Then the answer has no grade."""


def contradictions(reward: RewardSection) -> list[tuple[str, str]]:
    """What of the section cannot hold, as (key, finished sentence)."""
    used = [inner for grader in reward.graders or () for inner in walk(grader)]
    running = [each["type"] for each in used if SHAPES[each["type"]].needs == "run_code"]
    asking = [each for each in used if SHAPES[each["type"]].needs == "endpoint"]
    found = []
    if running and reward.run_code is False:
        found.append(
            (
                "reward.run_code",
                f"A grader of the type {running[0]} executes code, and reward.run_code is false. "
                "Allow it with --set reward.run_code=true, or leave the grader out.",
            )
        )
    if asking and reward.url is None:
        found.append(
            (
                "reward.url",
                f"A grader of the type {asking[0]['type']} asks a model, and reward.url names no "
                "endpoint. Name one, or leave the grader out.",
            )
        )
    if reward.model is None and any(each.get("model") is None for each in asking):
        found.append(
            (
                "reward.model",
                "A grader of the type judge names no model, nor does reward.model. Say what the "
                "endpoint calls the model that judges.",
            )
        )
    if reward.url is not None and not asking:
        found.append(
            (
                "reward.url",
                "reward.url names an endpoint, and no grader asks one. Add a judge, score_model or "
                "label_model to reward.graders, or leave reward.url out.",
            )
        )
    return found
