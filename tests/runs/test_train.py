"""A run from recipe to verdict: what its folder holds, and that the parts agree."""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import tunesmith
from tests.conftest import colour_rows
from tests.support import Recorder, recipe
from tunesmith.core.files import read_json, read_jsonl
from tunesmith.engine.checkpoints import Checkpoints
from tunesmith.recipe import load
from tunesmith.runs.open import Run
from tunesmith.runs.train import train

FILES = {
    "recipe.yaml",
    "environment.json",
    "ledger.jsonl",
    "ledger.json",
    "plan.json",
    "metrics.jsonl",
    "checkpoints",
    "measured_base.json",
    "measured.json",
    "artefact.json",
    "MODEL_CARD.md",
    "shown.json",
    "verdict.json",
    "report.html",
}
QUESTIONS = {"learned", "kept", "memorised", "worth", "parity"}


@pytest.fixture(scope="module", params=["lora", "full"])
def run(
    request: pytest.FixtureRequest, tiny_base: Path, tmp_path_factory: pytest.TempPathFactory
) -> Run:
    """A finished run of 8 steps over 60 conversations, one of them bad and dropped."""
    folder = tmp_path_factory.mktemp("runs")
    data = folder / "colours.jsonl"
    bad = {"messages": [{"role": "user", "content": "Nobody answers."}]}
    rows = [*colour_rows(60), bad]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = recipe(
        tiny_base,
        data,
        model__method=request.param,
        data__bad_rows="drop",
        data__most_dropped=0.02,
    )
    return train(asked, folder / "run")


def test_the_folder_is_complete_and_nothing_is_left_over(run: Run) -> None:
    artefact = "adapter" if run.recipe.model.method == "lora" else "model"
    assert {path.name for path in run.path.iterdir()} == FILES | {artefact}
    assert run.artefact == run.path / artefact
    assert list(run.artefact.glob("*.safetensors"))


def test_nothing_is_a_pickle(run: Run) -> None:
    kinds = {path.suffix for path in run.path.rglob("*") if path.is_file()}
    assert kinds <= {".json", ".jsonl", ".yaml", ".html", ".safetensors", ".jinja", ".md"}


def test_the_ledger_accounts_for_every_row(run: Run) -> None:
    totals, lines = read_json(run.folder.ledger), read_jsonl(run.folder.ledger_rows)
    outcomes = Counter(line["outcome"] for line in lines)
    assert len(lines) == totals["rows_in"] == 61
    assert [int(line["origin"].rpartition(":")[2]) for line in lines] == list(range(1, 62))
    assert outcomes["trained"] == totals["trained"]
    assert outcomes["held_out"] == totals["held_out"] > 0
    assert outcomes["dropped"] == sum(totals["dropped"].values()) == 1
    assert sum(outcomes.values()) == 61
    supervised = sum(line["supervised_tokens"] for line in lines if line["outcome"] == "trained")
    assert read_json(run.folder.plan)["supervised_tokens_per_epoch"] == supervised


def test_the_recipe_is_resolved_with_reasons_and_loads_again(run: Run) -> None:
    text = run.folder.recipe.read_text()
    unresolved = [line for line in text.splitlines() if re.search(r": auto( |$)", line)]
    # The base brings a template of its own; the other two are for models that label.
    left = sorted(line.split()[0] for line in unresolved)
    assert left == ["pooling:", "problem:", "template:"]
    assert re.search(r"learning_rate: \S+  # auto: .*full tuning", text)
    assert load(run.folder.recipe) == run.recipe


def test_metrics_have_a_line_for_each_step_and_validation(run: Run) -> None:
    lines = read_jsonl(run.folder.metrics)
    steps = [line for line in lines if "loss" in line]
    validations = [line for line in lines if "held_out_loss" in line]
    assert [line["step"] for line in steps] == list(range(1, 9))
    assert [line["step"] for line in validations] == [4, 8]
    assert all(0 <= line["token_accuracy"] <= 1 for line in validations)
    wanted = {"step", "epoch", "loss", "grad_norm", "lr", "tokens", "supervised_tokens", "seconds"}
    assert all(line.keys() >= wanted for line in steps)
    assert steps[-1]["loss"] < steps[0]["loss"]


def test_the_plan_says_what_was_done(run: Run) -> None:
    plan, lines = read_json(run.folder.plan), read_jsonl(run.folder.metrics)
    assert plan["steps"] == 8
    assert plan["forward"] == "packed"
    assert 0 < plan["trained_parameters"] <= plan["parameters"]
    seconds = sum(line["seconds"] for line in lines if "seconds" in line)
    assert plan["measured"]["seconds"] == pytest.approx(seconds)
    assert plan["measured"]["peak_memory_bytes"] > 50e6


def test_the_environment_names_versions_seed_and_inputs(run: Run) -> None:
    found = read_json(run.folder.environment)
    assert found["seed"] == 0
    assert found["packages"]["torch"]
    hashes = {path: digest for path, digest in found["inputs"].items() if ".jsonl" in path}
    assert [Path(path).name for path in hashes] == ["colours.jsonl"]
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in found["inputs"].values())


