"""Texts gone on with, as the official client asks for them."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest

from tests.serve.chatting import chatting
from tests.serve.fake_engine import FakeEngine
from tests.serve.live import Live


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Live, FakeEngine]]:
    with chatting(tmp_path_factory.mktemp("completing")) as both:
        yield both


@pytest.fixture
def engine(served: tuple[Live, FakeEngine]) -> FakeEngine:
    served[1].begin_again(" upon", " a", " time")
    return served[1]


@pytest.fixture
def ask(served: tuple[Live, FakeEngine], engine: FakeEngine) -> Iterator[openai.OpenAI]:
    yield served[0].client()
    served[0].close_clients()


def test_a_text_is_gone_on_with(ask: openai.OpenAI, engine: FakeEngine) -> None:
    answer = ask.completions.create(model="anvil", prompt="Once", echo=True)
    assert answer.choices[0].text == "Once upon a time"
    assert answer.choices[0].finish_reason == "stop"
    (one,) = engine.asked
    assert one.max_new_tokens == 16
    assert answer.usage.prompt_tokens == len(one.prompt_ids)
    again = ask.completions.create(model="anvil", prompt=list(one.prompt_ids), echo=True)
    assert again.choices[0].text == "Once upon a time"
    assert engine.asked[1].prompt_ids == one.prompt_ids


def test_several_prompts_have_their_answers_in_order(
    ask: openai.OpenAI, engine: FakeEngine
) -> None:
    answer = ask.completions.create(model="anvil", prompt=["One", "Another"], n=2, echo=True)
    assert [each.text.split()[0] for each in answer.choices] == ["One"] * 2 + ["Another"] * 2
    assert [each.index for each in answer.choices] == [0, 1, 2, 3]
    lengths = [len(one.prompt_ids) for one in engine.asked[::2]]
    assert answer.usage.prompt_tokens == sum(lengths)
    assert answer.usage.prompt_tokens_details.cached_tokens == 4


def test_a_stream(ask: openai.OpenAI) -> None:
    stream = ask.completions.create(
        model="anvil",
        prompt="Once",
        stream=True,
        echo=True,
        stream_options={"include_usage": True},
    )
    *pieces, last = list(stream)
    assert "".join(each.choices[0].text for each in pieces) == "Once upon a time"
    assert last.usage.completion_tokens == 3


def test_log_probabilities(ask: openai.OpenAI) -> None:
    logprobs = ask.completions.create(model="anvil", prompt="x", logprobs=2).choices[0].logprobs
    assert logprobs.tokens == [" upon", " a", " time"]
    assert logprobs.text_offset == [0, 5, 7]
    assert logprobs.top_logprobs[0] == {"0": -2.0, "1": -3.0}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"suffix": "end"}, "suffix: answers are written from the left"),
        ({"best_of": 3}, "best_of must be n"),
        ({"echo": True, "logprobs": 1}, "echo and logprobs"),
        ({"prompt": [10**6]}, "token id 1000000"),
        ({"prompt": []}, "prompt"),
    ],
)
def test_what_cannot_be_done_is_refused(
    ask: openai.OpenAI, engine: FakeEngine, more: dict[str, object], said: str
) -> None:
    with pytest.raises(openai.BadRequestError, match=said):
        ask.completions.create(**{"model": "anvil", "prompt": "x", **more})
    assert engine.asked == []
