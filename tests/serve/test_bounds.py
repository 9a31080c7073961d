"""What one client can make the service hold, compute or store has an end."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import BaseModel, ValidationError

from tests.serve.test_jobs_api import GRADER
from tests.serve.test_own import upload
from tests.serve.test_tidy import put
from tunesmith.serve.caller import Caller
from tunesmith.serve.chat.generation import Model
from tunesmith.serve.chat.labelling import Labelling
from tunesmith.serve.chat.names import Names
from tunesmith.serve.errors import ApiError
from tunesmith.serve.home import opened
from tunesmith.serve.jobs.inputs import in_their_words, lay_out
from tunesmith.serve.jobs.queue import Queue
from tunesmith.serve.own import feedback
from tunesmith.serve.service import Service, assemble
from tunesmith.serve.settings import Limits, Settings
from tunesmith.serve.store.database import Database
from tunesmith.serve.store.uploads import NewUpload
from tunesmith.serve.tidy import tidy
from tunesmith.serve.wire.chat import ChatRequest
from tunesmith.serve.wire.completions import CompletionRequest
from tunesmith.serve.wire.embeddings import EmbeddingRequest

CHAT = {"role": "user", "content": "a"}
CHATS = [{"messages": [CHAT, {"role": "assistant", "content": f"b {n}"}]} for n in range(12)]
HALF = "\ud800"


@pytest.mark.parametrize(
    ("model", "asked"),
    [
        (CompletionRequest, {"prompt": [{}] * 1000}),
        (ChatRequest, {"messages": [{}] * 1000}),
        (ChatRequest, {"messages": [{"role": "user", "content": [{}] * 1000}]}),
        (ChatRequest, {"messages": [CHAT], "metadata": {str(n): n for n in range(1000)}}),
    ],
)
def test_of_a_thousand_faults_few_are_looked_at(
    model: type[BaseModel], asked: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError) as refused:
        model.model_validate({"model": "anvil", **asked})
    assert refused.value.error_count() < 10


def test_biases_are_bounded() -> None:
    asked = {"model": "anvil", "messages": [CHAT]}
    ChatRequest.model_validate({**asked, "logit_bias": {str(n): 1 for n in range(1024)}})
    with pytest.raises(ValidationError, match="1024"):
        ChatRequest.model_validate({**asked, "logit_bias": {str(n): 1 for n in range(1025)}})


def test_a_job_is_no_longer_than_can_be_listed(client: TestClient) -> None:
    method = {"type": "reinforcement", "reinforcement": {"grader": {**GRADER, "name": "n" * 2**18}}}
    asked = {"model": "anvil", "training_file": upload(client, CHATS), "method": method}
    answer = client.post("/v1/fine_tuning/jobs", json=asked)
    assert answer.status_code == 400
    assert "the most that a job may" in answer.json()["error"]["message"]


def test_uploads_that_are_not_complete_count_as_their_files_will(
    settings: Settings, database: Database, caller: Caller
) -> None:
    limits = Limits(project_bytes=100)
    service = assemble(settings.model_copy(update={"limits": limits}), database)
    first = service.uploads.create(caller.project, NewUpload(60, "a.bin", "", "user_data"))
    with pytest.raises(ApiError, match="cancel uploads"):
        service.uploads.create(caller.project, NewUpload(60, "b.bin", "", "user_data"))
    part = service.uploads.add_part(caller.project, first.id, put(service, b"x" * 60).blob)
    service.uploads.complete(caller.project, first.id, [part.id], None)
    service.uploads.create(caller.project, NewUpload(40, "b.bin", "", "user_data"))


@pytest.mark.parametrize("ended", ["cancelled", "failed"])
def test_nothing_of_a_deleted_file_stays_with_a_job_that_came_to_nothing(
    service: Service, client: TestClient, caller: Caller, ended: str
) -> None:
    file = upload(client, CHATS)
    asked = {"model": "anvil", "training_file": file}
    job = client.post("/v1/fine_tuning/jobs", json=asked).json()["id"]
    lease = Queue(service.database, service.settings).claim("worker")
    assert lease is not None
    lay_out(lease.claimed)
    tidy(service)
    assert (lease.claimed.folder / "data" / "0.jsonl").is_file()
    kept = lease.claimed.folder / "run" / "epochs"
    for folder in (kept, lease.claimed.folder / "run" / "checkpoints"):
        folder.mkdir(parents=True)
    service.jobs.cancel(caller.project, job)
    client.delete(f"/v1/files/{file}")
    if ended == "failed":
        with service.database.write() as session:
            session.merge(lease.claimed.job).status = "failed"
    tidy(service)
    assert [each.name for each in lease.claimed.folder.iterdir() if each.is_dir()] == ["run"]
    assert list((lease.claimed.folder / "run").iterdir()) == [kept]


def test_a_store_of_feedback_stays_small_enough_to_be_read(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = {"prompt": "a", "answer": "b", "liked": True, "person": "me"}
    first = client.post("/v1/tunesmith/feedback", json={"judgements": [judged]})
    assert first.status_code == 200, first.text
    monkeypatch.setattr(feedback, "LARGEST", 1)
    again = client.post("/v1/tunesmith/feedback", json={"judgements": [judged]})
    assert again.status_code == 413


def test_what_is_written_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Also where the home was made before, and for everyone to read."""
    before = os.umask(0o022)
    try:
        home = tmp_path / "home"
        home.mkdir()
        with opened(Settings(home=home)):
            pass
        assert [each.name for each in home.iterdir() if each.stat().st_mode & 0o077] == []
    finally:
        os.umask(before)


def test_half_a_character_in_a_file_is_told_and_not_stumbled_over(
    service: Service, client: TestClient
) -> None:
    rows = [*CHATS, {"messages": [{"role": f"{HALF}x", "content": "a"}]}, {f"q{HALF}": 1}]
    file = upload(client, rows)
    found = client.post(f"/v1/tunesmith/files/{file}/check")
    assert (found.status_code, found.json()["unusable"]) == (200, 2)
    client.post("/v1/fine_tuning/jobs", json={"model": "anvil", "training_file": file})
    lease = Queue(service.database, service.settings).claim("worker")
    assert lease is not None
    said = in_their_words(f"The role is {HALF}x\0.", lease.claimed)
    assert said == "The role is ?x?."
    json.dumps(said, ensure_ascii=False).encode()


def test_models_that_label_hold_only_so_many_threads(
    service: Service, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    labelling = service.chat.labelling
    asked = EmbeddingRequest(model="ft:embeds", input="a")
    statuses = []

    def meanwhile(*given: Any) -> Any:
        """As if the model took long, and another asked."""
        try:
            labelling.embed(caller, asked)
        except ApiError as refused:
            statuses.append(refused.status)

    monkeypatch.setattr(Names, "of_kind", lambda *given: Model("ft:embeds", "anvil", "embedder"))
    monkeypatch.setattr(Labelling, "_embedded", meanwhile)
    labelling.embed(caller, asked)
    assert statuses == [429]
    labelling.embed(caller, asked)  # all have given their places back
    assert statuses == [429, 429]
