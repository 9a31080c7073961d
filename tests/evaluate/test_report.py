"""The report is one file, shows what was measured, and runs nothing that stands in the data."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from tests.evaluate.conftest import make_scores
from tunesmith.core.records import Message
from tunesmith.evaluate.measure import Baseline, Cost, Measured, Parity, Side
from tunesmith.evaluate.report import QUESTIONS, failed, flat, render
from tunesmith.evaluate.side_by_side import Told
from tunesmith.evaluate.verdict import judge

Make = Callable[..., Any]
HOSTILE = "<script>alert(1)</script>\"'&"
LEDGER = {"rows_in": 1042, "trained": 1000, "held_out": 40, "dropped": {"too_long": 2}}
VOID = {"meta", "br", "line", "circle", "polyline"}  # SVG's are closed by themselves


class Tags(HTMLParser):
    """Collects tags and attributes, and finds tags that are not closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def metrics(steps: int = 30) -> list[dict[str, Any]]:
    return [
        {"step": i, "loss": 4 / i, "lr": 1e-3 * i, "tokens": 100, "seconds": 0.5}
        for i in range(1, steps + 1)
    ]


def page_of(measured: Measured, **changes: Any) -> str:
    inputs: dict[str, Any] = {
        "verdict": judge(measured).to_json(),
        "measured": measured,
        "metrics": metrics(),
        "ledger": LEDGER,
        "recipe_text": "model:\n  base: anvil  # auto: none was named\n",
        "environment": {"versions": {"python": "3.11"}, "seed": 0},
        "plan": {},
    }
    return render(**{**inputs, **changes})


@pytest.fixture
def full(measured: Make, answers: Make, course: Make) -> Measured:
    found = measured(course=course([1.4, 1.3, 1.5], 20, 100), parity=Parity(1e-7, 40, 40, 40))
    base = answers({"greeting": [False] * 40, "words": [80.0] * 40})
    tuned = answers({"greeting": [True] * 39 + [False], "words": [40.0] * 40})
    side = Side(make_scores(1.5), answers=tuple(base[10:20]), cost=Cost(400, 20, 2.0, 8))
    return replace(
        found,
        base=replace(found.base, answers=base, cost=Cost(50, 20, 0.5, 8)),
        tuned=replace(found.tuned, answers=tuned, cost=Cost(50, 20, 0.5, 8)),
        baselines=(Baseline("search", "the 4 nearest rows", side),),
        course=replace(found.course, seconds=60.0),
    )


def test_the_page_is_whole_and_loads_nothing(full: Measured) -> None:
    page = page_of(full)
    tags = Tags(page)
    assert tags.open == []
    assert not tags.names & {"script", "link", "img", "iframe", "object", "form"}
    assert not [name for name, _ in tags.attributes if name in {"src", "href", "srcset"}]
    assert not re.search(r"https?:|@import|url\(", page)


def test_the_page_says_what_was_measured(full: Measured) -> None:
    page = page_of(full)
    verdict = judge(full)
    assert verdict.sentence in page
    assert "Ready to ship" in page
    assert verdict.memorised.detail["course"] in page
    for text in ("greeting", "98 %", "+98 points", "Answer 12.", "Yes.", "1,042", "too_long"):
        assert text in page
    assert "# auto: none was named" in page
    assert "versions.python" in page
    for title in (
        "Loss while it was trained",
        "Answers to held-out prompts",
        "What the training cost elsewhere",
        "The gap between trained and held-out rows",
        "Before and after, on both",
        "Trained, or helped instead",
        "When the time of training is saved",
        "Saved model against trained model",
        "Learning rate",
    ):
        assert page.count(f"<figcaption>{title}</figcaption>") == 1
    assert page.count("<svg") == page.count("<figure>") == 9
    assert page.count("kept: step 20") == 1
    assert "41 requests" in page  # 60 s of training, 1.5 s saved at each


def test_a_hold_is_told_apart(measured: Make) -> None:
    page = page_of(measured(held_out=(2.0, 2.1)))
    assert 'class="decision hold"' in page
    assert "On hold" in page
    assert 'class="mark no">fails' in page


def test_what_stands_in_the_data_is_escaped(full: Measured) -> None:
    def hostile(answer: Any) -> Any:
        return replace(
            answer,
            messages=(Message("user", HOSTILE),),
            reference=HOSTILE,
            answer=HOSTILE,
            properties={HOSTILE: False},
        )

    assert full.base is not None
    assert full.tuned is not None
    found = replace(
        full,
        base=replace(full.base, answers=tuple(hostile(a) for a in full.base.answers)),
        tuned=replace(full.tuned, answers=tuple(hostile(a) for a in full.tuned.answers)),
    )
    page = page_of(
        found,
        recipe_text=HOSTILE,
        ledger={**LEDGER, "dropped": {HOSTILE: 2}},
        environment={HOSTILE: HOSTILE},
    )
    assert "script" not in Tags(page).names
    assert HOSTILE not in page
    assert "&lt;script&gt;" in page


