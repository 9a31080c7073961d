"""The page of real jobs: a wrong verdict is seen, told, and an error."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import jobs as command
from benchmarks import jobs_data as rows
from benchmarks.jobs_list import JOBS, Job
from benchmarks.jobs_table import QUESTIONS, REFUSED, SHIP, Expected, Outcome, mistakes, page
from benchmarks.jobs_table import hold_for as held

JOB = Job(
    "sorting", "anvil", "letters", rows.tickets, {"model.method": "lora"}, SHIP, "It is easy."
)
BROKEN = replace(
    JOB, name="broken", expected=held("kept"), fault="the rate is too high", why="Nothing stays."
)


def verdict(decision: str, **answers: bool | None) -> dict[str, Any]:
    """All questions passed but those that are named."""
    found = {
        name: {"pass": answers.get(name, True), "value": 0.5, "low": 0.25, "high": 0.75}
        for name in QUESTIONS
    }
    found["parity"].update(value=0.0, low=None, high=None)
    return {"decision": decision, "sentence": f"{decision.capitalize()}: so it is.", **found}


def outcome(decision: str, **answers: bool | None) -> Outcome:
    return Outcome(300, 100, 61.4, verdict(decision, **answers))


@pytest.mark.parametrize(
    ("expected", "found", "said"),
    [
        (SHIP, outcome("ship"), []),
        (SHIP, outcome("hold"), ["decision hold instead of ship"]),
        (SHIP, outcome("ship", worth=None), ["worth – instead of yes"]),
        (held("kept"), outcome("hold", kept=False, learned=False), []),
        (
            held("kept"),
            outcome("ship"),
            ["decision ship instead of hold", "kept yes instead of **no**"],
        ),
        (held("kept"), outcome("hold", learned=False), ["kept yes instead of **no**"]),
        (Expected("hold", {"learned": None}), outcome("hold", learned=None), []),
        (Expected(REFUSED, {}), Outcome(3, 2, 1.0, refusal="Two rows are the same."), []),
        (Expected(REFUSED, {}), outcome("ship"), ["decision ship instead of refused"]),
    ],
)
def test_a_verdict_is_right_only_if_the_right_question_caught_it(
    expected: Expected, found: Outcome, said: list[str]
) -> None:
    assert mistakes(expected, found) == said


def test_the_page_has_a_row_for_each_job_and_a_paragraph_for_each_fault() -> None:
    text = page([JOB, BROKEN], {"sorting": outcome("ship"), "broken": outcome("hold", kept=False)})
    assert "**2 of 2 verdicts are right.**" in text
    assert (
        "| `sorting` | anvil | letters | lora | 300 / 100 | nothing | ship | ship "
        "| yes 0.50 (0.25 to 0.75) | yes 0.50 (0.25 to 0.75) | yes 0.50 (0.25 to 0.75) "
        "| yes 0.50 (0.25 to 0.75) | yes 0 | 61 |"
    ) in text
    assert "- `sorting`: It is easy." in text
    assert (
        "**`broken`.** The rate is too high. Nothing stays. Caught by *kept*. The verdict: Hold: "
        "so it is."
    ) in text


def test_files_are_named_without_the_folder_of_the_run() -> None:
    refused = Outcome(3, 2, 1.0, refusal="/home/me/jobs/a/train.jsonl:1: It is twice.\nMore.")
    text = page([replace(BROKEN, expected=Expected(REFUSED, {}))], {"broken": refused})
    assert "The run did not begin: train.jsonl:1: It is twice." in text
    assert "/home" not in text


def test_a_wrong_verdict_stands_in_the_table() -> None:
    text = page([JOB], {"sorting": outcome("hold", kept=False)})
    assert "**0 of 1 verdicts are right.**" in text
    assert "hold **WRONG: decision hold instead of ship; kept **no** instead of yes**" in text


@pytest.mark.parametrize(("decision", "code"), [("ship", 0), ("hold", 1)])
def test_the_command_fails_where_a_finished_job_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decision: str, code: int
) -> None:
    run = tmp_path / "sorting" / "run"
    run.mkdir(parents=True)
    (run / "verdict.json").write_text(json.dumps(verdict(decision)))
    made = {"train": 300, "judge": 100, "seconds": 61.4, "refusal": ""}
    (tmp_path / "sorting" / "job.json").write_text(json.dumps(made))
    monkeypatch.setattr(command, "JOBS", (JOB,))
    places = ["--data", "none", "--models", "none", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["jobs", *places, "--page", str(tmp_path / "page.md")])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == code
    assert f"| ship | {decision}" in (tmp_path / "page.md").read_text()


def test_an_unknown_job_is_named_with_those_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["jobs", "--data", "d", "--models", "m", "--only", "sort"])
    with pytest.raises(SystemExit, match=r"There is no job sort\. There are: anvil-tickets-lora, "):
        command.main()


def test_the_jobs_are_what_the_page_promises() -> None:
    assert len({job.name for job in JOBS}) == len(JOBS) >= 10
    ship = {(job.base, job.method) for job in JOBS if job.expected == SHIP}
    assert len({base for base, _ in ship}) == 2
    assert len(ship) == 4
    assert all(job.expected != SHIP for job in JOBS if job.fault)
    caught = {
        name for job in JOBS if job.fault for name, ok in job.expected.answers.items() if not ok
    }
    assert caught == {"learned", "kept", "memorised"}


def test_shuffled_answers_are_the_same_and_stand_elsewhere(tmp_path: Path) -> None:
    def made(_: Path) -> rows.Rows:
        return [{"prompt": str(n), "completion": str(n)} for n in range(50)], []

    train, _ = rows.shuffled(made)(tmp_path)
    assert sorted(int(row["completion"]) for row in train) == list(range(50))
    assert sum(row["prompt"] == row["completion"] for row in train) < 5
