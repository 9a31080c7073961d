"""The benchmark of preferences: how pairs are dealt, and the page."""

from __future__ import annotations

import gzip
import json
from itertools import combinations
from pathlib import Path

from benchmarks.preference_page import page
from benchmarks.preference_rows import Corpus, deal, read_pairs
from tunesmith.core.records import Spoken

LONG = "word " * 300


def _corpus(folder: Path) -> Corpus:
    """40 conversations of two pairs each, ten of them with long prompts, and a row to drop."""
    rows = []
    for number in range(40):
        more = LONG if number % 4 == 0 else ""
        for turn in ("one", "two"):
            said = f"\n\nHuman: Question {number}?\n\nAssistant: Ah.\n\nHuman: {more}{turn}"
            chosen = f"{said}\n\nAssistant: Right {number} {turn}. And so on."
            rows.append({"chosen": chosen, "rejected": f"{said}\n\nAssistant: Wrong. And so on."})
    rows.append({"chosen": "\n\nHuman: Hm?\n\nAssistant: ", "rejected": ""})
    with gzip.open(folder / "pairs.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return Corpus(
        name="few",
        title="few pairs",
        path="pairs.jsonl.gz",
        short=100,
        longest=900,
        letters=12,
        answer=8,
        practice=20,
        judge=16,
        asked=6,
        dev=8,
        epochs=1,
        drawn=2,
    )


def _said(said: Spoken) -> str:
    """By the first turn."""
    return said if isinstance(said, str) else said[0].content


def test_parts_share_no_conversation(tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    counts = deal(_corpus(tmp_path), tmp_path, rows)
    assert counts == {
        "practice": 20, "judge": 26, "dev": 8, "test": 16, "prompts": 6, "reward": 30,
    }  # fmt: skip
    found = {name: read_pairs(rows / f"{name}.jsonl") for name in counts}
    openings = {name: {_said(pair.prompt) for pair in pairs} for name, pairs in found.items()}
    for one, other in combinations(("reward", "judge", "dev", "test"), 2):
        assert not openings[one] & openings[other]
    assert openings["prompts"] <= openings["practice"] <= openings["reward"]
    assert all(_said(pair.chosen).endswith(".") for pair in found["test"])
    assert {_said(pair.rejected) for pair in found["test"]} == {"Wrong."}
    first = json.loads((rows / "chosen.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert [turn.get("weight") for turn in first["messages"]] == [None, 0, None, None]


def test_the_page_has_each_figure_with_its_interval() -> None:
    share = {"value": 0.56, "low": 0.53, "high": 0.59, "n": 302}
    way = {
        "judge": share,
        "reward": share | {"value": 0.7},
        "at_equal_length": share,
        "tokens": [30.0, 28.0],
        "kl": {"value": 2.5},
        "self_bleu": {"base": 0.02, "tuned": 0.03},
    }
    counts = dict.fromkeys(("practice", "prompts", "reward", "judge", "dev", "test"), 8)
    found = {
        "title": "few pairs",
        "rows": counts,
        "drawn": 2,
        "right": [share, share],
        "agreement": 0.63,
        "ways": {"people": way, "own": way},
        "held_out_pairs": {"accuracy": share},
    }
    said = page([found])
    assert "## few pairs" in said
    assert "| pairs of its own answers | 56.0 % (53.0 to 59.0, n = 302) | 56.0 %" in said
    assert "| 30 → 28 | 2.50 | 0.02 → 0.03 |" in said
