"""Chat logs: every message is in a conversation or has a reason; order, sides and threads hold."""

from __future__ import annotations

import json
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.core.errors import DataError
from tunesmith.core.records import Finding, Origin, Row
from tunesmith.data.formats import understand
from tunesmith.data.formats.logs import columns_of, looks_like_log
from tunesmith.data.logs import Grouped, NotUsed, Said, group, messages_of, require_known
from tunesmith.data.logs.times import moment_of

AGENTS = ("Ann",)
NAMES = st.sampled_from(["Ann", "Mia", "bot"])


def read(rows: list[Any], mapping: dict[str, str] | None = None) -> list[Said]:
    """The messages of rows, all of which must be some."""
    said: list[Said] = []
    for line, fields in enumerate(rows, start=1):
        for message, _ in messages_of(Row(Origin("log.jsonl", line), fields), mapping or {}):
            assert isinstance(message, Said), message
            said.append(message)
    return said


def refused(fields: Any) -> NotUsed:
    ((message, _),) = messages_of(Row(Origin("log.jsonl", 1), fields), {})
    assert isinstance(message, NotUsed)
    return message


def texts(grouped: Grouped) -> list[list[str]]:
    """What is said in each conversation; the agents' turns that are learned end in "!"."""
    return [
        [turn.text + "!" * turn.learned for turn in conversation.turns]
        for conversation in grouped.conversations
    ]


def message(author: str, text: str, time: Any = None, **beside: Any) -> dict[str, Any]:
    return {"ticket": 7, "sender": author, "body": text, "sent": time, **beside}


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "conversation": st.sampled_from(["a", "b"]),
            "author": NAMES,
            "text": st.sampled_from(["x", "y", "z"]),
            "time": st.one_of(st.none(), st.integers(0, 9)),
            "id": st.one_of(st.none(), st.integers(0, 12)),
        }
    ),
    max_size=12,
)
THREADS = st.lists(
    st.tuples(NAMES, st.one_of(st.none(), st.integers(0, 9))), min_size=1, max_size=9
).map(
    lambda rows: [
        {"id": str(n), "author": author, "text": f"t{n}", "parent_id": parent, "time": n}
        for n, (author, parent) in enumerate(rows)
    ]
)


@given(st.one_of(ROWS, THREADS))
def test_every_message_is_in_a_conversation_or_has_a_reason(rows: list[dict[str, Any]]) -> None:
    said = read(rows)
    grouped = group(said, AGENTS, ["bot"])
    used: set[int] = set()
    for conversation in grouped.conversations:
        turns = conversation.turns
        assert (turns[0].agent, turns[-1].agent) == (False, True)
        assert all(before.agent != after.agent for before, after in pairwise(turns))
        for turn in turns:
            used.update(turn.messages)
            assert turn.text == "\n".join(said[number].text for number in turn.messages)
            assert {said[number].names == AGENTS for number in turn.messages} == {turn.agent}
        assert any(turn.learned for turn in turns)
    assert used | grouped.left_out.keys() == set(range(len(said)))
    assert not used & grouped.left_out.keys()
    assert all(
        number in used for c in grouped.conversations for t in c.turns for number in t.messages
    )


@given(THREADS)
def test_an_answer_stands_behind_what_it_answers_and_is_learned_once(
    rows: list[dict[str, Any]],
) -> None:
    said = read(rows)
    grouped = group(said, AGENTS, ["bot"])
    learned = [
        number
        for conversation in grouped.conversations
        for turn in conversation.turns
        if turn.learned
        for number in turn.messages
    ]
    answers = {n for n, each in enumerate(said) if each.names == AGENTS}
    assert set(learned) == answers - grouped.left_out.keys()
    if not grouped.branched:
        return
    for conversation in grouped.conversations:
        path = [said[number] for turn in conversation.turns for number in turn.messages]
        above = {None: None} | {each.id: each.parent for each in said}
        for before, after in pairwise(path):
            at = after.parent
            while at is not None and at != before.id:
                at = above[at]
            assert at == before.id


