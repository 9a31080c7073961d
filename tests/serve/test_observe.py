"""What the operator sees: every request, every change, and nothing that a client has sent."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tunesmith.serve.app import build
from tunesmith.serve.errors import unavailable
from tunesmith.serve.observe.audit import Audit
from tunesmith.serve.observe.logs import JsonLines
from tunesmith.serve.service import Service
from tunesmith.serve.store.tables import AuditRow

pytestmark = pytest.mark.stores
SECRET = "a-text-that-nobody-else-may-read"
BODY = json.dumps({"messages": [{"role": "user", "content": SECRET}]}).encode()


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What is logged."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    ours = logging.getLogger("tunesmith")
    ours.addHandler(handler)
    ours.setLevel(logging.INFO)
    yield stream
    ours.removeHandler(handler)


def logged(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def upload(client: TestClient) -> str:
    body = {"file": (f"{SECRET}.jsonl", BODY)}
    answer = client.post("/v1/files", files=body, data={"purpose": "fine-tune"})
    assert answer.status_code == 200, answer.text
    id: str = answer.json()["id"]
    return id


def trail(service: Service) -> list[AuditRow]:
    return list(reversed(service.audit.page().rows))


def test_a_line_a_request_says_who_asked_what_and_nothing_that_was_sent(
    client: TestClient, service: Service, key: str, lines: io.StringIO
) -> None:
    id = upload(client)
    client.get(f"/v1/files/{id}", params={"q": SECRET})
    client.get(f"/v1/{SECRET}")
    client.get("/v1/files", headers={"authorization": f"Bearer {SECRET}"})
    said = logged(lines)
    assert [(one["method"], one["route"], one["status"]) for one in said] == [
        ("POST", "/v1/files", 200),
        ("GET", "/v1/files/{file_id}", 200),
        ("GET", "none", 404),
        ("GET", "none", 401),
    ]
    row = service.keys.all()[0].key
    assert {(one["key"], one["project"]) for one in said[:3]} == {(row.id, row.project_id)}
    assert said[3]["key"] is None
    assert all(one["request_id"].startswith("req_") and one["seconds"] >= 0 for one in said)
    for never in (SECRET, id, key):
        assert never not in lines.getvalue()


def test_of_an_exception_the_kind_and_the_places_are_logged_but_not_what_it_says(
    lines: io.StringIO,
) -> None:
    try:
        raise ValueError(SECRET)
    except ValueError:
        logging.getLogger("tunesmith.serve").exception("it failed", extra={"job": "ftjob-1"})
    (line,) = logged(lines)
    assert (line["message"], line["job"], line["fault"]) == ("it failed", "ftjob-1", "ValueError")
    assert line["places"][0].endswith(
        "test_of_an_exception_the_kind_and_the_places_are_logged_but_not_what_it_says"
    )
    assert SECRET not in lines.getvalue()


def test_every_change_has_a_row_of_who_did_it_to_what_and_what_came_of_it(
    client: TestClient, service: Service
) -> None:
    id = upload(client)
    client.get(f"/v1/files/{id}")
    client.delete(f"/v1/files/{id}")
    client.delete(f"/v1/files/{id}")
    client.post("/v1/files", content="no form")
    rows = trail(service)
    assert [(row.act, row.object_id, row.status) for row in rows] == [
        ("POST /v1/files", id, 200),
        ("DELETE /v1/files/{file_id}", id, 200),
        ("DELETE /v1/files/{file_id}", id, 404),
        ("POST /v1/files", None, 400),
    ]
    key = service.keys.all()[0].key
    assert {(row.key_id, row.project_id) for row in rows} == {(key.id, key.project_id)}


def test_what_a_key_may_not_do_is_recorded_as_refused(service: Service) -> None:
    reads, _ = service.keys.create("two", scopes=["read"])
    with TestClient(build(service), headers={"authorization": f"Bearer {reads}"}) as client:
        assert client.delete("/v1/files/file-x").status_code == 403
    assert [(row.act, row.object_id, row.status) for row in trail(service)] == [
        ("DELETE /v1/files/{file_id}", "file-x", 403)
    ]


def test_nothing_is_changed_that_cannot_be_recorded(
    client: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = upload(client)

    def full(*_: Any) -> int:
        raise unavailable("The disk of this service is full; nothing was changed.", 30)

    monkeypatch.setattr(Audit, "begin", full)
    assert client.delete(f"/v1/files/{id}").status_code == 503
    assert client.get(f"/v1/files/{id}").status_code == 200


def test_what_was_begun_and_never_answered_is_seen_as_such(
    client: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = upload(client)
    monkeypatch.setattr(Audit, "end", lambda *_: None)  # the process dies before
    client.delete(f"/v1/files/{id}")
    assert (trail(service)[-1].object_id, trail(service)[-1].status) == (id, 0)


def test_the_figures_are_for_the_operator_and_count_what_happened(
    client: TestClient, service: Service
) -> None:
    upload(client)
    for _ in range(3):
        client.get("/v1/files/file-nothing")
    service.metrics.watch("engine", "Of the engine.", lambda: {"answers": 7.0})
    said = client.get("/metrics").text
    assert 'requests_total{method="GET",route="/v1/files/{file_id}",status="404"} 3.0' in said
    assert 'seconds_count{method="POST",route="/v1/files"} 1.0' in said
    assert 'tunesmith_jobs{status="paused"} 0.0' in said
    assert "tunesmith_store_up 1.0" in said
    assert f"tunesmith_files_bytes {float(len(BODY))}" in said
    assert "tunesmith_engine_answers 7.0" in said
    assert re.search(r"tunesmith_disk_free_bytes \d", said)
    assert SECRET not in said
    others, _ = service.keys.create("two", scopes=["read", "write", "chat", "train"])
    assert client.get("/metrics", headers={"authorization": f"Bearer {others}"}).status_code == 403
    assert client.get("/metrics", headers={"authorization": ""}).status_code == 401


def test_ready_is_who_can_work(service: Service) -> None:
    with TestClient(build(service)) as anyone:
        assert anyone.get("/readyz").json() == {"status": "ok"}
        service.health.watch("the workers", lambda: False)
        refused = anyone.get("/readyz")
        assert refused.status_code == 503
        assert refused.json()["error"]["message"] == "Not ready because of the workers."
        assert anyone.get("/healthz").status_code == 200
