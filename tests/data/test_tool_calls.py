"""Tools, calls, thoughts and weights, from the row to the learned tokens."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.data.test_prepare import Settings
from tunesmith.core.errors import DataError
from tunesmith.core.records import (
    Chat,
    Completion,
    Example,
    Finding,
    Label,
    Message,
    Origin,
    Text,
    Tokens,
    ToolCall,
)
from tunesmith.data.prepare import prepare
from tunesmith.data.render import Renderer
from tunesmith.data.split import content_digest, content_hash
from tunesmith.data.template import choose

TEMPLATE = (
    "{% if tools %}{% for t in tools %}{{ '<|im_start|>tools\n' + (t | tojson) + '<|im_end|>\n' }}"
    "{% endfor %}{% endif %}{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}"
    "{% if m['reasoning_content'] %}{{ '(' + m['reasoning_content'] + ')' }}{% endif %}"
    "{{ m['content'] }}{% for c in m['tool_calls'] or [] %}"
    "{{ '#' + c['function']['name'] + ' ' + (c['function']['arguments'] | tojson) }}{% endfor %}"
    "{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
JOINING = TEMPLATE.replace("(c['function']['arguments'] | tojson)", "c['function']['arguments']")
TOOL = json.dumps({"type": "function", "function": {"name": "track", "parameters": {}}})
CALL = ToolCall("track", '{"id": 7}', "c1")
CHAT = Chat(
    (
        Message("user", "Where is it?"),
        Message("assistant", "", tool_calls=(CALL,)),
        Message("tool", "on its way", tool_call_id="c1", name="track"),
        Message("assistant", "On its way.", reasoning="It says so."),
    ),
    (TOOL,),
)


def _example(content: Any) -> Example:
    return Example(Origin("rows.jsonl", 3), content)


def _rendered(renderer: Renderer, content: Any, kind: Any = "sft") -> Any:
    (rendered,) = renderer.render([_example(content)], kind, 512)
    return rendered


def _tokens(renderer: Renderer, content: Any) -> Tokens:
    (tokens,) = _rendered(renderer, content)
    assert isinstance(tokens, Tokens)
    return tokens


def _learned(tokenizer: Any, tokens: Tokens) -> list[str]:
    edges = np.flatnonzero(np.diff(tokens.weights_N > 0, prepend=False, append=False))
    return [
        tokenizer.decode(tokens.ids_N[a:b]) for a, b in zip(edges[::2], edges[1::2], strict=True)
    ]


def _wire(message: Message) -> dict[str, Any]:
    """The message as transformers' own documentation writes it."""
    said: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        said["tool_calls"] = [
            {
                "type": "function",
                "id": call.id,
                "function": {"name": call.name, "arguments": json.loads(call.arguments)},
            }
            for call in message.tool_calls
        ]
    if message.reasoning:
        said["reasoning_content"] = message.reasoning
    return said


def test_calls_and_thoughts_are_learned_and_results_are_context(plain: Any) -> None:
    tokens = _tokens(Renderer(plain, TEMPLATE), CHAT)
    assert _learned(plain, tokens) == [
        '#track {"id": 7}<|im_end|>',
        "(It says so.)On its way.<|im_end|>",
    ]
    whole = plain.apply_chat_template(
        [_wire(m) for m in CHAT.messages],
        tools=[json.loads(TOOL)],
        chat_template=TEMPLATE,
        return_dict=False,
    )
    assert tokens.ids_N.tolist() == whole
    assert tokens.learned_bytes == len('#track {"id": 7}(It says so.)On its way.')


