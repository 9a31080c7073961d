"""Calls of tools are read back out of what templates write."""

from __future__ import annotations

import json

import pytest

from tools.template_tokenizers import serving_templates, tokenizer_for
from tunesmith.core.errors import DataError
from tunesmith.core.records import Chat, Message, ToolCall
from tunesmith.data.render import Renderer
from tunesmith.data.template import DEFAULT
from tunesmith.runs.calling import CallReader, call_format

TEMPLATES = serving_templates()
TOOL = json.dumps(
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "W",
            "parameters": {"type": "object", "properties": {}},
        },
    }
)
ASKED = {"city": "São Paulo", "days": 3}
CALL = ToolCall("weather", json.dumps(ASKED, ensure_ascii=False), "call00001")

FORMS = {
    "default": ("Call:", " Call: "),
    "qwen2_5": ("<tool_call>", "<tool_call>\n"),
    "qwen3_5_nothink": ("<tool_call>\n<function=", None),
    "llama3_1": ("{", ""),
    "lfm2_2_5": ("[", None),
    "gptoss": ("to=functions.", None),
}


def renderer(name: str) -> Renderer:
    template = DEFAULT if name == "default" else TEMPLATES.get(name)
    if template is None:
        pytest.skip("trl, whose templates these are, is not installed")
    return Renderer(tokenizer_for(name, template), template)


@pytest.mark.parametrize("name", FORMS)
def test_a_call_is_read_as_it_was_written(name: str) -> None:
    spoken = renderer(name)
    found = call_format(spoken)
    assert (found.opening, found.before) == FORMS[name]
    twice = Message("assistant", "", tool_calls=(CALL, CALL) if name == "default" else (CALL,))
    written = spoken.encoder.bare(spoken.written(Chat((Message("user", "?"), twice), (TOOL,))))
    reader = found.reader(["weather", "we"])
    text = "".join(reader.feed(written[n : n + 3]) for n in range(0, len(written), 3))
    rest, calls = reader.rest()
    assert (text + rest).strip() == ""
    assert [(each.name, json.loads(each.arguments)) for each in calls] == [
        (call.name, ASKED) for call in twice.tool_calls
    ]


def test_text_before_calls_stays_text() -> None:
    reader = CallReader("[", ["f"], False)
    said = "See [1] and [2].\n[f(x=1)]"
    shown = "".join(map(reader.feed, said))
    rest, calls = reader.rest()
    assert shown + rest == "See [1] and [2]."
    assert calls == [ToolCall("f", '{"x": 1}')]


def test_what_only_looks_like_a_call_is_text() -> None:
    for said in ("Call me.", 'Call: {"name": "unknown", "arguments": {}}', "a Cal"):
        reader = CallReader("Call:", ["f"], False)
        shown = "".join(map(reader.feed, said))
        assert (shown + reader.rest()[0], reader.rest()[1]) == (said, [])


def test_a_form_that_is_not_read_is_refused() -> None:
    with pytest.raises(DataError, match="in a form that is not read here"):
        call_format(renderer("gemma4"))
