"""What is measured: one `Side` before training, one after, and how the training went.

The side of the base is written to disk before training begins, so that a resumed run does not
measure it again; hence both ways to JSON.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tunesmith.core.errors import NonFiniteLoss
from tunesmith.core.ports import Sampler, Scorer
from tunesmith.core.records import Message, Origin, Prompt, Score, Tokens, Validation
from tunesmith.evaluate.exposed import Exposed
from tunesmith.evaluate.judge_records import Judged
from tunesmith.evaluate.metrics import exact_match
from tunesmith.evaluate.strengths import Frontier
from tunesmith.evaluate.unquantised import Unquantised

Checker = Callable[[Prompt, str], Mapping[str, bool | float | str]]

# Summing in another order moves a float32 loss by about 1e-6; weights rounded to bfloat16, a lost
# adapter matrix or another template move it by 1e-2 and more. The line is drawn between the two.
PARITY_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Answered:
    """One prompt, the answer wanted, the answer one side gave, and what was found in it.

    `kinds` are outcomes that are neither true nor a number, by the key of their metric.
    """

    origin: Origin
    messages: tuple[Message, ...]
    reference: str
    answer: str
    exact: bool
    properties: Mapping[str, bool | float] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a request costs, as means over `requests`: tokens read and written, and seconds.

    The seconds are those of this machine, with the requests answered several at a time.
    """

    prompt_tokens: float
    answer_tokens: float
    seconds: float
    requests: int

    @property
    def tokens(self) -> float:
        """Tokens read and written."""
        return self.prompt_tokens + self.answer_tokens


@dataclass(frozen=True, slots=True)
class Noise:
    """How far two measurements of the same model are apart on the same held-out rows.

    They were scored together with others, and each by itself: `nats` is the sum of the absolute
    differences, `count` and `bytes` are the sums of those of the `rows`, as in `Score`.
    """

    nats: float
    count: float
    bytes: int
    rows: int


