"""Rows with tags are made of dialogues."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from benchmarks.tagging import chosen, spread, turns

DIALOGUE = {
    "id": "1_00000",
    "turns": [
        {"role": "user", "text": "A table in San Jose.", "slots": {"location": "San Jose"}},
        {"role": "system", "text": "Which place?"},
        {
            "role": "user",
            "text": "Sino, at six; today.",
            "slots": {
                "location": "San Jose",
                "restaurant_name": "Sino",
                "time": "six",
                "date": "friday",
            },
        },
        {"role": "user", "text": "Yes.", "slots": {"location": "San Jose"}},
    ],
}


def test_a_slot_that_a_turn_fills_with_its_own_words_is_a_span(tmp_path: Path) -> None:
    path = tmp_path / "dialogues.jsonl.gz"
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write(json.dumps(DIALOGUE) + "\n")
    first, second = (turn.row() for turn in spread(chosen(turns(path)), 5))
    assert first["tokens"] == ["A", "table", "in", "San", "Jose", "."]
    assert first["tags"] == ["O", "O", "O", "B-city", "I-city", "O"]
    assert second["tags"] == ["B-restaurant_name", "O", "O", "B-time", "O", "O", "O"]
    assert second["dialogue"] == "1_00000"
