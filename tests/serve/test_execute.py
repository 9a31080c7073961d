"""A job carried out: what its client is told, and that whatever interrupts it changes no bit."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.serve.jobs_told import Told, chats, claimed, write
from tests.support import nothing_measured, saved_weights
from tunesmith.runs import plan as planning
from tunesmith.runs.open import open_run
from tunesmith.serve.jobs import reporting
from tunesmith.serve.jobs.execute import execute, validate
from tunesmith.serve.jobs.inputs import in_their_words
from tunesmith.serve.jobs.work import Claimed, ClientFile, Outcome
from tunesmith.serve.settings import Settings

ASKED = {
    "training_file": "file-1",
    "method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2}}},
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", verdict="none")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "_measure", nothing_measured)
    monkeypatch.setattr(reporting, "_ASKED_EVERY", 0.0)


def job(folder: Path, asked: dict[str, Any] = ASKED, rows: int = 24) -> Claimed:
    folder.mkdir()
    return claimed(folder / "job", asked, {"file-1": write(folder / "my rows.jsonl", chats(rows))})


def test_a_job_becomes_a_model_and_interruptions_change_no_bit(
    tmp_path: Path, settings: Settings
) -> None:
    whole, told = job(tmp_path / "whole"), Told()
    outcome = execute(whole, settings, told)
    _told_of_every_step(told, outcome)

    broken = job(tmp_path / "broken")
    paused = execute(broken, settings, Told("pause", step=3))
    assert paused == Outcome("paused")
    Path(broken.files["file-1"].path).unlink()  # the job needs the client's own no more
    broken = Claimed(broken.job, tmp_path / "restored" / broken.job.id, broken.files)
    broken.folder.parent.mkdir()
    shutil.move(tmp_path / "broken" / "job", broken.folder)  # from a backup, to another home
    again = Told()
    resumed = execute(broken, settings, again)
    assert again.events[0].startswith("Training goes on from the checkpoint of step")
    assert resumed.status == "succeeded"
    assert resumed.trained_tokens == outcome.trained_tokens
    ours, theirs = (saved_weights(each.folder / "run") for each in (whole, broken))
    assert all(ours[name].equal(theirs[name]) for name in ours)

    silent = Told()
    published = execute(broken, settings, silent)  # killed before it could be published
    assert published == resumed
    assert not silent.events


def _told_of_every_step(told: Told, outcome: Outcome) -> None:
    steps = told.data[-1]["total_steps"]
    assert [each["step"] for each in told.data] == [*range(1, steps + 1)]
    assert told.events[0].startswith(f"Step 1/{steps}: training loss=")
    assert "validation loss=" in told.events[-1]
    assert [step for step, _, _ in told.checkpoints] == [steps // 2, steps]
    assert all(open_run(folder).artefact.is_dir() for _, _, folder in told.checkpoints)
    _, metrics, _ = told.checkpoints[-1]
    assert 0 < metrics["train_mean_token_accuracy"] <= 1
    assert 0 < metrics["valid_mean_token_accuracy"] <= 1
    numbers = {"n_epochs": 2, "batch_size": 4, "learning_rate_multiplier": 1.0}
    assert told.hyperparameters == numbers
    assert told.method == {"type": "supervised", "supervised": {"hyperparameters": numbers}}
    text = outcome.results["step_metrics.csv"].read_text(encoding="utf-8")
    rows = [*csv.DictReader(text.splitlines())]
    assert [*rows[0]] == [
        "step", "train_loss", "train_accuracy", "valid_loss", "valid_mean_token_accuracy",
    ]  # fmt: skip
    assert [float(row["train_loss"]) for row in rows] == [each["train_loss"] for each in told.data]
    assert float(rows[-1]["valid_mean_token_accuracy"]) == metrics["valid_mean_token_accuracy"]
    assert outcome.model is not None
    assert outcome.trained_tokens


def test_a_cancelled_job_ends_before_its_weights_are_opened(
    tmp_path: Path, settings: Settings
) -> None:
    assert execute(job(tmp_path / "job"), settings, Told("cancel")) == Outcome("cancelled")
    assert execute(job(tmp_path / "stop"), settings, Told("stop")) == Outcome("queued")


def faults(folder: Path, rows: list[Any], settings: Settings) -> str:
    file = write(folder / "my rows.jsonl", rows)
    found = validate(claimed(folder / "job", ASKED, {"file-1": file}), settings)
    assert found is not None
    assert (found.code, found.param) == ("invalid_training_file", "training_file")
    assert str(folder) not in found.message
    return found.message


def test_files_are_refused_in_the_clients_words(tmp_path: Path, settings: Settings) -> None:
    question = {"role": "user", "content": "Where?"}
    message = faults(tmp_path, [*chats(12), {"messages": [question]}], settings)
    assert message.startswith("my rows.jsonl, line 13: No message is from the assistant")
    assert "--set" not in message


def test_a_client_without_a_recipe_is_not_told_to_change_one(
    tmp_path: Path, settings: Settings
) -> None:
    row = {"input": {"messages": chats(1)[0]["messages"][:1]}}
    for name, text in (("preferred_output", "Here."), ("non_preferred_output", "No.")):
        row[name] = [{"role": "assistant", "content": text}]
    message = faults(tmp_path, [*chats(12), row], settings)
    assert "Ask for the method that trains such rows, or leave them out." in message
    assert "objective.kind" not in message
    assert "data.mapping" not in message


def test_where_a_home_was_before_is_told_to_nobody(tmp_path: Path) -> None:
    job = claimed(tmp_path / "a home", ASKED, {"file-1": ClientFile("my rows.jsonl", tmp_path)})
    for folder in (f"/old/jobs/{job.job.id}", job.folder):
        said = in_their_words(f"<p>{folder}/data/0.jsonl:7</p> {folder}/run/plan.json", job)
        assert said == "<p>my rows.jsonl, line 7</p> run/plan.json"


def test_too_few_rows_are_refused(tmp_path: Path, settings: Settings) -> None:
    assert "my rows.jsonl has 9 rows, and a job needs 10" in faults(tmp_path, chats(9), settings)


def test_no_row_opens_a_file_of_the_server(tmp_path: Path, settings: Settings) -> None:
    part = {"type": "image_url", "image_url": {"url": "/etc/hostname"}}
    row = {"messages": [{"role": "user", "content": [part]}, chats(1)[0]["messages"][1]]}
    message = faults(tmp_path, [*chats(12), row], settings)
    assert message.startswith("my rows.jsonl, line 13: the row names a picture by a path")


def test_a_file_that_is_gone_is_named(tmp_path: Path, settings: Settings) -> None:
    gone = ClientFile("rows.jsonl", tmp_path / "gone")
    found = validate(claimed(tmp_path / "job", ASKED, {"file-1": gone}), settings)
    assert found is not None
    assert found.message == "The file file-1 is not there any more. Upload it again."


def test_hyperparameters_out_of_bounds_fail_the_job_and_not_the_worker(
    tmp_path: Path, settings: Settings
) -> None:
    asked = {**ASKED, "method": {"type": "unheard of"}}
    found = validate(claimed(tmp_path / "job", asked, {}), settings)
    assert found is not None
    assert found.code == "invalid_method"