def test_the_verdict_answers_every_question(run: Run) -> None:
    verdict = run.verdict
    assert verdict.keys() == {"decision", "sentence"} | QUESTIONS
    assert verdict["decision"] in ("ship", "hold")
    for question in QUESTIONS:
        assert verdict[question].keys() >= {"pass", "value", "low", "high", "unit", "n", "detail"}
    assert verdict["learned"]["pass"] is True
    assert verdict["parity"]["pass"] is True


def test_the_report_needs_nothing_but_itself(run: Run) -> None:
    page = run.report.read_text()
    loads = re.findall(r"""(?:src|href)\s*=\s*["']?([^"'\s>]+)|url\(([^)]+)\)|@import""", page)
    assert all((a or b).strip("'\"").startswith(("data:", "#")) for a, b in loads)
    assert run.verdict["sentence"].split(":")[0] in page


def test_the_newest_checkpoints_are_kept_and_verify(run: Run) -> None:
    checkpoints = Checkpoints(run.folder.checkpoints, 2)
    assert checkpoints.steps() == [6, 8]
    assert checkpoints.load().state["step"] == 8


def test_the_run_answers_and_opens_again(run: Run) -> None:
    asked = "Box 3 is black. Which colour is box 3?"
    answer = tunesmith.open_run(run.path).chat(asked, max_new_tokens=12)
    assert isinstance(answer, str)
    assert answer == run.chat(asked, max_new_tokens=12)
    assert "<|" not in answer


def test_it_says_what_the_verdict_took_and_how_to_spend_less_or_more(run: Run) -> None:
    spent = read_json(run.folder.plan)["verdict"]
    assert set(spent["seconds"]) >= {"base", "tuned"}
    assert spent["total_seconds"] == pytest.approx(sum(spent["seconds"].values()))
    assert spent["with"].keys() >= {"evaluate.level=standard", "evaluate.level=full"}
    assert run.cost_of_verdict == spent["sentence"]
    assert "% of the training time" in run.cost_of_verdict or "times" in run.cost_of_verdict
    assert html.escape(run.cost_of_verdict, quote=True).replace("&#x27;", "&#39;") in (
        run.report.read_text()
    )


def test_level_none_trains_and_judges_nothing(
    tiny_base: Path, colours: Path, tmp_path: Path
) -> None:
    run = train(recipe(tiny_base, colours, evaluate__level="none"), tmp_path / "run")
    assert run.artefact.name == "adapter"
    assert not run.folder.base_side.exists()
    assert all(run.verdict[question]["pass"] in (None, True, False) for question in QUESTIONS)
    assert run.verdict["learned"]["pass"] is None
    assert run.verdict["decision"] == "hold"
    assert run.cost_of_verdict == ""


def test_text_learns_documents_longer_than_the_context(tiny_base: Path, tmp_path: Path) -> None:
    data = tmp_path / "books.jsonl"
    lines = [" ".join(f"Box {n} is red and box {k} is blue." for k in range(30)) for n in range(8)]
    data.write_text("".join(json.dumps({"text": line}) + "\n" for line in lines))
    asked = recipe(
        tiny_base, data, objective__kind="text", model__method="full", model__from_scratch=True
    )
    run = train(asked, tmp_path / "run")
    totals = read_json(run.folder.ledger)
    assert totals["trained"] + totals["held_out"] == 8
    steps = [line for line in read_jsonl(run.folder.metrics) if "loss" in line]
    assert steps[-1]["loss"] < steps[0]["loss"]
    assert read_json(run.folder.measured)["tuned"]["answers"] == []


def test_a_validation_file_is_held_out_whole(
    tiny_base: Path, colours: Path, tmp_path: Path
) -> None:
    """And changes no choice of `auto`, however long it is."""
    other = tmp_path / "other.jsonl"
    other.write_text("".join(json.dumps(row) + "\n" for row in colour_rows(400)[60:]))
    fields: dict[str, Any] = {"engine__epochs": 1, "engine__batch_size": "auto"}
    asked = recipe(
        tiny_base, colours, data__validation=str(other), evaluate__level="none", **fields
    )
    run = train(asked, tmp_path / "run")
    totals = read_json(run.folder.ledger)
    assert (totals["trained"], totals["held_out"]) == (60, 340)
    assert run.recipe.model.rank == 8
    assert run.recipe.engine.batch_size == 4


def test_python_s_door_is_the_same_run(tiny_base: Path, colours: Path, tmp_path: Path) -> None:
    watcher = Recorder()
    run = tunesmith.train(
        base=tiny_base,
        data=colours,
        out=tmp_path / "run",
        set={"engine.max_steps": 3, "evaluate.level": "none"},
        watcher=watcher,
    )
    assert len(watcher.reports) == 3
    assert run.report.is_file()
