"""Calls of tools as a template writes them, read back out of what a model writes.

How a template writes a call is learned of a probe, not of a list of families: what stands before
the function's name or its JSON is how a call begins.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tunesmith.core.errors import DataError
from tunesmith.core.records import Chat, Message, ToolCall
from tunesmith.data import Renderer
from tunesmith.data.calls import PROBE_CALL, PROBE_TOOL
from tunesmith.data.refusals import Refused
from tunesmith.evaluate.metrics.calls import spoken_calls

_PROBE = Chat(
    (Message("user", "What is it?"), Message("assistant", "", tool_calls=(PROBE_CALL,))),
    (PROBE_TOOL,),
)
_ARGUMENTS = ("arguments", "parameters")
_HEAD = re.compile(r"[\[{]|" + re.escape(PROBE_CALL.name))


@dataclass(frozen=True, slots=True)
class CallFormat:
    """How a model writes a call.

    `opening` is the text that every call begins with, special tokens not counted. `before` and
    `arguments` are how one can be made to: what is written before a JSON object with the name of
    the function and, under that key, its arguments; None where a call is no such object.
    """

    opening: str
    before: str | None = None
    arguments: str = _ARGUMENTS[0]

    def reader(self, names: Sequence[str], *, begun: bool = False) -> CallReader:
        """For one answer that may call the functions of these names, or has `begun` to."""
        return CallReader(self.opening, tuple(names), begun)


class CallReader:
    """Takes an answer as it is written, and gives back the text that belongs to no call."""

    def __init__(self, opening: str, names: Sequence[str], calling: bool) -> None:
        self._opening = opening
        self._names = names
        self._held = ""
        self._calling = calling
        self._spoken = False

    def feed(self, text: str) -> str:
        """What of the answer so far is certainly text."""
        self._held += text
        if self._calling or self._waits():
            return ""
        at = self._held.find(self._opening)
        self._calling = at >= 0 and not (self._is_bracket and self._spoken)
        end = at if self._calling else len(self._held) - self._begun()
        shown = self._held[:end].rstrip()
        self._held = self._held[len(shown) :]
        self._spoken = self._spoken or bool(shown)
        return shown

    def rest(self) -> tuple[str, list[ToolCall]]:
        """At the end of the answer: what is left of its text, and its calls."""
        calls = [
            ToolCall(name, said if isinstance(said, str) else json.dumps(said, ensure_ascii=False))
            for name, said in spoken_calls(self._held, self._names)
            if name in self._names
        ]
        return ("", calls) if calls else (self._held, [])

    @property
    def _is_bracket(self) -> bool:
        """Whether a call is bare JSON: then a bracket opens one only where an answer begins."""
        return self._opening in ("[", "{")

    def _waits(self) -> bool:
        return not self._opening or not self._held.strip()

    def _begun(self) -> int:
        """How many characters at the end may be the beginning of a call."""
        longest = min(len(self._opening) - 1, len(self._held))
        fits = (n for n in range(longest, 0, -1) if self._opening.startswith(self._held[-n:]))
        return next(fits, 0)


def call_format(renderer: Renderer) -> CallFormat:
    """How the template of a renderer writes calls.

    Raises DataError where it does not tell the model of tools, or cannot write a call.
    """
    try:
        written = renderer.written(_PROBE)
    except Refused as refused:
        raise DataError(str(refused)) from None
    spelled = renderer.encoder.bare(written).strip()
    head = _HEAD.search(spelled)
    opening = "" if head is None else spelled[: head.start()].rstrip() or spelled[:1]
    before, arguments = _object_in(written)
    return CallFormat(opening if opening.strip() else "", before, arguments)


def _object_in(written: str) -> tuple[str | None, str]:
    """What stands before the JSON object that a call is, and the key of its arguments."""
    start = written.find("{")
    try:
        value, _ = json.JSONDecoder().raw_decode(written, max(start, 0))
    except ValueError:
        return None, _ARGUMENTS[0]
    for key in _ARGUMENTS:
        if isinstance(value, dict) and list(value) == ["name", key]:
            return written[:start], key
    return None, _ARGUMENTS[0]
