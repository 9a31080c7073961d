"""Asking a finished reward model what answers are worth."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from scipy.special import expit

from tunesmith.core.errors import DataError
from tunesmith.core.records import (
    Chat,
    Completion,
    Content,
    Example,
    Finding,
    Message,
    Origin,
    Preference,
    Rating,
    Row,
    Scored,
    Spoken,
    Stepwise,
    Tokens,
)
from tunesmith.data.formats import understand
from tunesmith.data.rewards import STEP_END, RewardRenderer
from tunesmith.runs.labels.ask import require_asked_by
from tunesmith.runs.labels.predict import Predictor
from tunesmith.runs.labels.setup import label_renderer
from tunesmith.runs.labels.tuned import open_labelled
from tunesmith.runs.open import Run

_TOGETHER = 256
"""Rows asked about at once: answers come as they are read."""

Answer = Rating | Scored | Stepwise
"""A content with one answer."""


@dataclass(frozen=True, slots=True)
class Worth:
    """What one answer is worth.

    `reward` is a number of which only differences mean anything (from pairs), the log-odds that it
    is liked (from ratings), a number like those of the rows (from scores), or the probability that
    all of its steps are right, the product of `steps`, theirs (Lightman et al. 2023, §2.6).
    """

    reward: float
    steps: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        steps = {"steps": [round(each, 4) for each in self.steps]} if self.steps else {}
        return {"reward": round(self.reward, 6), **steps}


class RewardModel:
    """The reward model of a finished run, opened from disk.

    Raises Unsupported for a run that made none, and as `open_labelled`.
    """

    def __init__(self, run: Run) -> None:
        require_asked_by("score", run)
        described, model, self._naming = open_labelled(run.artefact, run.recipe)
        renderer = label_renderer(described, "reward", run.recipe.data)
        assert isinstance(renderer, RewardRenderer)
        self._renderer = renderer
        self._context = int(run.recipe.data.context)
        self._predictor = Predictor(model, run.recipe.engine.tokens_per_micro_batch)

    @property
    def plain(self) -> bool:
        """Whether a prompt that is a plain text stands before its answer without a template."""
        return self._renderer.completion_as == "plain"

    def probability(self, one: Worth, other: Worth) -> float | None:
        """That people prefer the first of two answers; None where pairs were not learned."""
        if self._naming.problem != "preference":
            return None
        return float(expit((one.reward - other.reward) / self._naming.temperature))

    def worth(self, answers: Sequence[Answer]) -> list[Worth | str]:
        """What each answer is worth, in order, or a sentence, why that cannot be said."""
        read = [self._tokens(each) for each in answers]
        rows = [tokens for tokens in read if isinstance(tokens, Tokens)]
        outputs = self._predictor.outputs(rows) if rows else np.empty((0, 1), np.float32)
        lines = [len(row.labels) for row in rows]
        found = iter(np.split(outputs.astype(np.float64), np.cumsum(lines)[:-1]))
        return [each if isinstance(each, str) else self._told(next(found)) for each in read]

    def _told(self, outputs: np.ndarray) -> Worth | str:
        """Of the head's outputs for one answer: (1, C), or (steps, C)."""
        naming = self._naming
        if not np.isfinite(outputs).all():
            return "The reward model gives no finite number for this answer."
        if naming.problem == "steps":
            steps = expit((outputs[:, 1] - outputs[:, 0]) / naming.temperature)
            return Worth(float(steps.prod()), tuple(steps.tolist()))
        if naming.odds:
            return Worth(float(outputs[0, 1] - outputs[0, 0]))
        return Worth(float(outputs[0, 0]) * naming.scale + naming.mean)

    def _tokens(self, answer: Answer) -> Tokens | str:
        content = _in_steps(answer) if self._naming.problem == "steps" else _whole(answer)
        if isinstance(content, str):
            return content
        (found,) = self._renderer.render([Example(_ASKED, content)], "reward", self._context)
        if isinstance(found, Finding):
            return found.message
        if len(found[0]) > self._context:
            return (
                f"The answer with its prompt has {len(found[0])} tokens, and the reward model was "
                f"trained on at most {self._context}. Shorten it."
            )
        return found[0]


