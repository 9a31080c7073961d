"""Fine-tuning jobs, by the official client over a real connection."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from fastapi.testclient import TestClient
from openai.types.fine_tuning import FineTuningJob

from tests.serve.live import Live
from tests.serve.test_files import LINE
from tunesmith.serve.app import build
from tunesmith.serve.jobs.queue import Queue
from tunesmith.serve.service import Service

pytestmark = pytest.mark.stores

GRADER = {
    "type": "string_check",
    "name": "same",
    "input": "{{ sample.output_text }}",
    "reference": "{{ item.answer }}",
    "operation": "eq",
}
AUTO = {"batch_size": "auto", "learning_rate_multiplier": "auto", "n_epochs": "auto"}


def rows(client: openai.OpenAI) -> str:
    return client.files.create(file=("rows.jsonl", LINE * 10), purpose="fine-tune").id


def make(client: openai.OpenAI, **asked: Any) -> FineTuningJob:
    asked.setdefault("training_file", rows(client))
    return client.fine_tuning.jobs.create(**{"model": "anvil", **asked})


def test_a_job_of_only_what_is_required_has_every_key(live: Live) -> None:
    client = live.client()
    job = make(client)
    assert job.id.startswith("ftjob-")
    assert (job.object, job.status, job.model) == ("fine_tuning.job", "validating_files", "anvil")
    required = {
        "created_at", "error", "finished_at", "fine_tuned_model", "hyperparameters", "id", "model",
        "object", "organization_id", "result_files", "status", "trained_tokens", "training_file",
        "validation_file", "seed",
    }  # fmt: skip
    sent = client.fine_tuning.jobs.with_raw_response.retrieve(job.id).http_response.json()
    assert required <= set(sent)
    assert sent["error"] is None
    assert job.hyperparameters.n_epochs == "auto"
    assert job.method is not None
    assert job.method.type == "supervised"
    assert client.fine_tuning.jobs.retrieve(job.id) == job


def test_older_clients_put_the_hyperparameters_beside_the_method(live: Live) -> None:
    job = make(live.client(), hyperparameters={"n_epochs": 3, "batch_size": "auto"})
    assert (job.hyperparameters.n_epochs, job.hyperparameters.batch_size) == (3, "auto")
    assert job.method is not None
    assert job.method.supervised is not None
    assert job.method.supervised.hyperparameters is not None
    assert job.method.supervised.hyperparameters.n_epochs == 3


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("supervised", {"hyperparameters": {"n_epochs": 2, "learning_rate_multiplier": 0.5}}),
        ("dpo", {"hyperparameters": {**AUTO, "n_epochs": 2, "beta": 0.2}}),
        ("reinforcement", {"grader": GRADER, "hyperparameters": {**AUTO, "n_epochs": 2}}),
        ("tunesmith", {"recipe": {"objective": {"kind": "classify"}}}),
    ],
)
def test_each_method(live: Live, kind: str, said: dict[str, Any]) -> None:
    job = make(live.client(), method={"type": kind, kind: said})
    assert job.method is not None
    shown = job.method.to_dict()
    assert shown["type"] == kind
    echoed: Any = shown[kind]
    for name, value in said.get("hyperparameters", {}).items():
        assert echoed["hyperparameters"][name] == value
    assert job.hyperparameters.n_epochs == (2 if kind != "tunesmith" else "auto")


def test_a_seed_is_kept_and_one_is_chosen_where_none_is_said(live: Live) -> None:
    client = live.client()
    assert make(client, seed=7).seed == 7
    chosen = {make(client, seed=None).seed for _ in range(2)}
    assert len(chosen) == 2
    assert all(0 <= seed < 1 << 31 for seed in chosen)


def test_a_job_of_a_key_with_a_higher_priority_is_taken_up_first(service: Service) -> None:
    made = {}
    with TestClient(build(service)) as client:
        for priority in (-1, 0, 7):
            key, _ = service.keys.create("one", priority=priority)
            headers = {"authorization": f"Bearer {key}"}
            sent = client.post(
                "/v1/files",
                headers=headers,
                data={"purpose": "fine-tune"},
                files={"file": ("rows.jsonl", LINE * 10)},
            )
            asked = {"model": "anvil", "training_file": sent.json()["id"]}
            job = client.post("/v1/fine_tuning/jobs", headers=headers, json=asked)
            made[job.json()["id"]] = priority
    queue = Queue(service.database, service.settings)
    taken = [lease.claimed.job.id for _ in made if (lease := queue.claim("worker"))]
    assert [made[id] for id in taken] == [7, 0, -1]


def test_a_list_is_walked_with_each_job_exactly_once(live: Live) -> None:
    client = live.client()
    file = rows(client)
    made = [make(client, training_file=file).id for _ in range(5)]
    assert [job.id for job in client.fine_tuning.jobs.list(limit=2)] == made[::-1]
    assert live.client().fine_tuning.jobs.list().data == []


def test_a_list_is_filtered_by_labels(live: Live) -> None:
    client = live.client()
    file = rows(client)
    both = make(client, training_file=file, metadata={"k": "v", "team [a]": "ü & ="})
    one = make(client, training_file=file, metadata={"k": "v"})
    none = make(client, training_file=file)
    assert both.metadata == {"k": "v", "team [a]": "ü & ="}

    def found(**query: Any) -> list[str]:
        return [job.id for job in client.fine_tuning.jobs.list(**query)]

    assert found(metadata={"k": "v"}) == [one.id, both.id]
    assert found(metadata={"k": "v", "team [a]": "ü & ="}) == [both.id]
    assert found(metadata={"k": "w"}) == []
    assert found(extra_query={"metadata": "null"}) == [none.id]
    with pytest.raises(openai.BadRequestError, match="metadata"):
        found(extra_query={"metadata": "k"})


def test_events_are_walked_while_more_are_written(live: Live) -> None:
    client = live.client()
    job = make(client)
    seen = []
    for event in client.fine_tuning.jobs.list_events(job.id, limit=1):
        if not seen:
            client.fine_tuning.jobs.pause(job.id)
        seen.append(event.id)
    assert len(seen) == len(set(seen)) == 2
    all_of_them = [event.id for event in client.fine_tuning.jobs.list_events(job.id)]
    assert all_of_them[-2:] == seen
    assert client.fine_tuning.jobs.checkpoints.list(job.id).data == []


def test_a_job_is_paused_resumed_and_cancelled(live: Live) -> None:
    client = live.client()
    jobs = client.fine_tuning.jobs
    job = make(client)
    assert jobs.pause(job.id).status == "paused"
    assert jobs.resume(job.id).status == "queued"
    assert jobs.cancel(job.id).status == "cancelled"
    for steer in (jobs.cancel, jobs.pause, jobs.resume):
        with pytest.raises(openai.ConflictError) as refused:
            steer(job.id)
        assert refused.value.response.headers["x-should-retry"] == "false"


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"colour": "red"}, "colour", "no such field"),
    ({"method": {"type": "dpo", "supervised": {}}}, "method", "would not be read"),
    ({"method": {"type": "reinforcement"}}, "method", "is missing"),
    ({"method": {"type": "magic"}}, "method.type", "should be"),
    ({"hyperparameters": {"n_epochs": 51}}, "hyperparameters.n_epochs", "less than or equal to 50"),
    ({"hyperparameters": {"n_epochs": "many"}}, "hyperparameters.n_epochs", "'auto'"),
    ({"hyperparameters": {"batch_size": 0}}, "hyperparameters.batch_size", "greater than"),
    ({"hyperparameters": {"learning_rate_multiplier": 0}},
     "hyperparameters.learning_rate_multiplier", "greater than 0"),
    ({"hyperparameters": {"beta": 1}}, "hyperparameters.beta", "no such field"),
    ({"method": {"type": "dpo", "dpo": {"hyperparameters": {"beta": 2.5}}}},
     "method.dpo.hyperparameters.beta", "less than or equal to 2"),
    ({"method": {"type": "dpo"}, "hyperparameters": {}}, "", "would not be read beside method"),
    ({"seed": -1}, "seed", "greater than or equal to 0"),
    ({"seed": "7"}, "seed", "integer"),
    ({"suffix": ""}, "suffix", "pattern"),
    ({"suffix": "a:b"}, "suffix", "pattern"),
    ({"metadata": {str(n): "v" for n in range(17)}}, "metadata", "16"),
    ({"metadata": {"k": "v" * 513}}, "metadata.k", "512"),
    ({"integrations": [{"type": "wandb", "wandb": {"project": "p"}}]}, "integrations",
     "sends nothing"),
    ({"suffix": "a\x00"}, "", "NUL"),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "param", "said"), REFUSED)
def test_what_cannot_be_done_is_refused_by_its_name(
    live: Live, asked: dict[str, Any], param: str, said: str
) -> None:
    client = live.client()
    file = rows(client)
    body = {"model": "anvil", "training_file": file, **asked}
    with pytest.raises(openai.BadRequestError, match=said) as refused:
        client.post("/fine_tuning/jobs", cast_to=object, body=body)
    assert (refused.value.param or "") == param
    assert client.fine_tuning.jobs.list().data == []


def test_what_is_not_there_is_not_found(live: Live) -> None:
    client = live.client()
    with pytest.raises(openai.NotFoundError, match="anvil") as refused:
        make(client, model="gpt-4o-mini")
    assert (refused.value.param, refused.value.code) == ("model", "model_not_found")
    with pytest.raises(openai.NotFoundError) as refused:
        make(client, training_file="file-none")
    assert refused.value.param == "training_file"
    theirs = rows(live.client())
    for name in ("training_file", "validation_file"):
        with pytest.raises(openai.NotFoundError) as refused:
            make(client, **{name: theirs})
        assert refused.value.param == name
    jobs = client.fine_tuning.jobs
    for act in (jobs.retrieve, jobs.cancel, jobs.pause, jobs.resume, jobs.list_events):
        with pytest.raises(openai.NotFoundError):
            act("ftjob-none")


def test_the_same_data_do_not_train_and_judge(live: Live) -> None:
    client = live.client()
    file = rows(client)
    with pytest.raises(openai.BadRequestError, match="must not be the same"):
        make(client, training_file=file, validation_file=file)


def test_a_file_stays_as_long_as_a_job_needs_it(live: Live) -> None:
    client = live.client()
    job = make(client, validation_file=rows(client))
    for file in (job.training_file, job.validation_file):
        assert file is not None
        with pytest.raises(openai.ConflictError, match=job.id):
            client.files.delete(file)
    client.fine_tuning.jobs.cancel(job.id)
    assert client.files.delete(job.training_file).deleted


def test_nothing_is_done_without_a_key(live: Live) -> None:
    with pytest.raises(openai.AuthenticationError):
        live.client("none").fine_tuning.jobs.list()


def test_a_grader_is_tried_before_a_job_is_made_with_it(live: Live) -> None:
    graders = live.client().fine_tuning.alpha.graders
    validated = graders.validate(grader=GRADER)
    assert validated.grader is not None
    assert validated.grader.to_dict() == GRADER
    right = graders.run(grader=GRADER, model_sample="yes", item={"answer": "yes"})
    wrong = graders.run(grader=GRADER, model_sample="no", item={"answer": "yes"})
    assert (right.reward, wrong.reward) == (1.0, 0.0)
    assert right.metadata.name == "same"
    assert not right.metadata.errors.invalid_variable_error
    with pytest.raises(openai.BadRequestError, match="operation"):
        graders.validate(grader={**GRADER, "operation": "same"})
