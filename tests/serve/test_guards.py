"""What a request meets before it comes to a route: limits, headers, and a look at its body."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient

from tunesmith.serve.app import build
from tunesmith.serve.caller import Caller
from tunesmith.serve.guard import payload
from tunesmith.serve.guard.bodies import largest
from tunesmith.serve.guard.keys import Chatter, Reader, Writer
from tunesmith.serve.guard.limits import KeyLimits, TokenBudget
from tunesmith.serve.service import assemble
from tunesmith.serve.settings import Limits, Settings
from tunesmith.serve.store.database import Database

FORM = "multipart/form-data; boundary=x"
Connect = Callable[..., TestClient]


def add_routes(app: FastAPI) -> None:
    """Three simple ones: a body that is parsed, one that is read, and tokens that are spent."""

    @app.post("/parse")
    def parse(caller: Writer, body: dict[str, Any]) -> dict[str, Any]:
        return body

    @app.post("/v1/files")
    async def read(caller: Writer, request: Request) -> dict[str, int]:
        return {"bytes": sum([len(piece) async for piece in request.stream()])}

    @app.post("/ask")
    async def ask(caller: Chatter, budget: TokenBudget) -> StreamingResponse:
        budget.spend(40)

        async def words() -> AsyncIterator[str]:
            for word in ("one", "two"):
                yield word

        return StreamingResponse(words())

    @app.get("/fail")
    def fail(caller: Reader) -> None:
        raise ZeroDivisionError


@pytest.fixture
def connect(settings: Settings, database: Database) -> Iterator[Connect]:
    """A client of a service with these limits and settings."""
    opened: list[TestClient] = []

    def connect(limits: dict[str, Any] | None = None, **changes: Any) -> TestClient:
        changes["limits"] = Limits(**limits or {})
        service = assemble(settings.model_copy(update=changes), database)
        app = build(service)
        served = list(app.router.routes)
        add_routes(app)
        app.router.routes[:] = [*app.router.routes[len(served) :], *served]  # ours go first
        key, _ = service.keys.create("one")
        headers = {"authorization": f"Bearer {key}"}
        opened.append(TestClient(app, headers=headers, raise_server_exceptions=False))
        return opened[-1]

    yield connect
    for client in opened:
        client.close()


def test_every_answer_has_a_name_of_our_own_and_the_headers_for_browsers(connect: Connect) -> None:
    client = connect()
    asked = [("GET", "/healthz"), ("GET", "/v1/nothing"), ("PUT", "/parse"), ("GET", "/fail")]
    for method, path in asked:
        answer = client.request(method, path, headers={"x-request-id": "req_of-another"})
        assert answer.headers["x-request-id"].startswith("req_")
        assert answer.headers["x-request-id"] != "req_of-another"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "server" not in answer.headers


def test_our_own_slip_is_told_by_the_name_of_the_request_alone(connect: Connect) -> None:
    answer = connect().get("/fail")
    assert answer.status_code == 500
    assert answer.headers["x-request-id"] in answer.json()["error"]["message"]
    assert "ZeroDivision" not in answer.text


def test_what_is_not_there_or_not_done_is_told_in_the_interface_s_shape(connect: Connect) -> None:
    client = connect()
    nothing, wrong = client.get("/v1/nothing"), client.put("/parse")
    assert nothing.status_code == 404
    assert "/v1/nothing" in nothing.json()["error"]["message"]
    assert wrong.status_code == 405
    assert wrong.headers["allow"] == "POST"


def test_browsers_may_call_from_the_origins_that_the_operator_names(connect: Connect) -> None:
    asked = {"origin": "https://here.example", "access-control-request-method": "POST"}
    closed = connect().options("/parse", headers=asked)
    opened = connect(origins=("https://here.example",)).options("/parse", headers=asked)
    other = connect(origins=("https://there.example",)).options("/parse", headers=asked)
    assert "access-control-allow-origin" not in closed.headers
    assert "access-control-allow-origin" not in other.headers
    assert opened.headers["access-control-allow-origin"] == "https://here.example"


def test_requests_of_a_minute_are_counted_for_each_key(connect: Connect) -> None:
    client = connect({"requests_per_minute": 2})
    first, second, third = (client.get("/v1/nothing") for _ in range(3))
    assert [first.status_code, second.status_code, third.status_code] == [404, 404, 429]
    assert first.headers["x-ratelimit-limit-requests"] == "2"
    assert second.headers["x-ratelimit-remaining-requests"] == "0"
    assert third.json()["error"]["code"] == "rate_limit_exceeded"
    assert 20 < int(third.headers["retry-after"]) <= 30
    assert third.headers["x-should-retry"] == "true"


def test_tokens_of_a_minute_are_counted_and_stop_those_alone_who_need_some(
    connect: Connect,
) -> None:
    client = connect({"tokens_per_minute": 60})
    answers = [client.post("/ask") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].text == "onetwo"
    assert answers[0].headers["x-ratelimit-remaining-tokens"] in ("20", "21")
    assert int(answers[2].headers["retry-after"]) == pytest.approx(21, abs=1)
    assert client.post("/parse", json={}).status_code == 200


def test_one_request_too_many_at_once_is_refused_and_the_next_is_not() -> None:
    asyncio.run(_three_at_once())


async def _three_at_once() -> None:
    go = asyncio.Event()
    statuses: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    limited = KeyLimits(app, Limits(concurrent_requests=2))
    caller = Caller("proj_a", "key_a", frozenset())
    ask = partial(limited, {"type": "http", "headers": [], "state": {"caller": caller}}, None, send)
    waiting = [asyncio.create_task(ask()) for _ in range(3)]
    await asyncio.sleep(0)
    assert statuses == [429]
    go.set()
    await asyncio.gather(*waiting)
    await ask()
    assert statuses == [429, 200, 200, 200]


@pytest.mark.parametrize("streamed", [False, True])
def test_a_body_that_is_too_large_is_refused_announced_or_not(
    connect: Connect, streamed: bool
) -> None:
    client = connect({"body_bytes": 1000, "file_bytes": 5000})
    cases = (("/parse", "application/json", 1001), ("/v1/files", FORM, 5001 + (64 << 10)))
    for path, kind, bytes in (*cases, ("/v1/files", "text/plain", 1001)):
        sent = b"1" * bytes
        pieces = iter([sent[:700], sent[700:]]) if streamed else sent
        answer = client.post(path, content=pieces, headers={"content-type": kind})
        assert answer.status_code == 413
        assert answer.json()["error"]["code"] == "request_too_large"
        assert answer.headers["x-should-retry"] == "false"
    answer = client.post("/v1/files", content=b"1" * 5001, headers={"content-type": FORM})
    assert answer.json() == {"bytes": 5001}


def test_only_the_paths_that_take_files_take_more() -> None:
    limits = Limits()
    assert largest("/v1/uploads/upload_a/parts", True, limits) > limits.part_bytes
    for path in ("/v1/files/x", "/v1/uploads/a/b/parts", "/v1/uploads/a/parts/x", "/v1/uploads"):
        assert largest(path, True, limits) == limits.body_bytes


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 5000,
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":' * 500 + b"1" + b"}" * 500,
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1e999}',
        b'{"a": 1E+00999}',
        b'{"a": ' + b"1" * 5000 + b"}",
        b'{"a": "\\u0000"}',
        b'{"a": "\\\\\\u0000"}',
        b'{"a": "\\ud800"}',
        b'{"a": "\\udc00\\ud800"}',
        b'{"a": "\\ud83d\\\\\\ude00"}',
        b'{"a": "\xc0\xaf"}',
        b'{"a": "\xed\xa0\x80"}',
        b'{"a": "\0"}',
        '{"a": 1}'.encode("utf-16"),
        b'{"a": 1',
        b"",
        b"{]",
        b'"',
    ],
)
def test_json_that_would_trip_others_is_refused(connect: Connect, body: bytes) -> None:
    answer = connect().post("/parse", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400, answer.text
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    "value",
    [
        "NaN Infinity 1e999 " + "1" * 200 + "[" * 500,
        '\\u0000 \\ud800 \\" " \\\\',
        "😀 é \u202e",
        1.7976e99,
        -5e-324,
        [[{"a": [[]]}]] * 3,
    ],
)
def test_json_that_is_only_unusual_comes_through(connect: Connect, value: Any) -> None:
    for ascii in (True, False):
        sent = json.dumps({"a": value}, ensure_ascii=ascii).encode()
        answer = connect().post(
            "/parse", content=sent, headers={"content-type": "application/json"}
        )
        assert answer.json() == {"a": value}


def test_a_look_at_a_large_body_is_linear() -> None:
    for body in (b'\\"' * 2_00_000, b'"' * 4_00_000, b"[]" * 2_00_000, b"\\u" * 2_00_000):
        payload.check(body)


@pytest.mark.parametrize("sent", ["/v1/files/a%00b", "/v1/files?after=a%00b"])
def test_an_address_with_a_nul_is_refused(connect: Connect, sent: str) -> None:
    assert connect().get(sent).status_code == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-encoding": "gzip"}, 415),
        ({f"x-{n}": "1" for n in range(101)}, 431),
        ({"transfer-encoding": "chunked", "content-length": "2"}, 400),
    ],
)
def test_a_head_that_is_ambiguous_packed_or_a_flood_is_refused(
    connect: Connect, headers: dict[str, str], status: int
) -> None:
    headers = {"content-type": "application/json", **headers}
    answer = connect().post("/parse", content=b"{}", headers=headers)
    assert answer.status_code == status
    assert answer.json()["error"]["type"] == "invalid_request_error"
