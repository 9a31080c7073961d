"""Calls of tools as a template writes them, read back out of what a model writes.

How a template writes a call is learned of a probe, not of a list of families: what stands before
the function's name or its JSON is how a call begins.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from tunesmith.core.errors import DataError
from tunesmith.core.records import Chat, Message, ToolCall
from tunesmith.data import Renderer
from tunesmith.data.calls import PROBE_CALL, PROBE_TOOL, PROBE_WORD
from tunesmith.data.refusals import Refused
from tunesmith.evaluate.metrics.calls import spoken_calls

_WORDS = "Zyzzogeton 4711"
_ARGUMENTS = ("arguments", "parameters")
_MOST_OPENINGS = 100
"""So many are tried to see where the text before the calls ends."""

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

    def feed(self, text: str) -> str:
        """What of the answer so far is certainly text."""
        self._held += text
        if self._calling or not self._opening:
            return ""
        at = self._held.find(self._opening)
        self._calling = at >= 0
        shown = self._held[: at if self._calling else len(self._held) - self._begun()].rstrip()
        self._held = self._held[len(shown) :]
        return shown

    def rest(self) -> tuple[str, list[ToolCall]]:
        """At the end of the answer: what is left of its text, and its calls."""
        calls = self._calls(self._held)
        if not calls:
            return self._held, []
        start = later = 0
        for _ in range(_MOST_OPENINGS):
            start = later
            later = self._held.find(self._opening, start + 1) if self._opening else -1
            if later < 0 or self._calls(self._held[later:]) != calls:
                break
        return self._held[:start].rstrip(), calls

    def _calls(self, text: str) -> list[ToolCall]:
        return [
            ToolCall(name, said if isinstance(said, str) else json.dumps(said, ensure_ascii=False))
            for name, said in spoken_calls(text, self._names)
            if name in self._names
        ]

    def _begun(self) -> int:
        """How many characters at the end may be the beginning of a call."""
        longest = min(len(self._opening) - 1, len(self._held))
        fits = (n for n in range(longest, 0, -1) if self._opening.startswith(self._held[-n:]))
        return next(fits, 0)


def call_format(renderer: Renderer) -> CallFormat:
    """How the template of a renderer writes calls.

    Raises DataError where it tells the model of no tools, or writes calls that nothing here reads.
    """
    try:
        written = renderer.written(_probe(""))
        bare = renderer.encoder.bare
        found = CallFormat(_opening(renderer, bare(written)), *_object_in(written))
    except Refused as refused:
        if refused.reason == "template_hides_tools":
            raise DataError(
                "The chat template of this model does not tell it of tools, so it could not call "
                "any. Ask without tools, or ask a model whose template writes them."
            ) from None
        raise DataError(str(refused)) from None
    reader = found.reader([PROBE_CALL.name])
    reader.feed(bare(written))
    if [json.loads(call.arguments) for call in reader.rest()[1]] != [{"word": PROBE_WORD}]:
        raise DataError(
            "The chat template writes calls of tools in a form that is not read here, so no call "
            "could be told from a text. Ask without tools."
        )
    return found


def _probe(content: str) -> Chat:
    called = Message("assistant", content, tool_calls=(PROBE_CALL,))
    return Chat((Message("user", "What is it?"), called), (PROBE_TOOL,))


def _opening(renderer: Renderer, alone: str) -> str:
    """What stands before a call, be it all that is said or behind a text.

    Thoughts and names of channels stand before the one or the other, and are no part of it.
    """
    head = _head(alone)
    with suppress(Refused):  # some templates write a call or a text, never both
        _, _, behind = renderer.encoder.bare(renderer.written(_probe(_WORDS))).partition(_WORDS)
        if PROBE_CALL.name in behind:
            other = _head(behind)
            head = next(head[n:] for n in range(len(head) + 1) if other.endswith(head[n:]))
    if head.strip():
        return head.strip()
    begins = _HEAD.match(alone.strip())
    return begins[0][0] if begins and begins[0] in "[{" else ""


def _head(text: str) -> str:
    found = _HEAD.search(text)
    return "" if found is None else text[: found.start()]


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
