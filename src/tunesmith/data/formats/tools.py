"""Functions that an assistant may call, and its calls, in the spellings that data files have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunesmith.core.records import ToolCall
from tunesmith.data.formats.fields import fail, kind_of, optional, packed, shown, unpacked, whole


def schemas(fields: Mapping[str, Any], name: str = "tools") -> tuple[str, ...]:
    """The functions of a row: a list of schemas, or the JSON text of one, each perhaps bare.

    Returns each as the JSON text of ``{"type": "function", "function": {...}}``.
    """
    value = unpacked(fields.get(name), f'"{name}"', "bad_tools")
    if not value:
        return ()
    if not isinstance(value, list):
        fail("bad_tools", f'"{name}" must be a list of functions; received {kind_of(value)}.')
    return tuple(_schema(number, tool, name) for number, tool in enumerate(value, start=1))


def calls_of(turn: Mapping[str, Any], where: str) -> tuple[ToolCall, ...]:
    """The calls of a message: `tool_calls`, or the older single `function_call`."""
    listed = turn.get("tool_calls") or []
    if not isinstance(listed, list):
        fail("bad_tool_call", f'{where}"tool_calls" must be a list; received {kind_of(listed)}.')
    older = turn.get("function_call")
    return tuple(call(each, where) for each in [*listed, *([] if older is None else [older])])


def call(value: Any, where: str) -> ToolCall:
    """One call: ``{"name": ..., "arguments": ...}``, by itself or under "function"."""
    inner = value.get("function", value) if isinstance(value, dict) else value
    if not isinstance(inner, dict) or not isinstance(inner.get("name"), str) or not inner["name"]:
        fail(
            "bad_tool_call",
            f'{where}a tool call must be an object with "name" and "arguments"; received '
            f"{_described(inner)}.",
        )
    what = f'{where}"arguments" of the call of {whole(inner["name"], f"{where}a tool name")}'
    arguments = unpacked(inner.get("arguments"), what, "bad_tool_call")
    if not isinstance(arguments, dict | None):
        fail("bad_tool_call", f"{what} must be a JSON object; received {kind_of(arguments)}.")
    return ToolCall(inner["name"], packed(arguments or {}, what), optional(value, "id") or None)


def written_calls(text: str, where: str) -> tuple[ToolCall, ...]:
    """The calls that a text spells as JSON: one object, or a list of them."""
    value = unpacked(text, f"{where}a tool call", "bad_tool_call")
    return tuple(call(each, where) for each in (value if isinstance(value, list) else [value]))


def _schema(number: int, tool: Any, name: str) -> str:
    inner = tool.get("function", tool) if isinstance(tool, dict) else tool
    if not isinstance(inner, dict) or not isinstance(inner.get("name"), str):
        fail(
            "bad_tools",
            f'Function {number} of "{name}" must be an object with a "name"; received '
            f"{_described(inner)}.",
        )
    bare = "function" not in tool
    return packed({"type": "function", "function": tool} if bare else tool, f'"{name}"')


def _described(value: Any) -> str:
    if not isinstance(value, dict):
        return kind_of(value)
    return f"the fields {shown(', '.join(map(str, value))) or 'none'}"
