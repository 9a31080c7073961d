"""The split by hash, and the account of every row."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.core.errors import TunesmithError
from tunesmith.core.records import Chat, Completion, Content, Message, Text
from tunesmith.data.conversations import group_of
from tunesmith.data.ledger import DROPPED, HELD_OUT, TRAINED, Account, Ledger, Places
from tunesmith.data.split import content_digest, content_hash, held_out, places, twins


def _digests(contents: Sequence[Content]) -> np.ndarray:
    joined = b"".join(map(content_digest, contents))
    return np.frombuffer(joined, np.uint8).reshape(-1, 32)


def _held_out(
    contents: Sequence[Content], share: float, families: Sequence[int] | None = None
) -> list[bool]:
    places_R = _places(contents)
    family_R = np.arange(len(contents)) if families is None else np.array(families)
    return held_out(places_R, family_R, share).held_R.tolist()


def _places(contents: Sequence[Content]) -> np.ndarray:
    return places(_digests(contents))


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
        for families in (None, [0, 0, 0]):
            sides = _held_out(contents, share, families)
            assert set(sides) == {True, False}
            assert sides[0] == sides[2]


def test_edges() -> None:
    assert _held_out([Text("a"), Text("b")], 0.0) == [False, False]
    assert _held_out([Text("a"), Text("a")], 0.9) == [False, False]
    assert _held_out([], 0.5) == []


@given(st.data())
def test_a_family_stands_on_one_side(data: st.DataObject) -> None:
    places_R, family_R, share = _families(data)
    sides = held_out(places_R, family_R, share)
    if not sides.divided:
        for values_R in (family_R, places_R):
            for value in np.unique(values_R):
                assert len(set(sides.held_R[values_R == value])) == 1


@given(st.data())
def test_the_order_of_the_rows_never_matters(data: st.DataObject) -> None:
    places_R, family_R, share = _families(data)
    order = np.array(data.draw(st.permutations(range(len(places_R)))))
    sides, again = (
        held_out(places_R[rows], family_R[rows], share) for rows in (slice(None), order)
    )
    assert again.held_R.tolist() == sides.held_R[order].tolist()
    assert again.divided == sides.divided


@pytest.mark.parametrize("share", [0.1, 0.4])
def test_a_row_keeps_its_side_until_one_comes_that_says_nearly_the_same(share: float) -> None:
    draw = np.random.default_rng(3)
    places_R = draw.integers(0, 2**64, 4000, np.uint64)
    family_R = np.where(draw.random(4000) < 0.5, draw.integers(0, 700, 4000), np.arange(4000))
    first = held_out(places_R[:3000], family_R[:3000], share).held_R
    grown = held_out(places_R, family_R, share).held_R[:3000]
    joined = np.isin(family_R[:3000], family_R[3000:])
    assert (first == grown)[~joined].all()
    assert (first == grown)[joined].mean() > 0.75, "few of the families that grew change sides"
    alone = family_R >= 700
    for rows in (alone, ~alone):
        held = held_out(places_R, family_R, share).held_R[rows].mean()
        assert share - 0.04 < held < share + 0.04, "families are held out as often as others"


def _families(data: st.DataObject) -> tuple[np.ndarray, np.ndarray, float]:
    rows = data.draw(st.integers(2, 30))
    several = st.lists(st.integers(0, 2 * rows), min_size=rows, max_size=rows)
    spread = np.random.default_rng(data.draw(st.integers(0, 9))).permutation(2 * rows + 1)
    places_R = spread[data.draw(several)].astype(np.uint64) * np.uint64(2**63 // rows)
    return places_R, np.array(data.draw(several)), data.draw(st.sampled_from([0.1, 0.3, 0.6]))


def test_a_family_that_would_crowd_the_held_out_rows_is_trained_on() -> None:
    for rows in range(900, 1000):
        places_R = _places([Text(f"row {n}") for n in range(rows)])
        family_R = np.concatenate([np.zeros(200, int), np.arange(1, rows - 199)])
        sides = held_out(places_R, family_R, 0.2)
        assert not sides.divided
        assert not sides.held_R[:200].any()
        assert sides.held_R.sum() > 100


def test_a_family_that_is_most_of_the_data_is_divided_and_counted() -> None:
    contents = [Text(f"row {n}") for n in range(1000)]
    family = [0] * 700 + [1] * 240 + list(range(2, 62))
    alone = np.array(_held_out(contents, 0.2))
    sides = held_out(_places(contents), np.array(family), 0.2)
    assert sides.divided == 700, "the smaller family stays whole"
    assert sides.held_R[:700].tolist() == alone[:700].tolist()
    assert not sides.held_R[700:940].any()
    one = held_out(_places(contents), np.zeros(1000, np.int64), 0.2)
    assert (one.divided, one.held_R.tolist()) == (1000, alone.tolist())


def test_equal_rows_of_several_conversations_stay_on_one_side() -> None:
    contents = [Text("the same")] * 40 + [Text(f"row {n}") for n in range(20)]
    talks = np.array([group_of({"talk": n}, "talk") for n in range(60)], np.uint64)
    digests = _digests(contents)
    family_R = np.array([0] * 40 + list(range(1, 21)))
    for share in (0.1, 0.5, 0.9):
        held_R = held_out(places(digests, talks), family_R, share, places(digests)).held_R
        assert len(set(held_R[:40])) == 1
        assert set(held_R) == {True, False}


def test_a_conversation_goes_by_its_own_hash() -> None:
    contents = [Text(f"row {n}") for n in range(3000)]
    talks = [group_of({"talk": n // 6}, "talk") for n in range(3000)]
    places_R = places(_digests(contents), np.array(talks, np.uint64))
    held_RC = held_out(places_R, np.arange(3000), 0.2).held_R.reshape(500, 6)
    assert (held_RC.all(axis=1) | ~held_RC.any(axis=1)).all()
    assert 0.15 < held_RC.mean() < 0.25, "a long conversation is held out as often as a short one"


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
    places_R = np.array([border - 1, border, border + 1, 0, 2**64 - 1], np.uint64)
    held_R = held_out(places_R, np.arange(5), 0.3).held_R
    assert held_R.tolist() == [int(place) < 0.3 * 2**64 for place in places_R]


def test_twins_are_the_same_in_every_byte() -> None:
    rows = _digests([Text("a"), Text("b"), Text("c"), Text("a")])
    others = np.concatenate([_digests([Text("z"), Text("a"), Text("b"), Text("a")])])
    assert twins(rows, others) == {0: 1, 1: 2, 3: 1}
    others = others.copy()
    others[:, -1] ^= 1  # the first eight bytes, by which suspects are found, still agree
    assert twins(rows, others) == {}
    assert twins(rows, others[:0]) == {}
