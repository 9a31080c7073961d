"""The text of an example, cut where learning begins and ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tunesmith.core.records import Chat, Example, Message, Origin, Text, Tokens
from tunesmith.data.render import Renderer
from tunesmith.data.show import show


def test_the_learned_stretches_of_a_chat(plain: Any, chatml: str) -> None:
    chat = Chat((Message("user", "Wo? 你好 🙂"), Message("assistant", "世界 🙂 ja")))
    (parts,) = Renderer(plain, chatml).render([Example(Origin("a", 1), chat)], "sft", 99)
    assert isinstance(parts, list)
    assert show(parts[0], plain) == [
        ("<|im_start|>user\nWo? 你好 🙂<|im_end|>\n<|im_start|>assistant\n", False),
        ("世界 🙂 ja<|im_end|>", True),
        ("\n", False),
    ]


@pytest.mark.parametrize("start", [True, False])
def test_nothing_of_the_text_is_lost(tokenizer_of: Callable[..., Any], start: bool) -> None:
    tokenizer = tokenizer_of(start=start)
    text = "🙂🙂 two  spaces,\n\n你好"
    example = Example(Origin("a", 1), Text(text))
    (parts,) = Renderer(tokenizer, "{{ messages[1].content }}").render([example], "text", 999)
    assert isinstance(parts, list)
    shown = "".join(piece for piece, _ in show(parts[0], tokenizer))
    assert shown == ("<s>" if start else "") + text + "</s>"


def test_a_character_belongs_to_the_token_that_completes_it(plain: Any) -> None:
    ids = plain("a🙉b")["input_ids"]
    assert len(ids) > 3, "the character must be spelled by several tokens"
    weights = np.zeros(len(ids), np.float32)
    weights[-2] = 1
    tokens = Tokens(Origin("a", 1), np.array(ids, np.int32), weights, 4)
    assert show(tokens, plain) == [("a", False), ("🙉", True), ("b", False)]
