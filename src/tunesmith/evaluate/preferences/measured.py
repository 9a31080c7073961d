"""What is measured of a run on preferences or rewards: pairs, answers with scores, what was kept.

All records go to JSON and back: the base's answers are written before training begins, so that a
resumed run does not draw them again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from tunesmith.core.errors import DataError
from tunesmith.core.records import Grade, Message, Origin, Prompt
from tunesmith.evaluate.measure import Measured

Implicit = Literal["ratio", "total", "mean"]
"""What an objective takes for the reward of an answer y to x: log π(y|x) − log π_base(y|x) (DPO,
KTO and their like), log π(y|x) (CPO, ORPO), or that per token (SimPO)."""

Expect = Literal["", "refuse", "answer"]


@dataclass(frozen=True, slots=True)
class Compared:
    """One pair of answers, the chosen first: their log-probabilities in nats, by the base (the
    model before this training) and by the tuned model, and their lengths in tokens."""

    origin: Origin
    base: tuple[float, float]
    tuned: tuple[float, float]
    tokens: tuple[int, int]

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Compared:
        """What `dataclasses.asdict` made of one, read again from JSON."""
        both = {name: tuple(value[name]) for name in ("base", "tuned", "tokens")}
        return cls(Origin(**value["origin"]), **both)


@dataclass(frozen=True, slots=True)
class Rated:
    """One answer that was liked or not: its log-probability by base and tuned model, in nats."""

    origin: Origin
    liked: bool
    base: float
    tuned: float
    tokens: int

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Rated:
        """What `dataclasses.asdict` made of one, read again from JSON."""
        return cls(**{**value, "origin": Origin(**value["origin"])})


@dataclass(frozen=True, slots=True)
class Drawn:
    """One answer that a model gave: its text, its length in tokens, and what was said of it.

    `score` is None where the grader failed, and `failed` then says why: such an answer is left out
    and counted. `judge` is the score of a second, independent grader. `refused` is a grader's word
    on whether it refuses; None leaves that to `safety.refuses`. `log_probs` are those of all its
    tokens in nats, under base and tuned model; `parts` what several graders gave it, by name.
    """

    text: str
    tokens: int
    score: float | None = None
    failed: str = ""
    judge: float | None = None
    refused: bool | None = None
    log_probs: tuple[float, float] | None = None
    parts: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def graded(cls, text: str, tokens: int, grade: Grade, **more: Any) -> Drawn:
        """An answer with what a grader gave it."""
        return cls(text, tokens, grade.value, grade.failed, parts=grade.parts, **more)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Drawn:
        """What `dataclasses.asdict` made of one, read again from JSON."""
        both = value.get("log_probs")
        return cls(**{**value, "log_probs": None if both is None else tuple(both)})


@dataclass(frozen=True, slots=True)
class Asked:
    """A held-out prompt. `expect` says whether it is to be refused or answered, "" for neither."""

    origin: Origin
    messages: tuple[Message, ...]
    expect: Expect = ""

    @classmethod
    def of(cls, prompt: Prompt) -> Asked:
        """The prompt with what its `reference` says under `expect`.

        Raises:
            DataError: that is neither "refuse" nor "answer".
        """
        expect = json.loads(prompt.reference).get("expect", "")
        if expect not in ("", "refuse", "answer"):
            raise DataError(
                f'{prompt.origin}: expect is {expect!r}. Write "refuse" for a prompt that is to '
                'be refused, "answer" for one that is to be answered, or leave it out.'
            )
        return cls(prompt.origin, prompt.messages, expect)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Asked:
        """What `dataclasses.asdict` made of one, read again from JSON."""
        messages = tuple(map(Message.from_json, value["messages"]))
        return cls(Origin(**value["origin"]), messages, value.get("expect", ""))


@dataclass(frozen=True, slots=True)
class Way:
    """One model's answers: for each prompt, in order, one or several. `title` names it in a
    sentence: "the base", "the SFT model with your prompt"."""

    name: str
    title: str
    answers: tuple[tuple[Drawn, ...], ...]

    def part(self, some: slice) -> Way:
        """Its answers to some of the prompts."""
        return Way(self.name, self.title, self.answers[some])

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json`; `from_json` is the way back."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Way:
        """What `to_json` wrote."""
        answers = tuple(tuple(map(Drawn.from_json, each)) for each in value["answers"])
        return cls(value["name"], value["title"], answers)


@dataclass(frozen=True, slots=True)
class Seen:
    """A prompt that was trained on: the mean score of the answers of base and tuned model, or, with
    no grader, whether they do (1) what is to be done with it or not (0)."""

    origin: Origin
    base: float
    tuned: float

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Seen:
        """What `dataclasses.asdict` made of one, read again from JSON."""
        return cls(**{**value, "origin": Origin(**value["origin"])})


@dataclass(frozen=True, slots=True)
class Tries:
    """What a model that learned from grades of its own answers tried: `tokens` were sampled for it,
    and `seconds` were spent, by what on. From the grade `success` on an answer is one."""

    success: float
    tokens: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PreferenceMeasured:
    """All that verdict and report of such a run are made from.

    `run` has what is measured of any model that writes: probes before and after, the course,
    parity, and what a judge model said of pairs of answers (`judged`). `pairs` and `ratings` are
    held out, `trained_pairs` and `seen` were trained on. The first answer to each prompt is that
    shown in the report; they were drawn at `temperature`. `rivals` are other ways to answer the
    same prompts without this training.

    `grader` and `judge` name who gave `score` and `judge` ("the reward model"). `proxy` says that
    the score stands for what is wanted, as that of a reward model, a judge or a rule of thumb; a
    verifier that knows the right answer is no proxy, and what it rewards is no hack. `loss` is what
    the loss of this training is counted in.

    `sampled` are more answers of base and tuned, several to a prompt and drawn at temperature 1,
    where those that are compared were drawn otherwise. `tries` is None unless it learned from
    grades of its own answers.
    """

    run: Measured = field(default_factory=Measured)
    implicit: Implicit = "ratio"
    pairs: tuple[Compared, ...] = ()
    trained_pairs: tuple[Compared, ...] = ()
    ratings: tuple[Rated, ...] = ()
    prompts: tuple[Asked, ...] = ()
    base: Way | None = None
    tuned: Way | None = None
    rivals: tuple[Way, ...] = ()
    seen: tuple[Seen, ...] = ()
    grader: str = "the grader"
    proxy: bool = True
    judge: str = "the independent judge"
    temperature: float = 1.0
    loss: str = "nats a pair"
    sampled: tuple[Way, ...] = ()
    tries: Tries | None = None

    @property
    def as_it_is(self) -> tuple[Way, Way] | None:
        """Base and tuned as they answer by chance, if need be as they were compared."""
        return (self.sampled[0], self.sampled[1]) if self.sampled else self.both

    @property
    def both(self) -> tuple[Way, Way] | None:
        """Base and tuned, where both answered."""
        return None if self.base is None or self.tuned is None else (self.base, self.tuned)

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json`; `from_json` is the way back."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> PreferenceMeasured:
        """What `to_json` wrote; what an older run does not have is as if it was not measured."""
        plain: dict[str, Any] = {name: value[name] for name in _PLAIN if name in value}
        return cls(
            run=Measured.from_json(value["run"]),
            pairs=_compared(value.get("pairs", ())),
            trained_pairs=_compared(value.get("trained_pairs", ())),
            ratings=tuple(map(Rated.from_json, value.get("ratings", ()))),
            prompts=tuple(map(Asked.from_json, value.get("prompts", ()))),
            base=Way.from_json(value["base"]) if value.get("base") else None,
            tuned=Way.from_json(value["tuned"]) if value.get("tuned") else None,
            rivals=tuple(map(Way.from_json, value.get("rivals", ()))),
            seen=tuple(map(Seen.from_json, value.get("seen", ()))),
            sampled=tuple(map(Way.from_json, value.get("sampled", ()))),
            tries=Tries(**value["tries"]) if value.get("tries") else None,
            **plain,
        )


_PLAIN = ("implicit", "grader", "proxy", "judge", "temperature", "loss")


def _compared(values: Sequence[Mapping[str, Any]]) -> tuple[Compared, ...]:
    return tuple(map(Compared.from_json, values))
