"""Whole runs of an encoder and a decoder: from the command line to a verdict, and used again;
resumed bit by bit with dropout; taught; and what is refused."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import AutoTokenizer

from tests.apart import save_apart
from tests.support import (
    Recorder,
    SignalAt,
    assert_same_training,
    nothing_measured,
    recipe,
)
from tunesmith.cli.app import run
from tunesmith.core.errors import DataError, Interrupted, TunesmithError, Unsupported
from tunesmith.core.files import read_json
from tunesmith.models.open import describe
from tunesmith.recipe import load
from tunesmith.runs import plan as planning
from tunesmith.runs.open import Run, open_run
from tunesmith.runs.sample import Wanted, sample
from tunesmith.runs.setup import set_up
from tunesmith.runs.train import train

QUESTION = "Box 4 is brown. Which colour is box 4?"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_apart(tmp_path_factory.mktemp("bases") / "t5", dropout_rate=0.1)


def _instructions(path: Path, count: int, first: int = 0) -> Path:
    """Rows of instruction, input and output, of which the answer stands in the question."""
    colours = ("red", "blue", "green", "white")
    rows = [
        {
            "instruction": f"Which colour is box {n}?",
            "input": f"Box {n} is {colours[n % 4]}",
            "output": f"{colours[n % 4]} it is",
        }
        for n in range(first, first + count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def done(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run, begun at the command line: LoRA, examples and search beside it.

    Eight examples are more than the encoder reads, so fewer are shown.
    """
    folder = tmp_path_factory.mktemp("runs")
    data = _instructions(folder / "rows.jsonl", 60)
    settings = {
        "engine.max_steps": 12,
        "engine.batch_size": 8,
        "engine.learning_rate": 0.01,
        "evaluate.level": "standard",
        "evaluate.rows": 8,
        "evaluate.max_new_tokens": 6,
        "evaluate.examples": 8,
    }
    asked = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    arguments = ["--base", str(base), "--data", str(data), "--out", str(folder / "run")]
    assert run(["train", *arguments, *asked]) == 0
    return open_run(folder / "run")


def test_a_run_ends_with_a_verdict_that_says_what_was_left_out(done: Run) -> None:
    verdict = done.verdict
    assert verdict["learned"]["value"] > 0
    assert verdict["parity"]["pass"] is True
    assert verdict["worth"]["pass"] is not None
    kept = verdict["kept"]["detail"]
    assert set(kept["domains"]) == {"instructions", "refusals", "formats"}
    assert "no texts are drawn from the base" in kept["left_out"]["summary"]
    assert "samples" not in kept
    for page in (done.report, done.folder.card):
        assert "of the general probes only the questions are asked" in page.read_text()
    assert "peft.AutoPeftModelForSeq2SeqLM" in done.folder.card.read_text()
    plan = read_json(done.folder.plan)
    assert plan["forward"] == "encoder and decoder, padded"
    ledger = read_json(done.folder.ledger)
    assert ledger["rows_in"] == ledger["trained"] + ledger["held_out"] == 60


