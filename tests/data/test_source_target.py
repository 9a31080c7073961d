"""Source and target: as the tokenizer alone makes them, one an answer, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from tests.apart import tokenizer
from tunesmith.core.errors import DataError
from tunesmith.core.records import (
    Chat,
    Completion,
    Content,
    Example,
    Finding,
    Message,
    Origin,
    Text,
    Tokens,
    ToolCall,
)
from tunesmith.data import SourceRenderer, choose_source

ORIGIN = Origin("rows.jsonl", 1)
ASKED = (Message("user", "Which colour is box 3?"),)
SAID = Message("assistant", "Box 3 is red")


def _renderer(family: str = "t5", **given: Any) -> SourceRenderer:
    words = tokenizer(family)
    template, _ = choose_source(words, "auto")
    settings = {"start": words.pad_token_id, "longest": 60} | given
    return SourceRenderer(words, template, **settings)


def _parts(renderer: SourceRenderer, content: Content) -> list[Tokens]:
    (parts,) = renderer.render([Example(ORIGIN, content)], "sft", 120)
    assert not isinstance(parts, Finding), parts.message
    return parts


def _refused(content: Content, renderer: SourceRenderer | None = None) -> Finding:
    (found,) = (renderer or _renderer()).render([Example(ORIGIN, content)], "sft", 120)
    assert isinstance(found, Finding)
    return found


def _divided(tokens: Tokens) -> tuple[list[int], int, list[int]]:
    """Source, the decoder's start, target."""
    border = int((tokens.weights_N == 0).sum())
    assert (tokens.weights_N[border:] == 1).all()
    ids = tokens.ids_N.tolist()
    return ids[: border - 1], ids[border - 1], ids[border:]


@pytest.mark.parametrize("family", ["t5", "bart"])
@pytest.mark.parametrize("plain", [True, False])
def test_a_question_is_read_as_it_stands_and_the_answer_ends(family: str, plain: bool) -> None:
    renderer = _renderer(family, completion_as="plain" if plain else "chat")
    words = tokenizer(family)
    contents = [Completion(ASKED[0].content, SAID.content), Chat((*ASKED, SAID))]
    for content in contents:
        (tokens,) = _parts(renderer, content)
        source, start, target = _divided(tokens)
        assert source == words(ASKED[0].content)["input_ids"]
        assert start == words.pad_token_id
        assert target == words(text_target=SAID.content)["input_ids"]
        assert target[-1] == words.eos_token_id
        assert tokens.learned_bytes == len(SAID.content)


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_what_is_asked_is_what_was_trained_and_what_plain_transformers_makes(family: str) -> None:
    renderer, words = _renderer(family), tokenizer(family)
    content = Chat((Message("system", "Be brief."), *ASKED, SAID, *ASKED, SAID))
    prompt = renderer.prompt(Example(ORIGIN, content))
    assert prompt is not None
    tokens = _parts(renderer, content)[-1]
    assert prompt.ids_N.tolist() == tokens.ids_N[: len(prompt.ids_N)].tolist()
    assert (prompt.answer, prompt.messages) == (SAID.content, content.messages[:-1])
    assert renderer.ask(content.messages[:-1]).tolist() == prompt.ids_N.tolist()
    words.chat_template, _ = choose_source(words, "auto")
    turns = [{"role": each.role, "content": each.content} for each in content.messages[:-1]]
    asked = words.apply_chat_template(turns, add_generation_prompt=True)["input_ids"]
    assert asked == prompt.ids_N[:-1].tolist()


def test_there_is_one_sequence_an_answer_behind_its_own_history() -> None:
    first = Message("assistant", "red", weight=0)
    content = Chat((*ASKED, first, Message("user", "And 4?"), Message("assistant", "blue")))
    (only,) = _parts(_renderer(), content)
    words = tokenizer()
    source, _, target = _divided(only)
    spoken = "User: Which colour is box 3?\nAssistant: red\nUser: And 4?"
    assert source == words(spoken)["input_ids"]
    assert words.decode(target, skip_special_tokens=True) == "blue"
    both = Chat((*ASKED, SAID, Message("user", "And 4?"), Message("assistant", "blue")))
    assert [part.part for part in _parts(_renderer(), both)] == [0, 1]


