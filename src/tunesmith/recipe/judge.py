"""The section of the recipe about a model that judges answers, and what it may not say."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from tunesmith.recipe.fields import (
    Count,
    FilePath,
    NotNegative,
    Positive,
    Section,
    Text,
    Words,
    knob,
)

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def endpoint_url(url: str) -> str:
    """The address without a slash at its end; raises ValueError if it is none."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("no address of an endpoint")
    if parts.username is not None or parts.query:
        raise ValueError("the recipe is written into the run folder, so it holds no secret")
    return url.rstrip("/")


def variable_name(key: str, example: str) -> Callable[[str], str]:
    """For the recipe's `key`: a key pasted in its place is refused without being repeated."""

    def checked(name: str) -> str:
        if not _VARIABLE.fullmatch(name):
            raise PydanticCustomError(
                "contradiction",
                f"{key} must be the name of an environment variable, such as {example}, and what "
                "was received is none. Put the key itself into that variable, never into a recipe.",
            )
        return name

    return checked


EndpointUrl = Annotated[
    str,
    AfterValidator(endpoint_url),
    Field(min_length=1),
    Words(("an http:// or https:// address without user, password and query",)),
]
VariableName = Annotated[
    str,
    AfterValidator(variable_name("judge.key_variable", "JUDGE_KEY")),
    Words(("the name of an environment variable",)),
]


class JudgeSection(Section):
    """A model behind an endpoint that compares answers. Nothing is sent unless `url` names one."""

    url: EndpointUrl | None = knob(None)
    """An OpenAI-compatible endpoint, such as http://localhost:8000/v1. Held-out questions, the
    answers wanted and those of the models are sent there; without it nothing is."""

    model: Text | None = knob(None)
    """What the endpoint calls the model that judges."""

    key_variable: VariableName | None = knob(None)
    """The environment variable that holds the endpoint's key. Only its name is ever written;
    without it no key is sent."""

    rubric: FilePath | None = knob(None)
    """A text file that tells the judge what makes an answer good. Without it that is whatever is
    closer to the answer wanted in what it says and does."""

    labels: FilePath | None = knob(None)
    """Pairs of answers that people have compared, as JSON lines {prompt, a, b, preferred}, where
    preferred is a, b or tie. How often the judge agrees with them is measured."""

    decides: bool = knob(False)
    """Let a run fail whose answers the judge surely likes less than the base's, if `labels` show
    that it agrees with people better than chance. Otherwise its opinion is told and decides
    nothing."""

    rows: Count | None = knob(None, "held-out rows")
    """At most this many questions are judged, each with two requests. Without it all that were
    answered are."""

    temperature: NotNegative | None = knob(0.0, "temperature")
    """How freely the judge answers; null sends none, for models that take none."""

    max_tokens: Count | None = knob(1024, "tokens")
    """The longest answer of the judge, its thoughts included; null sends no limit."""

    parallel: Count = knob(4, "requests at once")
    """More is faster, until the endpoint refuses."""

    timeout: Positive = knob(60.0, "seconds")
    """A request that takes longer is made again, a few times."""


def contradictions(judge: JudgeSection, level: str, objective: str) -> list[tuple[str, str]]:
    """What of the section cannot hold, as (key, finished sentence)."""
    given = [
        f"judge.{name}"
        for name, value in judge.model_dump(exclude_defaults=True).items()
        if value is not None
    ]
    found = []
    if given and (judge.url is None or judge.model is None):
        missing = "judge.url" if judge.url is None else "judge.model"
        found.append(
            (
                given[0],
                f"{given[0]} is about a model that judges, which takes judge.url and judge.model, "
                f"and {missing} is not given. Set it, or leave the section judge out.",
            )
        )
    if judge.url is not None and (level == "none" or objective == "text"):
        why = (
            "evaluate.level=none generates no answers. Set evaluate.level=quick"
            if level == "none"
            else "objective.kind=text has none, for documents ask nothing. Set objective.kind=sft"
        )
        found.append(
            ("judge.url", f"A judge compares answers, and {why}, or leave the section judge out.")
        )
    if judge.decides and judge.labels is None:
        found.append(
            (
                "judge.decides",
                "judge.decides=true lets a judge decide that agrees with people, which only "
                "judge.labels can show. Name a file of labelled pairs, or leave judge.decides out.",
            )
        )
    return found
