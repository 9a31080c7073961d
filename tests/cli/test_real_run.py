"""The front doors over a real run, of a base so small that it takes a second."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

import tunesmith
from tunesmith.cli.app import run
from tunesmith.core.errors import DataError, RecipeError, RunFolderError
from tunesmith.runs import doctor

TINY = {"engine.max_steps": 2, "evaluate.level": "none"}


def test_train_open_and_chat_from_python(
    tiny_base: Path, rows: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(rows.parent)
    with tunesmith.progress() as watcher:
        made = tunesmith.train(base=tiny_base, data=rows, set=TINY, watcher=watcher)
    assert made.path == Path("runs/tickets-1")
    assert made.verdict["decision"] == "hold"
    assert made.report.is_file()
    assert "train: 2/2  loss " in capsys.readouterr().err
    again = tunesmith.open_run(made.path)
    answer = again.chat("Where is parcel 3?", max_new_tokens=4)
    assert (
        run(["chat", str(made.path), "--once", "Where is parcel 3?", "--max-new-tokens", "4"]) == 0
    )
    assert capsys.readouterr().out == f"{answer}\n"
    with pytest.raises(RunFolderError, match="exists already and holds a finished run"):
        tunesmith.train(base=tiny_base, data=rows, out=made.path)


def test_data_show_of_a_real_base(
    tiny_base: Path, rows: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    show = ["data", "show", str(rows), "--base", str(tiny_base), "--rows", "1", "--price", "3"]
    page = rows.with_name("page.html")
    assert run([*show, "--epochs", "2", "--html", str(page)]) == 0
    shown = capsys.readouterr().out
    assert f"{rows}:1  " in shown
    assert "At door 0.</s>⟧" in shown
    assert run([*show, "--epochs", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    figures = found["figures"]
    assert figures["rows"]["rows_in"] == 12
    told = f"{figures['tokens_per_epoch']:,} an epoch in {figures['sequences']} sequences"
    assert told in shown
    assert told in page.read_text(encoding="utf-8")
    bars = re.findall(r"^ +[\d,]+(?: to [\d,]+)? [█▏]* ?(\d+)$", shown, re.MULTILINE)
    assert sum(map(int, bars)) == figures["sequences"]
    assert "less than 0.01 at 3 a million tokens" in shown
    assert found["rows"][0]["stretches"][1] == {"text": "At door 0.</s>", "is": "trained"}
    assert run([*show, "--html", str(page)]) == 2
    assert "page.html exists already" in capsys.readouterr().err
    assert run(["data", "show", str(rows), f"{rows}s"]) == 2
    assert "There is no file" in capsys.readouterr().err


def test_data_show_complains_of_what_train_refuses(
    tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rows.json"
    bad = [{"prompt": "Where?", "completion": text} for text in ("far " * 400, "At </s> door 2.")]
    file.write_text(json.dumps([*bad, {"prompt": "Where?", "completion": "Here."}]))
    with pytest.raises(DataError) as refused:
        tunesmith.train(base=tiny_base, data=file, out=tmp_path / "run", set=TINY)
    assert run(["data", "show", str(file), "--base", str(tiny_base)]) == 0
    shown = capsys.readouterr().out
    for item, part in (
        (1, "has 1607 tokens and the context is 1024"),
        (2, '"completion" holds </s>'),
    ):
        assert f"{file}:1 item {item}  " in shown
        assert part in shown
    assert f"{file}:1 item 3  " in shown
    assert "Here.</s>⟧" in shown
    assert "2 of 3 rows cannot be used (too_long 1, special_token_in_text 1)" in str(refused.value)


def test_data_show_has_the_context_that_train_would_choose(
    tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = shutil.copytree(tiny_base, tmp_path / "long")
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 8192}))
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps({"prompt": "Where?", "completion": "far " * 1500}) + "\n")
    with pytest.raises(DataError) as refused:
        tunesmith.train(base=base, data=file, out=tmp_path / "run", set=TINY)
    assert run(["data", "show", str(file), "--base", str(base)]) == 0
    complaint = re.search(r"has 6007 tokens and the context is \d+", capsys.readouterr().out)
    assert complaint
    assert complaint[0] in str(refused.value)


def test_data_show_says_what_stops_a_run_on_a_mixed_file(
    tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]
    file = tmp_path / "rows.jsonl"
    rows = ({"prompt": "Where?", "completion": "Here."}, {"messages": turns})
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    show = ["data", "show", str(file), "--base", str(tiny_base)]
    assert run(show) == 0
    shown = capsys.readouterr().out
    assert f"{file}:2 is a chat and {file}:1 is a prompt" in shown
    assert "Here.</s>⟧" in shown
    assert run([*show, "--set", "data.completion_as=chat"]) == 0
    shown = capsys.readouterr().out
    assert "User: Where?" in shown
    assert "2 in: " in shown


def test_settings_win_over_arguments_and_those_over_the_recipe(training: Any) -> None:
    recipe = Path("r.yaml")
    recipe.write_text(
        "engine: {epochs: 1, seed: 5}\nmodel: {base: a/b, rank: 3}\n", encoding="utf-8"
    )
    settings = {"engine.epochs": 2, "model.base": "e/f"}
    tunesmith.train(recipe="r.yaml", base="c/d", data=["x.jsonl"], out="o", set=settings)
    asked = training.recipe
    assert (asked.engine.epochs, asked.engine.seed, asked.model.rank) == (2, 5, 3)
    assert (asked.model.base, training.out) == ("e/f", Path("o"))
    tunesmith.train(recipe=recipe, base="c/d", data="x.jsonl")
    assert (training.recipe.model.base, training.out) == ("c/d", Path("runs/x-1"))


def test_a_wrong_setting_from_python_is_the_same_sentence() -> None:
    with pytest.raises(RecipeError, match=r"engine\.epochs must be .* received -2"):
        tunesmith.train(data="a.jsonl", set={"engine.epochs": -2})


def test_doctor_makes_a_whole_run(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(doctor, "ANVIL", str(tiny_base))
    checks = {check.name: check for check in doctor.doctor()}
    assert all(check.ok is not False for check in checks.values()), checks
    assert checks["complete run"].sentence.startswith("2 steps on ")
    assert json.dumps([check._asdict() for check in checks.values()])


def test_doctor_tells_what_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "ANVIL", str(tmp_path))
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    last = doctor.doctor()[-1]
    assert (last.name, last.ok) == ("complete run", False)
    assert "could not be opened" in last.sentence
