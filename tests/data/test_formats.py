"""What a row means, and every way in which it cannot be one."""

from __future__ import annotations

from typing import Any

import pytest

from tunesmith.core.records import Chat, Completion, Example, Finding, Message, Origin, Row, Text
from tunesmith.data.formats import detect, understand


def _row(fields: dict[str, Any], line: int = 1, path: str = "rows.jsonl") -> Row:
    return Row(Origin(path, line), fields)


def _turns(*roles: str) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": f"from {role}"} for role in roles]}


def _content(fields: dict[str, Any]) -> Any:
    read = understand(_row(fields))
    assert isinstance(read, Example), read
    return read.content


def test_the_three_forms() -> None:
    assert _content({"text": "a"}) == Text("a")
    assert _content({"prompt": "a", "completion": "b"}) == Completion("a", "b")
    assert _content(_turns("user", "assistant")) == Chat(
        (Message("user", "from user"), Message("assistant", "from assistant"))
    )


@pytest.mark.parametrize(
    "roles",
    [
        ("user", "assistant"),
        ("system", "user", "assistant", "user", "assistant"),
        ("user", "assistant", "tool", "assistant"),
        ("user", "assistant", "tool", "tool", "assistant", "user", "assistant"),
    ],
)
def test_good_orders(roles: tuple[str, ...]) -> None:
    assert isinstance(_content(_turns(*roles)), Chat)


@pytest.mark.parametrize(
    ("fields", "reason", "parts"),
    [
        (
            {"prompt": "a", "completions": "b"},
            "wrong_keys",
            ['"prompt", "completions"', '"prompt" and "completion"', 'mean "completion"'],
        ),
        ({}, "wrong_keys", ["none", '"messages"']),
        ({"text": 3}, "wrong_type", ['"text" must be a string', "a number"]),
        ({"text": None}, "wrong_type", ["null"]),
        ({"text": "a\ud800"}, "wrong_type", ["surrogate", "character 2"]),
        ({"messages": "hello"}, "wrong_type", ["must be a list", "a string"]),
        ({"messages": [{"role": "user"}]}, "wrong_type", ["Message 1", "the fields role"]),
        ({"messages": ["hello"]}, "wrong_type", ["Message 1", "a string"]),
        (
            {"messages": [{"role": "user", "content": ["a"]}]},
            "wrong_type",
            ["message 1", '"content" must be a string', "a list"],
        ),
        (_turns("user", "bot"), "unknown_role", ["Message 2", "'bot'", "assistant"]),
        ({"messages": [{"role": ["user"], "content": "a"}]}, "unknown_role", ["Message 1"]),
        (_turns("assistant", "user"), "roles_order", ["Message 1", "first comes"]),
        (_turns("user", "user", "assistant"), "roles_order", ["Message 2", "after user comes"]),
        (_turns("user", "assistant", "assistant"), "roles_order", ["Message 3"]),
        (_turns("user", "system", "assistant"), "roles_order", ["Message 2 is from system"]),
        (_turns("user", "tool", "assistant"), "roles_order", ["Message 2 is from tool"]),
        (_turns("user"), "nothing_to_learn", ["No message is from the assistant"]),
        ({"messages": []}, "nothing_to_learn", ["No message is from the assistant"]),
        (_turns("user", "assistant", "user"), "nothing_to_learn", ["last message is from user"]),
        (
            {
                "messages": [
                    {"role": "user", "content": "a"},
                    {"role": "assistant", "content": " \n"},
                ]
            },
            "empty_answer",
            ["Message 2"],
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": ""},
                    {"role": "assistant", "content": "b"},
                ]
            },
            "empty_prompt",
            ["Message 1"],
        ),
        ({"prompt": "a", "completion": "\t"}, "empty_answer", ['"completion" is empty']),
        ({"prompt": "", "completion": "b"}, "empty_prompt", ['"prompt" is empty']),
        ({"text": " "}, "empty_text", ['"text" is empty']),
    ],
)
def test_unusable_rows(fields: dict[str, Any], reason: str, parts: list[str]) -> None:
    finding = understand(_row(fields, line=7))
    assert isinstance(finding, Finding)
    assert (finding.reason, finding.severity) == (reason, "drop")
    assert finding.origin == Origin("rows.jsonl", 7)
    for part in parts:
        assert part in finding.message


def test_mixed_forms_keep_the_order_and_extra_fields_are_named_once_a_file() -> None:
    chat = _turns("user", "assistant")
    chat["messages"][1]["weight"] = 0
    rows = [
        _row({"text": "a", "id": 1}),
        _row({"txt": "a"}, 2),
        _row({"prompt": "a", "completion": "b", "id": 2}, 3),
        _row(chat, 4),
        _row({"text": "a"}, 1, "other.jsonl"),
    ]
    detected = detect(rows)
    assert [type(read).__name__ for read in detected.rows] == [
        "Example",
        "Finding",
        "Example",
        "Example",
        "Example",
    ]
    (warning,) = detected.warnings
    assert (warning.reason, warning.severity) == ("extra_fields", "warn")
    assert '"id" (2 rows)' in warning.message
    assert '"messages.weight" (1 rows)' in warning.message
    assert "rows.jsonl" in warning.message
