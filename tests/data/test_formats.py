"""What a row means, and every way in which it cannot be one."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tunesmith.core.records import (
    Chat,
    Completion,
    Example,
    Finding,
    ImageLabel,
    Label,
    Message,
    Origin,
    Pair,
    Preference,
    Prompted,
    Rating,
    Row,
    Scored,
    Stepwise,
    Tagged,
    Text,
    ToolCall,
    Triplet,
)
from tunesmith.data.formats import FORMATS, all_recognised, detect, read_row, recognised, understand
from tunesmith.data.kinds import KINDS, TRAINED, wrong_kind

ASKED, SAID = Message("user", "Where?"), Message("assistant", "Here.")
OTHER = Message("assistant", "There.")
TOOL = {"name": "track", "parameters": {"type": "object", "properties": {}}}
TOOL_TEXT = json.dumps({"type": "function", "function": TOOL})
CALL = {"id": "c1", "type": "function", "function": {"name": "track", "arguments": '{"id": 7}'}}


def _row(fields: dict[str, Any], line: int = 1, path: str = "rows.jsonl") -> Row:
    return Row(Origin(path, line), fields)


def _turns(*roles: str) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": f"from {role}"} for role in roles]}


def _said(*messages: Message) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in messages]


def _content(fields: dict[str, Any], mapping: dict[str, str] | None = None) -> Any:
    read = understand(_row(fields), mapping or {})
    assert isinstance(read, Example), read
    return read.content


def _finding(fields: dict[str, Any], mapping: dict[str, str] | None = None) -> Finding:
    finding = understand(_row(fields, line=7), mapping or {})
    assert isinstance(finding, Finding), finding
    assert (finding.severity, finding.origin) == ("drop", Origin("rows.jsonl", 7))
    assert finding.message.endswith(".")
    return finding


GOOD: list[tuple[str, dict[str, Any], Any]] = [
    ("text (text)", {"text": "a"}, Text("a")),
    ("completion (prompt, completion)", {"prompt": "a", "completion": "b"}, Completion("a", "b")),
    ("completion (prompt, response)", {"prompt": "a", "response": "b"}, Completion("a", "b")),
    ("completion (question, answer)", {"question": "a", "answer": "b"}, Completion("a", "b")),
    (
        "completion (prompt, completion)",
        {"prompt": _said(ASKED, SAID, ASKED), "completion": _said(OTHER)},
        Chat((ASKED, Message("assistant", "Here.", weight=0), ASKED, OTHER)),
    ),
    ("chat (messages)", {"messages": _said(ASKED, SAID)}, Chat((ASKED, SAID))),
    (
        "chat (messages)",
        {"system": "Be kind.", "messages": _said(ASKED, SAID), "tools": None},
        Chat((Message("system", "Be kind."), ASKED, SAID)),
    ),
    (
        "chat (conversations)",
        {
            "conversations": [
                {"from": "human", "value": "Where?"},
                {"from": "function_call", "value": '{"name": "track", "arguments": {"id": 7}}'},
                {"from": "observation", "value": "here"},
                {"from": "gpt", "value": "Here."},
            ],
            "tools": json.dumps([TOOL]),
        },
        Chat(
            (
                ASKED,
                Message("assistant", "", tool_calls=(ToolCall("track", '{"id": 7}'),)),
                Message("tool", "here"),
                SAID,
            ),
            (TOOL_TEXT,),
        ),
    ),
    (
        "dialogue (turns)",
        {
            "turns": [
                {"role": "user", "text": "Where?"},
                {
                    "role": "system",
                    "text": "Here.",
                    "call": {"method": "track", "parameters": {"id": 7}},
                    "results": [1],
                },
            ]
        },
        Chat(
            (
                ASKED,
                Message("assistant", "", tool_calls=(ToolCall("track", '{"id": 7}'),)),
                Message("tool", "[1]", name="track"),
                SAID,
            )
        ),
    ),
    (
        "instruction (instruction, output)",
        {"instruction": "Add.", "input": "1 1", "output": "2"},
        Completion("Add.\n1 1", "2"),
    ),
    (
        "instruction (instruction, output)",
        {"instruction": "Where?", "input": "", "output": "Here.", "history": [["a", "b"]]},
        Chat((Message("user", "a"), Message("assistant", "b"), ASKED, SAID)),
    ),
    (
        "instruction (instruction, response)",
        {"instruction": "Add.", "context": "1 1", "response": "2"},
        Completion("Add.\n1 1", "2"),
    ),
    (
        "preference (prompt, chosen, rejected)",
        {"prompt": "a", "chosen": "b", "rejected": "c"},
        Preference("a", "b", "c"),
    ),
    (
        "preference (prompt, chosen, rejected)",
        {"prompt": "Where?", "chosen": _said(ASKED, SAID), "rejected": _said(ASKED, OTHER)},
        Preference((ASKED,), (SAID,), (OTHER,)),
    ),
    (
        "preference (prompt, chosen, rejected)",
        {"prompt": _said(ASKED), "chosen": _said(SAID), "rejected": _said(OTHER)},
        Preference((ASKED,), (SAID,), (OTHER,)),
    ),
    (
        "preference (conversations, chosen, rejected)",
        {
            "conversations": [{"from": "human", "value": "Where?"}],
            "chosen": {"from": "gpt", "value": "Here."},
            "rejected": {"from": "gpt", "value": "There."},
        },
        Preference((ASKED,), (SAID,), (OTHER,)),
    ),
    (
        "preference (instruction, chosen, rejected)",
        {"instruction": "Where?", "input": "", "chosen": "Here.", "rejected": "There."},
        Preference((ASKED,), (SAID,), (OTHER,)),
    ),
    (
        "preference (chosen, rejected)",
        {
            "chosen": "\n\nHuman: Where?\n\nAssistant: Here.",
            "rejected": "\n\nHuman: Where?\n\nAssistant: There.",
        },
        Preference((ASKED,), (SAID,), (OTHER,)),
    ),
    (
        "preference (input, preferred_output, non_preferred_output)",
        {
            "input": {"messages": _said(ASKED), "tools": [TOOL], "parallel_tool_calls": True},
            "preferred_output": _said(SAID),
            "non_preferred_output": _said(OTHER),
        },
        Preference((ASKED,), (SAID,), (OTHER,), (TOOL_TEXT,)),
    ),
    (
        "rating (prompt, completion, label)",
        {"prompt": "a", "completion": "b", "label": False},
        Rating("a", "b", False),
    ),
    (
        "rating (messages, label)",
        {"messages": _said(ASKED, SAID), "label": True},
        Rating((ASKED,), (SAID,), True),
    ),
    (
        "preference (prompt, chosen, rejected)",
        {"prompt": "a", "chosen": "b", "rejected": "c", "margin": 1},
        Preference("a", "b", "c", margin=1.0),
    ),
    (
        "preference (messages, chosen, rejected)",
        {
            "messages": _said(ASKED),
            "chosen": _said(SAID),
            "rejected": _said(OTHER),
            "score_chosen": 4.5,
            "score_rejected": 3,
        },
        Preference((ASKED,), (SAID,), (OTHER,), margin=1.5),
    ),
    (
        "scored answer (prompt, response, reward)",
        {"prompt": "a", "response": "b", "reward": 3},
        Scored("a", "b", 3.0),
    ),
    (
        "scored answer (messages, reward)",
        {"messages": _said(ASKED, SAID), "reward": -0.5},
        Scored((ASKED,), (SAID,), -0.5),
    ),
    (
        "steps (prompt, completions, labels)",
        {"prompt": "a", "completions": ["b", "c"], "labels": [True, 0]},
        Stepwise("a", ("b", "c"), (True, False)),
    ),
    (
        "prompt (messages)",
        {"messages": _said(ASKED), "reference": 4},
        Prompted((ASKED,), '{"reference": 4}'),
    ),
    ("prompt (prompt)", {"prompt": "a"}, Prompted("a")),
    ("prompt (prompt)", {"prompt": "a", "tools": None, "id": 3}, Prompted("a", '{"id": 3}')),
    (
        "prompt (prompt)",
        {"prompt": _said(ASKED), "tools": [TOOL], "solution": "4"},
        Prompted((ASKED,), '{"solution": "4"}', (TOOL_TEXT,)),
    ),
    ("label (text, label)", {"text": "a", "label": 3}, Label("a", ("3",))),
    ("label (text, labels)", {"text": "a", "labels": ["x", "y"]}, Label("a", ("x", "y"))),
    ("label (text, category)", {"text": "a", "category": "x"}, Label("a", ("x",))),
    (
        "tagged words (tokens, ner_tags)",
        {"tokens": ["Ann", "ran"], "ner_tags": [1, 0]},
        Tagged(("Ann", "ran"), ("1", "0")),
    ),
    ("pair (anchor, positive)", {"anchor": "a", "positive": "b"}, Pair("a", "b")),
    (
        "pair (sentence1, sentence2, score)",
        {"sentence1": "a", "sentence2": "b", "score": "0.5"},
        Pair("a", "b", 0.5),
    ),
    (
        "triplet (query, positive, negative)",
        {"query": "a", "positive": "b", "negative": "c"},
        Triplet("a", "b", "c"),
    ),
    (
        "image label (image, label)",
        {"image": "hats/1.jpg", "label": "hat"},
        ImageLabel("hats/1.jpg", "hat"),
    ),
]


@pytest.mark.parametrize(("title", "fields", "content"), GOOD)
def test_each_format_is_recognised_and_read(
    title: str, fields: dict[str, Any], content: Any
) -> None:
    reading = read_row(_row(fields))
    assert isinstance(reading.outcome, Example), reading.outcome
    assert reading.outcome.content == content
    assert (reading.title, reading.extras) == (title, frozenset())


def test_every_kind_of_content_has_a_format_that_makes_it() -> None:
    assert {type(content) for _, _, content in GOOD} == set(KINDS)
    titles = [form.title for form in FORMATS]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize(
    "roles",
    [
        ("user", "assistant"),
        ("system", "user", "assistant", "user", "assistant"),
        ("developer", "user", "assistant", "function", "assistant"),
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
        ({"prompt": "a", "answr": "b"}, "wrong_keys", ['mean "answer" for "answr"']),
        ({"prompt": "a", "label": "b"}, "wrong_keys", ['"prompt", "label"']),
        ({"prompt": "a", "completion": None}, "wrong_type", ['"completion" must be', "null"]),
        ({"prompt": " "}, "empty_prompt", ['"prompt" is empty']),
        ({"prompt": 3}, "wrong_type", ['"prompt" must be a string', "a number"]),
        ({"prompt": "a", "videos": ["b.mp4"]}, "not_text", ['has "videos"']),
        ({"prompt": _said(ASKED, SAID)}, "no_prompt", ["is from assistant", '"completion"']),
        ({"prompt": []}, "no_prompt", ["is missing"]),
        ({}, "wrong_keys", ["none", '"messages"', "data.mapping"]),
        ({f"column {n}": n for n in range(80)}, "wrong_keys", ['"column 0"', "(80 in all)"]),
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
            {"messages": _said(ASKED, Message("assistant", " \n"))},
            "empty_answer",
            ["Message 2"],
        ),
        ({"messages": _said(Message("user", ""), SAID)}, "empty_prompt", ["Message 1"]),
        ({"prompt": "a", "completion": "\t"}, "empty_answer", ['"completion" is empty']),
        ({"prompt": "", "completion": "b"}, "empty_prompt", ['"prompt" is empty']),
        ({"question": "a", "answer": ""}, "empty_answer", ['"answer" is empty']),
        ({"text": " "}, "empty_text", ['"text" is empty']),
        (
            {"conversations": [{"from": "human"}]},
            "wrong_type",
            ["Message 1", '"from" and "value"', "from"],
        ),
        (
            {"conversations": [{"from": "robot", "value": "a"}]},
            "unknown_role",
            ["'robot'", "human"],
        ),
        (
            {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": 1}]},
            "wrong_type",
            ["message 2", '"value" must be a string'],
        ),
        ({"turns": 3}, "wrong_type", ['"turns" must be a list']),
        ({"turns": [{"role": "cat", "text": "a"}]}, "wrong_type", ["Turn 1", '"role"']),
        (
            {"turns": [{"role": "user", "text": "a"}, {"role": "system", "text": "b", "call": 1}]},
            "bad_tool_call",
            ["turn 2", '"method" and "parameters"', "1"],
        ),
        ({"instruction": " ", "output": "b"}, "empty_prompt", ['"instruction" is empty']),
        ({"instruction": "a", "output": ""}, "empty_answer", ['"output" is empty']),
        (
            {"instruction": "a", "output": "b", "history": [["q"]]},
            "wrong_type",
            ['Pair 1 of "history"', "a list"],
        ),
        ({"messages": _said(ASKED, SAID), "images": ["a.jpg"]}, "image_marks", ["1 picture"]),
        ({"messages": _said(ASKED, SAID), "videos": ["a.mp4"]}, "not_text", ['"videos"']),
        (
            {"prompt": "a", "chosen": "b", "rejected": "b"},
            "equal_answers",
            ["are the same", "'b'"],
        ),
        ({"prompt": "a", "chosen": "", "rejected": "b"}, "empty_answer", ['"chosen" is empty']),
        (
            {"prompt": "a", "chosen": [], "rejected": _said(SAID)},
            "empty_answer",
            ['"chosen" is an empty list'],
        ),
        (
            {"prompt": "When?", "chosen": _said(ASKED, SAID), "rejected": _said(ASKED, OTHER)},
            "prompt_differs",
            ['do not begin with "prompt"'],
        ),
        ({"chosen": "a", "rejected": "b"}, "no_prompt", ["no question in common"]),
        (
            {"input": "a", "preferred_output": [], "non_preferred_output": []},
            "wrong_type",
            ['"input" must be an object'],
        ),
        ({"text": "a", "label": 0.5}, "wrong_type", ["A label", "a number"]),
        ({"text": "a", "label": ""}, "no_label", ["is empty"]),
        ({"text": "a", "labels": []}, "no_label", ["empty list"]),
        ({"tokens": ["a"], "tags": []}, "tags_do_not_fit", ['1 "tokens" and 0 "tags"']),
        ({"tokens": ["a", 3], "tags": [1, 2]}, "wrong_type", ["a list of strings"]),
        ({"anchor": "a", "positive": ""}, "empty_text", ['"positive" is empty']),
        (
            {"sentence1": "a", "sentence2": "b", "score": "high"},
            "wrong_type",
            ['"score" must be a number', "'high'"],
        ),
        ({"image": 3, "label": "hat"}, "wrong_type", ['"image" must be a string']),
    ],
)
def test_unusable_rows(fields: dict[str, Any], reason: str, parts: list[str]) -> None:
    finding = _finding(fields)
    assert finding.reason == reason, finding
    for part in parts:
        assert part in finding.message


def _answer(**given: Any) -> dict[str, Any]:
    return {"messages": [*_said(ASKED), {"role": "assistant", "content": "Here.", **given}]}


def test_weights_say_what_is_learned() -> None:
    chat = _turns("user", "assistant", "user", "assistant")
    chat["messages"][1]["weight"] = 0
    chat["messages"][2]["train"] = False
    assert [m.learned for m in _content(chat).messages] == [False, False, False, True]
    assert [m.learned for m in _content(_answer(train=True)).messages] == [False, True]


@pytest.mark.parametrize(
    ("given", "reason", "part"),
    [
        ({"weight": 0.5}, "bad_weight", '"weight" must be 0 or 1, false or true; received 0.5'),
        ({"train": "no"}, "bad_weight", "received 'no'"),
        ({"weight": 1, "train": False}, "bad_weight", "contradict each other"),
        ({"weight": 0}, "nothing_to_learn", "has weight 0"),
        ({"tool_calls": 3}, "bad_tool_call", '"tool_calls" must be a list'),
        ({"tool_calls": [{"name": ""}]}, "bad_tool_call", '"name" and "arguments"'),
        (
            {"function_call": {"name": "f", "arguments": "{"}},
            "bad_tool_call",
            '"arguments" of the call of f must be JSON',
        ),
        (
            {"function_call": {"name": "f", "arguments": "[1]"}},
            "bad_tool_call",
            "must be a JSON object; received a list",
        ),
        ({"content": [{"type": "image_url"}]}, "image_role", "Message 2 (assistant) shows"),
        ({"content": [{"type": "audio"}]}, "not_text", "part 1: the content holds audio"),
        ({"content": [{"type": "poem"}]}, "wrong_type", "the type 'poem' is unknown"),
        ({"content": [{"type": "text"}]}, "wrong_type", 'must have a "text"'),
        ({"content": None}, "wrong_type", '"content" must be a string; received null'),
        ({"name": 3}, "wrong_type", '"name" must be a string'),
    ],
)
def test_damaged_answers(given: dict[str, Any], reason: str, part: str) -> None:
    finding = _finding(_answer(**given))
    assert finding.reason == reason, finding
    assert part in finding.message


def test_only_the_assistant_is_learned_and_calls() -> None:
    for given, reason in (({"weight": 1}, "bad_weight"), ({"tool_calls": [CALL]}, "bad_tool_call")):
        row = {"messages": [{"role": "user", "content": "Where?", **given}, *_said(SAID)]}
        assert _finding(row).reason == reason


@pytest.mark.parametrize("tools", [3, "{", [3], [{"type": "function", "function": {}}]])
def test_damaged_tools(tools: Any) -> None:
    finding = _finding({"messages": _said(ASKED, SAID), "tools": tools})
    assert finding.reason == "bad_tools"


@pytest.mark.parametrize(
    "given",
    [
        {"tool_calls": [CALL]},
        {"tool_calls": [{**CALL, "function": {"name": "track", "arguments": {"id": 7}}}]},
        {"content": [{"type": "tool_call", "value": '{"id": "c1", "name": "track", '
                      '"arguments": {"id": 7}}'}]},
    ],
)  # fmt: skip
def test_spellings_of_one_call(given: dict[str, Any]) -> None:
    row = {"messages": [*_said(ASKED), {"role": "assistant", **given}], "functions": [TOOL]}
    chat = _content(row)
    assert chat.messages[1].tool_calls == (ToolCall("track", '{"id": 7}', "c1"),)
    assert (chat.messages[1].content, chat.tools) == ("", (TOOL_TEXT,))


def test_the_older_call_has_no_id() -> None:
    older = {"role": "assistant", "content": None, "function_call": {"name": "track"}}
    (call,) = _content({"messages": [*_said(ASKED), older]}).messages[1].tool_calls
    assert call == ToolCall("track", "{}")


def test_parts_of_text_are_joined_and_thoughts_kept_apart() -> None:
    parts = [
        {"type": "reasoning", "value": "Let me see."},
        {"type": "text", "text": "It is"},
        {"type": "text", "value": "here."},
    ]
    answer = _content(_answer(content=parts)).messages[1]
    assert (answer.content, answer.reasoning) == ("It is\nhere.", "Let me see.")
    assert _content(_answer(reasoning_content="Hm.")).messages[1].reasoning == "Hm."


def test_a_rating_needs_a_verdict_and_tags_need_words() -> None:
    """The same names are often those of other things, which are then unused fields."""
    topic = {"messages": _said(ASKED, SAID), "label": "delivery"}
    assert isinstance(_content(topic), Chat)
    assert read_row(_row(topic)).extras == {"label"}
    assert isinstance(_content({"prompt": "a", "completion": "b", "label": "c"}), Completion)
    assert isinstance(_content({"text": "a", "tokens": 12, "tags": ["news"]}), Text)


def test_a_field_that_is_null_marks_no_format() -> None:
    """Tables of several formats fill up each other's columns with null."""
    row = {"prompt": "a", "completion": "b", "chosen": None, "rejected": None, "label": None}
    assert _content(row) == Completion("a", "b")


