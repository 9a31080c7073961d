"""Our own paths: data looked at, runs in the client's words, feedback, names of models."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.serve.jobs_told import chats
from tunesmith.serve.app import build
from tunesmith.serve.service import Service
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.tables import JobRow, ModelRow

OWN = "/v1/tunesmith"


def upload(client: TestClient, rows: list[Any], name: str = "my rows.jsonl") -> str:
    content = "".join(json.dumps(row) + "\n" for row in rows)
    answer = client.post(
        "/v1/files", data={"purpose": "fine-tune"}, files={"file": (name, content)}
    )
    id: str = answer.json()["id"]
    return id


def made(service: Service, project: str, file: str, number: int, decision: str = "ship") -> str:
    """A finished job with a model, as a worker leaves it; the model's id."""
    job = JobRow(
        id=f"ftjob-{number}", project_id=project, key_id="key_x", model="anvil", seed=1,
        training_file=file, asked={"model": "anvil", "training_file": file}, method={},
        hyperparameters={}, status="succeeded", priority=0, attempts=1, created_at=1,
        result_files=[],
    )  # fmt: skip
    run = service.settings.jobs / job.id / "run"
    (run / "adapter").mkdir(parents=True)
    (run / "adapter" / "adapter_model.safetensors").write_bytes(b"weights %d" % number)
    (run / "recipe.yaml").write_text("model:\n  base: anvil\n")
    data = run.parent / "data" / "0.jsonl"
    (run / "ledger.json").write_text(json.dumps({"files": [{"file": str(data), "trained": 9}]}))
    verdict = {"decision": decision, "sentence": f"Look at {data}:3 again."}
    (run / "verdict.json").write_text(json.dumps(verdict))
    (run / "report.html").write_text(f"<!doctype html><p>{data}:3</p>")
    with service.database.write() as session:
        session.add(job)
        model = ModelRow(
            id=f"ft:anvil:here::{number}", project_id=project, job_id=job.id, base="anvil",
            kind="chat", folder=str(run.relative_to(service.settings.home)),
            created_at=int(time.time()),
        )  # fmt: skip
        session.add(model)
    return f"ft:anvil:here::{number}"


@pytest.fixture
def project(service: Service, key: str) -> str:
    return service.keys.all()[0].key.project_id


@pytest.fixture
def stranger(service: Service) -> TestClient:
    key = service.keys.create("two")[0]
    return TestClient(build(service), headers={"authorization": f"Bearer {key}"})


def test_a_file_is_looked_at_in_the_clients_words(
    client: TestClient, stranger: TestClient, settings: Settings
) -> None:
    rows = [*chats(5), chats(1)[0], {"messages": [{"role": "user", "content": "Where?"}]}]
    file = upload(client, rows)
    answer = client.post(f"{OWN}/files/{file}/check")
    found = answer.json()
    assert (answer.status_code, found["rows"], found["unusable"]) == (200, 7, 1)
    double = next(each for each in found["findings"] if "earlier" in each["message"])
    assert [place["line"] for place in double["places"]] == [6]
    assert str(settings.home) not in answer.text
    assert "/tmp" not in answer.text
    assert stranger.post(f"{OWN}/files/{file}/check").status_code == 404
    picture = {"messages": [{"role": "user", "content": [{"type": "image", "path": "/etc/x"}]}]}
    turn = {"role": "assistant", "content": "a"}
    picture["messages"].append(turn)
    refused = client.post(f"{OWN}/files/{upload(client, [picture])}/check")
    assert refused.status_code == 400
    assert refused.json()["error"]["message"].startswith(
        "my rows.jsonl, line 1: the row names a picture"
    )


def test_a_run_speaks_in_the_clients_words(
    client: TestClient, stranger: TestClient, service: Service, project: str
) -> None:
    made(service, project, upload(client, chats(10), "<b>.jsonl"), 1)
    ledger = client.get(f"{OWN}/jobs/ftjob-1/ledger").json()
    assert ledger["content"] == {"files": [{"file": "<b>.jsonl", "trained": 9}]}
    verdict = client.get(f"{OWN}/jobs/ftjob-1/verdict").json()
    assert verdict["content"]["sentence"] == "Look at <b>.jsonl, line 3 again."
    report = client.get(f"{OWN}/jobs/ftjob-1/report")
    assert report.text == "<!doctype html><p>&lt;b&gt;.jsonl, line 3</p>"
    policy = report.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "sandbox" in policy
    assert "script" not in policy
    missing = client.get(f"{OWN}/jobs/ftjob-1/plan")
    assert (missing.status_code, missing.json()["error"]["code"]) == (409, "not_there_yet")
    for part in ("ledger", "verdict", "report"):
        assert stranger.get(f"{OWN}/jobs/ftjob-1/{part}").status_code == 404


