"""The judgement: ship or hold, in one sentence that carries the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tunesmith.evaluate.exposed import planted
from tunesmith.evaluate.exposure import trial_clause
from tunesmith.evaluate.judge_opinion import NAME as JUDGE
from tunesmith.evaluate.judgement import Judgement
from tunesmith.evaluate.kept import kept
from tunesmith.evaluate.measure import Measured
from tunesmith.evaluate.questions import learned, memorised, served
from tunesmith.evaluate.wording import percent
from tunesmith.evaluate.worth import worth

_NAMED_PROPERTIES = 3

Decision = Literal["ship", "hold"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is written to `verdict.json`."""

    decision: Decision
    sentence: str
    learned: Judgement
    kept: Judgement
    memorised: Judgement
    worth: Judgement
    parity: Judgement

    @property
    def questions(self) -> tuple[Judgement, ...]:
        """The five, in the order of the report."""
        return self.learned, self.kept, self.memorised, self.worth, self.parity

    def to_json(self) -> dict[str, Any]:
        """The keys that scripts rely on."""
        return {
            "decision": self.decision,
            "sentence": self.sentence,
            "learned": self.learned.to_json(),
            "kept": self.kept.to_json(),
            "memorised": self.memorised.to_json(),
            "worth": self.worth.to_json(),
            "parity": self.parity.to_json(),
        }


def judge(measured: Measured, seed: int = 0) -> Verdict:
    """Answer the five questions. Ship when it learned and no measured question fails.

    A run with planted secrets in its weights is a trial, which is never to ship. `seed` draws the
    bootstrap. Raises DataError when the two sides were measured on other rows.
    """
    return concluded(
        learned(measured, seed),
        kept(measured, seed),
        memorised(measured, seed),
        worth(measured, seed),
        served(measured),
        secrets=planted(measured.exposed),
    )


def concluded(*answers: Judgement, secrets: int = 0) -> Verdict:
    """The decision that five answers lead to, in their order, with so many planted secrets."""
    failed = any(answer.passed is False for answer in answers)
    decision: Decision = "ship" if answers[0].passed and not failed and not secrets else "hold"
    return Verdict(decision, _sentence(decision, answers, secrets), *answers)


def _sentence(decision: Decision, answers: Sequence[Judgement], secrets: int) -> str:
    task, general = answers[0], answers[1]
    if all(answer.value is None for answer in answers):
        return (
            "Hold: nothing was measured, so nothing shows that the tuned model is better than its "
            "base; run again with --set evaluate.level=standard."
        )
    failing = [_clause(answer) for answer in answers if answer.passed is False]
    if secrets:
        failing.insert(0, trial_clause(secrets))
    usual = [_clause(task), _properties(task)]
    if general.value is not None:
        usual.append(_clause(general))
    usual.append((task.detail.get("judge") or {}).get("clause") or "")
    clauses = [*failing, *(clause for clause in usual if clause and clause not in failing)]
    return f"{decision.capitalize()}: {'; '.join(clauses)}."


def _clause(answer: Judgement) -> str:
    summary = str(answer.detail["summary"])
    too_few = answer.detail.get("too_few")
    return f"{summary}, too few rows to judge ({too_few})" if too_few else summary


def _properties(task: Judgement) -> str:
    """The properties by name, or their average when there are many."""
    found = [each for each in task.detail.get("properties", []) if each["name"] != JUDGE]
    rates = [each for each in found if each["kind"] == "rate"]
    if len(rates) <= _NAMED_PROPERTIES:
        return ", ".join(each["summary"] for each in rates)
    base = sum(each["base"] for each in rates) / len(rates)
    tuned = sum(each["tuned"] for each in rates) / len(rates)
    return (
        f"the {len(rates)} checked properties went from {percent(base)} to {percent(tuned)} "
        "on average"
    )
