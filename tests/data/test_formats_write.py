"""Rows written in another format are read again as what they were."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.data.test_formats import GOOD
from tunesmith.core.records import (
    Chat,
    Conduct,
    Content,
    Example,
    Message,
    Origin,
    Preference,
    Rating,
    Row,
    ToolCall,
)
from tunesmith.data.formats import understand
from tunesmith.data.formats.write import WRITERS, as_chat

TOOL = json.dumps({"type": "function", "function": {"name": "track", "parameters": {}}})
FULL = Chat(
    (
        Message("system", "Be kind."),
        Message("user", "Where?"),
        Message("assistant", "I look.", tool_calls=(ToolCall("track", '{"id": 7}', "c1"),)),
        Message("tool", "[1]", tool_call_id="c1", name="track"),
        Message("assistant", "Here.", reasoning="It is 1.", weight=0),
        Message("user", "Thanks."),
        Message("assistant", "Bye."),
    ),
    (TOOL,),
)
CONTENTS = [*(content for _, _, content in GOOD), FULL]
TURNED = {"openai_preference"}
"""Writers that make turns of plain texts."""


def _read(fields: dict[str, Any]) -> Content:
    read = understand(Row(Origin("rows.jsonl", 1), json.loads(json.dumps(fields))))
    assert isinstance(read, Example), read
    return read.content


@pytest.mark.parametrize("form", ["preference", "openai_preference", "rating"])
@pytest.mark.parametrize("expect", ["refuse", "answer"])
def test_what_is_to_be_done_with_a_prompt_is_kept(form: str, expect: Conduct) -> None:
    asked, said = (Message("user", "Where?"),), (Message("assistant", "Here."),)
    content = (
        Rating(asked, said, False, expect=expect)
        if form == "rating"
        else Preference(asked, said, (Message("assistant", "No."),), expect=expect)
    )
    fields = WRITERS[form](content)
    assert fields is not None
    assert _read(fields) == content


@pytest.mark.parametrize("form", WRITERS)
def test_what_a_format_can_hold_is_read_again_unchanged(form: str) -> None:
    held = 0
    for content in CONTENTS:
        fields = WRITERS[form](content)
        if fields is None:
            continue
        held += 1
        again = _read(fields)
        same = again == content or (
            as_chat(again) is not None and as_chat(again) == as_chat(content)
        )
        if form in TURNED and isinstance(content, Preference) and isinstance(content.prompt, str):
            assert isinstance(again, Preference)
            assert again.prompt == (Message("user", content.prompt),)
            continue
        assert same, (content, fields)
    assert held


def test_every_content_can_be_written_by_some_format() -> None:
    for content in CONTENTS:
        assert any(write(content) is not None for write in WRITERS.values()), content


@pytest.mark.parametrize("form", ["sharegpt", "instruction", "completion", "text"])
def test_a_format_that_would_lose_something_refuses(form: str) -> None:
    assert WRITERS[form](FULL) is None
