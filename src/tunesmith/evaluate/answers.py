"""How the answers of two sides differ: exact match, the metrics of the task, the user's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tunesmith.core.seeds import derive
from tunesmith.evaluate.bootstrap import corpus_change
from tunesmith.evaluate.judgement import MINIMUM_ROWS, property_change
from tunesmith.evaluate.measure import Answered, Grading
from tunesmith.evaluate.metrics import METRICS, Metric
from tunesmith.evaluate.metrics.metric import OfCorpus
from tunesmith.evaluate.pairing import PairedProperty, pair_answers, pair_exact, pair_properties
from tunesmith.evaluate.wording import property_clause

_EXACT = METRICS["exact_match"]
_OWN = "What your check said of each answer: the share of which it was true, or the mean."

Pairs = Sequence[tuple[Answered, Answered]]


def answer_changes(
    base: Sequence[Answered], tuned: Sequence[Answered], grading: Grading, seed: int
) -> dict[str, Any]:
    """`exact_match` (None without answers) and `properties`, as they stand in verdict.json.

    Each says its `key`, its printed `definition`, and the `margin` by which it must surely have
    fallen to count as worse (None where it never does). The order is that of the metrics, then of
    the user's patterns and check.
    """
    pairs = pair_answers(base, tuned)
    if not pairs:
        return {"exact_match": None, "properties": []}
    rows = {found.name: found for found in pair_properties(pairs)}
    metrics = [METRICS[key] for key in grading.metrics if key != _EXACT.key]
    found = [each for metric in metrics if (each := _metric(metric, pairs, rows, seed)) is not None]
    names = {metric.name for metric in metrics}
    own = [_own(each, grading, seed) for name, each in rows.items() if name not in names]
    exact = _described(_EXACT, property_change(pair_exact(pairs), seed))
    return {"exact_match": exact, "properties": [*found, *own]}


def worse(changes: dict[str, Any]) -> list[str]:
    """The names of what surely fell by more than its margin, on enough rows."""
    found = [changes["exact_match"], *changes["properties"]]
    return [each["name"] for each in found if each is not None and _fell(each)]


def _fell(found: dict[str, Any]) -> bool:
    margin = found["margin"]
    return margin is not None and found["n"] >= MINIMUM_ROWS and found["high"] < -margin


def _metric(
    metric: Metric, pairs: Pairs, rows: dict[str, PairedProperty], seed: int
) -> dict[str, Any] | None:
    if isinstance(metric.of, OfCorpus):
        return _described(metric, corpus_property(metric.name, metric.of, pairs, seed))
    found = rows.get(metric.name)
    return None if found is None else _described(metric, property_change(found, seed))


def corpus_property(name: str, of: OfCorpus, pairs: Pairs, seed: int) -> dict[str, Any]:
    """How a number of all answers together differs between two sides, by resampled rows."""
    references = [base.reference for base, _ in pairs]
    base_RK = of.columns(references, [base.answer for base, _ in pairs])
    tuned_RK = of.columns(references, [tuned.answer for _, tuned in pairs])
    change = corpus_change(base_RK, tuned_RK, of.value, derive(seed, "bootstrap", "property", name))
    base, tuned = (float(of.value(columns.sum(axis=0))) for columns in (base_RK, tuned_RK))
    return {
        "name": name,
        "kind": "corpus",
        "base": base,
        "tuned": tuned,
        "change": change.value,
        "low": change.low,
        "high": change.high,
        "n": change.n,
        "summary": property_clause(name, base, tuned, rate=False),
    }


def _described(metric: Metric, found: dict[str, Any]) -> dict[str, Any]:
    return {
        **found,
        "key": metric.key,
        "definition": metric.definition,
        "margin": metric.margin,
    }


def _own(found: PairedProperty, grading: Grading, seed: int) -> dict[str, Any]:
    pattern = grading.patterns.get(found.name)
    said = _OWN if pattern is None else f"The share of answers in which `{pattern}` is found."
    # Only a rate has a known direction; whether a larger number is better, a check does not say.
    margin = 0.0 if found.rate else None
    changed = property_change(found, seed)
    return {**changed, "key": found.name, "definition": said, "margin": margin}
