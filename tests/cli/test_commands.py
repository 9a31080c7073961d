"""The commands, over runs that are not really made."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from tunesmith.cli.app import run
from tunesmith.core.errors import DataError
from tunesmith.core.records import Origin

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch


def test_train_hands_over_what_was_asked(training: Any, rows: Path, capsys: Capture) -> None:
    words = ["--data", str(rows), "--data", "b.jsonl", "--set", "engine.epochs=2", "--base", "x/y"]
    assert run(["train", *words]) == 0
    assert training.recipe.data.train == (str(rows), str(rows.parent / "b.jsonl"))
    assert (training.recipe.engine.epochs, training.recipe.model.base) == (2, "x/y")
    assert (training.out, training.resume) == (Path("runs/tickets-1"), False)
    assert capsys.readouterr().out.splitlines() == [
        "",
        "Hold: too few rows to judge.",
        "",
        "The verdict took 9 s, 20 % of the training time.",
        "",
        "report    runs/tickets-1/report.html",
        "adapter   runs/tickets-1/adapter",
        "try it    tunesmith chat runs/tickets-1",
    ]


def test_train_takes_the_first_free_folder(training: Any, rows: Path) -> None:
    Path("runs/tickets-1").mkdir(parents=True)
    assert run(["train", "--data", str(rows)]) == 0
    assert training.out == Path("runs/tickets-2")


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("tickets.csv.gz", "tickets"),
        ("v1.2.jsonl", "v1.2"),
        ("data/tickets/**/*.jsonl", "tickets"),
        ("data/tickets", "tickets"),
    ],
)
def test_a_run_is_named_after_its_data(training: Any, name: str, stem: str) -> None:
    assert run(["train", "--data", name]) == 0
    assert training.out == Path(f"runs/{stem}-1")


def test_train_resumes(training: Any) -> None:
    assert run(["train", "--out", "runs/a", "--resume", "--from-step", "8"]) == 0
    assert training.recipe is None
    assert (training.out, training.resume, training.from_step) == (Path("runs/a"), True, 8)


def test_gate_exits_with_3_on_hold(training: Any, rows: Path, capsys: Capture) -> None:
    assert run(["train", "--data", str(rows), "--gate"]) == 3
    streams = capsys.readouterr()
    assert "Hold: too few rows to judge." in streams.out
    assert streams.err.endswith("The gate is closed: the verdict is hold.\n")


def test_gate_lets_ship_pass(
    training: Any, rows: Path, verdict: dict[str, Any], monkeypatch: Patch
) -> None:
    monkeypatch.setitem(verdict, "decision", "ship")
    assert run(["train", "--data", str(rows), "--gate"]) == 0


def test_train_json_is_alone_on_stdout(
    training: Any, rows: Path, verdict: dict[str, Any], capsys: Capture
) -> None:
    assert run(["train", "--data", str(rows), "--json", "--gate"]) == 3
    assert json.loads(capsys.readouterr().out) == {
        "run": "runs/tickets-1",
        "verdict": verdict,
        "report": "runs/tickets-1/report.html",
        "artefact": "runs/tickets-1/adapter",
        "cost_of_verdict": "The verdict took 9 s, 20 % of the training time.",
    }


def test_chat_once_prints_only_the_answer(fake_run: Any, capsys: Capture) -> None:
    words = ["--once", "Hello", "--max-new-tokens", "7", "--temperature", "0.5"]
    assert run(["chat", "r", *words]) == 0
    assert capsys.readouterr().out == "answer 1\n"
    assert fake_run.asked == [("Hello",)]
    assert fake_run.options == {"max_new_tokens": 7, "temperature": 0.5}


def test_chat_keeps_the_conversation(fake_run: Any, monkeypatch: Patch, capsys: Capture) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("one\n\ntwo\n/new\nthree\n"))
    assert run(["chat", "r"]) == 0
    assert fake_run.asked == [("one",), ("one", "answer 1", "two"), ("three",)]
    assert capsys.readouterr().out.split("\n") == ["answer 1", "answer 3", "answer 1", ""]


def test_chat_forgets_what_could_not_be_answered(
    fake_run: Any, monkeypatch: Patch, capsys: Capture
) -> None:
    answer = type(fake_run).chat

    def full(self: Any, said: Any, **options: Any) -> str:
        if len(said) > 1:
            raise DataError("The conversation is too long.")
        return str(answer(self, said, **options))

    monkeypatch.setattr(type(fake_run), "chat", full)
    monkeypatch.setattr("sys.stdin", io.StringIO("one\ntwo\n/new\nthree\n"))
    assert run(["chat", "r"]) == 0
    assert "too long. /new starts another conversation." in capsys.readouterr().err
    assert fake_run.asked == [("one",), ("three",)]


def test_evaluate_prints_each_question(
    fake_run: Any, verdict: dict[str, Any], monkeypatch: Patch, capsys: Capture
) -> None:
    seen: list[tuple[Path, dict[str, Any]]] = []

    def judged(found: Any, data: Path, watcher: Any, **options: Any) -> dict[str, Any]:
        seen.append((data, options))
        return verdict

    monkeypatch.setattr("tunesmith.runs.evaluate.evaluate", judged)
    assert run(["evaluate", "r", "--data", "new.jsonl"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "Hold: too few rows to judge."
    assert lines[3:5] == [
        "pass  Did it learn? learned was measured",
        "fail  Did it keep what it knew? kept was measured",
    ]
    assert run(["evaluate", "r", "--data", "new.jsonl", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == verdict
    assert run(["evaluate", "r", "--data", "new.jsonl", "--level", "quick", "--only-rows"]) == 0
    whole, less = ({"level": None, "only_rows": False}, {"level": "quick", "only_rows": True})
    assert seen == [(Path("new.jsonl"), options) for options in (whole, whole, less)]


def test_data_show_brackets_what_is_learned(monkeypatch: Patch, capsys: Capture) -> None:
    from tunesmith.runs.show import Shown, ShownData

    asked: dict[str, Any] = {}

    def shown(recipe: Any, **options: Any) -> ShownData:
        asked.update(options, recipe=recipe)
        learned = (("user: hi\n", False), ("hello\x1b[31m</s>", True))
        rows = (
            Shown(Origin("a.jsonl", 1), "trained", 9, 4, learned),
            Shown(Origin("a.jsonl", 2), "dropped", 9, 4, learned, "It is too long.", cut=7),
            Shown(Origin("a.jsonl", 3), "dropped", complaint="The answer is empty."),
        )
        return ShownData(("a.jsonl",), "anvil", rows, refusal="a.jsonl:3: \x1b is no row.")

    monkeypatch.setattr("tunesmith.runs.show.show_data", shown)
    show = ["data", "show", "a.jsonl", "--rows", "2", "--kind", "text", "--map"]
    assert run([*show, "q=prompt", "--set", "data.context=64", "--epochs", "2"]) == 0
    recipe, _ = asked.pop("recipe"), asked.pop("watcher")
    assert asked == {"limit": 2, "price": None}
    assert (recipe.model.base, recipe.data.context) == ("anvil", 64)
    assert recipe.data.train == (str(Path("a.jsonl").absolute()),)
    assert (recipe.objective.kind, recipe.data.mapping) == ("text", {"q": "prompt"})
    assert recipe.engine.epochs == 2
    assert capsys.readouterr().out.splitlines() == [
        "⟦trained⟧  context  ⟨dropped⟩",
        "",
        "a.jsonl:1  trained: 9 tokens, 4 trained",
        "user: hi",
        "⟦hello␛[31m</s>⟧",
        "",
        "a.jsonl:2  dropped: 9 tokens, 0 trained",
        "It is too long.",
        "⟨user: hi",
        "hello␛[31m</s>⟩",
        "… and 7 tokens more",
        "",
        "a.jsonl:3  dropped",
        "The answer is empty.",
        "",
        "A run on these files would stop:",
        "a.jsonl:3: ␛ is no row.",
    ]


@pytest.mark.parametrize(("ok", "code"), [(True, 0), (None, 0), (False, 1)])
def test_doctor_exits_with_1_if_something_fails(
    ok: bool | None, code: int, monkeypatch: Patch, capsys: Capture
) -> None:
    from tunesmith.runs.doctor import Check

    monkeypatch.setattr(
        "tunesmith.runs.doctor.doctor", lambda watcher: [Check("memory", ok, "8.0 GB.")]
    )
    assert run(["doctor", "--json"]) == code
    assert json.loads(capsys.readouterr().out) == {
        "ok": ok is not False,
        "checks": [{"name": "memory", "ok": ok, "sentence": "8.0 GB."}],
    }
    assert run(["doctor"]) == code
    assert "memory        8.0 GB." in capsys.readouterr().out
