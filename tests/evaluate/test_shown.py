"""The page of `data show` is one file, loads nothing, and runs nothing that stands in the data."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.evaluate.test_report import HOSTILE, Tags, page_of
from tunesmith.evaluate.measure import Measured
from tunesmith.evaluate.shown import lines_of, render_page

FIGURES: dict[str, Any] = {
    "rows": {"rows_in": 1042, "trained": 1000, "held_out": 40, "dropped": {"too_long": 2}},
    "stops": None,
    "kind": "sft",
    "context": 512,
    "epochs": 2,
    "sequences": 1000,
    "tokens_per_epoch": 50_000,
    "supervised_tokens_per_epoch": 20_000,
    "supervised_share": 0.4,
    "computed_tokens_per_epoch": 40_000,
    "computed_is_estimated": True,
    "held_out_tokens": 2000,
    "rows_in_pieces": 0,
    "lengths": {
        "median": 50,
        "longest": 99,
        "bins": [
            {"low": 40, "high": 49, "sequences": 400},
            {"low": 50, "high": 99, "sequences": 600},
        ],
    },
    "prefix": {"text": HOSTILE, "tokens": 20, "sequences": 900, "looked_at": 1000, "saved": 17_980},
}
ROW: dict[str, Any] = {
    "row": "a.jsonl:1",
    "outcome": "held_out",
    "tokens": 9,
    "trained_tokens": 4,
    "complaint": None,
    "stretches": [{"text": HOSTILE, "is": "context"}, {"text": "yes\x00</s>", "is": "trained"}],
    "tokens_not_shown": 7,
    "further_sequences": 2,
}
COST = {"price_per_million": 3.0, "tokens": 100_000, "cost": 0.3}


def page_with(**changes: Any) -> str:
    shown: dict[str, Any] = {
        "files": [f"{HOSTILE}.jsonl"],
        "base": "anvil",
        "recognised": ["a.jsonl: 1042 rows as chat (messages)."],
        "refusal": None,
        "figures": FIGURES,
        "cost": COST,
        "rows": [ROW],
    }
    return render_page({**shown, **changes})


@pytest.mark.parametrize(
    "page",
    [
        page_with(),
        page_with(figures=None, cost=None, refusal=HOSTILE),
        page_of(Measured(), metrics=[], shown={"figures": FIGURES, "rows": [ROW]}),
    ],
)
def test_it_is_whole_and_loads_and_runs_nothing(page: str) -> None:
    tags = Tags(page)
    assert tags.open == []
    assert not tags.names & {"script", "link", "img", "iframe", "object", "form"}
    assert not re.search(r"https?:|@import|url\(", page)
    assert HOSTILE not in page
    assert "\x00" not in page
    assert "prefers-color-scheme:dark" in page


def test_what_becomes_of_each_token_is_marked() -> None:
    page = page_with()
    assert "<mark>yes␀&lt;/s&gt;</mark>" in page
    dropped = {**ROW, "outcome": "dropped", "stretches": [{"text": "long", "is": "dropped"}]}
    assert "<s>long</s>" in page_with(rows=[dropped])
    assert "held out &middot; 9 tokens, 4 trained" in page
    assert "and 7 tokens more" in page
    assert "and 2 sequences more of this row" in page


def test_the_figures_are_said_in_order() -> None:
    said = dict(lines_of(FIGURES, COST))
    assert list(said) == [
        *("rows", "dropped", "tokens", "held out", "lengths", "repeated", "sharing", "cost")
    ]
    assert said["rows"] == "1,042 in: 1,000 to train on, 40 held out, 2 dropped"
    assert said["tokens"] == "50,000 an epoch in 1,000 sequences; 20,000 of them trained (40 %)"
    assert said["lengths"].endswith("context; 2 rows are longer than that, and dropped")
    assert "900 of 1,000 sequences begin with the same 20 tokens" in said["repeated"]
    assert "leaves about 40,000 tokens an epoch to compute (20 % saved)" in said["sharing"]
    assert said["cost"] == "0.30 at 3 a million tokens: 100,000 in 2 epochs"


def test_what_is_not_there_is_said_too() -> None:
    bare = {**FIGURES, "prefix": None, "computed_tokens_per_epoch": 50_000, "rows_in_pieces": 1}
    said = dict(lines_of(bare))
    assert not {"cost", "a run"} & said.keys()
    assert dict(lines_of({**bare, "stops": "stops here"}))["a run"] == "stops here"
    assert said["repeated"].startswith("no two sequences begin with enough tokens in common")
    assert said["sharing"].startswith("nothing")
    assert "1 row is trained one answer at a time" in said["lengths"]
    assert (
        "1 row is longer than that, and cut" in dict(lines_of({**bare, "kind": "text"}))["lengths"]
    )