def test_a_mapping_renames_fields_before_they_are_recognised() -> None:
    mapping = {"ask": "prompt", "reply": "completion", "label": "topic"}
    row = {"ask": "a", "reply": "b", "label": True}
    assert _content(row, mapping) == Completion("a", "b")
    assert _content({"prompt": "b", "completion": "a"}, {"prompt": "completion",
        "completion": "prompt"}) == Completion("a", "b")  # fmt: skip
    finding = _finding({**row, "prompt": "c"}, mapping)
    assert finding.reason == "mapping_conflict"
    assert 'two fields of this row as "prompt"' in finding.message


def test_deep_nesting_and_strange_names_end_in_a_sentence() -> None:
    deep: Any = []
    for _ in range(5000):
        deep = [deep]
    row = {"messages": _said(ASKED), "reference": deep}
    assert _finding(row).reason == "wrong_type"
    strange = _finding({"\ud800" * 3: 1, "x" * 100_000: 2})
    strange.message.encode()
    assert len(strange.message) < 1500


def test_mixed_forms_keep_the_order_and_extra_fields_are_named_once_a_file() -> None:
    chat = _turns("user", "assistant")
    chat["messages"][1]["mood"] = "calm"
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
    assert '"messages.mood" (1 rows)' in warning.message
    assert "rows.jsonl" in warning.message


