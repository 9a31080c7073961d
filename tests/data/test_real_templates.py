"""The properties of rendering, over the chat templates that models are published with.

They come with the package trl where that is installed; nothing of it is imported.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tunesmith.core.errors import DataError
from tunesmith.core.records import Chat, Example, Finding, Message, Origin, Tokens
from tunesmith.data.render import Renderer

_SPEC = find_spec("trl")
_FOLDER = Path(_SPEC.origin).parent / "chat_templates" if _SPEC and _SPEC.origin else None
TEMPLATES = sorted(_FOLDER.glob("*.jinja")) if _FOLDER else []
_SPECIAL = re.compile(r"<[|\uff5c]?[\w\u2581]+[|\uff5c]?>")
_WORDS = {"<think>", "</think>", "<tool_call>", "<tools>"}

ONE_TURN = Chat((Message("user", "Where is it?"), Message("assistant", "On its way.")))
TWO_TURNS = Chat((*ONE_TURN.messages, Message("user", "When?"), Message("assistant", "Today.")))
MUST_RENDER = {"gemma", "gemma3", "llama3", "llama3_2", "phi3", "qwen2_5", "qwen3"}

pytestmark = pytest.mark.skipif(not TEMPLATES, reason="the package trl is not installed")


@pytest.fixture(scope="module", params=TEMPLATES, ids=lambda path: path.stem)
def published(
    request: pytest.FixtureRequest, tokenizer_of: Callable[..., Any]
) -> tuple[str, Any, str]:
    """Name, a tokenizer that knows the template's special tokens, and the template."""
    template = request.param.read_text(encoding="utf-8")
    extra = [name for name in _SPECIAL.findall(template) if name not in _WORDS]
    return request.param.stem, tokenizer_of(extra=extra), template


@pytest.mark.parametrize("chat", [ONE_TURN, TWO_TURNS], ids=["one", "two"])
def test_trained_as_served_or_named(published: tuple[str, Any, str], chat: Chat) -> None:
    name, tokenizer, template = published
    example = Example(Origin("rows.jsonl", 1), chat)
    try:
        renderer = Renderer(tokenizer, template)
    except DataError:
        assert name not in MUST_RENDER
        return
    (rendered,) = renderer.render([example], "sft", 4096)
    if isinstance(rendered, Finding):
        assert rendered.reason in {"template_rewrites_turns", "template_refuses", "no_end"}
        assert name not in MUST_RENDER or chat is TWO_TURNS
        return
    _check(renderer, tokenizer, template, example, rendered)


def _check(
    renderer: Renderer, tokenizer: Any, template: str, example: Example, parts: list[Tokens]
) -> None:
    chat = example.content
    assert isinstance(chat, Chat)
    answers = [n for n, message in enumerate(chat.messages) if message.role == "assistant"]
    spans = [(part.ids_N, *span) for part in parts for span in _spans(part)]
    assert len(spans) == len(answers)
    for (ids_N, start, end), index in zip(spans, answers, strict=True):
        turns = [{"role": m.role, "content": m.content} for m in chat.messages[:index]]
        served = tokenizer.apply_chat_template(
            turns, chat_template=template, add_generation_prompt=True, return_dict=False
        )
        assert ids_N[:start].tolist() == served
        assert int(ids_N[end - 1]) in renderer.stop_ids()
        assert chat.messages[index].content in tokenizer.decode(ids_N[start:end])
    prompt = renderer.prompt(example)
    assert prompt is not None
    assert prompt.ids_N.tolist() == spans[-1][0][: spans[-1][1]].tolist()


def _spans(part: Tokens) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(part.weights_N > 0, prepend=False, append=False)).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))