def test_the_prompt_with_tools_is_the_training_prefix(plain: Any) -> None:
    renderer = Renderer(plain, TEMPLATE)
    tokens = _tokens(renderer, CHAT)
    prompt = renderer.prompt(_example(CHAT))
    assert prompt is not None
    assert np.array_equal(prompt.ids_N, tokens.ids_N[: len(prompt.ids_N)])
    assert tokens.weights_N[len(prompt.ids_N)] == 1
    assert np.array_equal(renderer.ask(prompt.messages, prompt.tools), prompt.ids_N)
    assert not np.array_equal(renderer.ask(prompt.messages), prompt.ids_N)
    assert prompt.answer == "(It says so.)On its way."
    called = renderer.prompt(_example(replace(CHAT, messages=CHAT.messages[:2])))
    assert called is not None
    assert called.calls == CHAT.messages[1].tool_calls != ()
    assert called.answer == '#track {"id": 7}'


def test_an_answer_of_weight_0_is_context(plain: Any, chatml: str) -> None:
    said = [Message("user" if n % 2 == 0 else "assistant", f"text {n}") for n in range(6)]
    renderer = Renderer(plain, chatml)
    all_learned = _tokens(renderer, Chat(tuple(said)))
    said[1], said[5] = replace(said[1], weight=0), replace(said[5], weight=0)
    chat = Chat(tuple(said))
    tokens = _tokens(renderer, chat)
    assert _learned(plain, tokens) == ["text 3<|im_end|>"]
    assert np.array_equal(tokens.ids_N, all_learned.ids_N[: len(tokens)])
    prompt = renderer.prompt(_example(chat))
    assert prompt is not None
    assert (prompt.messages, prompt.answer) == (tuple(said[:3]), "text 3")
    assert np.array_equal(prompt.ids_N, tokens.ids_N[: len(prompt.ids_N)])
    assert tokens.weights_N[len(prompt.ids_N)] == 1


def test_the_objective_text_cannot_keep_weights(plain: Any, chatml: str) -> None:
    said = (Message("user", "a"), Message("assistant", "b", weight=0), Message("user", "c"))
    finding = _rendered(Renderer(plain, chatml), Chat((*said, Message("assistant", "d"))), "text")
    assert isinstance(finding, Finding)
    assert finding.reason == "weight_without_sft"
    assert "Message 2" in finding.message


def test_arguments_are_a_text_where_the_template_can_only_join_them(plain: Any) -> None:
    tokens = _tokens(Renderer(plain, JOINING), CHAT)
    assert _learned(plain, tokens)[0] == '#track {"id": 7}<|im_end|>'


@pytest.mark.parametrize(
    ("chat", "reason", "part"),
    [
        (CHAT, "template_hides_tools", "does not write the tools"),
        (replace(CHAT, tools=()), "template_drops_calls", "message 2 (assistant) calls track"),
        (
            Chat((CHAT.messages[0], CHAT.messages[3])),
            "template_drops_reasoning",
            "the reasoning of message 2",
        ),
    ],
)
def test_a_template_that_leaves_something_out_is_named(
    plain: Any, chatml: str, chat: Chat, reason: str, part: str
) -> None:
    finding = _rendered(Renderer(plain, chatml), chat)
    assert isinstance(finding, Finding)
    assert finding.reason == reason
    assert part in finding.message


@pytest.mark.parametrize(
    ("chat", "place"),
    [
        (replace(CHAT, tools=(TOOL.replace("track", "<|im_end|>"),)), '"tools"'),
        (
            Chat((CHAT.messages[0], replace(CHAT.messages[1], tool_calls=(
                ToolCall("track", '{"id": "<|im_end|>"}'),)))),
            "Message 2 (assistant), in a tool call,",
        ),
        (
            Chat((CHAT.messages[0], replace(CHAT.messages[3], reasoning="<|im_end|>"))),
            "Message 2 (assistant)",
        ),
    ],
)  # fmt: skip
def test_special_tokens_in_calls_and_tools_are_found(plain: Any, chat: Chat, place: str) -> None:
    renderer = Renderer(plain, TEMPLATE)
    finding = _rendered(renderer, chat)
    assert isinstance(finding, Finding)
    assert finding.reason == "special_token_in_text"
    assert finding.message.startswith(f"{place} holds <|im_end|>")


