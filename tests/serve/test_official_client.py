"""The client's own flows, from a file to a conversation with what was trained on it.

The server is real, and so is the look at the data; trained and answered is by stand-ins.
"""

from __future__ import annotations

import asyncio
import base64
import csv
import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import openai
import pytest

from tests.serve import fake_work
from tests.serve.fake_engine import FakeEngine
from tests.serve.live import Live, serving
from tests.serve.test_files import LINE
from tunesmith.runs import prompting
from tunesmith.serve.jobs import execute
from tunesmith.serve.jobs.states import FINISHED
from tunesmith.serve.jobs.worker import Worker
from tunesmith.serve.service import assemble
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.database import Database
from tunesmith.serve.store.tables import Table

WORK = SimpleNamespace(validate=execute.validate, execute=fake_work.execute)
HEADER = "step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy"
HELLO = [{"role": "user", "content": "Hello?"}]


@pytest.fixture(scope="module")
def working(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A server whose tuned models are folders that read as their base does."""
    with pytest.MonkeyPatch.context() as patch:
        reads, key = prompting.open_prompting, prompting.prompting_key
        patch.setattr(prompting, "open_prompting", lambda base, folder: reads(base, None))
        patch.setattr(prompting, "prompting_key", lambda base, folder: key(base, None))
        with serving_and_training(tmp_path_factory.mktemp("working")) as live:
            yield live


@contextmanager
def serving_and_training(home: Path, **more: Any) -> Iterator[Live]:
    """A server with a worker."""
    settings = Settings(home=home, workers=0, **more)
    database = Database(settings.database_url)
    Table.metadata.create_all(database.engine)
    worker = Worker(database, settings, WORK, "test")
    thread = threading.Thread(target=worker.run)
    thread.start()
    with serving(assemble(settings, database, FakeEngine("Good", " day"))) as live:
        yield live
    worker.stopping.set()
    thread.join()
    database.close()


@pytest.fixture
def live(working: Live) -> Iterator[Live]:
    yield working
    working.close_clients()


def test_from_a_file_to_a_conversation_and_back_to_nothing(live: Live) -> None:
    client = live.client()
    sent = client.files.create(file=("rows.jsonl", lines(12)), purpose="fine-tune")
    assert client.files.wait_for_processing(sent.id).status == "processed"
    job = client.fine_tuning.jobs.create(model="anvil", training_file=sent.id, suffix="mine")
    done = finished(client, job.id)
    assert (done.status, done.error) == ("succeeded", None)
    assert done.trained_tokens == 3
    assert done.finished_at is not None
    said = [event.message for event in client.fine_tuning.jobs.list_events(job.id, limit=2)]
    assert said[-1].startswith("Created fine-tuning job")
    assert "Step 3/3" in said
    assert len(said) == len(set(said))

    tuned = done.fine_tuned_model
    assert tuned == f"ft:anvil:tunesmith:mine:{job.id.removeprefix('ftjob-')}"
    kept = client.fine_tuning.jobs.checkpoints.list(job.id).data
    assert [checkpoint.step_number for checkpoint in kept] == [3, 2, 1]
    named = kept[0].fine_tuned_model_checkpoint
    assert named == f"{tuned}:ckpt-step-3"
    for model in (tuned, named):
        assert client.models.retrieve(model).id == model
        answer = client.chat.completions.create(model=model, messages=HELLO)
        assert answer.choices[0].message.content == "Good day"

    result = client.files.retrieve(done.result_files[0])
    assert result.purpose == "fine-tune-results"
    assert table_of(client.files.content(result.id).content)

    assert client.models.delete(tuned).deleted
    assert client.files.delete(sent.id).deleted
    assert tuned not in [model.id for model in client.models.list()]
    with pytest.raises(openai.NotFoundError):
        client.models.delete(tuned)
    with pytest.raises(openai.NotFoundError):
        client.files.delete(sent.id)
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model=tuned, messages=HELLO)


def test_results_are_base64_where_scripts_expect_it(tmp_path: Path) -> None:
    with serving_and_training(tmp_path, results_base64=True) as live:
        client = live.client()
        sent = client.files.create(file=("rows.jsonl", lines(12)), purpose="fine-tune")
        job = client.fine_tuning.jobs.create(model="anvil", training_file=sent.id)
        content = client.files.content(finished(client, job.id).result_files[0]).read()
        assert table_of(base64.b64decode(content, validate=True))
        live.close_clients()


def test_a_bad_line_fails_the_job_by_its_number(live: Live) -> None:
    client = live.client()
    rows = lines(12) + b'{"messages": [}\n'
    sent = client.files.create(file=("rows.jsonl", rows), purpose="fine-tune")
    job = client.fine_tuning.jobs.create(model="anvil", training_file=sent.id)
    done = finished(client, job.id)
    assert done.status == "failed"
    assert done.error is not None
    assert (done.error.code, done.error.param) == ("invalid_training_file", "training_file")
    assert "rows.jsonl:13" in done.error.message or "line 13" in done.error.message
    assert done.fine_tuned_model is None


def test_all_of_it_without_waiting_in_line(live: Live) -> None:
    asyncio.run(flow(live, live.key()))


async def flow(live: Live, key: str) -> None:
    """Two jobs at once, each to its end and away again."""
    async with live.async_client(key) as client:
        made = await asyncio.gather(tuned_by(client, 1), tuned_by(client, 2))
        assert len(set(made)) == 2
        listed = [job.id async for job in client.fine_tuning.jobs.list(limit=1)]
        assert len(listed) == 2
        names = {model.id async for model in client.models.list()}
        assert {*made, "anvil"} <= names
        for model in made:
            assert (await client.models.delete(model)).deleted
            with pytest.raises(openai.NotFoundError):
                await client.models.retrieve(model)


async def tuned_by(client: openai.AsyncOpenAI, seed: int) -> str:
    sent = await client.files.create(file=("rows.jsonl", lines(12)), purpose="fine-tune")
    await client.files.wait_for_processing(sent.id)
    job = await client.fine_tuning.jobs.create(model="anvil", training_file=sent.id, seed=seed)
    while job.status not in FINISHED:
        await asyncio.sleep(0.05)
        job = await client.fine_tuning.jobs.retrieve(job.id)
    assert job.fine_tuned_model is not None
    answer = await client.chat.completions.create(model=job.fine_tuned_model, messages=HELLO)
    assert answer.choices[0].message.content == "Good day"
    steps = [event async for event in client.fine_tuning.jobs.list_events(job.id, limit=3)]
    assert len({event.id for event in steps}) == len(steps) >= 6
    content = await client.files.content(job.result_files[0])
    assert table_of(content.content)
    return job.fine_tuned_model


def lines(count: int) -> bytes:
    return b"".join(LINE.replace(b'"a"', b'"%d"' % number) for number in range(count))


def finished(client: openai.OpenAI, id: str) -> openai.types.fine_tuning.FineTuningJob:
    """As scripts wait for a job."""
    deadline = time.monotonic() + 60
    while (job := client.fine_tuning.jobs.retrieve(id)).status not in FINISHED:
        assert time.monotonic() < deadline, job.status
        time.sleep(0.05)
    return job


def table_of(content: bytes) -> list[dict[str, str]]:
    """As scripts read results."""
    table = csv.DictReader(io.StringIO(content.decode()))
    assert table.fieldnames is not None
    assert ",".join(table.fieldnames) == HEADER
    return list(table)
