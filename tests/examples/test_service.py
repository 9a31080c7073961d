"""The example of the service: three jobs from the official client, trained and asked in earnest."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import openai
import pytest

from tests.imaging import folders, save_vision
from tests.serve.live import Live, serving
from tests.support import nothing_measured
from tunesmith.runs import plan as planning
from tunesmith.serve.chat.engine import ChatEngine
from tunesmith.serve.jobs import execute
from tunesmith.serve.jobs.worker import Worker
from tunesmith.serve.service import assemble
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.database import Database
from tunesmith.serve.store.tables import Table

PAGE = Path(__file__).parents[2] / "examples" / "service" / "three_jobs.py"


@pytest.fixture
def page() -> ModuleType:
    spec = importlib.util.spec_from_file_location("three_jobs", PAGE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def working(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Live]:
    """A server whose worker trains and whose engine answers."""
    monkeypatch.setattr(planning, "_measure", nothing_measured)
    bases = {"anvil": "anvil", "vision": str(save_vision(tmp_path / "vision"))}
    settings = Settings(home=tmp_path / "home", workers=0, verdict="none", bases=bases)
    settings.home.mkdir()
    database = Database(settings.database_url)
    Table.metadata.create_all(database.engine)
    engine = ChatEngine(settings)
    worker = Worker(database, settings, execute, "test")  # type: ignore[arg-type]  # a module
    thread = threading.Thread(target=worker.run)
    thread.start()
    with serving(assemble(settings, database, engine)) as live:
        yield live
        live.close_clients()
    worker.stopping.set()
    thread.join()
    engine.close()
    database.close()


def test_three_jobs_and_a_question(
    page: ModuleType, working: Live, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    client = working.client()
    tuned = page.intents(client, "anvil")
    assert tuned.startswith("ft:anvil:tunesmith:intents:")
    told = capsys.readouterr().out
    assert "Files validated, moving job to queued state" in told
    assert "training loss=" in told
    assert page.results(client, tuned).startswith("step,train_loss,train_accuracy,valid_loss,")
    question: Any = [{"role": "user", "content": "My card was stolen!"}]
    answer = client.chat.completions.create(model=tuned, messages=question, max_tokens=4)
    assert answer.model == tuned
    assert answer.choices[0].finish_reason in ("stop", "length")
    _checkpoints_answer(client, tuned, question)

    assert page.preferences(client, "anvil").startswith("ft:anvil:tunesmith:polite:")
    images = folders(tmp_path / "images", each=8)
    seen = page.pictures(client, "vision", images, max_steps=3, learning_rate=1e-3)
    assert client.models.retrieve(seen).id == seen


def _checkpoints_answer(client: openai.OpenAI, tuned: str, question: Any) -> None:
    job = next(each for each in client.fine_tuning.jobs.list() if each.fine_tuned_model == tuned)
    assert job.method is not None
    assert job.trained_tokens
    checkpoints = client.fine_tuning.jobs.checkpoints.list(job.id).data
    assert len(checkpoints) == 2
    name = checkpoints[0].fine_tuned_model_checkpoint
    answer = client.chat.completions.create(model=name, messages=question, max_tokens=2)
    assert answer.usage is not None
    assert answer.usage.completion_tokens <= 2
