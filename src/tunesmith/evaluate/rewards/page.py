"""The report of a reward model of pairs: pictures, tables and rows, on the page all runs have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.evaluate.charts import Row, Series, interval_chart, line_chart
from tunesmith.evaluate.labels.page import questions_page, steps_of
from tunesmith.evaluate.pictures import Picture, loss_picture
from tunesmith.evaluate.rewards import figures
from tunesmith.evaluate.rewards.measured import Compared, RewardMeasured
from tunesmith.evaluate.rewards.verdict import UNIT
from tunesmith.evaluate.tables import Table
from tunesmith.evaluate.wording import number, percent

Json = Mapping[str, Any]

_SHOWN = 8
"""Pairs of which it was surest and wrong."""

QUESTIONS = {
    "learned": ("Did it learn?", "Better than chance by"),
    "kept": ("Did it keep what it knew?", ""),
    "memorised": ("Did it merely memorise?", "What trained pairs have over held-out ones"),
    "worth": ("Was it worth it?", "Better than the best simpler way by"),
    "parity": ("Is it what you will serve?", "Saved model against trained model"),
}


def render_rewards(
    verdict: Json,
    measured: RewardMeasured,
    metrics: Sequence[Json],
    ledger: Json,
    recipe_text: str,
    environment: Json,
    plan: Json,
) -> str:
    """The whole page as HTML. The arguments are as for `report.render`."""
    steps = steps_of(metrics)
    pictures = {
        "learned": [
            loss_picture(steps, measured.course, figures.LOSS),
            _reliability(measured),
            _lengths(measured),
        ],
        "worth": [_rivals(verdict["worth"])],
    }
    tables = tables_of(verdict, measured)
    run = (steps, ledger, recipe_text, environment, plan)
    return questions_page(verdict, QUESTIONS, pictures, tables, *run, wrong_pairs=_wrong(measured))


def tables_of(verdict: Json, measured: RewardMeasured) -> dict[str, list[Table]]:
    """The tables of each question; none where nothing was measured."""
    if not measured.held_out:
        return {"learned": []}
    sides = [(way.title, percent(figures.accuracy(way.rows))) for way in measured.ways]
    learned = [
        Table(("Held-out pairs chosen by", "Right"), sides),
        Table(
            ("Of the tuned model's rewards", ""),
            [
                [name, number(value)]
                for name, value in figures.figures(measured.held_out, measured.temperature).items()
            ],
        ),
    ]
    rivals = [
        [each["title"], number(each["gain"]), f"{number(each['low'])} to {number(each['high'])}"]
        for each in verdict["worth"]["detail"].get("rivals", [])
    ]
    words = [(way.title, way.definition) for way in measured.ways if way.definition]
    worth = [Table(("Against", "Better by", "95 % interval"), rivals, words)] if rivals else []
    return {"learned": learned, "worth": worth}


def _reliability(measured: RewardMeasured) -> Picture | None:
    """How often the preferred answer is the right one, where it says how sure it is."""
    if not measured.held_out:
        return None
    title = "How sure it says it is, and how often it is right"
    found = figures.bins(measured.held_out, measured.temperature)
    points = [(100 * sure, 100 * right) for sure, right, _ in found]
    series = [
        Series("held-out pairs", points, "held", dots=True),
        Series("as it should be", [(50.0, 50.0), (100.0, 100.0)], "train"),
    ]
    svg = line_chart(series, "percent sure", "percent right", title)
    return Picture(title, svg, tuple((one.kind, one.name) for one in series))


def _lengths(measured: RewardMeasured) -> Picture | None:
    """Accuracy by what length says of the pair."""
    sides = {
        "the chosen answer is longer": [row for row in measured.held_out if row.longer > 0],
        "the chosen answer is shorter": [row for row in measured.held_out if row.longer < 0],
    }
    rows = []
    for name, pairs in sides.items():
        if len(pairs) < figures.LEAST_PAIRS:
            continue
        found = figures.above_chance(pairs)
        low, high = (100 * (end + 0.5) for end in (found.low, found.high))
        said = f"{percent(found.value + 0.5)} of {len(pairs):,} pairs"
        rows.append(Row(name, 100 * (found.value + 0.5), low, high, said))
    if len(rows) < 2:
        return None
    title = "Right, by which answer is the longer one"
    note = "Where the first is far above the second, length is taken for worth."
    return Picture(title, interval_chart(rows, "percent right", title, (0.0, 100.0)), (), note)


def _rivals(answer: Json) -> Picture | None:
    rows = [
        Row(each["title"], each["gain"], each["low"], each["high"], f"by {number(each['gain'])}")
        for each in answer["detail"].get("rivals", [])
    ]
    title = "Better than each simpler way by"
    return Picture(title, interval_chart(rows, f"{UNIT}, with the 95 % interval", title))


def _wrong(measured: RewardMeasured) -> list[tuple[Compared, float]]:
    """The pairs of which it was surest and wrong, and how sure."""
    wrong = sorted((row for row in measured.held_out if row.ahead < 0), key=lambda r: r.ahead)
    return [(row, 1 - figures.chance(row, measured.temperature)) for row in wrong[:_SHOWN]]