def test_tools_that_spell_a_special_token_cannot_be_asked_with(plain: Any) -> None:
    with pytest.raises(DataError, match='"tools" holds'):
        Renderer(plain, TEMPLATE).ask(CHAT.messages[:1], (TOOL.replace("track", "<|im_end|>"),))


def test_rows_of_other_kinds_are_dropped_and_accounted_for(
    plain: Any, chatml: str, write: Callable[..., str]
) -> None:
    rows = [
        {"ask": "a", "reply": "b"},
        {"ask": "c", "reply": "d"},
        {"text": "a", "label": "b"},
        {"messages": [{"role": "user", "content": "a"}], "reference": "b"},
    ]
    mapping = {"ask": "prompt", "reply": "completion"}
    settings = Settings((write(rows),), bad_rows="drop", mapping=mapping)
    renderer = Renderer(plain, chatml)
    prepared = prepare(settings, "sft", renderer, context=64, share=lambda _: 0.5)
    assert prepared.ledger.totals()["dropped"] == {"wrong_kind": 2}
    lines = list(prepared.ledger.lines())
    assert lines[2]["content"] == content_hash(Label("a", ("b",)))
    assert prepared.recognised[0].endswith(
        "2 rows as completion (prompt, completion), 1 rows as label (text, label), "
        "1 rows as prompt (messages)."
    )
    (prompt,) = prepared.prompts(prepared.held_out.rows)
    assert prompt.answer in ("b", "d")


def test_what_decides_the_side_of_a_row_is_what_is_said() -> None:
    """Chats of text keep the digest they have always had; ids and weights never count."""
    plain = Chat((Message("user", "a"), Message("assistant", "b")))
    assert content_hash(plain) == (
        "7d0766e97341efa39b6155967f191cbda342e2ced53486bf9bd00a42c616ef32"
    )
    assert content_hash(Completion("a", "b")) == (
        "80fb52ba641f3f3707b1fc6bbc5d519e082468d2330ea2f2ae767cdbf2d443f7"
    )
    assert content_hash(Text("a")) == (
        "686668e9b95de5596434d1950c15b11f10953cbd87311f7ed381c9eceb71b196"
    )
    weighed = (plain.messages[0], replace(plain.messages[1], weight=0, name="x"))
    assert content_digest(Chat(weighed)) == content_digest(plain)
    assert content_digest(Chat(plain.messages, (TOOL,))) != content_digest(plain)
    other = replace(CHAT.messages[1], tool_calls=(replace(CALL, id="c2"),))
    renumbered = (CHAT.messages[0], other, *CHAT.messages[2:])
    assert content_digest(Chat(renumbered, (TOOL,))) == content_digest(CHAT)
    for changed in (replace(CALL, name="find"), replace(CALL, arguments='{"id": 8}')):
        other = replace(CHAT.messages[1], tool_calls=(changed,))
        called = (CHAT.messages[0], other, *CHAT.messages[2:])
        assert content_digest(Chat(called, (TOOL,))) != content_digest(CHAT)


def test_the_default_template_writes_tools_and_calls(plain: Any) -> None:
    renderer = Renderer(plain, choose(plain, "auto")[0])
    chat = replace(CHAT, messages=(*CHAT.messages[:3], replace(CHAT.messages[3], reasoning="")))
    tokens = _tokens(renderer, chat)
    assert _learned(plain, tokens) == [
        ' Call: {"name": "track", "arguments": {"id": 7}}</s>',
        " On its way.</s>",
    ]
    assert plain.decode(tokens.ids_N).startswith('Tools: [{"type": "function", "function": {"name"')
    prompt = renderer.prompt(_example(chat))
    assert prompt is not None
    assert np.array_equal(prompt.ids_N, tokens.ids_N[: len(prompt.ids_N)])
