"""What few rows can teach and show, computed before a run: sentences, none where there are enough.

To train on: what occurs in a share p of all cases stands in none of n rows with the chance
(1 - p)^n. That is 5 % at about p = 3 / n (the rule of three: Hanley and Lippman-Hand 1983), so n
rows may well lack whatever is rarer. Few rows show the form of an answer, which all of them have,
and leave out most of a subject. Documents count by passages of 500 tokens, as for `auto` epochs.

To judge by: whether answers became right or wrong is told from chance by the rows where the two
models differ (McNemar 1947). Six rows that all change in one direction have the chance 2 / 2^6 =
3 %, five have 6 %: so of N held-out rows at least 6 must change, and under 6 / N nothing shows. A
mean, such as the loss, must differ by (1.96 + 0.84) / sqrt(N) standard deviations of the rows'
differences to be found four times in five (Cohen 1988).
"""

from __future__ import annotations

import math

import numpy as np

from tunesmith.runs.heldout import row_numbers
from tunesmith.runs.setup import Setup

FEW_TO_TRAIN = 300
"""With fewer, what is one case in a hundred may stand in none of them (3 / n)."""

FEW_TO_JUDGE = 60
"""With fewer, a tenth of the answers may change and not show (6 / N)."""

_CHANGES = 6
_RULE = 3
_PASSAGE = 500


def few_rows(setup: Setup) -> list[str]:
    """What is to be known of a run with few rows to train on, or few to judge it by."""
    train, judging = setup.prepared.train, setup.held_out.judging
    rows, noun = len(np.unique(train.rows)), "row"
    if setup.recipe.objective.kind == "text":
        rows, noun = max(rows, int(train.lengths.sum()) // _PASSAGE), "passage"
    judged = setup.recipe.evaluate.level != "none"
    shown = few_to_judge(len(np.unique(row_numbers(judging)))) if judged else []
    return [*few_to_train(rows, noun), *shown]


def few_to_train(rows: int, noun: str = "row") -> list[str]:
    """What so many rows, or passages, can teach."""
    if rows >= FEW_TO_TRAIN:
        return []
    one_in = max(2, rows // _RULE)
    return [
        f"{_there_are(rows, noun)} to train on: that is enough to learn a format, not a subject. "
        f"What occurs in fewer than one case in {one_in} may well stand in none of them. "
        "`tunesmith curve` says what more rows would bring."
    ]


def few_to_judge(rows: int) -> list[str]:
    """What `rows` held-out rows can show."""
    if rows >= FEW_TO_JUDGE:
        return []
    if rows < _CHANGES:
        return [
            f"{_there_are(rows, 'held-out row')} to judge by: no change of the answers can be "
            f"told from chance with fewer than {_CHANGES}. Hold out more (data.validation_share), "
            "or name a file of them (data.validation)."
        ]
    deviations = (1.96 + 0.84) / math.sqrt(rows)
    return [
        f"{_there_are(rows, 'held-out row')} to judge by: a change of fewer than {_CHANGES} "
        f"answers ({_CHANGES / rows:.0%}) cannot be told from chance, nor one of the loss below "
        f"{deviations:.2f} standard deviations between rows."
    ]


def _there_are(count: int, noun: str) -> str:
    return f"There is 1 {noun}" if count == 1 else f"There are {count} {noun}s"