def test_the_formats_of_a_file_are_told_with_their_rows() -> None:
    counts = Counter({"text (text)": 2, "chat (messages)": 570})
    assert recognised("tickets.jsonl", 573, counts) == (
        "tickets.jsonl: 570 rows as chat (messages), 2 rows as text (text), "
        "1 rows in no known format."
    )


def test_many_files_are_told_of_at_once() -> None:
    files = [
        (f"hats/red/{number}.jpg", 1, Counter({"image label (image, label)": 1}))
        for number in range(21)
    ]
    assert all_recognised(files[:20]) == [recognised(*each) for each in files[:20]]
    one = [("hats/blue/1.jpg", 2, Counter({"text (text)": 1}))]
    assert all_recognised([*files, *one]) == [
        "hats (22 files): 21 rows as image label (image, label), 1 rows as text (text), "
        "1 rows in no known format."
    ]
    absolute = [("/a/1.md", 1, Counter({"text (text)": 1})), *[("/b/1.md", 1, Counter())] * 20]
    assert all_recognised(absolute)[0].startswith("/ (21 files): 1 rows as text (text), 20 rows in")


@pytest.mark.parametrize("objective", sorted(TRAINED))
@pytest.mark.parametrize(("title", "fields", "content"), GOOD)
def test_kinds_that_an_objective_does_not_train_are_named(
    objective: str, title: str, fields: dict[str, Any], content: Any
) -> None:
    complaint = wrong_kind(content, objective)
    if isinstance(content, TRAINED[objective]):
        assert complaint is None
        return
    assert complaint is not None
    assert objective in complaint
    assert "data.mapping" in complaint
    assert complaint.endswith(".")


