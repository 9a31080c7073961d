"""The split by hash, and the account of every row."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tunesmith.core.errors import TunesmithError
from tunesmith.core.records import Chat, Completion, Message, Origin, Text
from tunesmith.data.ledger import Entry, Ledger
from tunesmith.data.split import content_hash, held_out


def test_the_share_is_met_and_equal_texts_stay_together() -> None:
    contents = [Text(f"row {n}") for n in range(4000)] * 2
    sides = held_out(contents, 0.1)
    assert 300 < sum(sides[:4000]) < 500
    assert sides[:4000] == sides[4000:]


def test_adding_rows_moves_no_other() -> None:
    contents = [Completion("q", f"a {n}") for n in range(500)]
    assert held_out(contents, 0.2)[:300] == held_out(contents[:300], 0.2)


@pytest.mark.parametrize("share", [1e-9, 0.5, 1.0])
def test_two_distinct_rows_reach_both_sides(share: float) -> None:
    for n in range(50):
        contents = [Text(f"a {n}"), Text(f"b {n}"), Text(f"a {n}")]
        sides = held_out(contents, share)
        assert set(sides) == {True, False}
        assert sides[0] == sides[2]


def test_edges() -> None:
    assert held_out([Text("a"), Text("b")], 0.0) == [False, False]
    assert held_out([Text("a"), Text("a")], 0.9) == [False, False]
    assert held_out([], 0.5) == []


def test_the_hash_knows_the_content_only_and_is_the_same_in_every_process() -> None:
    assert content_hash(Text("a")) != content_hash(Completion("a", ""))
    assert content_hash(Completion("ab", "c")) != content_hash(Completion("a", "bc"))
    chat = Chat((Message("user", "a"), Message("assistant", "b")))
    assert content_hash(chat) != content_hash(Chat(chat.messages[:1]))
    code = (
        "from tunesmith.core.records import Text; from tunesmith.data.split import content_hash;"
        "print(content_hash(Text('a')))"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == content_hash(Text("a"))


def _entries() -> list[Entry]:
    return [
        Entry(Origin("a.jsonl", 1), "trained", None, 5, content_hash(Text("a"))),
        Entry(Origin("a.jsonl", 2), "dropped", "too_long"),
        Entry(Origin("a.jsonl", 3), "held_out", None, 7),
    ]


def test_totals_and_lines() -> None:
    ledger = Ledger(3, _entries())
    ledger.verify()
    assert ledger.totals() == {
        "rows_in": 3,
        "trained": 1,
        "held_out": 1,
        "dropped": {"too_long": 1},
        "supervised_tokens": 5,
    }
    assert ledger.lines()[1] == {
        "origin": "a.jsonl:2",
        "outcome": "dropped",
        "reason": "too_long",
        "supervised_tokens": 0,
        "content": None,
    }
    assert ledger.lines()[0]["content"] == content_hash(Text("a"))


def test_a_lost_row_is_noticed() -> None:
    with pytest.raises(TunesmithError, match="does not add up: 4 rows were read"):
        Ledger(4, _entries()).verify()
