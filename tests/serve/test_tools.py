"""Functions that the model may call, as the official client gives and gets them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
from pydantic import BaseModel
from transformers import LlamaConfig, PreTrainedTokenizerFast

from tests.bases import byte_level
from tests.serve.chatting import chatting
from tests.serve.fake_engine import FakeEngine
from tests.serve.live import Live
from tunesmith.core.records import Example, Origin, Row
from tunesmith.data.formats.rows import understand
from tunesmith.runs.eyes import described_base
from tunesmith.runs.rendering import renderer_of, template_of

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Looks out of the window.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
ASK = {"model": "teller", "messages": [{"role": "user", "content": "Will it rain?"}]}
CALL = [" Let me", " see.\n", "Call: ", '{"name": "weather", ', '"arguments": {"city": "Ulm"}}']


@pytest.fixture(scope="module")
def teller(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base without weights, for nobody opens them; it has no template, so the default one."""
    folder = tmp_path_factory.mktemp("teller")
    words = byte_level(["Will it rain?"], 300, ["<end>"])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<end>")
    LlamaConfig(vocab_size=len(tokenizer), num_hidden_layers=1).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, teller: Path
) -> Iterator[tuple[Live, FakeEngine]]:
    with chatting(tmp_path_factory.mktemp("telling"), bases={"teller": str(teller)}) as both:
        yield both


@pytest.fixture
def engine(served: tuple[Live, FakeEngine]) -> FakeEngine:
    served[1].begin_again(*CALL)
    return served[1]


@pytest.fixture
def ask(served: tuple[Live, FakeEngine]) -> Iterator[openai.OpenAI]:
    yield served[0].client()
    served[0].close_clients()


def test_a_call_is_told_as_a_call(ask: openai.OpenAI, engine: FakeEngine) -> None:
    (choice,) = ask.chat.completions.create(**ASK, tools=[WEATHER]).choices
    assert choice.message.content == " Let me see."
    (call,) = choice.message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"city": "Ulm"})
    assert call.id.startswith("call_")
    assert choice.finish_reason == "tool_calls"


def test_in_a_stream_the_text_comes_first_and_nothing_of_the_call(
    ask: openai.OpenAI, engine: FakeEngine
) -> None:
    with ask.chat.completions.stream(**ASK, tools=[WEATHER]) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta"]
        message = stream.get_final_completion().choices[0].message
    assert "".join(deltas) == " Let me see."
    assert message.tool_calls[0].function.arguments == '{"city": "Ulm"}'


def test_of_several_calls_one_counts_where_that_is_wanted(
    ask: openai.OpenAI, engine: FakeEngine
) -> None:
    engine.begin_again(*CALL, "\n", *CALL[2:])
    both = ask.chat.completions.create(**ASK, tools=[WEATHER])
    one = ask.chat.completions.create(**ASK, tools=[WEATHER], parallel_tool_calls=False)
    assert [len(each.choices[0].message.tool_calls) for each in (both, one)] == [2, 1]


def test_a_call_can_be_forced(ask: openai.OpenAI, engine: FakeEngine) -> None:
    engine.begin_again('{"name": "weather", "arguments": {}}')
    answer = ask.chat.completions.create(**ASK, tools=[WEATHER], tool_choice="required")
    assert answer.choices[0].message.tool_calls[0].function.name == "weather"
    assert answer.choices[0].message.content is None
    (one,) = engine.asked
    assert one.schema["anyOf"][0]["properties"]["name"] == {"const": "weather"}
    ask.chat.completions.create(**ASK, tools=[WEATHER])
    assert one.prompt_ids[: len(engine.asked[1].prompt_ids)] == engine.asked[1].prompt_ids
    wanted = {"type": "function", "function": {"name": "rain"}}
    with pytest.raises(openai.BadRequestError, match="tool_choice names rain"):
        ask.chat.completions.create(**ASK, tools=[WEATHER], tool_choice=wanted)


def test_of_tools_that_may_not_be_called_the_model_is_not_told(
    ask: openai.OpenAI, engine: FakeEngine
) -> None:
    ask.chat.completions.create(**ASK, tools=[WEATHER], tool_choice="none")
    ask.chat.completions.create(**ASK)
    assert engine.asked[0].prompt_ids == engine.asked[1].prompt_ids


def test_an_answer_is_parsed_into_a_type(ask: openai.OpenAI, engine: FakeEngine) -> None:
    class Sky(BaseModel):
        blue: bool

    engine.begin_again('{"blue":', " true}")
    answer = ask.chat.completions.parse(**ASK, response_format=Sky)
    assert answer.choices[0].message.parsed == Sky(blue=True)
    assert engine.asked[0].schema["properties"]["blue"]["type"] == "boolean"


def test_the_prompt_is_the_one_of_training(
    ask: openai.OpenAI, engine: FakeEngine, teller: Path
) -> None:
    """All that a row of training data can say, as the client says it: the same ids."""
    called = {"name": "weather", "arguments": '{"city": "Ulm"}'}
    said: list[dict[str, Any]] = [
        {"role": "developer", "content": "Be short."},
        {"role": "user", "content": [{"type": "text", "text": each} for each in ("Rain?", "Now")]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_1", "type": "function", "function": called}],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "wet"},
    ]
    ask.chat.completions.create(model="teller", messages=said, tools=[WEATHER])
    said[2]["weight"] = 0  # so that the last answer alone is learned
    row = {"messages": [*said, {"role": "assistant", "content": "It does."}], "tools": [WEATHER]}
    assert engine.asked[0].prompt_ids == _trained(teller, row)


def _trained(base: Path, row: dict[str, Any]) -> tuple[int, ...]:
    """The ids before the answer of a row, as training lays them."""
    described = described_base(str(base))
    renderer = renderer_of(described, template_of(described, "auto")[0], "chat")
    example = understand(Row(Origin("rows.jsonl", 1), row))
    assert isinstance(example, Example)
    (rendered,) = renderer.render([example], "sft", 4096)
    assert isinstance(rendered, list)
    learned_N = np.flatnonzero(rendered[-1].weights_N)
    assert renderer.encoder.tokenizer.decode(rendered[-1].ids_N[learned_N]) == " It does.<end>"
    return tuple(rendered[-1].ids_N[: learned_N[0]].tolist())
