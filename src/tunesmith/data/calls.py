"""Tools, calls and thoughts as chat templates take them, and whether a template writes them.

Arguments and schemas are objects there, not texts (transformers, "Tool use"); some templates join
arguments to a text, and get them as one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tunesmith.core.records import Message, ToolCall

PROBE_TOOL = json.dumps(
    {
        "type": "function",
        "function": {
            "name": "zyzzogeton",
            "description": "Looks up a word.",
            "parameters": {
                "type": "object",
                "properties": {"word": {"type": "string", "description": "The word."}},
                "required": ["word"],
            },
        },
    }
)
PROBE_WORD = "grasshopper"
PROBE_CALL = ToolCall("zyzzogeton", json.dumps({"word": PROBE_WORD}), "call00001")


def schemas(tools: Sequence[str]) -> list[dict[str, Any]] | None:
    """The functions of a conversation as the templates' `tools`; None where there are none."""
    return [json.loads(tool) for tool in tools] or None


def beside_content(message: Message, *, as_text: bool) -> dict[str, Any]:
    """The keys of a message besides role and content; with `as_text` arguments are JSON texts."""
    keys: dict[str, Any] = {}
    if message.tool_calls:
        keys["tool_calls"] = [_call(call, as_text) for call in message.tool_calls]
    if message.reasoning:
        keys["reasoning_content"] = message.reasoning
    for name in ("name", "tool_call_id"):
        if (value := getattr(message, name)) is not None:
            keys[name] = value
    return keys


def _call(call: ToolCall, as_text: bool) -> dict[str, Any]:
    arguments = call.arguments if as_text else json.loads(call.arguments)
    function = {"name": call.name, "arguments": arguments}
    identity = {} if call.id is None else {"id": call.id}
    return {"type": "function", "function": function, **identity}
