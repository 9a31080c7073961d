"""Which metrics speak of a task, chosen from the answers that are wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tunesmith.core.records import Prompt
from tunesmith.evaluate.metrics.calls import calls_match
from tunesmith.evaluate.metrics.labels import label
from tunesmith.evaluate.metrics.metric import OfCode, OfCorpus
from tunesmith.evaluate.metrics.numbers import ends_in_number
from tunesmith.evaluate.metrics.structured import document
from tunesmith.evaluate.metrics.table import METRICS

LABEL_CHARACTERS = 40
"""A class is named in a few words."""

LABELS = 50
"""More classes than this are no closed set that a few hundred rows could show."""

ROWS_PER_LABEL = 3
"""Answers that occur less often than this on average are hardly a closed set."""

_CALLS = ("tool_names", "tool_calls")
_JSON = ("json_valid", "json_fields")
_LABELS = ("label_accuracy", "macro_f1")
_NUMBER = ("number_match", "length_ratio")
_OVERLAP = ("chrf", "bleu", "rouge_l", "length_ratio")


@dataclass(frozen=True, slots=True)
class Chosen:
    """The keys of metrics, why they were chosen, and which of those named cannot be taken."""

    metrics: tuple[str, ...] = ()
    reason: str = ""
    unusable: tuple[str, ...] = ()


def choose(prompts: Sequence[Prompt], named: Sequence[str] | None = None) -> Chosen:
    """The metrics for these held-out rows: those that are `named`, else by the references."""
    if not prompts:
        return Chosen((), "the rows are documents, which ask nothing", tuple(named or ()))
    by_task = _by_task(prompts)
    if named is None or tuple(named) == by_task.metrics:
        return by_task
    usable = tuple(key for key in named if _usable(key, prompts))
    unusable = tuple(key for key in named if key not in usable)
    return Chosen(usable, "evaluate.metrics names them", unusable)


def _by_task(prompts: Sequence[Prompt]) -> Chosen:
    references = [prompt.answer for prompt in prompts]
    if any(prompt.calls for prompt in prompts):
        if _usable("tool_calls", prompts):
            return Chosen(_CALLS, "held-out answers call tools")
        unread = "held-out answers call tools, in a form of the template that is not read here; "
        return Chosen(_OVERLAP, f"{unread}so their wording is compared")
    if all(document(text) is not None for text in references):
        return Chosen(_JSON, "every held-out answer is a JSON object or array")
    classes = {label(text) for text in references}
    if _closed(classes, len(references)):
        names = f"the {len(references)} held-out answers are of {len(classes)} classes"
        return Chosen(_LABELS, names)
    if all(map(ends_in_number, references)):
        return Chosen(_NUMBER, "every held-out answer ends in a number")
    return Chosen(_OVERLAP, "held-out answers are free text, so their wording is compared")


def _closed(classes: set[str], rows: int) -> bool:
    few = 2 <= len(classes) <= min(LABELS, rows // ROWS_PER_LABEL)
    return few and max(map(len, classes)) <= LABEL_CHARACTERS


def _usable(key: str, prompts: Sequence[Prompt]) -> bool:
    """Whether a reference itself has a value; calls must also be read as the rows have them."""
    metric = METRICS[key].of
    if isinstance(metric, OfCorpus):
        return True
    if isinstance(metric, OfCode):
        return any(prompt.tests for prompt in prompts)
    if key in _CALLS:
        seen = [calls_match(prompt, prompt.answer) for prompt in prompts]
        return False not in seen and True in seen
    return any(metric(prompt, prompt.answer) is not None for prompt in prompts)
