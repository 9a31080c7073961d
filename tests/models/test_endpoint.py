"""A model behind an endpoint: what is sent, what comes back, and how each failure is said."""

from __future__ import annotations

import importlib.util
import socket
import time
from typing import Any

import pytest

from tests.judges import Server, judge_server
from tunesmith.core.errors import EndpointError, Unsupported
from tunesmith.core.records import Message, Reply
from tunesmith.models.endpoint import Endpoint, require_client

ASKED = [(Message("system", "Compare."), Message("user", f"question {n}")) for n in range(12)]


@pytest.fixture(autouse=True)
def _direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy stands between a test and its own server."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def endpoint(server: Server, **settings: Any) -> Endpoint:
    return Endpoint(server.url, "the-judge", **{"retries": 1, "timeout": 5.0, **settings})


def heard(server: Server, **settings: Any) -> list[Reply]:
    found = dict(endpoint(server, **settings).replies(ASKED))
    return [found[place] for place in range(len(ASKED))]


def failure(server: Server, **settings: Any) -> str:
    with pytest.raises(EndpointError) as error:
        heard(server, **settings)
    return str(error.value)


def test_each_reply_finds_its_question() -> None:
    def says(*_: str) -> str:
        return "A"

    with judge_server(says=says, delay=0.02) as server:
        assert heard(server) == [Reply("A", finish="stop")] * 12
        assert server.most_at_once == 4
        sent = sorted((each["messages"][1]["content"] for each in server.asked), key=len)
    assert sorted(sent) == sorted(conversation[1].content for conversation in ASKED)
    assert {each["messages"][0]["role"] for each in server.asked} == {"system"}


def test_nothing_is_sent_beside_what_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "of-another-account")
    with judge_server() as server:
        heard(server)
        plain = server.headers[0]
        assert {*server.asked[0]} == {"model", "messages", "temperature"}
        heard(server, key="the-key", temperature=None, max_tokens=7)
        assert {*server.asked[-1]} == {"model", "messages", "max_tokens"}
        assert server.headers[-1]["authorization"] == "Bearer the-key"
    assert "authorization" not in plain
    assert not [name for name in plain if name.startswith("openai")]
    assert not {"x-stainless-os", "x-stainless-arch", "x-stainless-runtime"} & {*plain}
    assert "of-another-account" not in str(server.headers)


def test_a_passing_failure_is_asked_again() -> None:
    for status in (429, 500, 503):
        with judge_server(status=lambda number, s=status: s if number == 1 else 200) as server:
            assert len(heard(server)) == 12
            assert len(server.asked) == 13


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "refused a request without a key (401, no). Give it a key"),
        (403, "refused a request without a key (403, no)"),
        (404, "knows no model the-judge at this address (404, no)"),
        (429, "has no room (429, no). Wait"),
        (500, "failed (500, no)"),
        (307, "redirects to another address (307)"),
    ],
)
def test_a_lasting_failure_is_a_sentence_and_ends_the_asking(status: int, said: str) -> None:
    with judge_server(status=lambda _: status) as server:
        sentence = failure(server, parallel=2)
        assert f"The endpoint {server.url} {said}" in sentence
        assert sentence.endswith(".")
        assert len(server.asked) <= 6  # two at a time, each at most twice, and what was under way
        assert {*server.paths} == {"/v1/chat/completions"}


def test_an_endpoint_that_is_down_or_slow_is_a_sentence() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(EndpointError, match=r"cannot be reached \(.*refused.*\)\. See that it is"):
        list(Endpoint(url, "m", retries=0).replies(ASKED))
    with judge_server(delay=0.5) as server:
        began = time.perf_counter()
        assert "did not answer within 0.05 s, asked 1 times" in failure(
            server, timeout=0.05, retries=0
        )
        assert time.perf_counter() - began < 0.4


@pytest.mark.parametrize("raw", ["{}", '{"choices": []}', "[]", "<html>", '{"choices": [{}]}', ""])
def test_what_is_no_completion_is_a_sentence(raw: str) -> None:
    with judge_server(raw=raw) as server:
        assert "answered with something that is no chat completion" in failure(server)


def test_one_request_may_be_refused() -> None:
    with judge_server(
        status=lambda number: 400 if number == 3 else 200, error="too long"
    ) as server:
        replies = heard(server, parallel=1)
    assert replies[2] == Reply("", refused="400, too long")
    assert sum(reply.refused is not None for reply in replies) == 1


def test_the_key_is_never_repeated() -> None:
    with judge_server(status=lambda _: 401, error="Wrong key: sk-secret.") as server:
        sentence = failure(server, key="sk-secret")
    assert "refused the key (401, Wrong key: …)" in sentence
    assert "sk-secret" not in sentence
    assert "sk-secret" not in repr(endpoint(server, key="sk-secret"))


def test_whoever_stops_listening_has_nothing_further_sent() -> None:
    with judge_server(delay=0.02) as server:
        replies = endpoint(server, parallel=1).replies(ASKED)
        next(replies)
        replies.close()
        time.sleep(0.1)
        assert len(server.asked) <= 3


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Unsupported, match=r"pip install 'tunesmith\[judge\]'"):
        require_client()
