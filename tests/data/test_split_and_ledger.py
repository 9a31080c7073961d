"""The split by hash, and the account of every row."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest

from tunesmith.core.errors import TunesmithError
from tunesmith.core.records import Chat, Completion, Content, Message, Text
from tunesmith.data.ledger import DROPPED, HELD_OUT, TRAINED, Account, Ledger, Places
from tunesmith.data.split import content_digest, content_hash, held_out, twins


def _digests(contents: Sequence[Content]) -> np.ndarray:
    joined = b"".join(map(content_digest, contents))
    return np.frombuffer(joined, np.uint8).reshape(-1, 32)


def _held_out(contents: Sequence[Content], share: float) -> list[bool]:
    return held_out(_digests(contents), share).tolist()


def test_the_share_is_met_and_equal_texts_stay_together() -> None:
    contents = [Text(f"row {n}") for n in range(4000)] * 2
    sides = _held_out(contents, 0.1)
    assert 300 < sum(sides[:4000]) < 500
    assert sides[:4000] == sides[4000:]


def test_adding_rows_moves_no_other() -> None:
    contents = [Completion("q", f"a {n}") for n in range(500)]
    assert _held_out(contents, 0.2)[:300] == _held_out(contents[:300], 0.2)


@pytest.mark.parametrize("share", [1e-9, 0.5, 1.0])
def test_two_distinct_rows_reach_both_sides(share: float) -> None:
    for n in range(50):
        contents = [Text(f"a {n}"), Text(f"b {n}"), Text(f"a {n}")]
        sides = _held_out(contents, share)
        assert set(sides) == {True, False}
        assert sides[0] == sides[2]


def test_edges() -> None:
    assert _held_out([Text("a"), Text("b")], 0.0) == [False, False]
    assert _held_out([Text("a"), Text("a")], 0.9) == [False, False]
    assert _held_out([], 0.5) == []


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


def _ledger(rows_in: int, path: str = "a.jsonl") -> Ledger:
    """A trained row, a dropped one that could not be read, and a held-out item of an array."""
    places = Places([path], *(np.array(column) for column in ([0, 0, 0], [1, 2, 3], [0, 0, 7])))
    account = Account(
        outcomes=np.array([TRAINED, DROPPED, HELD_OUT]),
        reasons=np.array([0, 2, 0]),
        reason_names=["empty_text", "too_long"],
        supervised=np.array([5, 0, 7]),
        contents=_digests([Text("a"), Text(""), Text("b")]),
        known=np.array([True, False, True]),
    )
    return Ledger(rows_in, places, account)


def test_totals_and_lines() -> None:
    ledger = _ledger(3)
    ledger.verify()
    assert ledger.totals() == {
        "rows_in": 3,
        "trained": 1,
        "held_out": 1,
        "dropped": {"too_long": 1},
        "supervised_tokens": 5,
    }
    trained, dropped, held = ledger.lines()
    assert dropped == {
        "origin": "a.jsonl:2",
        "outcome": "dropped",
        "reason": "too_long",
        "supervised_tokens": 0,
        "content": None,
    }
    assert trained["content"] == content_hash(Text("a"))
    assert held == {
        "origin": "a.jsonl:3 item 7",
        "outcome": "held_out",
        "reason": None,
        "supervised_tokens": 7,
        "content": content_hash(Text("b")),
    }


@pytest.mark.parametrize(
    "path", ["a.jsonl", 'with "quotes"\\ and\nlines.jsonl', "größe\u2028.jsonl"]
)
def test_the_text_of_the_ledger_is_what_json_makes_of_its_lines(path: str) -> None:
    ledger = _ledger(3, path)
    lines = list(ledger.lines())
    assert lines[0]["origin"] == f"{path}:1"
    assert "".join(ledger.texts()) == "".join(
        json.dumps(line, ensure_ascii=False) + "\n" for line in lines
    )


def test_a_lost_row_is_noticed() -> None:
    with pytest.raises(TunesmithError, match="does not add up: 4 rows were read"):
        _ledger(4).verify()


def test_the_border_of_the_split_is_exact() -> None:
    """Places that differ in their last bit only, which floating point would not tell apart."""
    border = int(0.3 * 2**64)
    places = [border - 1, border, border + 1, 0, 2**64 - 1]
    digests = np.zeros((len(places), 32), np.uint8)
    digests[:, :8] = np.array(places, ">u8").view(np.uint8).reshape(-1, 8)
    assert held_out(digests, 0.3).tolist() == [place < 0.3 * 2**64 for place in places]


def test_twins_are_the_same_in_every_byte() -> None:
    rows = _digests([Text("a"), Text("b"), Text("c"), Text("a")])
    others = np.concatenate([_digests([Text("z"), Text("a"), Text("b"), Text("a")])])
    assert twins(rows, others) == {0: 1, 1: 2, 3: 1}
    others = others.copy()
    others[:, -1] ^= 1  # the first eight bytes, by which suspects are found, still agree
    assert twins(rows, others) == {}
    assert twins(rows, others[:0]) == {}
