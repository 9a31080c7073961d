"""What the verdict of a run took, by part, and what it would take to measure less or more.

Seconds are measured as the run goes and kept in plan.json, so that a resumed run has those of its
first half. What another setting would take follows from them: a part that this run measured too is
scaled by its rows and answers; one that it left out is taken to cost, row for row and answer for
answer, what the base and the tuned model did.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunesmith.core.files import read_json, write_json
from tunesmith.evaluate.measure import Measured, Side
from tunesmith.evaluate.wording import percent
from tunesmith.recipe import (
    EvaluateSection,
    compared_answers,
    compared_rows,
    evaluated_rows,
    examples_shown,
    frontier_rows,
    generated_rows,
    own_samples,
    recalled_rows,
)
from tunesmith.runs.folder import RunFolder
from tunesmith.runs.frontier import HALVINGS, STRENGTHS
from tunesmith.runs.heldout import row_numbers
from tunesmith.runs.planned import minutes
from tunesmith.runs.setup import Setup

BASE, TUNED, SAMPLES, HELPED, STRENGTH = "base", "tuned", "samples", "helped", "strength"
UNQUANTISED = "unquantised"
_TITLES = {
    TUNED: "the tuned model",
    BASE: "the base",
    HELPED: "the base with help",
    STRENGTH: "the adapter's strengths",
    SAMPLES: "the base's own texts",
    UNQUANTISED: "the base without quantisation",
}

Seconds = Mapping[str, float]
"""By part."""


@contextmanager
def timed(folder: RunFolder, part: str) -> Iterator[None]:
    """Add what the block takes to the seconds of this part in plan.json."""
    began = time.perf_counter()
    yield
    plan = read_json(folder.plan)
    seconds = plan.setdefault("verdict", {}).setdefault("seconds", {})
    seconds[part] = seconds.get(part, 0.0) + time.perf_counter() - began
    write_json(folder.plan, plan)


@dataclass(frozen=True, slots=True)
class There:
    """What a run could measure: its rows that judge, choose, were trained on, and its probes by
    file, whether the rows are questions, whether the base is told a prompt, and if an adapter is
    trained."""

    judging: int
    choosing: int
    trained: int
    probes: tuple[int, ...]
    asks: bool
    prompted: bool
    adapter: bool

    @classmethod
    def of(cls, setup: Setup) -> There:
        """All of a run's rows, not only those that its recipe measures."""
        held_out, data = setup.held_out, setup.prepared
        rows = len(np.unique(row_numbers(data.held_out)))
        return cls(
            judging=rows if held_out.shared else rows - -(-rows // 3),  # every third one chooses
            choosing=len({each.origin for each in held_out.choosing}),
            trained=len(np.unique(data.train.rows)),
            probes=tuple(Counter(each.origin.path for each in setup.probes).values()),
            asks=bool(held_out.prompts),
            prompted=bool(setup.instruction),
            adapter=setup.recipe.model.method == "lora",
        )


@dataclass(frozen=True, slots=True)
class Work:
    """How much one setting measures, as counts.

    `scored` and `answers` are those of base and tuned together, `helped` the rows read by the base
    with help, each example in a prompt a row, `helped_answers` those it writes; `sampled` are
    tokens that the base writes, `strengths` rows scored at all strengths of an adapter.
    """

    scored: int
    answers: int
    helped: int
    helped_answers: int
    sampled: int
    strengths: int


def work_of(there: There, asked: EvaluateSection) -> Work:
    """What the run would measure if its evaluation were `asked`, without `auto`."""
    if asked.level == "none":
        return Work(0, 0, 0, 0, 0, 0)
    rows, level = min(asked.rows, there.judging), asked.level
    texts, length = own_samples(level)
    one_side = rows + min(asked.rows, there.trained) + sum(there.probes) + texts
    helps = (there.prompted + 2 * bool(asked.examples)) if there.asks else 0
    judged = min(rows, compared_rows(level, asked.rows))
    return Work(
        scored=2 * one_side + rows,  # the judging rows once more, for the saved model's parity
        answers=2 * (generated_rows(level, rows) + recalled_rows(level, rows)) * there.asks,
        helped=helps * judged * (1 + asked.examples),
        helped_answers=helps * min(judged, compared_answers(level, asked.rows)),
        sampled=texts * length,
        strengths=_strengths(there, asked),
    )


def _strengths(there: There, asked: EvaluateSection) -> int:
    chosen = asked.most_forgetting is not None
    rows = frontier_rows(asked.level, chosen)
    if not rows or not there.adapter or not there.probes:
        return 0
    probes = there.probes if chosen else [min(rows, count) for count in there.probes]
    count = len(STRENGTHS) + (HALVINGS if chosen else 0)
    return count * (min(rows, there.choosing) + sum(probes))


def foretold(work: Work, now: Work, seconds: Seconds, measured: Measured) -> float:
    """About how many seconds `work` takes, where `now` took `seconds`."""
    sides = [each for each in (measured.base, measured.tuned) if each]
    helped = [each.side for each in measured.baselines]
    answer = _an_answer(sides)
    row = _rest(seconds.get(BASE, 0) + seconds.get(TUNED, 0), answer * now.answers, now.scored)
    helped_answer = _an_answer(helped) or answer
    written = helped_answer * now.helped_answers
    helped_row = _rest(seconds.get(HELPED, 0), written, now.helped) if now.helped else row
    token = _a_token(sides) if not now.sampled else seconds.get(SAMPLES, 0) / now.sampled
    strength = seconds.get(STRENGTH, 0) / now.strengths if now.strengths else row
    return (
        row * work.scored
        + answer * work.answers
        + helped_row * work.helped
        + helped_answer * work.helped_answers
        + token * work.sampled
        + strength * work.strengths
    )


def _an_answer(sides: Sequence[Side]) -> float:
    """Seconds that one answer took, 0 where none was written."""
    costs = [side.cost for side in sides if side.cost]
    requests = sum(cost.requests for cost in costs)
    return sum(cost.seconds * cost.requests for cost in costs) / max(1, requests)


def _a_token(sides: Sequence[Side]) -> float:
    """Seconds for each token of an answer."""
    costs = [side.cost for side in sides if side.cost]
    written = sum(cost.answer_tokens * cost.requests for cost in costs)
    return sum(cost.seconds * cost.requests for cost in costs) / max(1.0, written)


def _rest(seconds: float, answering: float, rows: int) -> float:
    """Seconds a row of what is not spent on answers."""
    return max(0.0, seconds - answering) / max(1, rows)


def note_verdict(folder: RunFolder, setup: Setup, measured: Measured) -> dict[str, Any]:
    """Add to the plan what the verdict took and how to spend less or more; returns the plan.

    Nothing is added where the recipe asks for no verdict.
    """
    plan = read_json(folder.plan)
    if measured.tuned is None or "verdict" not in plan:
        return dict(plan)
    seconds: Seconds = plan["verdict"]["seconds"]
    training = plan["measured"]["training_seconds"]
    now, there = setup.recipe.evaluate, There.of(setup)
    count = work_of(there, now)
    others = {
        setting: foretold(work_of(there, other), count, seconds, measured)
        for setting, other in _others(now, min(now.rows, there.judging))
        if work_of(there, other) != count
    }
    plan["verdict"] |= {
        "total_seconds": sum(seconds.values()),
        "share_of_training": sum(seconds.values()) / training,
        "with": others,
        "sentence": sentence(seconds, training, others),
    }
    write_json(folder.plan, plan)
    return dict(plan)


def _others(now: EvaluateSection, rows: int) -> Iterator[tuple[str, EvaluateSection]]:
    """Other settings that one may wish for, by how each is written on the command line."""
    for level in ("quick", "standard", "full"):
        if level != now.level:
            yield f"evaluate.level={level}", at_level(now, level)
    if now.examples:
        yield "evaluate.examples=0", now.model_copy(update={"examples": 0})
    if rows >= 32:
        yield f"evaluate.rows={rows // 2}", now.model_copy(update={"rows": rows // 2})


def at_level(now: EvaluateSection, level: Any) -> EvaluateSection:
    """Another level: what the one before had chosen changes with it, what was asked for stays."""
    update: dict[str, Any] = {"level": level}
    if now.rows == evaluated_rows(now.level)[0]:
        update["rows"] = evaluated_rows(level)[0]
    if now.examples == examples_shown(now.level)[0]:
        update["examples"] = examples_shown(level)[0]
    return now.model_copy(update=update)


def sentence(seconds: Seconds, training: float, others: Mapping[str, float]) -> str:
    """What the verdict took and what it would take otherwise, cheapest first."""
    total = sum(seconds.values())
    parts = sorted(seconds.items(), key=lambda part: -part[1])
    told = ", ".join(f"{_TITLES[name]} {minutes(each)}" for name, each in parts if each >= 0.05)
    said = f"The verdict took {minutes(total)}, {_share(total, training)} ({told})."
    ordered = sorted(others.items(), key=lambda other: other[1])
    less = [f"{key} about {minutes(each)}" for key, each in ordered if each < total]
    more = [f"{key} about {minutes(each)}" for key, each in ordered if each >= total]
    if less:
        said += f" Less: {', '.join(less)}."
    if more:
        said += f" More: {', '.join(more)}."
    return said


def _share(seconds: float, training: float) -> str:
    """`22 % of the training time`, or how many times as long."""
    if seconds <= 2 * training:
        return f"{percent(seconds / training)} of the training time"
    return f"{seconds / training:.0f} times the training time"
