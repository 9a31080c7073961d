"""The parity certificate asks with the tools that the row was trained with."""

from __future__ import annotations

import numpy as np

from tunesmith.core.records import Message, Origin, Prompt
from tunesmith.runs.judging import _same_prefix

TOOL = '{"type": "function", "function": {"name": "track"}}'


class _Renderer:
    """Spells each tool as one token before the messages."""

    def ask(self, messages: tuple[Message, ...], tools: tuple[str, ...] = ()) -> np.ndarray:
        return np.array([7] * len(tools) + [1] * len(messages), np.int32)


def test_the_prefix_is_asked_for_with_its_tools() -> None:
    asked = (Message("user", "Where?"),)
    ids_N = np.array([7, 1], np.int32)
    prompt = Prompt(Origin("rows.jsonl", 1), asked, ids_N, "Here.", (TOOL,))
    assert _same_prefix(_Renderer(), prompt)  # type: ignore[arg-type]