def test_the_decoders_start_is_not_written_twice() -> None:
    words = tokenizer("bart")
    (tokens,) = _parts(_renderer("bart", start=words.bos_token_id), Completion("a", "b"))
    source, start, target = _divided(tokens)
    assert source[0] == start == words.bos_token_id
    assert target == words(text_target="b")["input_ids"][1:]


def test_a_template_of_the_bases_own_writes_the_source() -> None:
    words = tokenizer()
    words.chat_template = (
        "{% for m in messages %}{{ m['role'] + '|' + m['content'] + '<|end|>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'assistant|' }}{% endif %}"
    )
    template, reason = choose_source(words, "auto")
    renderer = SourceRenderer(words, template, start=0, longest=60)
    source, _, _ = _divided(_parts(renderer, Chat((*ASKED, SAID)))[0])
    assert words.decode(source) == "user|Which colour is box 3?<|end|>assistant|"
    assert "its own chat template" in reason


CALL = ToolCall("look", "{}")
REFUSED: list[tuple[Content, str, str]] = [
    (Text("A document."), "nothing_asked", "This row is a document"),
    (Chat((SAID,)), "nothing_asked", "begins with an answer"),
    (Chat((*ASKED, Message("assistant", "", tool_calls=(CALL,)))), "tools_left_out", "has tools"),
    (
        Chat((*ASKED, Message("assistant", "red", reasoning="Hm."))),
        "reasoning_left_out",
        "reasoning",
    ),
    (
        Chat((*ASKED, Message("assistant", "red", weight=0))),
        "nothing_to_learn",
        "No answer",
    ),
    (Completion("box " * 60, "red"), "too_long", "The source has 63 tokens"),
    (Completion("box", "red " * 60), "too_long", "The answer has 63 tokens"),
    (Completion("a <|end|> b", "red"), "special_token_in_text", "<|end|>"),
]


@pytest.mark.parametrize(("content", "reason", "said"), REFUSED)
def test_what_cannot_be_asked_and_answered_is_refused(
    content: Content, reason: str, said: str
) -> None:
    found = _refused(content)
    assert (found.reason, found.severity) == (reason, "drop")
    assert said in found.message
    assert found.message.endswith(".")


def test_an_answer_that_the_base_cannot_write_is_refused() -> None:
    words = tokenizer()
    words.backend_tokenizer.model.unk_token = "<|turn|>"
    for name in ("{", "}"):
        words = _without(words, name)
    template, _ = choose_source(words, "auto")
    renderer = SourceRenderer(words, template, start=0, longest=60)
    found = _refused(Completion("box 3", '{"colour": 3}'), renderer)
    assert found.reason == "unwritable"
    assert "holds '{', '}'" in found.message
    assert _parts(renderer, Completion("{3}", "three")), "what is only read may be unknown"


def _without(words: Any, name: str) -> Any:
    """The tokenizer, which does not know a character."""
    made = json.loads(words.backend_tokenizer.to_str())
    del made["model"]["vocab"][name]
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(made)),
        eos_token="<|end|>",
        pad_token="<|pad|>",
        unk_token="<|turn|>",
    )


def test_tools_cannot_be_asked_with() -> None:
    with pytest.raises(DataError, match="has tools"):
        _renderer().ask(ASKED, tools=('{"name": "look"}',))


def test_identity_tells_what_the_ids_follow_from() -> None:
    identities: Sequence[Any] = [
        _renderer(**given).identity() for given in ({}, {"start": 1}, {"longest": 9})
    ]
    assert len({str(each) for each in identities}) == 3
