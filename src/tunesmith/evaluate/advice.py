"""What to do before training: prompt, show examples, search, fine-tune, or get more rows.

The base is measured as it is asked, with each help, and after a short run of training (the probe),
all on the same held-out rows. Rules turn that into advice; the first that holds decides:

1. Fewer than MINIMUM_ROWS rows to judge by: get more rows, nothing can be told.
2. The base, as asked, answers SOLVED of the questions rightly: do nothing.
3. With a help it does: give it the cheapest such help. Examples in the prompt teach the form of an
   answer and little else (Brown et al. 2020; Min et al. 2022, Rethinking the Role of
   Demonstrations); facts are better looked up than learned (Ovadia et al. 2024, Fine-Tuning or
   Retrieval?).
4. A help is clearly better than the base, and the probe is not clearly better than it: give it that
   help, which costs no training.
5. The probe learned its rows by heart: of what it gained on them BY_HEART does not show on new
   rows, and that is at least half of the loss which is left on those: get more rows. (The form of
   answers carries over at once, and alone may be most of the gain; hence the second half.)
6. The probe is clearly better than the base and every help: fine-tune. Few rows and steps suffice
   for the form and the tone of answers (Zhou et al. 2023, LIMA).
7. Nothing is clearly better than the base: get more rows where they are few, else the measurements
   say only that none of this helps.

"Rightly" is said by the metric that the task's own answers choose (`evaluate.metrics.choose`),
where it tells right from wrong: the class, the tool calls, the number, every field of a JSON
document. Of free text only an exact answer is known to be right.

"Clearly" means that the 95 % interval of the paired difference excludes zero: of right answers
where that does, else of the loss of the answers wanted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from tunesmith.core.seeds import derive
from tunesmith.evaluate.bootstrap import (
    Interval,
    PairedRows,
    difference_of_changes,
    paired_change,
    paired_rate_change,
)
from tunesmith.evaluate.judgement import MINIMUM_ROWS
from tunesmith.evaluate.measure import Answered, Baseline, Course
from tunesmith.evaluate.metrics import METRICS
from tunesmith.evaluate.pairing import pair_answers, pair_scores, unit_of

BASE, PROMPT, EXAMPLES, SEARCH, PROBE = "base", "prompt", "examples", "search", "probe"
"""The names of what is measured; the helps stand in the order of what they need."""

SOLVED = 0.95
"""The share of right answers from which a task counts as solved: what is left are slips."""

EXACT = "exact_match"
DECIDING = ("label_accuracy", "tool_calls", "number_match", "json_fields")
"""Metrics that say of an answer if it is right: where they are true, or 1."""

FEW_ROWS = 300
"""Below this, what is one case in a hundred may stand in none of them (the rule of three)."""

BY_HEART = 0.25
"""The share of the gain on trained rows from which it matters that new rows do not show it."""

Recommendation = Literal[
    "nothing", "prompting", "few_shot", "retrieval", "fine_tuning", "more_data", "unclear"
]
_HELP: dict[str, Recommendation] = {
    PROMPT: "prompting",
    EXAMPLES: "few_shot",
    SEARCH: "retrieval",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """How one option differs from another on the same rows.

    `gain` is by how much its loss is lower; `right` how many more of its answers are right (None
    where too few were written). `sign` is 1 where it is clearly better, -1 where clearly worse,
    else 0.
    """

    gain: Interval
    right: Interval | None

    @property
    def sign(self) -> int:
        """Answers decide where they differ clearly, else the loss."""
        return (_sign(self.right) if self.right else 0) or _sign(self.gain)


def _sign(found: Interval) -> int:
    return int(found.low > 0) - int(found.high < 0)


@dataclass(frozen=True)
class Evidence:
    """What was measured before training.

    `options` are the base as asked, the helps, and last the probe, on the same rows; base and probe
    have the scores of trained rows, too. `rows` are there to train on, and `training_seconds` is
    what training on all of them is foretold to take; `metric` is the key of the one that says if
    an answer is right, and `seed` draws the resamples.
    """

    options: tuple[Baseline, ...]
    course: Course
    rows: int
    training_seconds: float
    metric: str = EXACT
    seed: int = 0

    @property
    def base(self) -> Baseline:
        """The base as it is asked."""
        return self.options[0]

    @property
    def probe(self) -> Baseline:
        """The model that the probe run trained."""
        return self.options[-1]

    @property
    def helps(self) -> tuple[Baseline, ...]:
        """The base that is helped."""
        return self.options[1:-1]

    @property
    def judged(self) -> int:
        """How many rows all were measured on."""
        return len({score.origin for score in self.base.side.held_out})

    @cached_property
    def unit(self) -> str:
        """Of the losses."""
        return unit_of(*(each.side.held_out for each in self.options))

    def difference(self, one: Baseline, other: Baseline) -> Difference:
        """How `one` differs from `other`; above zero it is better."""
        seed = derive(self.seed, "bootstrap", "advice", one.name, other.name)
        rows = pair_scores(one.side.held_out, other.side.held_out, self.unit)
        pairs = pair_answers(other.side.answers, one.side.answers)
        right = self._right(pairs) if len(pairs) >= MINIMUM_ROWS else None
        return Difference(paired_change(rows, seed), right)

    def _right(self, pairs: Sequence[tuple[Answered, Answered]]) -> Interval:
        theirs_R, ours_R = (
            np.array([is_right(pair[side], self.metric) for pair in pairs], dtype=np.float64)
            for side in (0, 1)
        )
        return paired_rate_change(PairedRows(theirs_R, ours_R, np.ones(len(pairs))))

    @cached_property
    def best_help(self) -> Baseline | None:
        """The help that needs least of those that none is clearly better than."""
        best: Baseline | None = None
        for each in self.helps:
            if best is None or self.difference(each, best).sign > 0:
                best = each
        return best

    @cached_property
    def useful_help(self) -> Baseline | None:
        """The best help, if it is clearly better than the base."""
        best = self.best_help
        useful = best is not None and self.difference(best, self.base).sign > 0
        return best if useful else None

    @cached_property
    def by_heart(self) -> bool:
        """Whether the probe learned its rows by heart, where new rows needed something else."""
        held, trained = (self.change(kind) for kind in ("held_out", "train"))
        seed = derive(self.seed, "bootstrap", "advice", "by heart")
        gap = difference_of_changes(held, trained, seed)
        gain = trained.base - trained.tuned
        much = gap.value >= BY_HEART * gain and gap.value >= held.tuned / 2
        return gain > 0 and gap.low > 0 and much

    def change(self, kind: Literal["held_out", "train"]) -> PairedRows:
        """The base and the probe on held-out or on trained rows."""
        base, probe = getattr(self.base.side, kind), getattr(self.probe.side, kind)
        return pair_scores(base, probe, self.unit)


def deciding(metrics: Sequence[str]) -> str:
    """Which of a task's metrics says if an answer is right; exact match where none does."""
    return next((key for key in DECIDING if key in metrics), EXACT)


