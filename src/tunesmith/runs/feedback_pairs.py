"""Pairs of answers that wait to be compared: written elsewhere, or drawn from models when needed.

No torch until a model is opened.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from tunesmith.core.errors import DataError
from tunesmith.core.records import Finding, Row, Spoken
from tunesmith.data.feedback import Answer
from tunesmith.data.feedback.rows import pair_of
from tunesmith.data.formats.fields import Unusable
from tunesmith.data.questions import Question, question_of
from tunesmith.data.sources import expand, require_distinct, require_readable, rows_of

if TYPE_CHECKING:
    from tunesmith.runs.answering import Answerer

TRIES = 4
"""Answers drawn of one model, at most, until two differ."""

_NAMED = 5

Answers = tuple[Answer, Answer]
Key = tuple[Spoken, frozenset[tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A prompt whose two answers wait to be compared.

    `draw` makes them, None where they are the same; it raises DataError where the prompt cannot be
    answered. `key` is what a comparison that makes this one needless has in common with it: the
    prompt, and the texts of the answers or the models that gave them.
    """

    origin: str
    prompt: Spoken
    key: Key
    draw: Callable[[], Answers | None]


@dataclass(slots=True)
class Pairs:
    """What waits, and how many rows were left out by reason, with sentences about the first."""

    waiting: list[Waiting] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    first: list[str] = field(default_factory=list)
    _known: set[Key] = field(default_factory=set)

    def leave_out(self, origin: object, reason: str, sentence: str) -> None:
        """Count a row that is not asked about."""
        self.left_out[reason] += 1
        if len(self.first) < _NAMED:
            self.first.append(f"{origin}: {sentence}")

    def add(self, waiting: Waiting) -> None:
        """One more, if no row before it is the same."""
        if waiting.key in self._known:
            self.leave_out(waiting.origin, "duplicate", "A row before it asks the same.")
        else:
            self._known.add(waiting.key)
            self.waiting.append(waiting)

    def require_some(self) -> Pairs:
        """The same; raises DataError, with the first reason, if nothing waits."""
        if self.waiting:
            return self
        counts = ", ".join(f"{reason} {rows:,}" for reason, rows in self.left_out.most_common())
        raise DataError(
            f"There is nothing to ask about ({counts or 'no rows'}). "
            f"{self.first[0] if self.first else 'Name files that hold rows.'}"
        )


def by_texts(prompt: Spoken, answers: Sequence[Answer]) -> Key:
    """What tells a comparison of these very answers."""
    return prompt, frozenset((answer.text,) for answer in answers)


def by_models(prompt: Spoken, models: Sequence[Answer | Answerer]) -> Key:
    """What tells a comparison of answers that these models gave."""
    return prompt, frozenset((each.model, each.version) for each in models)


def written_pairs(files: Sequence[str]) -> Pairs:
    """Pairs from files whose rows have a prompt and two answers.

    Raises DataError for a file that cannot be read, or if nothing is left to ask about.
    """
    pairs = Pairs()
    for row in _rows(files):
        try:
            prompt, *answers = pair_of(row.fields)
        except Unusable as error:
            pairs.leave_out(row.origin, error.reason, str(error))
            continue
        first, second = answers
        if first.text == second.text:
            pairs.leave_out(row.origin, "same_answer", "Both answers are the same.")
        else:
            key = by_texts(prompt, answers)
            pairs.add(Waiting(str(row.origin), prompt, key, partial(_given, first, second)))
    return pairs.require_some()


def drawn_pairs(files: Sequence[str], opened: Callable[[], Sequence[Answerer]]) -> Pairs:
    """A pair for each prompt in files: two answers of one model, or one of each of two.

    The models are `opened` once the files are read, if there is anything to ask them. Raises
    as `written_pairs`, and what opening a model raises.
    """
    pairs = Pairs()
    questions: list[tuple[str, Question]] = []
    for row in _rows(files):
        question = question_of(row, {})
        if isinstance(question, Finding):
            pairs.leave_out(row.origin, question.reason, question.message)
        else:
            questions.append((str(row.origin), question))
    models = opened() if questions else []
    for origin, question in questions:
        draw = partial(_two if len(models) == 1 else _each, question, *models)
        pairs.add(Waiting(origin, question, by_models(question, models), draw))
    return pairs.require_some()


def _rows(files: Sequence[str]) -> Iterator[Row]:
    named = expand(files)
    require_distinct(named.files)
    require_readable(named.files)
    return (row for path in named.files for row in rows_of(path))


def _given(first: Answer, second: Answer) -> Answers:
    return first, second


def _two(question: Question, model: Answerer) -> Answers | None:
    first = model.answer(question, 0)
    others = (model.answer(question, number) for number in range(1, TRIES))
    second = next((other for other in others if other.text != first.text), None)
    return None if second is None else (first, second)


def _each(question: Question, one: Answerer, other: Answerer) -> Answers | None:
    # Another draw: models that are nearly alike would say the same with the same seed.
    first, second = one.answer(question, 0), other.answer(question, 1)
    return None if first.text == second.text else (first, second)
