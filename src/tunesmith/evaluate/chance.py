"""Whether right answers are right because of the question.

A model that only learned how answers look and which of them are frequent gains in loss and, where
a few classes are all there is, in accuracy, too: labels shuffled over the questions teach just
that. So the answers given are also dealt to every other question, and the share that is right there
is what chance would give. For classes, what exceeds it is the numerator of Cohen's kappa (A
Coefficient of Agreement for Nominal Scales, 1960), a question's own answer left out of chance.

Shape legend: R rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunesmith.core.seeds import derive
from tunesmith.evaluate.bootstrap import Interval, PairedRows, paired_change
from tunesmith.evaluate.judgement import MINIMUM_ROWS
from tunesmith.evaluate.measure import Answered, Grading
from tunesmith.evaluate.metrics import METRICS, label, last_number
from tunesmith.evaluate.wording import percent

_MEANINGS: Mapping[str, Callable[[str], Hashable | None]] = {
    "label_accuracy": label,
    "number_match": last_number,
}
"""Metrics of answers that are right or wrong, and what of a text makes it so."""

_ROUNDING = 1e-9
"""Shares of at most thousands of answers differ by more than this, or not at all."""


@dataclass(frozen=True, slots=True)
class Beyond:
    """How often answers are right, how often by chance, and the interval of the difference."""

    name: str
    right: float
    by_chance: float
    difference: Interval

    @property
    def shown(self) -> bool:
        """Whether the answers surely follow the questions."""
        return self.difference.low > _ROUNDING

    @property
    def summary(self) -> str:
        """The doubt as a clause; empty where there is none."""
        if self.shown:
            return ""
        return (
            f"nothing shows that its answers follow from the questions ({self.name} "
            f"{percent(self.right)}; the same answers dealt to other questions, "
            f"{percent(self.by_chance)})"
        )

    def to_json(self) -> dict[str, Any]:
        """As it stands in verdict.json."""
        found = self.difference
        return {
            "name": self.name,
            "right": self.right,
            "by_chance": self.by_chance,
            "difference": found.value,
            "low": found.low,
            "high": found.high,
            "n": found.n,
        }


def beyond_chance(answers: Sequence[Answered], grading: Grading, seed: int) -> Beyond | None:
    """What the answers owe to their questions, by the first metric that says right or wrong.

    None where no such metric was chosen, where there are too few answers to say, and where all
    references are the same: then every question has the same answer.
    """
    for key in grading.metrics:
        if key in _MEANINGS:
            meaning = _MEANINGS[key]
            wanted = [meaning(each.reference) for each in answers]
            given = [meaning(each.answer) for each in answers]
            if len(answers) < MINIMUM_ROWS or len(set(wanted)) < 2:
                return None
            return _beyond(METRICS[key].name, wanted, given, derive(seed, "bootstrap", "chance"))
    return None


def _beyond(
    name: str, wanted: Sequence[Hashable | None], given: Sequence[Hashable | None], seed: int
) -> Beyond:
    rows = len(wanted)
    right_R = np.array(
        [w is not None and w == g for w, g in zip(wanted, given, strict=True)], float
    )
    asked, answered = Counter(wanted), Counter(given)
    # How often this row's reference is hit by the others' answers, and its answer hits theirs.
    hit_R = np.array([0 if w is None else answered[w] for w in wanted], float)
    hits_R = np.array([0 if g is None else asked[g] for g in given], float)
    hit_R, hits_R = (hit_R - right_R) / (rows - 1), (hits_R - right_R) / (rows - 1)
    chance = float(hit_R.mean())
    # A mean over pairs of rows varies as the sum of what each row brings to it as either of the two
    # (Hoeffding 1948): rows are resampled with that, and the mean stays right minus chance.
    excess_R = right_R - hit_R - hits_R + chance
    found = paired_change(PairedRows(np.zeros(rows), excess_R, np.ones(rows)), seed)
    return Beyond(name, float(right_R.mean()), chance, found)