def test_a_prompt_alone_is_named_with_the_objective_that_takes_it() -> None:
    complaint = wrong_kind(_content({"prompt": "Where?"}), "sft")
    assert complaint is not None
    assert "a prompt that waits for its answer" in complaint
    assert "for the objective grpo" in complaint


def test_the_page_of_formats_is_true_and_whole() -> None:
    """Each row that it shows is of the format that it names; and it shows every format."""
    page = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| ([\w ]+ \([\w, ]+\)) \| `(\{.*\})` \|$", page, flags=re.MULTILINE)
    for title, row in lines:
        reading = read_row(_row(json.loads(row)))
        assert isinstance(reading.outcome, Example), reading.outcome
        assert (reading.title, reading.extras) == (title, frozenset())
    assert {title for title, _ in lines} == {form.title for form in FORMATS}


@pytest.mark.parametrize(
    ("value", "tests", "extras"),
    [
        ("assert f(1)", "assert f(1)", set()),
        (["assert f(1)", "assert f(2)"], "assert f(1)\nassert f(2)", set()),
        ({"inputs": [1]}, "", {"tests"}),
        ([1], "", {"tests"}),
        (None, "", {"tests"}),
        ("  ", "", {"tests"}),
    ],
)
def test_tests_beside_a_row_are_kept_for_judging(value: Any, tests: str, extras: set[str]) -> None:
    reading = read_row(_row({"prompt": "f?", "completion": "f", "tests": value}))
    assert isinstance(reading.outcome, Example)
    assert reading.outcome.tests == tests
    assert reading.extras == extras
