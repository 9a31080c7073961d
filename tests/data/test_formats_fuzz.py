"""Damaged rows end in an example or in a finished sentence, never in an exception of ours."""

from __future__ import annotations

import json
import random
from typing import Any

from tests.data.test_formats import CALL, GOOD
from tunesmith.core.records import Example, Finding, Origin, Row
from tunesmith.data.formats import FORMATS, read_row
from tunesmith.data.formats.write import WRITERS
from tunesmith.data.split import content_digest

MUTATIONS = 4000
NAMES = [name for form in FORMATS for name in (*form.fields, *form.beside)] + [
    *("role", "content", "from", "value", "weight", "train"),
    *("tool_calls", "function", "arguments", "name"),
]
JUNK = [
    *(None, True, False, 0, 1, -1, 0.5, float("nan"), float("inf"), 10**30),
    *("", " ", "a", "\ud800", "\x00", "x" * 3000, "{", "[]", "Human: a\n\nAssistant: b"),
    *([], {}, [[]], [{}], [None], {"role": "user", "content": "a"}),
    *([{"from": "gpt", "value": "{"}], {"name": "f", "arguments": {"\ud800": "\udfff"}}),
]
CALLING = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant",
    "tool_calls": [CALL], "weight": 1, "reasoning_content": "b"}]}  # fmt: skip


def _mutated(value: Any, draw: random.Random) -> Any:
    """The value with parts replaced, left out, repeated, or under another name."""
    if draw.random() < 0.15:
        return draw.choice(JUNK)
    if isinstance(value, list):
        items = [_mutated(item, draw) for item in value]
        return items + items[:1] if draw.random() < 0.1 else items
    if not isinstance(value, dict):
        return value
    fields = {
        draw.choice(NAMES) if draw.random() < 0.07 else name: _mutated(item, draw)
        for name, item in value.items()
        if draw.random() > 0.07
    }
    if draw.random() < 0.1:
        fields[draw.choice(NAMES)] = draw.choice(JUNK)
    return fields


def _read(fields: dict[str, Any]) -> Example | Finding:
    reading = read_row(Row(Origin("rows.jsonl", 1), fields))
    for name in reading.extras:
        name.encode()
    return reading.outcome


def test_every_damaged_row_is_read_or_named() -> None:
    """What is read can be hashed, and written in each format that can hold it and read again."""
    draw = random.Random(0)
    good = [*(fields for _, fields, _ in GOOD), CALLING]
    read = 0
    for _ in range(MUTATIONS):
        fields = _mutated(draw.choice(good), draw)
        outcome = _read(fields if isinstance(fields, dict) else {"text": fields})
        if isinstance(outcome, Finding):
            outcome.message.encode()
            assert outcome.message.endswith("."), outcome
            assert len(outcome.message) < 2500
            continue
        read += 1
        content_digest(outcome.content)
        written = (write(outcome.content) for write in WRITERS.values())
        for row in (row for row in written if row is not None):
            assert isinstance(_read(json.loads(json.dumps(row))), Example), (fields, row)
    assert MUTATIONS / 5 < read < MUTATIONS / 2
