"""Made-up measurements with a known truth, for the tests of this room."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest

from tunesmith.core.records import Message, Origin, Prompt, Score, Tokens, Validation
from tunesmith.evaluate.measure import Answered, Course, Measured, Parity, Side
from tunesmith.evaluate.probes import GENERAL

Scores = Callable[..., tuple[Score, ...]]


def make_scores(
    bits_per_byte: float, rows: int = 40, file: str = "rows.jsonl", spread: float = 0.05
) -> tuple[Score, ...]:
    """Rows of 100 to 300 bytes whose losses lie around `bits_per_byte`, the same every time."""
    generator = np.random.default_rng(rows)
    scores = []
    for line in range(1, rows + 1):
        size = int(generator.integers(100, 300))
        bits = size * bits_per_byte * (1 + spread * generator.normal())
        scores.append(Score(Origin(file, line), bits * math.log(2), size / 4, size))
    return tuple(scores)


def make_answers(
    properties: Mapping[str, Sequence[bool | float]], exact: float = 0.0, rows: int = 40
) -> tuple[Answered, ...]:
    """`rows` answers; row i has the i-th value of each property."""
    return tuple(
        Answered(
            origin=Origin("rows.jsonl", i + 1),
            messages=(Message("user", f"Question {i}?"),),
            reference="Yes.",
            answer=f"Answer {i}.",
            exact=i < exact * rows,
            properties={name: values[i] for name, values in properties.items()},
        )
        for i in range(rows)
    )


def make_measured(
    held_out: tuple[float, float] = (2.0, 0.8),
    train: tuple[float, float] = (2.0, 0.7),
    probes: tuple[float, float] = (1.5, 1.55),
    parity: Parity | None = None,
    course: Course | None = None,
    rows: int = 40,
) -> Measured:
    """Base and tuned losses in bits per byte; by default a model that should ship."""
    sides = [
        Side(
            held_out=make_scores(held_out[i], rows),
            train=make_scores(train[i], rows, "train.jsonl"),
            probes=make_scores(probes[i], max(rows, 20), GENERAL),
        )
        for i in (0, 1)
    ]
    return Measured(sides[0], sides[1], course or Course(), parity)


def make_course(losses: Sequence[float], kept: int, planned: int) -> Course:
    """A validation every 10 steps and every half epoch."""
    validations = tuple(
        Validation(10 * i, i / 2, loss, loss == min(losses)) for i, loss in enumerate(losses, 1)
    )
    return Course(validations, kept, 10 * len(losses), planned, planned / 20)


def make_prompt(line: int = 1, answer: str = "Yes.") -> Prompt:
    """A prompt from `rows.jsonl`."""
    messages = (Message("system", "Be kind."), Message("user", "May I?"))
    return Prompt(Origin("rows.jsonl", line), messages, np.array([1, 2], np.int32), answer)


def make_tokens(line: int, nats: float) -> Tokens:
    """One row whose loss, under `FakeScorer`, is `nats`."""
    ids, weights = np.array([1, 2, 3], np.int32), np.array([0, 1, nats], np.float32)
    return Tokens(Origin("rows.jsonl", line), ids, weights, 9)


class FakeScorer:
    """A port with a known answer: the last weight is the loss."""

    def score(self, examples: Sequence[Tokens]) -> list[Score]:
        return [Score(e.origin, float(e.weights_N[-1]), 2.0, e.learned_bytes) for e in examples]


class FakeSampler:
    """Answers with fixed texts and remembers how it was asked."""

    def __init__(self, answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[int, float]] = []

    def answer(
        self,
        prompts: Sequence[Prompt],
        max_new_tokens: int,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> list[str]:
        self.asked.append((max_new_tokens, temperature))
        return self.answers[: len(prompts)]


@pytest.fixture
def scores() -> Scores:
    return make_scores


@pytest.fixture
def answers() -> Callable[..., tuple[Answered, ...]]:
    return make_answers


@pytest.fixture
def measured() -> Callable[..., Measured]:
    return make_measured


@pytest.fixture
def course() -> Callable[..., Course]:
    return make_course


@pytest.fixture
def prompt() -> Callable[..., Prompt]:
    return make_prompt


@pytest.fixture
def tokens() -> Callable[..., Tokens]:
    return make_tokens


@pytest.fixture
def scorer() -> FakeScorer:
    return FakeScorer()


@pytest.fixture
def sampler() -> type[FakeSampler]:
    return FakeSampler
