"""The report: one self-contained HTML page, its text from the verdict and its charts inline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tunesmith.evaluate.bootstrap import RESAMPLES
from tunesmith.evaluate.charts import Series, line_chart, thinned
from tunesmith.evaluate.measure import Measured
from tunesmith.evaluate.pages import page
from tunesmith.evaluate.pictures import Picture, pictures_of
from tunesmith.evaluate.readings import remarks_of
from tunesmith.evaluate.shown import lines_of
from tunesmith.evaluate.side_by_side import Told, samples
from tunesmith.evaluate.tables import Table, tables_of
from tunesmith.evaluate.wording import number

_SAMPLES = 6
_FAILURES = 6

QUESTIONS = {
    "learned": ("Did it learn?", "Gain on rows never trained on"),
    "kept": ("Did it keep what it knew?", "Extra cost of general text"),
    "memorised": ("Did it merely memorise?", "Gain that stays on trained rows"),
    "worth": ("Was it worth it?", "Against prompting and retrieval"),
    "parity": ("Is it what you will serve?", "Saved model against trained model"),
}


def render(
    verdict: Mapping[str, Any],
    measured: Measured,
    metrics: Sequence[Mapping[str, Any]],
    ledger: Mapping[str, Any],
    recipe_text: str,
    environment: Mapping[str, Any],
    plan: Mapping[str, Any],
    shown: Mapping[str, Any] | None = None,
) -> str:
    """The whole page as HTML.

    `verdict` has the keys of `verdict.json`; `metrics` are the lines of `metrics.jsonl`; `ledger`
    has rows_in, trained, held_out and dropped by reason; `recipe_text` is shown as it is; `plan`
    has the keys of `plan.json`; `shown` are rows and figures of what was trained, as
    `runs.show.shown_of_training` gives them. All text is escaped, and what is absent is not shown.
    """
    steps = [line for line in metrics if "loss" in line and "lr" in line]
    pictures, tables = pictures_of(verdict, measured, steps), tables_of(verdict, measured)
    told = samples(measured)
    return page(
        "report.html.j2",
        verdict=verdict,
        questions=[
            (key, *words, verdict[key], pictures[key], tables[key])
            for key, words in QUESTIONS.items()
        ],
        rate=rate_picture(steps),
        remarks={key: remarks_of(verdict[key]["detail"]) for key in QUESTIONS},
        training=training_of(steps),
        shown=shown,
        figure_lines=lines_of(shown["figures"]) if shown else [],
        planned=Table(("The plan", "Planned before the start", "Measured"), planned_of(plan)),
        paths=plan.get("paths", {}),
        spent=plan.get("verdict", {}).get("sentence"),
        course=verdict["memorised"]["detail"].get("course"),
        samples=told[:_SAMPLES],
        failures=[one for one in told[_SAMPLES:] if failed(one.told[-1])][:_FAILURES],
        prompts=len(told),
        labelled=(),
        tagged=(),
        right=(),
        ledger=ledger,
        dropped=sorted(ledger.get("dropped", {}).items()),
        resamples=RESAMPLES,
        recipe_text=recipe_text,
        environment=list(flat(environment)),
    )


def failed(told: Told) -> list[str]:
    """The names of the true-or-false properties that this answer does not have."""
    return [name for name, value in told.properties.items() if value is False]


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested mappings as (dotted name, text), in their own order."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)


def rate_picture(steps: Sequence[Mapping[str, Any]]) -> Picture:
    """The learning rate over the steps."""
    title = "Learning rate"
    rates = Series("learning rate", thinned([(one["step"], one["lr"]) for one in steps]), "held")
    return Picture(title, line_chart([rates], "optimiser step", "per step", title))


_PLANNED = {
    "training_seconds": ("Training time", "s", 1.0),
    "tokens": ("Tokens computed", "tokens", 1.0),
    "tokens_per_second": ("Speed", "tokens a second", 1.0),
    "peak_memory_bytes": ("Peak memory", "GB", 1e9),
}


def planned_of(plan: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """What was planned beside what was measured, as (name, planned, measured); in units."""
    predicted, measured = plan.get("predicted", {}), plan.get("measured", {})
    return [
        (name, f"{number(predicted[key] / one)} {unit}", f"{number(measured[key] / one)} {unit}")
        for key, (name, unit, one) in _PLANNED.items()
        if key in predicted and key in measured
    ]


def training_of(steps: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The figures above the curve: steps, time, tokens and speed, as text."""
    seconds = sum(line.get("seconds", 0.0) for line in steps)
    tokens = sum(line.get("tokens", 0) for line in steps)
    minutes, rest = divmod(round(seconds), 60)
    return {
        "Optimiser steps": f"{len(steps):,}",
        "Training time": f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s",
        "Tokens computed": f"{tokens:,}",
        "Tokens per second": f"{tokens / seconds:,.0f}" if seconds else "unknown",
    }
