"""Files as other tools and people ship them: each row is recognised, and read or named."""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from tunesmith.core.records import (
    Chat,
    Completion,
    Example,
    Finding,
    Label,
    Origin,
    Preference,
    Rating,
    Row,
    Text,
)
from tunesmith.data.formats import read_row

SHARED = Path(__file__).parents[3] / "shared" / "data"
MOST = 600
"""Rows read of each file."""

DEMOS = "llamafactory-demos"
INSTRUCTION, COMPLETION = "instruction (instruction, output)", "completion (question, answer)"
PREFERENCE = "preference (conversations, chosen, rejected)"


def _rows(name: str) -> list[Row]:
    path = SHARED / name
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
        if path.suffix == ".csv":
            found: list[Any] = list(islice(csv.DictReader(file), MOST))
        elif ".jsonl" in path.name:
            found = [json.loads(line) for line in islice(file, MOST)]
        else:
            found = json.load(file)[:MOST]
    return [Row(Origin(name, number), fields) for number, fields in enumerate(found, start=1)]


@pytest.mark.parametrize(
    ("name", "title", "kind"),
    [
        (f"{DEMOS}/alpaca_en_demo.json", INSTRUCTION, Completion),
        (f"{DEMOS}/identity.json", INSTRUCTION, Completion),
        (f"{DEMOS}/c4_demo.jsonl", "text (text)", Text),
        (f"{DEMOS}/dpo_en_demo.json.gz", PREFERENCE, Preference),
        (f"{DEMOS}/glaive_toolcall_en_demo.json", "chat (conversations)", Chat),
        (f"{DEMOS}/kto_en_demo.json", "rating (messages, label)", Rating),
        (f"{DEMOS}/reason_tool_use_demo_50.jsonl", "chat (messages)", Chat),
        ("gsm8k/train.jsonl", COMPLETION, Completion),
        ("gsm8k/test_socratic.jsonl", COMPLETION, Completion),
        ("medquad/medquad.jsonl.gz", COMPLETION, Completion),
        ("sgd-dialogues/dev.jsonl.gz", "dialogue (turns)", Chat),
        ("hh-rlhf-harmless-test/test.jsonl.gz", "preference (chosen, rejected)", Preference),
        ("banking77/train.csv", "label (text, category)", Label),
    ],
)
def test_shared_files_are_recognised(name: str, title: str, kind: type) -> None:
    readings = [read_row(row) for row in _rows(name)]
    assert {reading.title for reading in readings} == {title}
    found = Counter(
        type(reading.outcome.content)
        if isinstance(reading.outcome, Example)
        else reading.outcome.reason
        for reading in readings
    )
    assert found[kind] >= 0.97 * len(readings), found
    assert all(
        reading.outcome.message.endswith(".")
        for reading in readings
        if isinstance(reading.outcome, Finding)
    )


@pytest.mark.parametrize(
    ("name", "mapping", "kind"),
    [
        (
            "tldr-pages/tldr-en.jsonl.gz",
            {"description": "prompt", "page": "completion"},
            Completion,
        ),
        (
            "cuad-clauses/master_clauses.csv",
            {"Governing Law": "prompt", "Governing Law-Answer": "completion"},
            Completion,
        ),
        (
            "cuad-clauses/master_clauses.csv",
            {"Governing Law": "text", "Governing Law-Answer": "label"},
            Label,
        ),
    ],
)
def test_a_mapping_reads_files_of_their_own_kind(
    name: str, mapping: dict[str, str], kind: type
) -> None:
    """Among them contracts, once as drafting, once as classification."""
    rows = _rows(name)
    plain = [read_row(row).outcome for row in rows]
    assert all(isinstance(each, Finding) and each.reason == "wrong_keys" for each in plain)
    mapped = [read_row(row, mapping).outcome for row in rows]
    good = [each for each in mapped if isinstance(each, Example)]
    bad = Counter(each.reason for each in mapped if isinstance(each, Finding))
    assert {type(each.content) for each in good} == {kind}
    assert len(good) > 0.8 * len(rows), bad
    assert set(bad) <= {"empty_answer", "no_label", "empty_prompt"}


def test_pictures_stand_where_their_marks_do() -> None:
    outcomes = [read_row(row).outcome for row in _rows(f"{DEMOS}/mllm_demo.json")]
    chats = [each.content for each in outcomes if isinstance(each, Example)]
    assert len(chats) == len(outcomes) == 6
    for chat in chats:
        assert isinstance(chat, Chat)
        placed = [(message, image) for message in chat.messages for image in message.images]
        assert placed
        assert all(image.path == f"{DEMOS}/{image.name}" for _, image in placed)
        assert not any("<image>" in message.content for message in chat.messages)
        assert all(image.at in (0, len(message.content)) for message, image in placed)
    first = [m for c in chats[:1] if isinstance(c, Chat) for m in c.messages if m.images]
    assert [(m.content, m.images[0].at) for m in first] == [
        ("Who are they?", 0),
        ("What are they doing?", len("What are they doing?")),
    ]


def test_service_calls_become_tool_calls() -> None:
    examples = [read_row(row).outcome for row in _rows("sgd-dialogues/dev.jsonl.gz")]
    chats = [each.content for each in examples if isinstance(each, Example)]
    calls = [m for c in chats if isinstance(c, Chat) for m in c.messages if m.tool_calls]
    assert len(calls) > len(chats) / 2
    assert isinstance(json.loads(calls[0].tool_calls[0].arguments), dict)