@given(st.permutations(range(6)))
def test_the_order_of_rows_does_not_matter_where_times_differ(order: list[int]) -> None:
    said = ["Mia", "Ann", "Mia", "Mia", "Ann", "Mia"]
    rows = [message(said[n], f"t{n}", f"2024-05-01T10:0{n}:00Z") for n in order]
    assert texts(group(read(rows), AGENTS)) == [["t0", "t1!", "t2\nt3", "t4!"]]


def test_what_does_not_belong_is_left_out_with_its_reason() -> None:
    rows = [
        message("Ann", "Can I help?", 1),
        message("Mia", "Where?", 2),
        message("bot", "Wait.", 3),
        message("ANN ", "Here.", 4),
        message("ANN ", "Here.", 4),
        message("Mia", "Thanks.", 5),
        {**message("Tom", "Hello?", 1), "ticket": 8},
        {**message("Ann", "Hello?", 1), "ticket": 9},
    ]
    grouped = group(read(rows), AGENTS, ["Bot"])
    assert texts(grouped) == [["Where?", "Here.!"]]
    assert grouped.conversations[0].id == "7"
    assert grouped.left_out == {
        0: "before_first_question",
        2: "skipped_author",
        4: "duplicate_message",
        5: "after_last_answer",
        6: "no_agent_answer",
        7: "no_question",
    }
    assert grouped.sentences[4].startswith("This message stands at log.jsonl:4 already")


@pytest.mark.parametrize(
    ("rows", "reason", "at", "says"),
    [
        ([message("Mia", "a", 1), message("Ann", "b")], "no_time", 1, "has no time"),
        ([message("Mia", "a", 1), message("Ann", "b", "soon")], "bad_time", 1, "is 'soon', which"),
        (
            [message("Mia", "a", "2024-05-01 10:00"), message("Ann", "b", "2024-05-01T10:01Z")],
            "bad_time",
            1,
            "only one of them names its zone",
        ),
        ([message("Mia", "a"), message("", "b")], "no_author", 1, "Nobody is named"),
        (
            [message("Mia", "a", id=1), message("Ann", "b", id=1)],
            "conflicting_id",
            1,
            'The id "1" is also that of the message at log.jsonl:1',
        ),
        (
            [
                {"id": "a", "author": "Mia", "text": "a", "parent_id": "b"},
                {"id": "b", "author": "Ann", "text": "b", "parent_id": "a"},
            ],
            "cycle",
            0,
            "lead back to itself, by way of log.jsonl:2",
        ),
        (
            [{"id": "a", "author": "Ann", "text": "a", "parent_id": "gone"}],
            "missing_parent",
            0,
            'answers "gone", which is not in the log',
        ),
    ],
)
def test_a_fault_takes_out_the_whole_conversation_and_is_named(
    rows: list[dict[str, Any]], reason: str, at: int, says: str
) -> None:
    good = [message("Mia", "x", 1, ticket=1), message("Ann", "y", 2, ticket=1)]
    grouped = group(read([*rows, *good]), AGENTS)
    assert grouped.left_out == dict.fromkeys(range(len(rows)), reason)
    assert list(grouped.sentences) == [at]
    assert says in grouped.sentences[at]
    assert texts(grouped) == [["x", "y!"]]


def test_replies_one_level_deep_are_one_conversation_in_the_order_of_time() -> None:
    replies = [
        {"user": "Mia", "text": "Still not.", "ts": "3.5"},
        {"user": "Ann", "text": "Try again.", "ts": "2.5"},
        {"user": "Ann", "text": "Now?", "ts": "4.5"},
    ]
    nested = [{"user": "Mia", "text": "It fails.", "ts": "1.5", "replies": replies}]
    linked = [
        {"id": 1, "user": "Mia", "text": "It fails.", "ts": "1.5", "parent_id": None},
        *({**reply, "id": n, "parent_id": 1} for n, reply in enumerate(replies, start=2)),
    ]
    expected = [["It fails.", "Try again.!", "Still not.", "Now?!"]]
    for rows in (nested, linked):
        grouped = group(read(rows), AGENTS)
        assert texts(grouped) == expected
        assert not grouped.branched
    assert group(read(nested), AGENTS).conversations[0].id == "log.jsonl:1"


