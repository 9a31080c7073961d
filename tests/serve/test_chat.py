"""Chat, as the official client asks for it, over a real server with an engine that is none."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from tests.serve.chatting import chatting
from tests.serve.fake_engine import FakeEngine
from tests.serve.live import Live
from tunesmith.serve.errors import unavailable
from tunesmith.serve.settings import Limits

HELLO = [{"role": "user", "content": "Hello?"}]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Live, FakeEngine]]:
    with chatting(tmp_path_factory.mktemp("chatting")) as both:
        yield both


@pytest.fixture
def live(served: tuple[Live, FakeEngine]) -> Iterator[Live]:
    yield served[0]
    served[0].close_clients()


@pytest.fixture
def engine(served: tuple[Live, FakeEngine]) -> FakeEngine:
    """It says the same to everyone, until a test has it say something else."""
    served[1].begin_again("Good", " day", ".")
    return served[1]


@pytest.fixture
def ask(live: Live, engine: FakeEngine) -> openai.OpenAI:
    return live.client()


def test_an_answer(ask: openai.OpenAI, engine: FakeEngine) -> None:
    answer = ask.chat.completions.create(model="anvil", messages=HELLO, metadata={"a": "b"})
    (choice,) = answer.choices
    assert choice.message.content == "Good day."
    assert choice.finish_reason == "stop"
    assert choice.message.tool_calls is None
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 3
    assert answer.usage.prompt_tokens == len(engine.asked[0].prompt_ids)
    assert answer.usage.prompt_tokens_details.cached_tokens == 2
    assert answer.id.startswith("chatcmpl-")
    assert answer.metadata == {"a": "b"}


def test_a_stream(ask: openai.OpenAI) -> None:
    stream = ask.chat.completions.create(
        model="anvil", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    *pieces, last = list(stream)
    assert "".join(each.choices[0].delta.content or "" for each in pieces) == "Good day."
    assert pieces[0].choices[0].delta.role == "assistant"
    assert [each.choices[0].finish_reason for each in pieces][-2:] == [None, "stop"]
    assert last.choices == []
    assert last.usage.completion_tokens == 3
    assert len({each.id for each in [*pieces, last]}) == 1


def test_several_answers_are_asked_for_with_seeds_of_their_own(
    ask: openai.OpenAI, engine: FakeEngine
) -> None:
    answer = ask.chat.completions.create(model="anvil", messages=HELLO, n=3, seed=5)
    assert [each.index for each in answer.choices] == [0, 1, 2]
    seeds = [one.seed for one in engine.asked]
    assert seeds[0] == 5
    assert len(set(seeds)) == 3


def test_a_client_that_goes_away_ends_the_writing(ask: openai.OpenAI, engine: FakeEngine) -> None:
    engine.begin_again(*["on"] * 500, seconds=0.01)
    stream = ask.chat.completions.create(model="anvil", messages=HELLO, stream=True)
    next(iter(stream))
    stream.close()
    with pytest.raises(openai.APITimeoutError):
        ask.with_options(timeout=0.3).chat.completions.create(model="anvil", messages=HELLO)
    until = time.monotonic() + 3
    while len(engine.given_up) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    assert len(engine.given_up) == 2


def test_what_fails_before_the_first_word_is_a_refusal_and_later_an_event(
    ask: openai.OpenAI, engine: FakeEngine
) -> None:
    full = unavailable("The queue is full.", 1)
    engine.begin_again(full)
    with pytest.raises(openai.InternalServerError, match="The queue is full"):
        ask.chat.completions.create(model="anvil", messages=HELLO, stream=True)
    engine.begin_again("Well", full)
    stream = ask.chat.completions.create(model="anvil", messages=HELLO, stream=True)
    with pytest.raises(openai.APIError, match="The queue is full"):
        list(stream)


def test_log_probabilities(ask: openai.OpenAI) -> None:
    answer = ask.chat.completions.create(
        model="anvil", messages=HELLO, logprobs=True, top_logprobs=2
    )
    tokens = answer.choices[0].logprobs.content
    assert [each.token for each in tokens] == ["Good", " day", "."]
    assert tokens[0].bytes == list(b"Good")
    assert [each.token for each in tokens[0].top_logprobs] == ["0", "1"]


def test_what_the_engine_is_asked_for(ask: openai.OpenAI, engine: FakeEngine) -> None:
    ask.chat.completions.create(
        model="anvil",
        messages=HELLO,
        max_completion_tokens=2,
        temperature=0,
        top_p=0.5,
        seed=3,
        stop=["x", "y"],
        presence_penalty=1,
        frequency_penalty=-1,
        logit_bias={"7": -100},
        response_format={"type": "json_object"},
    )
    (one,) = engine.asked
    assert (one.max_new_tokens, one.temperature, one.top_p, one.seed) == (2, 0.0, 0.5, 3)
    assert (one.stop, one.logit_bias, one.schema) == (("x", "y"), {7: -100.0}, True)
    assert (one.presence_penalty, one.frequency_penalty) == (1.0, -1.0)


def test_an_asynchronous_client(live: Live, engine: FakeEngine) -> None:
    async def both() -> tuple[str | None, str]:
        async with live.async_client() as client:
            whole = await client.chat.completions.create(model="anvil", messages=HELLO)
            async with client.chat.completions.stream(model="anvil", messages=HELLO) as stream:
                final = await stream.get_final_completion()
        return whole.choices[0].message.content, final.choices[0].message.content or ""

    assert asyncio.run(both()) == ("Good day.", "Good day.")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"model": "gpt-4o"}, "The model gpt-4o does not exist"),
        ({"extra_body": {"top_k": 3}}, "top_k"),
        ({"reasoning_effort": "high"}, "reasoning_effort: how much a model thinks"),
        ({"top_logprobs": 2}, "top_logprobs needs logprobs"),
        ({"max_tokens": 10**6}, "at most 4096"),
        ({"logit_bias": {"999999": 1}}, "logit_bias names the token 999999"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user"}]}, "of the role user needs content"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages.0.content.0: .* takes text alone",
        ),
        ({"messages": [{"role": "user", "content": "<|end|>"}]}, "special token"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "does not tell it of tools"),
        ({"n": 8, "max_tokens": 4000}, "at most 16384 tokens to one request"),
        ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "not a function tool"),
    ],
)
def test_what_cannot_be_done_is_refused(
    ask: openai.OpenAI, engine: FakeEngine, more: dict[str, object], said: str
) -> None:
    with pytest.raises(openai.APIStatusError, match=said) as refused:
        ask.chat.completions.create(**{"model": "anvil", "messages": HELLO, **more})
    assert refused.value.status_code in (400, 404)
    assert engine.asked == []


def test_tokens_count_against_the_key(tmp_path: Path) -> None:
    limits = Limits(tokens_per_minute=30)
    with chatting(tmp_path, limits=limits) as (live, engine):
        engine.begin_again("Good", " day", ".")
        client = live.client()
        spent = client.chat.completions.create(model="anvil", messages=HELLO).usage.total_tokens
        stream = client.chat.completions.create(model="anvil", messages=HELLO, stream=True)
        assert len(list(stream)) == 5
        assert spent < 30 < 2 * spent
        with pytest.raises(openai.RateLimitError, match="30 tokens within a minute"):
            client.chat.completions.create(model="anvil", messages=HELLO)
        live.close_clients()
