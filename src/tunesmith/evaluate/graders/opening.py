"""From what is written of a grader to one that grades: the table of types, and its front doors."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tunesmith.core.errors import InputError, RecipeError
from tunesmith.core.ports import Grader, Respondent
from tunesmith.core.records import Answered, Grade, Message, Origin
from tunesmith.core.sandbox import Sandbox
from tunesmith.evaluate.graders import judged, programs, schema, similarity, strings, verifiers
from tunesmith.evaluate.graders.function import Function
from tunesmith.evaluate.graders.judged import Account
from tunesmith.evaluate.graders.names import Each
from tunesmith.evaluate.graders.sums import calculated, weighted
from tunesmith.recipe.graders import faults, names_of
from tunesmith.recipe.graders.formula import parse
from tunesmith.recipe.graders.shapes import GraderJson

Asks = Callable[[str | None, Mapping[str, Any]], Respondent]
"""From the name of a model (None for the one of the recipe) and how it samples: whom to ask."""

Opens = Callable[[str], Grader]
"""From the folder of a run that made a reward model to that model."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What graders may use: a place to run code in, and a way to ask models; None if not allowed.

    `files` allows Python files of the user to be run, `opens` opens reward models, `account` counts
    what was asked of models.
    """

    sandbox: Sandbox | None = None
    asks: Asks | None = None
    opens: Opens | None = None
    files: bool = False
    account: Account = field(default_factory=Account)


_PLAIN: Mapping[str, Callable[[GraderJson], verifiers.OfAnswered]] = {
    "exact": verifiers.exact,
    "numeric": verifiers.numeric,
    "regex": verifiers.pattern,
    "ends_with": verifiers.ends_with,
    "length": verifiers.length,
    "metric": verifiers.metric,
    "json_schema": schema.json_schema,
    "string_check": strings.string_check,
    "text_similarity": similarity.text_similarity,
}
_RUN: Mapping[str, Callable[[GraderJson, Sandbox], Each]] = {
    "tests": programs.tests,
    "python": programs.python,
}
_ASKED: Mapping[str, Callable[[GraderJson, Respondent, Account], judged.Judge]] = {
    "judge": judged.judge,
    "score_model": judged.score_model,
    "label_model": judged.label_model,
}


def open_grader(grader: GraderJson, tools: Tools) -> Grader:
    """The grader that is written down; it must be well formed (`faults`).

    Raises:
        RecipeError: a pattern, schema or function is none, or what it needs is not allowed.
        Unsupported: a library is missing.
    """
    kind = grader["type"]
    if kind in _PLAIN:
        return Each(_PLAIN[kind](grader))
    if kind == "function":
        return _function(grader, tools)
    if kind == "model":
        return _reward_model(grader, tools)
    if kind == "multi":
        inner = {name: open_grader(each, tools) for name, each in grader["graders"].items()}
        return calculated(inner, parse(grader["calculate_output"]))
    if kind in _RUN:
        if tools.sandbox is None:
            raise RecipeError(
                f"A grader of the type {kind} executes code, which is not allowed here. Allow it "
                "with --set reward.run_code=true, or leave the grader out."
            )
        return _RUN[kind](grader, tools.sandbox)
    if tools.asks is None:
        raise RecipeError(
            f"A grader of the type {kind} asks a model, and no endpoint is named. Name one with "
            "--set reward.url=URL, or leave the grader out."
        )
    respondent = tools.asks(grader.get("model"), grader.get("sampling_params") or {})
    return _ASKED[kind](grader, respondent, tools.account)


def _function(grader: GraderJson, tools: Tools) -> Function:
    if not tools.files:
        raise RecipeError(
            "A grader of the type function runs a file of this machine, which a recipe alone may "
            "name. Give the source itself, in a grader of the type python."
        )
    return Function(grader)


def _reward_model(grader: GraderJson, tools: Tools) -> Grader:
    if tools.opens is None:
        raise RecipeError(
            "A grader of the type model opens a run of this machine, which a recipe alone may "
            "name. Ask a model behind an endpoint, in a grader of the type score_model."
        )
    return tools.opens(grader["run"])


def open_graders(graders: tuple[GraderJson, ...], tools: Tools) -> Grader:
    """The weighted sum of several graders; each has its name in the parts of a grade."""
    names = names_of(graders)
    opened = {name: open_grader(each, tools) for name, each in zip(names, graders, strict=True)}
    weights = {
        name: float(each.get("weight", 1)) for name, each in zip(names, graders, strict=True)
    }
    return weighted(opened, weights)


def validate(grader: Any) -> list[str]:
    """What is wrong with a grader, in finished sentences; nothing where it can be used.

    Code is not run for it, no file is opened and nobody is asked.
    """
    found = list(faults(grader))
    if found:
        return found
    try:
        _require_readable(grader)
    except InputError as error:
        return [str(error)]
    return []


def _require_readable(grader: GraderJson) -> None:
    """Open what can be opened without consequences."""
    if grader["type"] in _PLAIN:
        _PLAIN[grader["type"]](grader)
    elif grader["type"] == "multi":
        for inner in grader["graders"].values():
            _require_readable(inner)


def run(grader: Any, item: Any, sample: str, tools: Tools | None = None) -> Grade:
    """What one answer is worth, as the interface's `graders/run` does.

    Args:
        grader: as it is written.
        item: the row: an object; its `messages`, if it has any, are what was asked.
        sample: the text of the answer.
        tools: what it may use; nothing, if not told.

    Raises:
        RecipeError: the grader is not well formed, or needs what it may not use.
    """
    wrong = validate(grader)
    if wrong:
        raise RecipeError("\n".join(wrong))
    if not isinstance(item, Mapping):
        return Grade(None, f"The item must be a JSON object; received {json.dumps(item)[:60]}.")
    answered = Answered(
        Origin("item", 1), _asked(item.get("messages")), sample, json.dumps(item, default=str)
    )
    (grade,) = open_grader(grader, tools or Tools()).grade([answered])
    return grade


def _asked(messages: Any) -> tuple[Message, ...]:
    """The messages of an item that are turns of text."""
    if not isinstance(messages, list | tuple):
        return ()
    return tuple(
        Message(each["role"], each["content"])
        for each in messages
        if isinstance(each, Mapping)
        and isinstance(each.get("content"), str)
        and each.get("role") in ("system", "user", "assistant", "tool")
    )
