"""What an answer is worth: a table of metrics, the user's patterns, and the user's own check."""

from tunesmith.evaluate.metrics.check import Check, Properties, load_check
from tunesmith.evaluate.metrics.choose import Chosen, choose
from tunesmith.evaluate.metrics.grader import Found, Grader, Patterns, load_patterns
from tunesmith.evaluate.metrics.labels import label
from tunesmith.evaluate.metrics.metric import Metric
from tunesmith.evaluate.metrics.numbers import last_number
from tunesmith.evaluate.metrics.table import METRICS
from tunesmith.evaluate.metrics.texts import exact_match, normal

__all__ = [
    "METRICS",
    "Check",
    "Chosen",
    "Found",
    "Grader",
    "Metric",
    "Patterns",
    "Properties",
    "choose",
    "exact_match",
    "label",
    "last_number",
    "load_check",
    "load_patterns",
    "normal",
]
