"""The report of a run that learned from grades: its curves, tables and answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.evaluate.charts import Mark, Row, Series, interval_chart, line_chart, thinned
from tunesmith.evaluate.labels.page import questions_page, steps_of
from tunesmith.evaluate.pictures import Picture
from tunesmith.evaluate.reinforcement.measured import ReinforceMeasured, both
from tunesmith.evaluate.tables import Table
from tunesmith.evaluate.wording import number, percent

Json = Mapping[str, Any]

_SHOWN = 10
_LETTERS = 200

QUESTIONS = {
    "learned": ("Did it learn?", "Grades above those of the base by"),
    "kept": ("Did it keep what it knew?", "Change on general text"),
    "memorised": ("Did it merely memorise?", "What learned prompts gained more than held-out ones"),
    "worth": ("Was it worth it?", ""),
    "parity": ("Is it what you will serve?", "Saved model against trained model"),
}

_CURVES = (
    ("entropy", "Entropy of what is sampled", "nats a token"),
    ("answer_tokens", "Length of the answers", "tokens"),
    ("kl_to_base", "KL from the base", "nats a token"),
    ("clipped", "Tokens held back by the clip", "share"),
    ("without_signal", "Prompts whose answers were all graded alike", "share"),
)


def render_reinforced(
    verdict: Json,
    measured: ReinforceMeasured,
    metrics: Sequence[Json],
    ledger: Json,
    recipe_text: str,
    environment: Json,
    plan: Json,
) -> str:
    """The whole page as HTML. The arguments are as for `report.render`."""
    steps = steps_of(metrics)
    pictures: dict[str, list[Picture | None]] = {
        "learned": [*curves(metrics, measured), _success(verdict["learned"])],
        "memorised": [_course(steps, *each) for each in _CURVES],
    }
    tables = {"learned": tables_of_grades(measured, metrics)}
    run = (steps, ledger, recipe_text, environment, plan)
    return questions_page(verdict, QUESTIONS, pictures, tables, *run)


def curves(metrics: Sequence[Json], measured: ReinforceMeasured) -> list[Picture]:
    """Grade and success of sampled answers, and of held-out prompts, over the steps."""
    found = []
    for key, title, unit in (
        ("grade", "Grade while it learned", "mean grade"),
        ("success", "Success while it learned", "share of the answers"),
    ):
        held_out = [
            (line["step"], line[f"held_out_{key}"]) for line in metrics if f"held_out_{key}" in line
        ]
        series = [
            Series("answers to learn from", _points(metrics, key), "train"),
            Series("held-out prompts", held_out, "held", dots=True),
        ]
        kept = measured.course.kept_step
        marks = [Mark(kept, f"kept: step {kept}")] if held_out else []
        svg = line_chart(series, "optimiser step", unit, title, marks)
        keys = tuple((one.kind, one.name) for one in series if one.points)
        found.append(Picture(title, svg, keys))
    return found


def tables_of_grades(measured: ReinforceMeasured, metrics: Sequence[Json]) -> list[Table]:
    """Grades part by part, what was spent, and some answers, the worst first."""
    base, tuned = both(measured.base.held_out, measured.tuned.held_out)
    found = []
    if parts := sorted({name for each in tuned for name in each.parts}):
        rows = [[name, *(number(_part(side, name)) for side in (base, tuned))] for name in parts]
        found.append(Table(("Part of the grade", "Base", "Tuned"), rows))
    if seconds := _spent(metrics):
        found.append(Table(("Seconds spent on", "In all"), seconds))
    shown = sorted(zip(base, tuned, strict=True), key=lambda pair: pair[1].grade or 0.0)[:_SHOWN]
    rows = [
        [
            f"{after.origin}: {_begun(after.asked)}",
            f"{_begun(before.answer)} ({number(before.grade or 0.0)})",
            f"{_begun(after.answer)} ({number(after.grade or 0.0)})",
        ]
        for before, after in shown
    ]
    return [*found, Table(("Lowest grades", "Base", "Tuned"), rows)] if rows else found


def _success(answer: Json) -> Picture | None:
    found = answer["detail"].get("success")
    if not found:
        return None
    title = f"Answers graded {number(found['from'])} or better"
    row = Row(
        "Held-out prompts",
        100 * found["tuned"],
        100 * max(0.0, found["base"] + found["low"]),
        100 * min(1.0, found["base"] + found["high"]),
        f"{percent(found['base'])} to {percent(found['tuned'])}",
        start=100 * found["base"],
    )
    keys = (("base", "base"), ("tuned", "tuned, with the 95 % interval of the change"))
    svg = interval_chart([row], "percent of the answers", title, (0.0, 100.0))
    return Picture(title, svg, keys)


def _course(steps: Sequence[Json], key: str, title: str, unit: str) -> Picture:
    series = [Series("answers to learn from", _points(steps, key), "train")]
    return Picture(title, line_chart(series, "optimiser step", unit, title))


def _points(lines: Sequence[Json], key: str) -> list[tuple[float, float]]:
    return thinned([(line["step"], line[key]) for line in lines if key in line])


def _spent(metrics: Sequence[Json]) -> list[list[str]]:
    """Seconds of sampling, grading and the rest of the steps."""
    whole = sum(line.get("seconds", 0.0) for line in metrics)
    parts = {
        name: sum(line.get(f"{key}_seconds", 0.0) for line in metrics)
        for key, name in (
            ("sampling", "sampling answers"),
            ("grading", "grading them"),
            ("looking_back", "the base and the critic"),
        )
    }
    if not whole:
        return []
    parts["learning from them"] = max(0.0, whole - sum(parts.values()))
    return [
        [name, f"{seconds:,.1f} ({percent(seconds / whole)})"] for name, seconds in parts.items()
    ]


def _part(rows: Sequence[Any], name: str) -> float:
    values = [row.parts[name] for row in rows if name in row.parts]
    return sum(values) / max(1, len(values))


def _begun(text: str) -> str:
    return text if len(text) <= _LETTERS else f"{text[:_LETTERS].rstrip()}…"