def test_the_first_that_all_were_asked_are_shown_and_failures_are_added(full: Measured) -> None:
    page = page_of(full)
    shown = [f"rows.jsonl:{line}<" in page for line in (1, 11, 16, 17, 40)]
    assert shown == [False, True, True, False, True]
    assert "Where it still fails" in page


def test_failed_properties_are_the_false_ones() -> None:
    told = Told("tuned", "tuned", False, (), {"a": True, "b": False, "c": 0.0})
    assert failed(told) == ["b"]


def test_what_is_absent_is_not_shown(full: Measured) -> None:
    verdict = judge(full).to_json()
    for key in QUESTIONS:
        detail = {"summary": "said"} if key != "parity" else verdict[key]["detail"]
        bare = {**verdict, key: {**verdict[key], "detail": detail}}
        assert Tags(page_of(full, verdict=bare)).open == []


def test_further_measures_are_shown_where_they_are(full: Measured) -> None:
    verdict = judge(full).to_json()
    drift = {"change": 0.05, "low": 0.01, "high": 0.09, "n": 9}
    moved = {"value": 0.3, "low": 0.2, "high": 0.4, "n": 8, "unit": "nats per token"}
    points = [
        {"strength": at, "gain": {"value": at}, "forgetting": {"value": at * at}}
        for at in (0.0, 0.5, 1.0)
    ]
    verdict["kept"]["detail"] |= {
        "domains": {"arithmetic": drift},
        "samples": {"kl": moved, "loss": None, "summary": "the base wrote 8 texts"},
        "frontier": {
            "points": points,
            "strength": 0.5,
            "most_forgetting": 0.3,
            "unit": "bits per byte",
            "summary": "half of it is best",
        },
    }
    field = {"name": "field F1", "kind": "mean", "base": 0.2, "tuned": 0.75, "change": 0.55}
    metric = {**field, "low": 0.5, "high": 0.6, "n": 40, "definition": "over JSON fields"}
    verdict["learned"]["detail"]["properties"].append(metric)
    verdict["learned"]["detail"]["metrics"] = {"chosen": [], "why": "the answers are JSON"}
    noise = {"value": 0.0001, "unit": "bits per byte", "rows": 8, "answers": "greedy"}
    verdict["learned"]["detail"]["noise_floor"] = noise
    page = page_of(full, verdict=verdict)
    for text in (
        "arithmetic",
        "KL from base to tuned",
        "change in nats per token",
        "saved: strength 0.50",
        "allowed: 30 %",
        "Half of it is best.",
        "<dt>field F1</dt><dd>over JSON fields</dd>",
        "The answers are JSON.",
        "Noise of measuring twice",
        "The base wrote 8 texts.",
    ):
        assert text in page


def test_nothing_measured_still_makes_a_page() -> None:
    page = page_of(Measured(), metrics=[])
    assert "nothing was measured" in page
    assert "<svg" not in page
    assert Tags(page).open == []


def test_the_same_numbers_give_the_same_page(full: Measured) -> None:
    assert page_of(full) == page_of(full)


def test_lines_that_are_not_steps_are_left_out_of_the_curve(measured: Make) -> None:
    lines = [*metrics(2), {"step": 2, "event": "validation", "loss": 99.0}]
    page = page_of(measured(), metrics=lines)
    assert "<dt>Optimiser steps</dt><dd>2</dd>" in page
    assert "from 4 at 1 to 2 at 2" in page


def test_nested_values_are_flattened() -> None:
    assert list(flat({"a": {"b": 1, "c": {"d": None}}, "e": [1]})) == [
        ("a.b", "1"),
        ("a.c.d", "None"),
        ("e", "[1]"),
    ]


def test_the_plan_stands_beside_what_was_measured(full: Measured) -> None:
    plan = {
        "paths": {"forward": "The forward pass is packed."},
        "predicted": {"training_seconds": 90.0, "peak_memory_bytes": 2.1e9},
        "measured": {"training_seconds": 95.5, "peak_memory_bytes": 2.0e9},
    }
    page = page_of(full, plan=plan)
    assert re.search(r"Training time</td><td[^>]*>90 s</td><td[^>]*>95.5 s</td>", page)
    assert re.search(r"Peak memory</td><td[^>]*>2.10 GB</td><td[^>]*>2 GB</td>", page)
    assert "The forward pass is packed." in page
    assert "Planned before the start" not in page_of(full, plan={})
