"""The metrics follow from the answers that are wanted."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from tunesmith.core.records import Origin, Prompt, ToolCall
from tunesmith.evaluate.metrics import choose

OVERLAP = ("chrf", "bleu", "rouge_l", "length_ratio")
TOOL = json.dumps({"type": "function", "function": {"name": "track", "parameters": {}}})
CALL = ToolCall("track", '{"number": "A7"}')


def asked(
    references: list[str], calls: tuple[ToolCall, ...] = (), tools: tuple[str, ...] = ()
) -> list[Prompt]:
    return [
        Prompt(Origin("rows.jsonl", n), (), np.array([1], np.int32), text, tools, calls)
        for n, text in enumerate(references, 1)
    ]


@pytest.mark.parametrize(
    ("references", "metrics", "why"),
    [
        (['{"a": 1}', "[2]"], ("json_valid", "json_fields"), "JSON object or array"),
        (["Billing", "order."] * 4, ("label_accuracy", "macro_f1"), "8 .* are of 2 classes"),
        (["0", "1", "1"] * 3, ("label_accuracy", "macro_f1"), "9 .* are of 2 classes"),
        (["So 3.", "It is 4 kg", "#### 5"], ("number_match", "length_ratio"), "ends in a number"),
        (["It is on its way.", "Not yet."], OVERLAP, "free text"),
        (["yes"] * 9, OVERLAP, "free text"),
        (["Billing", "order", "none"], OVERLAP, "free text"),
        (["In 1990 she moved to the sea and was never heard of", "7"], OVERLAP, "free text"),
        (['{"a": 1}', "No."], OVERLAP, "free text"),
    ],
)
def test_the_task_chooses(references: list[str], metrics: tuple[str, ...], why: str) -> None:
    chosen = choose(asked(references))
    assert chosen.metrics == metrics
    assert re.search(why, chosen.reason)


def test_calls_are_compared_where_they_can_be_read() -> None:
    written = '<tool_call>{"name": "track", "arguments": {"number": "A7"}}</tool_call>'
    read = choose(asked([written, written], (CALL,), (TOOL,)))
    assert read.metrics == ("tool_names", "tool_calls")
    unread = choose(asked(["call:track{number:A7}"], (CALL,), (TOOL,)))
    assert unread.metrics == OVERLAP
    assert "in a form of the template that is not read here" in unread.reason


def test_metrics_can_be_named() -> None:
    chosen = choose(asked(["Yes, 3."]), ["bleu", "json_valid", "number_match", "tool_calls"])
    assert chosen.metrics == ("bleu", "number_match")
    assert chosen.unusable == ("json_valid", "tool_calls")
    assert chosen.reason == "evaluate.metrics names them"


def test_naming_what_the_task_would_choose_keeps_the_reason() -> None:
    prompts = asked(["It is on its way.", "Not yet."])
    assert choose(prompts, OVERLAP) == choose(prompts)


def test_documents_ask_nothing() -> None:
    assert choose([]).metrics == ()
    assert choose([], ["bleu"]).unusable == ("bleu",)