def test_it_is_asked_and_judged_again(
    done: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What plain transformers and PEFT make of a question is what `chat` answers."""
    assert run(["chat", str(done.path), "--once", QUESTION, "--max-new-tokens", "5"]) == 0
    answer = capsys.readouterr().out.rstrip("\n")
    module = done.model.base.model
    tokenizer = AutoTokenizer.from_pretrained(done.artefact)
    turns = [{"role": "user", "content": QUESTION}]
    ids = tokenizer.apply_chat_template(turns, return_tensors="pt", return_dict=True)
    written = module.generate(**ids, max_new_tokens=5, do_sample=False)[0]
    assert tokenizer.decode(written, skip_special_tokens=True) == answer
    rows = _instructions(tmp_path / "more.jsonl", 20, first=200)
    assert run(["evaluate", str(done.path), "--data", str(rows), "--only-rows", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["learned"]["n"] > 0
    assert set(again["kept"]["detail"]["domains"]) == {"instructions", "refusals", "formats"}
    assert "left_out" in again["kept"]["detail"]


def test_a_stopped_run_ends_in_the_same_bits(
    base: Path, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the dropout of the base itself and of LoRA, in micro-batches of a few rows."""
    monkeypatch.setattr(planning, "_measure", nothing_measured)
    size = {"engine__batch_size": 10, "engine__tokens_per_micro_batch": 192}
    asked = recipe(base, colours, evaluate__level="none", model__dropout=0.1, **size)
    watcher = Recorder()
    train(asked, tmp_path / "unbroken", watcher=watcher)
    assert watcher.losses[-1] < watcher.losses[0]
    with pytest.raises(Interrupted):
        train(asked, tmp_path / "stopped", watcher=SignalAt(signal.SIGTERM, 5))
    train(None, tmp_path / "stopped", resume=True)
    assert_same_training(tmp_path / "stopped", tmp_path / "unbroken")


def test_a_teacher_of_its_kind_teaches_and_another_is_refused(
    base: Path, tiny_base: Path, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "_measure", nothing_measured)
    other = save_apart(tmp_path / "teacher", d_ff=64)
    fields = {"objective__teacher": str(other), "engine__max_steps": 4}
    asked = recipe(base, colours, evaluate__level="none", **fields)
    watcher = Recorder()
    train(asked, tmp_path / "run", watcher=watcher)
    assert watcher.losses[-1] < watcher.losses[0]
    with pytest.raises(Unsupported, match="has an encoder beside its decoder, and the other has"):
        set_up(recipe(base, colours, objective__teacher=str(tiny_base)))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"objective__kind": "text"}, "objective.kind=text is for models that go on"),
        ({"objective__kind": "classify"}, "objective.kind=classify is for models that go on"),
        ({"data__context": 500}, "reads at most 192"),
    ],
    ids=str,
)
def test_what_such_a_base_cannot_do_is_refused_before_anything_is_written(
    base: Path, colours: Path, tmp_path: Path, fields: dict[str, Any], said: str
) -> None:
    data = colours
    if fields.get("objective__kind") == "classify":
        data = tmp_path / "labels.jsonl"
        data.write_text('{"text": "a", "label": "b"}\n' * 3)
    with pytest.raises(TunesmithError) as caught:
        train(recipe(base, data, **fields), tmp_path / "run")
    assert said in str(caught.value)
    assert str(caught.value).endswith(".")
    assert not (tmp_path / "run").exists()


def test_a_document_among_the_rows_is_named_or_left_out(
    base: Path, colours: Path, tmp_path: Path
) -> None:
    with colours.open("a", encoding="utf-8") as file:
        file.write('{"text": "A document that asks nothing."}\n')
    with pytest.raises(DataError, match=r"colours\.jsonl:61") as caught:
        set_up(recipe(base, colours))
    assert "choose a decoder-only base" in str(caught.value)
    setup = set_up(recipe(base, colours, data__bad_rows="drop", data__most_dropped=0.05))
    assert setup.prepared.ledger.totals()["dropped"] == {"nothing_asked": 1}


def test_such_a_base_writes_no_rows(base: Path, tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="`tunesmith sample` is for models that go on"):
        sample(str(base), Wanted(2), tmp_path / "rows.jsonl")
    assert not (tmp_path / "rows.jsonl").exists()


def test_a_base_that_does_not_say_how_its_decoder_starts_is_refused(
    base: Path, colours: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "mute"
    folder.mkdir()
    for file in base.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    for name in ("config.json", "generation_config.json"):
        said = json.loads((folder / name).read_text())
        said["decoder_start_token_id"] = None
        (folder / name).write_text(json.dumps(said))
    with pytest.raises(Unsupported, match="Nothing says with which token the decoder"):
        set_up(load(None, (), {"model.base": str(folder), "data.train": str(colours)}))
    told = replace(describe(str(base)), tokenizer=SimpleNamespace(src_lang="en"))  # type: ignore[arg-type]
    with pytest.raises(Unsupported, match="from which language to which"):
        _ = told.decoder_start
    (folder / "generation_config.json").write_text('{"decoder_start_token_id": 0}')
    assert describe(str(folder)).decoder_start == 0