def test_feedback_becomes_rows_of_its_own_project(client: TestClient, stranger: TestClient) -> None:
    answers = [{"text": "At the door.", "model": "ft:x"}, {"text": "No idea."}]
    said = {"prompt": "Where is it?", "answers": answers, "preferred": 1}
    kept = client.post(f"{OWN}/feedback", json={"judgements": [said, said]}).json()
    assert (kept["received"], kept["added"]) == (2, 1)
    rows = client.get(f"{OWN}/feedback/rows", params={"form": "preference"}).json()["rows"]
    assert [row["chosen"] for row in rows] == ["At the door."]
    assert rows[0]["provenance"]["chosen"] == {"model": "ft:x"}
    none = client.get(f"{OWN}/feedback/rows", params={"form": "sft"}).json()
    assert (none["rows"], none["left_out"]) == ([], {"choice": 1})
    theirs = stranger.get(f"{OWN}/feedback/rows", params={"form": "preference"}).json()
    assert (theirs["rows"], theirs["left_out"]) == ([], {})
    wrong = client.post(f"{OWN}/feedback", json={"judgements": [said, {"prompt": "x"}]})
    assert wrong.status_code == 400
    assert wrong.json()["error"]["message"].startswith("Judgement 2: A line of feedback has one of")


def promote(client: TestClient, model: str, because: str | None = None) -> Any:
    asked = {"model": model, "because": because}
    return client.post(f"{OWN}/aliases/support/promote", json=asked)


def test_a_name_leads_to_what_was_promoted(
    client: TestClient, stranger: TestClient, service: Service, project: str
) -> None:
    first, second = made(service, project, "file-x", 1), made(service, project, "file-x", 2)
    assert promote(client, first).json()["current"] == 1
    assert promote(client, second).json()["current"] == 2
    assert client.get("/v1/models/support").json()["id"] == second
    rolled = client.post(f"{OWN}/aliases/support/rollback").json()
    assert [each["job_id"] for each in rolled["versions"]] == ["ftjob-1", "ftjob-2"]
    assert client.get("/v1/models/support").json()["id"] == first
    assert [each["id"] for each in client.get(f"{OWN}/aliases").json()["data"]] == ["support"]
    again = client.post(f"{OWN}/aliases/support/rollback")
    assert again.status_code == 409
    assert stranger.get(f"{OWN}/aliases/support").status_code == 404
    assert stranger.get("/v1/models/support").status_code == 404
    assert promote(stranger, first).status_code == 404


def test_what_is_to_hold_or_was_changed_is_not_promoted(
    client: TestClient, service: Service, project: str, settings: Settings
) -> None:
    model = made(service, project, "file-x", 1, "hold")
    held = promote(client, model)
    assert held.status_code == 409
    assert held.json()["error"]["code"] == "verdict_holds"
    assert promote(client, model, "We have read it.").json()["current"] == 1
    run = settings.jobs / "ftjob-1" / "run"
    (run / "artefact.json").write_text(json.dumps({"adapter_model.safetensors": "0" * 64}))
    assert promote(client, model, "Once more.").status_code == 409
    assert (
        "anvil is the name of a base"
        in client.post(f"{OWN}/aliases/anvil/promote", json={"model": model}).text
    )
    assert client.post(f"{OWN}/aliases/..%2Fx/promote", json={"model": model}).status_code in (
        400,
        404,
    )


def test_scopes_are_asked_for(service: Service) -> None:
    key = service.keys.create("three", scopes=("chat",))[0]
    client = TestClient(build(service), headers={"authorization": f"Bearer {key}"})
    assert client.get(f"{OWN}/aliases").status_code == 403
    assert promote(client, "x").status_code == 403