@dataclass(frozen=True, slots=True)
class Side:
    """What was measured of one model: held-out rows, a sample of trained rows, probes, answers.

    `cost` is that of the answers and `noise` that of the held-out loss, None where not measured;
    `recalled` are answers to trained rows, `samples` texts that the base itself wrote, the same
    under both sides.
    """

    held_out: tuple[Score, ...] = ()
    train: tuple[Score, ...] = ()
    probes: tuple[Score, ...] = ()
    answers: tuple[Answered, ...] = ()
    cost: Cost | None = None
    recalled: tuple[Answered, ...] = ()
    samples: tuple[Score, ...] = ()
    noise: Noise | None = None
    infilled: tuple[Score, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json`; `from_json` is the way back."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Side:
        """The side that `to_json` wrote."""
        return cls(
            held_out=_scores(value["held_out"]),
            train=_scores(value["train"]),
            probes=_scores(value["probes"]),
            answers=tuple(_answered(answer) for answer in value["answers"]),
            cost=Cost(**value["cost"]) if value.get("cost") else None,
            recalled=tuple(_answered(answer) for answer in value.get("recalled", ())),
            samples=_scores(value.get("samples", ())),
            noise=Noise(**value["noise"]) if value.get("noise") else None,
            infilled=_scores(value.get("infilled", ())),
        )


@dataclass(frozen=True, slots=True)
class Baseline:
    """The same base without training, on some of the judging rows, helped in one way.

    `name` is a short stable key, `title` what it was given ("4 examples in the prompt"). `side` has
    the rows and the answers to some of them.
    """

    name: str
    title: str
    side: Side

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json`; `from_json` is the way back."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Baseline:
        """What `to_json` wrote."""
        return cls(value["name"], value["title"], Side.from_json(value["side"]))


@dataclass(frozen=True, slots=True)
class Course:
    """How the training went. Steps are optimiser steps.

    `kept_step` is the step whose weights are in the artefact, `last_step` the last one made,
    `planned_epochs` what was asked for. `chosen_on_judged` says that the rows which judge are those
    on which the weights were chosen, because there were too few to divide. `seconds` is the time of
    all steps.
    """

    validations: tuple[Validation, ...] = ()
    kept_step: int = 0
    last_step: int = 0
    planned_steps: int = 0
    planned_epochs: float = 0.0
    chosen_on_judged: bool = False
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Parity:
    """The saved artefact, opened afresh, against the model in memory.

    `max_difference` is the largest absolute difference of a row's loss (nats per token) over `rows`
    rows; `same_prefixes` of `prefixes` prompts have the token ids in serving that they had in
    training.
    """

    max_difference: float
    rows: int
    same_prefixes: int
    prefixes: int
    tolerance: float = PARITY_TOLERANCE


@dataclass(frozen=True, slots=True)
class Grading:
    """What was looked for in the answers: keys of metrics, why these, and the user's patterns.

    `sandbox` says how code was walled off, "" where none was run.
    """

    metrics: tuple[str, ...] = ()
    reason: str = ""
    patterns: Mapping[str, str] = field(default_factory=dict)
    sandbox: str = ""


@dataclass(frozen=True, slots=True)
class Prices:
    """The user's own prices: of a million tokens read and written, and of an hour of the machine;
    None where not given. `currency` is printed behind amounts."""

    prompt: float | None = None
    answer: float | None = None
    hour: float | None = None
    currency: str = ""


@dataclass(frozen=True, slots=True)
class Measured:
    """All that the verdict and the report are made from. A side is None when not measured.

    `exposed` are the planted secrets under the tuned model, and the controls; `teacher` is the
    bigger model that was learned from, on all rows that judge. `left_out` says what cannot be asked
    of such a base. `unquantised` is what the rows cost where the base is not held in 4 bits.
    """

    base: Side | None = None
    tuned: Side | None = None
    course: Course = field(default_factory=Course)
    parity: Parity | None = None
    baselines: tuple[Baseline, ...] = ()
    frontier: Frontier | None = None
    grading: Grading = field(default_factory=Grading)
    prices: Prices | None = None
    exposed: tuple[Exposed, ...] = ()
    judged: Judged | None = None
    teacher: Baseline | None = None
    left_out: str = ""
    unquantised: Unquantised | None = None

    @property
    def sides(self) -> tuple[Side, Side]:
        """Base and tuned, or two empty sides where either was not measured."""
        if self.base is None or self.tuned is None:
            return Side(), Side()
        return self.base, self.tuned

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json`; `from_json` is the way back."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Measured:
        """What `to_json` wrote."""
        course = dict(value["course"])
        course["validations"] = tuple(Validation(**v) for v in course["validations"])
        grading = value.get("grading", {})
        return cls(
            base=Side.from_json(value["base"]) if value["base"] else None,
            tuned=Side.from_json(value["tuned"]) if value["tuned"] else None,
            course=Course(**course),
            parity=Parity(**value["parity"]) if value["parity"] else None,
            baselines=tuple(map(Baseline.from_json, value.get("baselines", ()))),
            frontier=Frontier.from_json(value["frontier"]) if value.get("frontier") else None,
            grading=Grading(**{**grading, "metrics": tuple(grading.get("metrics", ()))}),
            prices=Prices(**value["prices"]) if value.get("prices") else None,
            exposed=tuple(Exposed(**each) for each in value.get("exposed", ())),
            judged=Judged.from_json(value["judged"]) if value.get("judged") else None,
            teacher=Baseline.from_json(value["teacher"]) if value.get("teacher") else None,
            left_out=value.get("left_out", ""),
            unquantised=(
                Unquantised.from_json(value["unquantised"]) if value.get("unquantised") else None
            ),
        )


def measure(
    scorer: Scorer,
    sampler: Sampler,
    held_out: Sequence[Tokens],
    train_sample: Sequence[Tokens],
    probes: Sequence[Tokens],
    prompts: Sequence[Prompt],
    check: Checker | None = None,
    max_new_tokens: int = 256,
    count_tokens: Callable[[str], int] = len,
    trained_prompts: Sequence[Prompt] = (),
    samples: Sequence[Tokens] = (),
    twice: int = 0,
    infilled: Sequence[Tokens] = (),
) -> Side:
    """Score rows, probes and the base's own samples, and let the model answer the prompts greedily.

    `count_tokens` says how many tokens an answer has. At most `twice` held-out rows, evenly spread,
    are scored once more, each by itself: see `Noise`. `infilled` are held-out documents told out of
    order.

    Raises NonFiniteLoss, naming the rows, when a loss is not a number, and DataError when the
    user's check fails on an answer.
    """
    began = time.perf_counter()
    answers = _answer(sampler, prompts, check, max_new_tokens)
    seconds = time.perf_counter() - began
    scores = scored(scorer, held_out)
    return Side(
        held_out=scores,
        train=scored(scorer, train_sample),
        probes=scored(scorer, probes),
        answers=answers,
        cost=_cost(prompts, answers, seconds, count_tokens),
        recalled=_answer(sampler, trained_prompts, None, max_new_tokens),
        samples=scored(scorer, samples),
        noise=_noise(scorer, held_out, scores, twice),
        infilled=scored(scorer, infilled),
    )


def parity(
    in_memory: Sequence[Score], reopened: Sequence[Score], same_prefixes: int, prefixes: int
) -> Parity:
    """Compare two scorings of the same rows, given in the same order."""
    pairs = zip(in_memory, reopened, strict=True)
    differences = [abs(a.nll / a.count - b.nll / b.count) for a, b in pairs if a.count > 0]
    return Parity(max(differences, default=0.0), len(differences), same_prefixes, prefixes)


def scored(scorer: Scorer, examples: Sequence[Tokens]) -> tuple[Score, ...]:
    """The examples under a model. Raises NonFiniteLoss, naming the rows, for a broken loss."""
    scores = tuple(scorer.score(examples)) if examples else ()
    broken = [str(score.origin) for score in scores if not math.isfinite(score.nll)]
    if broken:
        raise NonFiniteLoss(
            f"The loss is not a finite number for {len(broken)} of {len(scores)} rows, first "
            f"{', '.join(broken[:5])}. Try --set model.dtype=float32, or look at these rows."
        )
    return scores


def _noise(
    scorer: Scorer, examples: Sequence[Tokens], first: Sequence[Score], most: int
) -> Noise | None:
    count = min(most, len(examples))
    some = [place * len(examples) // count for place in range(count)]
    pairs = [(first[place], scorer.score([examples[place]])[0]) for place in some]
    if not pairs:
        return None
    return Noise(
        nats=sum(abs(after.nll - before.nll) for before, after in pairs),
        count=sum(before.count for before, _ in pairs),
        bytes=sum(before.bytes for before, _ in pairs),
        rows=len(pairs),
    )


def _answer(
    sampler: Sampler, prompts: Sequence[Prompt], check: Checker | None, max_new_tokens: int
) -> tuple[Answered, ...]:
    answers = sampler.answer(prompts, max_new_tokens) if prompts else []
    pairs = zip(prompts, answers, strict=True)
    return tuple(
        _checked(prompt, answer, check(prompt, answer) if check else {}) for prompt, answer in pairs
    )


def _checked(prompt: Prompt, answer: str, found: Mapping[str, bool | float | str]) -> Answered:
    return Answered(
        origin=prompt.origin,
        messages=prompt.messages,
        reference=prompt.answer,
        answer=answer,
        exact=exact_match(prompt.answer, answer),
        properties={name: each for name, each in found.items() if not isinstance(each, str)},
        kinds={name: each for name, each in found.items() if isinstance(each, str)},
    )


def _cost(
    prompts: Sequence[Prompt],
    answers: Sequence[Answered],
    seconds: float,
    count_tokens: Callable[[str], int],
) -> Cost | None:
    requests = len(prompts)
    if not requests:
        return None
    read = sum(len(prompt.ids_N) for prompt in prompts)
    written = sum(count_tokens(each.answer) for each in answers)
    return Cost(read / requests, written / requests, seconds / requests, requests)


def _scores(values: Sequence[Mapping[str, Any]]) -> tuple[Score, ...]:
    return tuple(map(Score.from_json, values))


def _answered(value: Mapping[str, Any]) -> Answered:
    messages = tuple(map(Message.from_json, value["messages"]))
    return Answered(**{**value, "origin": Origin(**value["origin"]), "messages": messages})
