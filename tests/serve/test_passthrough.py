"""Chat passed on to a vLLM server: what that is sent, and what becomes of its answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.serve.chatting import served_by
from tests.serve.fake_vllm import FakeVllm, fake_vllm
from tests.serve.live import Live
from tests.serve.trained import TUNED
from tunesmith.runs.open import Run
from tunesmith.runs.prompting import open_prompting

HELLO = [{"role": "user", "content": "Hello?"}]


@pytest.fixture(scope="module")
def both(trained: dict[str, Run]) -> Iterator[tuple[Live, FakeVllm]]:
    """Our server, which has a tuned model, before another."""
    home = trained[TUNED].path.parent / "passing"
    with fake_vllm() as vllm, served_by(home, {TUNED: trained[TUNED]}, vllm=vllm.url) as live:
        yield live, vllm


@pytest.fixture
def vllm(both: tuple[Live, FakeVllm]) -> FakeVllm:
    fresh = FakeVllm()
    both[1].__dict__.update({**fresh.__dict__, "url": both[1].url, "models": both[1].models})
    return both[1]


@pytest.fixture
def ask(both: tuple[Live, FakeVllm], vllm: FakeVllm) -> Iterator[openai.OpenAI]:
    yield both[0].client(both[0].key("one"))
    both[0].close_clients()


def test_the_server_reads_what_training_read(ask: openai.OpenAI, vllm: FakeVllm) -> None:
    answer = ask.chat.completions.create(model="anvil", messages=HELLO, seed=4, max_tokens=9)
    assert answer.choices[0].message.content == "Good day"
    assert answer.usage.completion_tokens == 2
    assert answer.usage.prompt_tokens_details.cached_tokens == 1
    (asked,) = vllm.asked
    prompting = open_prompting("anvil", None)
    assert asked["prompt"] == list(prompting.chat(HELLO))
    assert asked["stop_token_ids"] == list(prompting.stop_ids)
    assert (asked["model"], asked["seed"], asked["max_tokens"]) == ("base", 4, 9)
    assert asked["cache_salt"].startswith("proj_"), "no project learns what another has asked"


def test_an_adapter_is_registered_once_and_again_where_it_was_forgotten(
    ask: openai.OpenAI, vllm: FakeVllm, trained: dict[str, Run]
) -> None:
    for _ in range(2):
        ask.chat.completions.create(model=TUNED, messages=HELLO)
    (name,) = [each for each in vllm.models if each.startswith("tunesmith-")]
    assert vllm.models[name] == str(trained[TUNED].artefact)
    assert [each["model"] for each in vllm.asked] == [name, name]
    del vllm.models[name]
    ask.chat.completions.create(model=TUNED, messages=HELLO)
    assert name in vllm.models


def test_what_it_says_of_folders_is_not_passed_on(
    ask: openai.OpenAI, vllm: FakeVllm, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = {"error": {"message": "Loading /srv/home/jobs/7/adapter failed.", "code": 400}}
    vllm.models.pop(next((name for name in vllm.models if name.startswith("tunesmith-")), ""), None)
    monkeypatch.setattr(FakeVllm, "load", lambda self, asked: (400, error))
    with pytest.raises(openai.InternalServerError, match="cannot load this model") as refused:
        ask.chat.completions.create(model=TUNED, messages=HELLO)
    assert "/srv" not in str(refused.value)


def test_a_stream_with_log_probabilities(ask: openai.OpenAI, vllm: FakeVllm) -> None:
    stream = ask.chat.completions.create(
        model="anvil", messages=HELLO, stream=True, logprobs=True, top_logprobs=2
    )
    chunks = [each.choices[0] for each in stream]
    assert [each.delta.content for each in chunks] == ["", "Good", " day", None]
    assert chunks[-1].finish_reason == "stop"
    (token,) = chunks[1].logprobs.content
    assert (token.logprob, [each.logprob for each in token.top_logprobs]) == (-0.5, [-1.0, -2.0])
    assert vllm.asked[0]["logprobs"] == 2


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"status": 400}, openai.BadRequestError, "refused it: max_tokens is too large"),
        ({"status": 500}, openai.InternalServerError, "server behind this service failed"),
        ({"status": 429}, openai.InternalServerError, "has no room"),
        ({"breaks_at": 0}, openai.InternalServerError, "broke off"),
    ],
)
def test_its_failures_are_ours(
    ask: openai.OpenAI, vllm: FakeVllm, settings: dict[str, Any], error: Any, said: str
) -> None:
    for name, value in settings.items():
        setattr(vllm, name, value)
    with pytest.raises(error, match=said) as refused:
        ask.chat.completions.create(model="anvil", messages=HELLO)
    assert vllm.url not in str(refused.value)


def test_a_server_that_breaks_off_ends_a_stream_with_an_error(
    ask: openai.OpenAI, vllm: FakeVllm
) -> None:
    vllm.breaks_at = 1
    stream = ask.chat.completions.create(model="anvil", messages=HELLO, stream=True)
    with pytest.raises(openai.APIError, match="broke off"):
        list(stream)