_ASKED = Origin("answer", 1)
_EMPTY = "The answer is empty, so there is nothing to judge."


def _whole(answer: Answer) -> Answer | str:
    """An answer as it is judged as a whole."""
    if isinstance(answer, Stepwise):
        said = STEP_END.join(answer.steps)
        spoken = said if isinstance(answer.prompt, str) else (Message("assistant", said),)
        answer = Rating(answer.prompt, spoken, True)
    return answer if _text(answer.completion).strip() else _EMPTY


def _in_steps(answer: Answer) -> Stepwise | str:
    """An answer as it is judged step by step: each of its lines is one."""
    if isinstance(answer, Stepwise):
        return answer
    lines = _text(answer.completion).split(STEP_END)
    steps = tuple(line for line in lines if line.strip())
    return Stepwise(answer.prompt, steps, (True,) * len(steps)) if steps else _EMPTY


def _text(said: Spoken) -> str:
    return said if isinstance(said, str) else "\n".join(turn.content for turn in said)


def answers_of(content: Content) -> tuple[Answer, ...]:
    """The answers in a row that can be judged: two of a preference, the last of a conversation.

    None of a row without an answer.
    """
    if isinstance(content, Rating | Scored | Stepwise):
        return (content,)
    if isinstance(content, Preference):
        both = ((content.chosen, True), (content.rejected, False))
        return tuple(Rating(content.prompt, said, it, content.tools) for said, it in both)
    if isinstance(content, Completion):
        return (Rating(content.prompt, content.completion, True),)
    if isinstance(content, Chat):
        last = max(n for n, turn in enumerate(content.messages) if turn.role == "assistant")
        before, said = content.messages[:last], content.messages[last : last + 1]
        return (Rating(before, said, True, content.tools),)
    return ()


def score_rows(
    model: RewardModel, rows: Iterable[Row], mapping: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """Each row with what its answer is worth, in order: its own fields, and `judged`.

    Raises DataError for a row that cannot be read, or whose answer cannot be judged.
    """
    waiting = iter(rows)
    while chunk := list(islice(waiting, _TOGETHER)):
        answers = [_answers(row, mapping) for row in chunk]
        told = iter(model.worth([each for some in answers for each in some]))
        for row, some in zip(chunk, answers, strict=True):
            found = [_worth(row.origin, next(told)) for _ in some]
            yield {**row.fields, "judged": _judged(model, found)}


def _judged(model: RewardModel, found: Sequence[Worth]) -> dict[str, Any]:
    if len(found) == 1:
        return found[0].to_json()
    chosen, rejected = found
    said = {"chosen": chosen.to_json(), "rejected": rejected.to_json()}
    chance = model.probability(chosen, rejected)
    return said if chance is None else {**said, "probability": round(chance, 4)}


def _answers(row: Row, mapping: Mapping[str, str]) -> tuple[Answer, ...]:
    read = understand(row, mapping)
    if isinstance(read, Finding):
        raise DataError(f"{row.origin}: {read.message}")
    if not (found := answers_of(read.content)):
        raise DataError(
            f"{row.origin}: the row has no answer to judge. Give rows with a prompt and a "
            "completion, with messages, or with a chosen and a rejected answer."
        )
    return found


def _worth(origin: Origin, told: Worth | str) -> Worth:
    if isinstance(told, str):
        raise DataError(f"{origin}: {told}")
    return told


def rows_in(lines: Iterable[str]) -> Iterator[Row]:
    """Rows of JSON lines that come from elsewhere than a file. Raises DataError for another one."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
        except ValueError:
            fields = None
        if not isinstance(fields, dict):
            raise DataError(
                f"Line {number} of the standard input is no JSON object. Give one object a line, "
                'as {"prompt": "…", "completion": "…"}.'
            )
        yield Row(Origin("standard input", number), fields)