def test_where_replies_answer_replies_each_path_is_a_conversation() -> None:
    def said(author: str, text: str, *replies: Any) -> dict[str, Any]:
        return {"author": {"login": author}, "text": text, "replies": [*replies]}

    tree = said(
        "Mia",
        "q",
        said("Ann", "a", said("Mia", "b", said("Ann", "c")), said("Tom", "d", said("Ann", "e"))),
        said("Tom", "me too"),
    )
    grouped = group(read([tree]), AGENTS)
    assert grouped.branched
    assert texts(grouped) == [["q", "a!", "b", "c!"], ["q", "a", "d", "e!"]]
    assert grouped.left_out == {6: "after_last_answer"}


def test_a_ticket_with_its_messages_inside_is_a_conversation() -> None:
    inside = [{"sender": "Mia", "text": "Where?"}, {"sender": "Ann", "text": "Here."}]
    rows = [{"id": 5, "messages": inside}, {"id": 6, "comments": inside}]
    grouped = group(read(rows), AGENTS)
    assert [conversation.id for conversation in grouped.conversations] == ["5", "6"]
    assert texts(grouped) == [["Where?", "Here.!"]] * 2


@pytest.mark.parametrize(
    "names",
    [
        ("conversation_id", "author", "time", "text"),
        ("Ticket ID", "Sender Name", "Created At", "Message Body"),
        ("threadId", "from", "timestamp", "content"),
        ("case_number", "user", "date", "comment"),
    ],
)
def test_columns_are_known_by_the_names_that_exports_give_them(names: tuple[str, ...]) -> None:
    values = (("7", "Mia", "2024-05-01", "q"), ("7", "Ann", "2024-05-02", "a"))
    rows = [dict(zip(names, each, strict=True)) for each in values]
    assert texts(group(read(rows), AGENTS)) == [["q", "a!"]]
    found = dict(columns_of(frozenset(names)).named())
    assert found == dict(zip(("conversation_id", "author", "time", "text"), names, strict=True))
    finding = understand(Row(Origin("log.jsonl", 1), rows[0]))
    assert isinstance(finding, Finding)
    assert "looks like a chat log" in finding.message
    assert "tunesmith data convert LOG OUT.jsonl --to chat --agent NAME" in finding.message


def test_columns_with_other_names_are_mapped_and_roles_name_agents_too() -> None:
    rows = [
        {"room": 7, "who": "Zed", "kind": "client", "words": "q"},
        {"room": 7, "who": "Amy", "kind": "Support", "words": "a"},
    ]
    mapping = {"room": "conversation_id", "who": "author", "kind": "role", "words": "text"}
    assert texts(group(read(rows, mapping), ["support"])) == [["q", "a!"]]


@pytest.mark.parametrize(
    "fields",
    [
        {"author": "A. Bell", "date": "2024-01-01", "text": "An article."},
        {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]},
        {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]},
        {"thread": "x", "prompt": "q", "completion": "a"},
    ],
)
def test_articles_and_chats_are_no_logs(fields: dict[str, Any]) -> None:
    assert not looks_like_log(fields)
    assert not isinstance(understand(Row(Origin("a.jsonl", 1), fields)), Finding)


