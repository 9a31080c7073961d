"""One answer in, all its properties out: metrics, the user's patterns, the user's check."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tunesmith.core.errors import DataError, RecipeError
from tunesmith.core.records import Prompt
from tunesmith.core.sandbox import Sandbox
from tunesmith.evaluate.metrics.check import Check
from tunesmith.evaluate.metrics.metric import Metric, OfCode, OfCorpus
from tunesmith.evaluate.metrics.table import METRICS

Patterns = Mapping[str, re.Pattern[str]]

Found = dict[str, bool | float | str]
"""Properties of one answer; a text says of what kind an outcome was."""


@dataclass(frozen=True, slots=True)
class Grader:
    """What is looked for in each answer.

    Metrics of all answers together are not among its properties, and exact match stands apart.
    """

    metrics: Sequence[Metric] = ()
    patterns: Patterns = field(default_factory=dict)
    check: Check | None = None
    sandbox: Sandbox | None = None

    def __call__(self, prompt: Prompt, answer: str) -> Found:
        """The properties of one answer; raises DataError where the user's check fails.

        Where code was run, a text tells how it ended, under the metric's key.
        """
        found: Found = {}
        for metric in self.metrics:
            if isinstance(metric.of, OfCorpus) or metric.key == "exact_match":
                continue
            if isinstance(metric.of, OfCode):
                found |= self._ran(metric, metric.of, prompt, answer)
                continue
            value = metric.of(prompt, answer)
            if value is not None:
                found[metric.name] = value
        found |= {name: bool(each.search(answer)) for name, each in self.patterns.items()}
        if self.check is None:
            return found
        mine = self.check(prompt, answer)
        taken = next((name for name in mine if name in found or name in _NAMES), None)
        if taken is not None:
            raise DataError(
                f"The check {self.check.path} returned a property named {taken!r}, which is the "
                "name of a metric or of a pattern in evaluate.patterns. Give it another name."
            )
        return found | mine

    def _ran(self, metric: Metric, of: OfCode, prompt: Prompt, answer: str) -> Found:
        if self.sandbox is None:
            raise ValueError(f"{metric.key} executes code, and there is no sandbox to do it in.")
        ended = of.outcome(prompt, answer, self.sandbox)
        return {} if ended is None else {metric.name: ended.passed, metric.key: ended.kind}


def load_patterns(texts: Mapping[str, str]) -> Patterns:
    """The regular expressions of a recipe; raises RecipeError naming one that is none."""
    patterns = {}
    for name, text in texts.items():
        if name in _NAMES:
            raise RecipeError(
                f"evaluate.patterns.{name}: that is the name of a metric. Give it another name."
            )
        try:
            patterns[name] = re.compile(text)
        except re.error as error:
            raise RecipeError(
                f"evaluate.patterns.{name} is {text!r}, which is no regular expression of Python's "
                f"re: {error}. Mend it, or write a \\ before a sign that is meant as it stands."
            ) from error
    return patterns


_NAMES = {metric.name for metric in METRICS.values()}
