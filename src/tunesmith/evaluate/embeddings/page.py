"""The report of an embedding run: its pictures, tables and rows, on the page that all runs have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.evaluate.charts import Row, interval_chart
from tunesmith.evaluate.embeddings import figures
from tunesmith.evaluate.embeddings.measured import TUNED, EmbedMeasured
from tunesmith.evaluate.embeddings.verdict import unit_of
from tunesmith.evaluate.labels.page import questions_page, steps_of
from tunesmith.evaluate.pictures import Picture, loss_picture
from tunesmith.evaluate.tables import Table
from tunesmith.evaluate.wording import number

Json = Mapping[str, Any]

_SHOWN = 8
_LETTERS = 160

QUESTIONS = {
    "learned": ("Did it learn?", "Better than the untrained base by"),
    "kept": ("Did it keep what it knew?", "Change on general text"),
    "memorised": ("Did it merely memorise?", "What trained rows gained more than held-out ones"),
    "worth": ("Was it worth it?", "Better than the best simpler way by"),
    "parity": ("Is it what you will serve?", "Saved model against trained model"),
}


def render_embeddings(
    verdict: Json,
    measured: EmbedMeasured,
    metrics: Sequence[Json],
    ledger: Json,
    recipe_text: str,
    environment: Json,
    plan: Json,
) -> str:
    """The whole page as HTML. The arguments are as for `report.render`."""
    steps = steps_of(metrics)
    pictures = {
        "learned": [loss_picture(steps, measured.course, figures.LOSS)],
        "worth": [_ways(verdict["worth"], measured)],
    }
    tables = {"learned": [*figure_tables(measured), *_missed(measured)]}
    run = (steps, ledger, recipe_text, environment, plan)
    return questions_page(verdict, QUESTIONS, pictures, tables, *run)


def _ways(answer: Json, measured: EmbedMeasured) -> Picture:
    rows = [
        Row(each["title"], each["gain"], each["low"], each["high"], f"by {number(each['gain'])}")
        for each in answer["detail"].get("rivals", [])
    ]
    title = "Better than each other way by"
    return Picture(
        title, interval_chart(rows, f"{unit_of(measured)}, with the 95 % interval", title)
    )


def figure_tables(measured: EmbedMeasured) -> list[Table]:
    """The figures of each way to look for the same texts."""
    ways = [way for way in measured.ways if way.rows]
    if not ways:
        return []
    each = [figures.figures(way.rows, measured.scored) for way in ways]
    rows = [
        [way.title, *(number(value) for value in found.values())]
        for way, found in zip(ways, each, strict=True)
    ]
    words = [(way.title, way.definition) for way in ways if way.definition]
    return [Table(("Held-out rows by", *each[0]), rows, words)]


def _missed(measured: EmbedMeasured) -> list[Table]:
    """Anchors whose own text is found last, so that one sees what kind of row is hard."""
    tuned = measured.way(TUNED)
    if tuned is None or measured.scored:
        return []
    missed = sorted((row for row in tuned.rows if row.ranks[0] > 10), key=lambda r: -r.ranks[0])
    rows = [
        [
            f"{row.origin}: {_begun(row.text)}",
            _begun(row.wanted),
            f"{row.ranks[0]:,}",
            _begun(row.found),
        ]
        for row in missed[:_SHOWN]
    ]
    return [Table(("Found last", "Belongs to it", "Rank", "Found first"), rows)] if rows else []


def _begun(text: str) -> str:
    return text if len(text) <= _LETTERS else f"{text[:_LETTERS].rstrip()}…"
