"""What a metric is: a name, a printed definition, and a function of answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tunesmith.core.records import Prompt
from tunesmith.core.sandbox import Outcome, Sandbox
from tunesmith.evaluate.bootstrap import Floats, Statistic

OfAnswer = Callable[[Prompt, str], bool | float | None]
"""From a prompt, which has the reference, and an answer: what it is worth. None where the reference
is not of the kind that the metric speaks of."""


@dataclass(frozen=True, slots=True)
class OfCorpus:
    """A number of all answers together that is no mean over them.

    `columns` makes R references and R answers into sums (R, K) that add up over rows; `value` is
    the number of summed columns, (..., K) to (...).
    """

    columns: Callable[[Sequence[str], Sequence[str]], Floats]
    value: Statistic


@dataclass(frozen=True, slots=True)
class OfCode:
    """A number of one answer that is known by executing it: nothing does so without a sandbox.

    `outcome` is how the code of the answer ended, None where the row has no tests.
    """

    outcome: Callable[[Prompt, str, Sandbox], Outcome | None]


@dataclass(frozen=True, slots=True)
class Metric:
    """One line of the table; more is better unless `margin` is None.

    `key` is the name in recipes, `name` the one that is printed, `definition` a sentence that says
    which text is compared, how it is normalised, and which mean is taken. `margin` is how far a
    number must surely have fallen to count as worse: 0 where each answer is right or wrong, more
    where a good answer may differ from the reference, and None where less is not worse.
    """

    key: str
    name: str
    definition: str
    of: OfAnswer | OfCorpus | OfCode
    margin: float | None = 0.0
