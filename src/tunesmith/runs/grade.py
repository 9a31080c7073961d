"""A reward tried on answers that are there already, before anything learns from it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from tunesmith.core.errors import DataError, RecipeError
from tunesmith.core.files import read_json
from tunesmith.core.records import Answered, Finding, Grade, Row
from tunesmith.data.questions import question_of
from tunesmith.data.sources import read
from tunesmith.recipe import Recipe, load
from tunesmith.runs.rewards import Reward, open_reward

FIELD = "completion"
_ASKED = ("prompt", "messages", "tools")
"""Fields with what was asked; rows without them say it in the fields of another format."""

_TOGETHER = 256
"""Answers that are graded at once: as much as a kill may lose of what a judge was asked."""


@dataclass(frozen=True, slots=True)
class Graded:
    """One answer of a file with its grade."""

    answered: Answered
    grade: Grade

    def to_json(self) -> dict[str, Any]:
        """A line of what comes out."""
        grade = self.grade
        line = {
            "origin": str(self.answered.origin),
            "reward": grade.value,
            "parts": {**grade.parts},
        }
        return {**line, "failed": grade.failed} if grade.failed else line


def recipe_of(grader: Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe that a grader's file is: one of YAML, or JSON with a grader (or a list of them).

    Raises RecipeError.
    """
    if grader.suffix != ".json":
        return load(grader, overrides)
    try:
        content = read_json(grader)
    except (OSError, ValueError) as error:
        raise RecipeError(
            f"{grader} cannot be read as JSON ({error}). Write a grader into it, as in "
            '{"type": "exact"}, or name a recipe.'
        ) from error
    folder = grader.absolute().parent
    return load(overrides=overrides, settings={"reward.graders": content}, folder=folder)


def answers_of(data: Path, field: str = FIELD) -> list[Answered]:
    """The answers of a file of rows: the text under `field`; all other fields are its item.

    Raises DataError naming a row without an answer, or without anything that was asked.
    """
    answers = [_answered(row, field) for row in read([str(data)])]
    if not answers:
        raise DataError(f"{data} holds no rows. Give rows with a prompt and an answer.")
    return answers


def _answered(row: Row, field: str) -> Answered:
    text = row.fields.get(field)
    if not isinstance(text, str):
        there = ", ".join(f'"{name}"' for name in row.fields)
        raise DataError(
            f'{row.origin}: the row has no text in "{field}" (it has {there}). Name the field that '
            "holds the answer to grade with --field."
        )
    rest = {name: each for name, each in row.fields.items() if name != field}
    asked = {name: rest[name] for name in _ASKED if name in rest}
    question = question_of(replace(row, fields=asked or rest), {})
    if isinstance(question, Finding):
        raise DataError(f"{row.origin}: {question.message}")
    item = {name: each for name, each in rest.items() if name not in _ASKED}
    reference = json.dumps(item, ensure_ascii=False, default=str)
    return Answered(row.origin, question, text, reference)


def grade_answers(recipe: Recipe, answers: Sequence[Answered]) -> tuple[Reward, Iterator[Graded]]:
    """The reward that is opened, and each answer with its grade, in order.

    Raises as `open_reward` does, and EndpointError where a judge refuses to be asked.
    """
    reward = open_reward(recipe.reward)
    return reward, _graded(reward, answers)


def _graded(reward: Reward, answers: Sequence[Answered]) -> Iterator[Graded]:
    for begin in range(0, len(answers), _TOGETHER):
        part = answers[begin : begin + _TOGETHER]
        yield from map(Graded, part, reward.grade(part))


def summary(graded: Sequence[Graded], reward: Reward) -> dict[str, Any]:
    """How many were graded, the mean of the reward and of each part, and what judges were asked."""
    values = [each.grade.value for each in graded if each.grade.value is not None]
    parts = list(dict.fromkeys(name for each in graded for name in each.grade.parts))
    account = reward.account
    return {
        "answers": len(graded),
        "graded": len(values),
        "failed": len(graded) - len(values),
        "reward": _figures(values),
        "parts": {
            name: _figures([g.grade.parts[name] for g in graded if name in g.grade.parts])
            for name in parts
        },
        "judges": {
            "requests": account.requests,
            "retries": account.retries,
            "unread": account.unread,
            "failed": account.failed,
        },
    }


def _figures(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    return {"mean": fmean(values), "lowest": min(values), "highest": max(values)}
