"""The properties of rendering, under the chat templates that models are published with.

They come with the package trl. Each is met with a byte-level tokenizer that has its special tokens,
and with real tokenizers to which they were added.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoTokenizer

from tools import template_table
from tools.template_table import TWO_ANSWERS, WITH_TOOLS
from tools.template_tokenizers import add_tokens, serving_templates, tokenizer_for
from tunesmith.core.records import Chat, Example, Finding, Message, Origin, Tokens
from tunesmith.data.render import Renderer

TEMPLATES = serving_templates()
MODELS = Path(__file__).parents[3] / "shared" / "models"
REAL = {
    "anvil": Path(str(files("tunesmith.models") / "anvil")),
    "bytes": MODELS / "lm-TinyTalk-3M",
    "pieces": MODELS / "lm-stories260K",
    "pieces_with_start": MODELS / "lm-TinyStories-656K",
}
IN_PARTS = {"idefics3", "llava_next", "smolvlm"}
"""Templates that take content as a list of parts only."""

PROMPT_DIFFERS = {
    "deepseek_r1_distill",
    "deepseekv3",
    "nemotron_3_5_lightning",
    "nemotron_3_nano",
    "nemotron_3_super",
    "nemotron_3_ultra",
}
UNSAFE = dict.fromkeys(PROMPT_DIFFERS, "template_prompt_differs") | {"glm4moe": "no_end"}


def _answering(chat: Chat, change: Any) -> Chat:
    """The chat with every answer changed."""
    return replace(
        chat,
        messages=tuple(change(m) if m.role == "assistant" else m for m in chat.messages),
    )


THOUGHTS = "Let me see."
CHATS = {
    "one": Chat(TWO_ANSWERS.messages[:2]),
    "two": TWO_ANSWERS,
    "system": Chat((Message("system", "Be kind."), *TWO_ANSWERS.messages)),
    "thoughts": _answering(
        TWO_ANSWERS, lambda m: replace(m, content=f"<think>\n{THOUGHTS}\n</think>\n\n{m.content}")
    ),
    "reasoning": _answering(TWO_ANSWERS, lambda m: replace(m, reasoning=THOUGHTS)),
    "tools": WITH_TOOLS,
}
REFUSED = {
    "one": set(),
    "two": set(),
    "system": {"template_refuses"},
    "thoughts": {"template_drops_answer", "template_prompt_differs"},
    "reasoning": {"template_drops_reasoning", "template_prompt_differs"},
    "tools": {"template_refuses", "template_hides_tools", "template_drops_calls"},
}
"""For what reasons a template that trains the chat `two` may refuse another."""

pytestmark = pytest.mark.skipif(not TEMPLATES, reason="the package trl is not installed")


@pytest.fixture(scope="module", params=sorted(TEMPLATES))
def family(request: pytest.FixtureRequest) -> str:
    """The name of a template."""
    return str(request.param)


@pytest.fixture(scope="module")
def made(family: str) -> Any:
    """A byte-level tokenizer that has the special tokens of the family."""
    return tokenizer_for(family, TEMPLATES[family])


@cache
def _opened(folder: Path) -> Any:
    return AutoTokenizer.from_pretrained(str(folder))


@pytest.fixture(params=REAL)
def real(family: str, request: pytest.FixtureRequest) -> Any:
    """A real tokenizer, with the special tokens of the family added where it lacks them."""
    folder = REAL[request.param]
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here")
    return add_tokens(deepcopy(_opened(folder)), family, TEMPLATES[family])


def test_there_are_more_than_twenty_families() -> None:
    assert len({name.split("_v")[0] for name in TEMPLATES}) > 20


@pytest.mark.parametrize("name", CHATS)
def test_every_answer_is_trained_as_it_is_served(family: str, made: Any, name: str) -> None:
    _check(family, made, name)


def test_with_real_tokenizers_too(family: str, real: Any) -> None:
    _check(family, real, "two")


def _check(family: str, tokenizer: Any, name: str) -> None:
    chat, renderer = CHATS[name], Renderer(tokenizer, TEMPLATES[family])
    parts = _render(renderer, chat)
    if isinstance(parts, Finding):
        assert parts.reason in {*REFUSED[name], UNSAFE.get(family)}
        return
    assert family not in UNSAFE or name in ("thoughts", "reasoning")
    answers = [n for n, message in enumerate(chat.messages) if message.role == "assistant"]
    learned = _learned(parts)
    for (ids, start, end), index in zip(learned, answers, strict=True):
        assert ids[:start] == _served(family, tokenizer, chat, index, prompt=True)
        assert ids[end - 1] in renderer.stop_ids()
        answered = _served(family, tokenizer, chat, index + 1)
        if answered[:start] == ids[:start]:
            assert answered[:end] == ids[:end]
        spelled = tokenizer.decode(ids[start:end])
        assert chat.messages[index].content.split("\n\n")[-1] in spelled
        assert all(call.name in spelled for call in chat.messages[index].tool_calls)
    if len(parts) < len(answers):
        assert learned[0][0] == _served(family, tokenizer, chat, len(chat.messages))
    prompt = renderer.prompt(Example(Origin("rows.jsonl", 1), chat))
    assert prompt is not None
    assert prompt.ids_N.tolist() == learned[-1][0][: learned[-1][1]]


def test_the_whole_conversation_is_what_transformers_renders(family: str, made: Any) -> None:
    (whole,) = _render(Renderer(made, TEMPLATES[family]), TWO_ANSWERS, "text")
    assert whole.ids_N.tolist() == _served(family, made, TWO_ANSWERS, 4)


@pytest.mark.parametrize("name", ["two", "thoughts", "reasoning", "tools"])
def test_what_is_learned_is_parsed_back(family: str, made: Any, name: str) -> None:
    parser, chat = _parser(family, made), CHATS[name]
    if parser is None or (name == "thoughts" and "<think>" not in str(parser)):
        pytest.skip("no parser for such answers is defined for this template")
    parts = _render(Renderer(made, TEMPLATES[family]), chat)
    if isinstance(parts, Finding):
        pytest.skip(f"this chat is not trained: {parts.reason}")
    answers = [message for message in chat.messages if message.role == "assistant"]
    tools = [json.loads(tool) for tool in chat.tools]
    for (ids, start, end), message in zip(_learned(parts), answers, strict=True):
        parsed = made.parse_response(ids[start:end], parser, prefix=ids[:start], tools=tools)
        thoughts = parsed.get("reasoning_content") or parsed.get("thinking") or ""
        assert parsed.get("content", "").strip() == message.content.split("\n\n")[-1]
        assert thoughts.strip() == (THOUGHTS if name in ("thoughts", "reasoning") else "")
        functions = [call["function"] for call in parsed.get("tool_calls", [])]
        assert functions == [
            {"name": call.name, "arguments": json.loads(call.arguments)}
            for call in message.tool_calls
        ]


@pytest.mark.parametrize("family", sorted(UNSAFE))
def test_unsafe_templates_can_be_trained_as_the_message_says(family: str) -> None:
    template = TEMPLATES[family]
    finding = _render(Renderer(tokenizer_for(family, template), template), TWO_ANSWERS)
    assert isinstance(finding, Finding)
    found = template_table.remedied(family, template)
    assert found is not None
    for said in ("enable_thinking = false", "eos_token", "out of the generation prompt"):
        assert (said in found[0]) == (said in finding.message)


def test_a_prompt_that_closes_the_thoughts_says_how_to_open_them() -> None:
    family = "qwen3_5_nothink"
    template = TEMPLATES[family]
    finding = _render(Renderer(tokenizer_for(family, template), template), CHATS["reasoning"])
    switch = "{%- set enable_thinking = true -%}"
    assert isinstance(finding, Finding)
    assert switch in finding.message
    template = switch + template
    renderer = Renderer(tokenizer_for(family, template), template)
    assert len(_render(renderer, CHATS["reasoning"])) == 2


def test_the_page_is_what_the_tool_writes() -> None:
    assert template_table.PAGE.read_text(encoding="utf-8") == template_table.page()


def _render(renderer: Renderer, chat: Chat, kind: Any = "sft") -> Any:
    (rendered,) = renderer.render([Example(Origin("rows.jsonl", 1), chat)], kind, 1 << 20)
    return rendered


def _learned(parts: Sequence[Tokens]) -> list[tuple[list[int], int, int]]:
    """For each answer the ids of its sequence, and from where to where it is learned."""
    found = []
    for part in parts:
        edges = np.flatnonzero(np.diff(part.weights_N > 0, prepend=False, append=False)).tolist()
        spans = zip(edges[::2], edges[1::2], strict=True)
        found += [(part.ids_N.tolist(), start, end) for start, end in spans]
    return found


def _served(
    family: str, tokenizer: Any, chat: Chat, count: int, *, prompt: bool = False
) -> list[int]:
    """The ids that transformers itself gives for the first `count` messages."""
    ids: list[int] = tokenizer.apply_chat_template(
        [_wire(family, message) for message in chat.messages[:count]],
        tools=[json.loads(tool) for tool in chat.tools] or None,
        chat_template=TEMPLATES[family],
        add_generation_prompt=prompt,
        tokenize=True,
        return_dict=False,
    )
    return ids


def _wire(family: str, message: Message) -> dict[str, Any]:
    """The message as transformers' documentation and the model's own card write it."""
    said: dict[str, Any] = {"role": message.role, "content": message.content}
    if family in IN_PARTS:
        said["content"] = [{"type": "text", "text": message.content}]
    if message.reasoning:
        said["reasoning_content"] = message.reasoning
    if message.role == "tool":
        said |= {"tool_call_id": message.tool_call_id, "name": message.name}
    if message.tool_calls:
        said["tool_calls"] = [
            {
                "type": "function",
                "id": call.id,
                "function": {"name": call.name, "arguments": json.loads(call.arguments)},
            }
            for call in message.tool_calls
        ]
    return said


def _parser(family: str, tokenizer: Any) -> dict[str, Any] | None:
    """How transformers is to parse an answer of this family; None where nobody says."""
    from trl.chat_template_utils import add_response_schema

    known = deepcopy(tokenizer)
    known.chat_template = TEMPLATES[family]
    try:
        return add_response_schema(known).response_template
    except ValueError:
        return None
