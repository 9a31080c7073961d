"""Rollouts from a vLLM server: what is asked of it, and how each failure is said.

The server here speaks vLLM's protocol over a made-up model of ten tokens, whose distribution
depends on nothing but the adapter.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import make_tokenizer
from tunesmith.core.errors import DataError, EndpointError
from tunesmith.core.records import Origin, Prompt, Rollout
from tunesmith.models.endpoint import Endpoint
from tunesmith.models.rollouts import ServedRollouts

TOKENS, STOP = 10, 7
Answer = dict[str, Any]
Change = Callable[[Answer], object]


@dataclass
class Vllm:
    """What the server at `url` was sent, and how it behaves."""

    url: str = ""
    adapters: dict[str, str] = field(default_factory=dict)
    status: Callable[[int], int] = lambda number: 200
    change: Change = lambda answer: None
    processed: bool = True
    runtime: bool = True
    delay: float = 0.0
    asked: list[tuple[str, Answer]] = field(default_factory=list)

    def logits(self, model: str) -> np.ndarray:
        return np.random.default_rng(len(self.adapters.get(model, ""))).normal(size=TOKENS)

    def complete(self, asked: Answer) -> Answer:
        raw = _log_softmax(self.logits(asked["model"]))
        heated = _log_softmax(raw / (asked["temperature"] or 1.0))
        likeliest = asked["top_k"] == 1 or asked["temperature"] == 0
        told = (heated if not likeliest else np.zeros(TOKENS)) if self.processed else raw
        choices = []
        for index in range(asked["n"]):
            draw = np.random.default_rng([asked["seed"], index])
            ids: list[int] = []
            while len(ids) < asked["max_tokens"] and ids[-1:] != [STOP]:
                drawn = draw.choice(TOKENS, p=np.exp(heated))
                ids.append(int(raw.argmax()) if likeliest else int(drawn))
            finish = "stop" if ids[-1] == STOP else "length"
            log_probs = {
                "tokens": [f"token_id:{each}" for each in ids],
                "token_logprobs": [float(told[each]) for each in ids],
            }
            choices.append(
                {"index": index, "text": "", "finish_reason": finish, "logprobs": log_probs}
            )
        kind = {"id": "1", "object": "text_completion", "created": 0, "model": asked["model"]}
        return kind | {"choices": choices[::-1]}

    def reply(self, number: int, path: str, asked: Answer) -> tuple[int, Any]:
        time.sleep(self.delay)
        status = self.status(number)
        if status != 200:
            return status, {"error": {"message": "busy", "type": "x", "code": status}}
        if path == "/v1/completions":
            answer = self.complete(asked)
            changed = self.change(answer)
            return 200, answer if changed is None else changed
        if path == "/v1/models":
            names = [{"id": name, "object": "model", "created": 0} for name in self.adapters]
            return 200, {"object": "list", "data": names}
        if not self.runtime:
            return 404, {"detail": "Not Found"}
        if path == "/v1/unload_lora_adapter":
            del self.adapters[asked["lora_name"]]
        else:
            if not Path(asked["lora_path"]).is_dir():
                message = f"No adapter found for {asked['lora_path']}"
                return 400, {"error": {"message": message, "type": "x", "code": 400}}
            file = Path(asked["lora_path"]) / "adapter_model.safetensors"
            self.adapters[asked["lora_name"]] = file.read_text()
        return 200, "Success"


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    result: np.ndarray = logits - np.log(np.exp(logits).sum())
    return result


@contextmanager
def vllm(**settings: Any) -> Iterator[Vllm]:
    """A server on a free port of the loopback, for as long as the block lasts."""
    told, lock = Vllm(**settings), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            payload = json.loads(
                self.rfile.read(int(self.headers.get("Content-Length", 0))) or "{}"
            )
            with lock:
                told.asked.append((self.path, payload))
                number = len(told.asked)
            status, answer = told.reply(number, self.path, payload)
            body = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("retry-after-ms", "1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that gave up
    told.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(autouse=True)
def _direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy stands between a test and its own server."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


PROMPTS = [Prompt(Origin("p", n), (), np.arange(3, 5 + n, dtype=np.int32), "") for n in range(5)]


def _rollouts(server: Vllm, **settings: Any) -> ServedRollouts:
    endpoint = Endpoint(server.url, "base", **{"retries": 1, "timeout": 5.0, **settings})
    return ServedRollouts(endpoint, make_tokenizer(), (STOP,), context=24)


def _failure(server: Vllm, temperature: float = 1.0, **settings: Any) -> str:
    with pytest.raises(EndpointError) as error:
        _rollouts(server, **settings).sample(PROMPTS, 2, 6, temperature)
    return str(error.value)


def _ids(drawn: list[list[Rollout]]) -> list[list[int]]:
    return [each.ids_N.tolist() for rollouts in drawn for each in rollouts]


def test_each_prompt_gets_its_answers_and_what_they_were_drawn_with() -> None:
    with vllm() as server:
        rollouts = _rollouts(server, key="k")
        drawn = rollouts.sample(PROMPTS, 3, 12, temperature=0.7, seed=4)
        again = rollouts.sample(PROMPTS, 3, 12, temperature=0.7, seed=4)
        other = rollouts.sample(PROMPTS, 3, 12, temperature=0.7, seed=5)
        asked = {tuple(payload["prompt"]): payload for _, payload in server.asked[1:6]}
        wanted = _log_softmax(server.logits("base") / 0.7)
    assert _ids(drawn) == _ids(again) != _ids(other)
    assert len({tuple(ids) for ids in _ids(drawn)}) > 10
    assert {*asked} == {tuple(prompt.ids_N.tolist()) for prompt in PROMPTS}
    for rollout in (each for group in drawn for each in group):
        np.testing.assert_allclose(rollout.log_probs_N, wanted[rollout.ids_N], atol=1e-6)
        assert rollout.ended == (rollout.ids_N[-1] == STOP)
        assert rollout.ended or len(rollout.ids_N) == 12
        said = rollout.ids_N[: len(rollout.ids_N) - rollout.ended]
        assert rollout.text == make_tokenizer().decode(said, skip_special_tokens=True)
    sent = asked[3, 4]
    assert (sent["n"], sent["stop_token_ids"], sent["ignore_eos"]) == (3, [STOP], True)
    assert (sent["top_p"], sent["top_k"], sent["min_p"]) == (1.0, -1, 0.0)
    assert len({payload["seed"] for payload in asked.values()}) == 5


def test_the_likeliest_answer_is_asked_for_once_and_the_context_is_kept() -> None:
    with vllm() as server:
        drawn = _rollouts(server).sample(PROMPTS, 3, 50, temperature=0)
        assert {(payload["n"], payload["max_tokens"]) for _, payload in server.asked} == {
            (1, 24 - len(prompt.ids_N)) for prompt in PROMPTS
        }
        assert _rollouts(server).sample([], 3, 50) == []
        with pytest.raises(DataError, match="there is no room for an answer"):
            _rollouts(server).sample([Prompt(Origin("p", 9), (), np.arange(24), "")], 1, 5)
    assert all(len({tuple(each.ids_N) for each in group}) == 1 for group in drawn)


def test_it_samples_from_the_newest_adapter_alone(tmp_path: Path) -> None:
    with vllm() as server:
        rollouts = _rollouts(server)
        for weights in ("a", "ab", "ab"):
            (tmp_path / "adapter_model.safetensors").write_text(weights)
            rollouts.load(tmp_path)
        drawn = rollouts.sample(PROMPTS[:1], 1, 4)
        [name] = server.adapters
        wanted = _log_softmax(server.logits(name))[drawn[0][0].ids_N]
        np.testing.assert_allclose(drawn[0][0].log_probs_N, wanted, atol=1e-6)
        loads = [path for path, _ in server.asked if "lora" in path]
        assert loads == ["/v1/load_lora_adapter"] * 2 + ["/v1/unload_lora_adapter"]
        _rollouts(server).load(tmp_path)  # a run that goes on finds what it had loaded
        assert len([path for path, _ in server.asked if "lora" in path]) == 3


def test_a_server_that_takes_no_adapters_says_how_to_start_it(tmp_path: Path) -> None:
    (tmp_path / "adapter_model.safetensors").write_text("a")
    with vllm(runtime=False) as server, pytest.raises(EndpointError) as error:
        _rollouts(server).load(tmp_path)
    assert "does not load adapters while it runs" in str(error.value)
    assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True vllm serve" in str(error.value)


def test_an_adapter_that_the_server_cannot_read_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "adapter_model.safetensors").write_text("a")
    monkeypatch.setattr(Path, "is_dir", lambda self: False)
    with vllm() as server, pytest.raises(EndpointError, match="reads the run's folder under the"):
        _rollouts(server).load(tmp_path)


def test_log_probs_from_before_the_temperature_are_refused() -> None:
    with vllm(processed=False) as server:
        assert "--logprobs-mode processed_logprobs" in _failure(server, temperature=0.7)
        assert _rollouts(server).sample(PROMPTS, 2, 6, temperature=1.0)


def test_passing_failures_are_asked_again() -> None:
    for status in (429, 500):
        with vllm(status=lambda number, s=status: s if number == 2 else 200) as server:
            assert len(_rollouts(server).sample(PROMPTS, 2, 6)) == 5
            assert len(server.asked) == 6


@pytest.mark.parametrize(
    ("status", "said"), [(429, "has no room"), (400, "failed (400, busy)"), (404, "no model base")]
)
def test_lasting_failures_are_sentences(status: int, said: str) -> None:
    with vllm(status=lambda _: status) as server:
        assert said in _failure(server)


def test_a_server_that_is_slow_is_a_sentence() -> None:
    with vllm(delay=0.5) as server:
        assert "did not answer within 0.05 s" in _failure(server, timeout=0.05, retries=0)


def _log_probs(answer: Answer) -> Any:
    return answer["choices"][0]["logprobs"]


GARBAGE: dict[str, Change] = {
    "nothing": lambda answer: {},
    "page": lambda answer: "<html>",
    "without log-probabilities": lambda answer: answer["choices"][0].update(logprobs=None),
    "one answer too few": lambda answer: answer["choices"].pop() and None,
    "a token too few": lambda answer: _log_probs(answer)["tokens"].pop() and None,
    "text for ids": lambda answer: _log_probs(answer).update(tokens=["a", "b", "c", "d", "e", "f"]),
    "no number": lambda answer: _log_probs(answer)["token_logprobs"].__setitem__(0, None),
    "not finite": lambda answer: _log_probs(answer)["token_logprobs"].__setitem__(0, float("nan")),
    "on behind its end": lambda answer: _log_probs(answer).update(
        tokens=[f"token_id:{STOP}"] * 2, token_logprobs=[-1.0, -1.0]
    ),
    "ended early": lambda answer: _log_probs(answer).update(
        tokens=["token_id:1"], token_logprobs=[-1.0]
    ),
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_what_is_no_answer_is_never_learned_from(kind: str) -> None:
    with vllm(change=GARBAGE[kind]) as server:
        sentence = _failure(server)
    assert "answered with something that is no completion with log-probabilities" in sentence
