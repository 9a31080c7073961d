"""Examples in the prompt: where they stand, and that nothing of them is learned."""

from __future__ import annotations

from typing import Any

import pytest

from tunesmith.core.records import Chat, Completion, Content, Example, Message, Origin, Tokens
from tunesmith.data.demonstrations import shown
from tunesmith.data.render import Renderer


def _example(content: Content, line: int = 1) -> Example:
    return Example(Origin("a.jsonl", line), content)


def _chat(question: str, answer: str, system: str = "") -> Example:
    turns = [Message("user", question), Message("assistant", answer)]
    return _example(Chat((*([Message("system", system)] if system else []), *turns)))


ROW = _chat("Where is it?", "Here.", "Be brief.")
OTHER = _chat("Who are you?", "A shop.", "Be long.")
PAIR = _example(Completion("How much? ", "Nine."))


def _turns(example: Example) -> list[tuple[str, str, bool]]:
    assert isinstance(example.content, Chat)
    return [(turn.role, turn.content, turn.learned) for turn in example.content.messages]


def test_examples_stand_between_the_system_message_and_the_row() -> None:
    assert _turns(shown(ROW, [OTHER, PAIR], "Help.")) == [
        ("system", "Help.\n\nBe brief.", False),
        ("user", "Who are you?", False),
        ("assistant", "A shop.", False),
        ("user", "How much? ", False),
        ("assistant", "Nine.", False),
        ("user", "Where is it?", False),
        ("assistant", "Here.", True),
    ]


def test_with_nothing_to_show_a_row_is_as_it_was() -> None:
    assert shown(ROW, []) == ROW
    assert shown(PAIR, [], plain=True) == PAIR


def test_plain_text_stands_behind_plain_text() -> None:
    asked = shown(PAIR, [PAIR], "Prices.", plain=True)
    assert asked.content == Completion("Prices.\n\nHow much? Nine.\n\nHow much? ", "Nine.")


@pytest.mark.parametrize("as_", ["chat", "plain"])
def test_only_the_rows_own_answer_is_scored(plain: Any, chatml: str, as_: Any) -> None:
    renderer = Renderer(plain, chatml, as_)

    def learned(example: Example) -> tuple[list[int], int]:
        (parts,) = renderer.render([example], "sft", 4096)
        assert isinstance(parts, list)
        (tokens,) = parts
        assert isinstance(tokens, Tokens)
        return tokens.ids_N[tokens.weights_N > 0].tolist(), tokens.learned_bytes

    asked = shown(PAIR, [PAIR, PAIR], "Prices.", plain=as_ == "plain")
    assert learned(asked) == learned(PAIR)
