"""The move from a hosted API to one's own, between two servers on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

pytest.importorskip("fastapi")

from sqlalchemy import update

from examples.service import migrate
from tests.serve.live import Live, serving
from tunesmith.serve.home import opened
from tunesmith.serve.service import assemble
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.tables import JobRow

ROWS = [{"messages": [{"role": "user", "content": f"{n}"}, {"role": "assistant", "content": "a"}]}
        for n in range(12)]  # fmt: skip


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Live, Live]]:
    """The hosted API, so to speak, and our own; neither trains."""
    with ExitStack() as stack:
        servers = []
        for name in ("hosted", "own"):
            bases = {"large" if name == "hosted" else "small": "anvil"}
            settings = Settings(home=tmp_path / name, workers=0, bases=bases)
            database = stack.enter_context(opened(settings))
            servers.append(stack.enter_context(serving(assemble(settings, database))))
        yield servers[0], servers[1]
        for server in servers:
            server.close_clients()


def test_files_and_jobs_are_moved_once(
    pair: tuple[Live, Live], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hosted, own = pair
    old, new = hosted.client(), own.client()
    body = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    file = old.files.create(file=("boxes.jsonl", body), purpose="fine-tune").id
    parameters = {"n_epochs": 2, "batch_size": "auto", "learning_rate_multiplier": 0.5}
    method = {"type": "supervised", "supervised": {"hyperparameters": parameters}}
    jobs = [
        old.fine_tuning.jobs.create(
            model="large", training_file=file, validation_file=None, method=method,  # type: ignore[arg-type]
            seed=n, metadata={"team": "a"},
        )
        for n in range(3)
    ]  # fmt: skip
    done = update(JobRow).where(JobRow.id != jobs[2].id)
    with hosted.service.database.write() as session:
        session.execute(done.values(status="succeeded", fine_tuned_model="ft:large:org:boxes:x"))
    out = tmp_path / "exported"
    migrate.export(old, out)
    migrate.export(old, out)
    assert capsys.readouterr().out.count(f"fetched {file}") == 1
    for models in ({}, {"large": "small"}, {"large": "small"}):
        migrate.replay(new, out, models)
    made = list(reversed(list(new.fine_tuning.jobs.list())))
    assert [job.metadata["migrated_from"] for job in made if job.metadata] == [
        jobs[0].id, jobs[1].id,
    ]  # fmt: skip
    for n, job in enumerate(made):
        assert (job.model, job.seed, (job.metadata or {})["team"]) == ("small", n, "a")
        assert job.hyperparameters.to_dict() == parameters
        assert new.files.content(job.training_file).read() == body
    assert len(list(new.files.list())) == 1
    assert (
        own.service.jobs.get(own.service.keys.all()[0].key.project_id, made[0].id).suffix == "boxes"
    )


def test_an_id_that_leads_elsewhere_is_no_file_name() -> None:
    with pytest.raises(SystemExit, match="no file name"):
        migrate.safe("../../etc/passwd")