def is_right(answer: Answered, metric: str) -> bool:
    """Whether this metric, or the text itself, says that the answer is right."""
    value = answer.properties.get(METRICS[metric].name, False)
    return answer.exact or value >= 1


def right_share(option: Baseline, metric: str) -> float | None:
    """The share of answers that are right; None where too few were written."""
    answers = option.side.answers
    if len(answers) < MINIMUM_ROWS:
        return None
    return sum(is_right(each, metric) for each in answers) / len(answers)


def recommend(evidence: Evidence) -> tuple[Recommendation, Baseline | None]:
    """The recommendation, and the option that it speaks of."""
    if evidence.judged < MINIMUM_ROWS:
        return "more_data", None
    if _solves(evidence, evidence.base):
        return "nothing", evidence.base
    if solving := [each for each in evidence.helps if _solves(evidence, each)]:
        cheapest = min(solving, key=_tokens)
        return _HELP[cheapest.name], cheapest
    return _by_comparison(evidence)


def _by_comparison(evidence: Evidence) -> tuple[Recommendation, Baseline | None]:
    """Rules 4 to 7."""
    probe, helped = evidence.probe, evidence.useful_help
    if helped is not None and evidence.difference(probe, helped).sign <= 0:
        return _HELP[helped.name], helped
    if evidence.by_heart:
        return "more_data", probe
    if evidence.difference(probe, evidence.base).sign > 0:
        return "fine_tuning", probe
    return ("more_data" if evidence.rows < FEW_ROWS else "unclear"), probe


def _solves(evidence: Evidence, option: Baseline) -> bool:
    share = right_share(option, evidence.metric)
    return share is not None and share >= SOLVED


def _tokens(option: Baseline) -> float:
    return option.side.cost.tokens if option.side.cost else float("inf")


def losses(evidence: Evidence) -> Sequence[float]:
    """The loss of each option, in the unit of the evidence."""
    base = evidence.base.side.held_out
    return [pair_scores(base, each.side.held_out, evidence.unit).tuned for each in evidence.options]


def values(interval: Interval | None) -> dict[str, Any] | None:
    """An interval as it stands in JSON."""
    if interval is None:
        return None
    return {"value": interval.value, "low": interval.low, "high": interval.high, "n": interval.n}