@pytest.mark.parametrize(
    ("fields", "reason", "says"),
    [
        (message("Mia", " "), "no_text", '"body" is empty'),
        (message("Mia", None), "no_text", '"body" is empty'),  # type: ignore[arg-type]
        ({**message("Mia", "a"), "body": [1]}, "not_a_message", "received a list"),
        ({**message("Mia", "a"), "ticket": ""}, "no_conversation", '"ticket" is empty'),
        ({"author": "Mia", "text": "a"}, "no_conversation", "--map ticket_no=conversation_id"),
        ({"a": 1}, "not_a_message", 'received the fields "a". Name the fields with --map'),
    ],
)
def test_what_is_no_message_is_named(fields: dict[str, Any], reason: str, says: str) -> None:
    found = refused(fields)
    assert (found.place, found.reason) == ("log.jsonl:1", reason)
    assert says in found.sentence


def test_a_name_that_is_nobody_s_is_refused_with_those_that_are_there() -> None:
    rows = [message(name, "a") for name in ("Mia", "Mia", "Ann")]
    require_known(read(rows), [" ann"])
    with pytest.raises(DataError, match=r"No message is by Bob or Eve\..*: Mia \(2\), Ann \(1\)\."):
        require_known(read(rows), ["Bob", "Ann", "Eve"])


@pytest.mark.parametrize(
    ("value", "seconds", "zoned"),
    [
        ("1970-01-01T00:01:00Z", 60, True),
        ("1970-01-01 02:01:00.500+02:00", 60.5, True),
        ("1970/01/01 00:01", 60, False),
        ("1970-01-02", 86_400, False),
        ("1970-01-01 00:01:00 UTC", 60, True),
        ("Thu, 01 Jan 1970 02:01:00 +0200", 60, True),
        (1_700_000_000, 1.7e9, True),
        ("1700000000123", 1_700_000_000.123, True),
        ("1700000000.000200", 1_700_000_000.0002, True),
    ],
)
def test_times_are_read_as_exports_write_them(value: Any, seconds: float, zoned: bool) -> None:
    moment = moment_of(value)
    assert moment.seconds == pytest.approx(seconds, abs=1e-4)
    assert moment.zoned == zoned


TIMES = st.text("0123456789-/:.,+ TZGMTFriMay", max_size=30)


@given(st.one_of(TIMES, st.integers(), st.floats(), st.sampled_from([True, None, 10**400])))
def test_what_is_no_time_is_a_value_error(value: Any) -> None:
    with suppress(ValueError):
        assert moment_of(value).seconds < 1e12


KEYS = st.sampled_from(
    ["author", "text", "replies", "messages", "id", "parent_id", "time", "thread", "role", "ticket"]
)
VALUES = st.recursive(
    st.one_of(st.sampled_from(["Ann", "Mia", "", "\ud800", 1, 2, None, True, 1e999, "2024-05-01"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=12,
)


@given(st.lists(st.dictionaries(KEYS, VALUES, max_size=8), max_size=6))
def test_any_rows_end_in_conversations_or_in_reasons(rows: list[dict[str, Any]]) -> None:
    said: list[Said] = []
    for line, fields in enumerate(rows, start=1):
        found = [each for each, _ in messages_of(Row(Origin("log.jsonl", line), fields), {})]
        assert all(each.sentence.endswith(".") for each in found if isinstance(each, NotUsed))
        said += [each for each in found if isinstance(each, Said)]
    grouped = group(said, AGENTS)
    used = {n for c in grouped.conversations for turn in c.turns for n in turn.messages}
    assert used | grouped.left_out.keys() == set(range(len(said)))
    json.dumps([said[n].text for n in used]).encode()


def test_deep_threads_and_long_ones_need_no_recursion() -> None:
    tree: dict[str, Any] = {"author": "Ann", "text": "end"}
    for n in range(900):
        tree = {"author": ("Mia", "Ann")[n % 2], "text": str(n), "replies": [tree]}
    assert len(group(read([tree]), AGENTS).conversations) == 1
    chain = [
        {"id": n, "author": ("Mia", "Ann")[n % 2], "text": "x", "parent_id": n - 1 if n else None}
        for n in reversed(range(5000))
    ]
    (conversation,) = group(read(chain), AGENTS).conversations
    assert len(conversation.turns) == 5000
