"""Opening, asking and judging a run later; and the ids served are the ids trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import colour_rows
from tests.support import LeaveAt, Left, recipe
from tunesmith.core.errors import DataError, ModelError, RunFolderError
from tunesmith.core.files import read_json, read_jsonl
from tunesmith.core.records import Message
from tunesmith.evaluate.shown import render_page
from tunesmith.runs import evaluate as evaluating
from tunesmith.runs.artefacts import hashes
from tunesmith.runs.assembly import batches_of
from tunesmith.runs.evaluate import evaluate
from tunesmith.runs.open import Run, open_artefact, open_run
from tunesmith.runs.promote import promote, promoted_run
from tunesmith.runs.setup import set_up
from tunesmith.runs.show import PARTS, show_data
from tunesmith.runs.train import train


@pytest.fixture(scope="module")
def run(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("runs")
    _write(folder / "colours.jsonl", colour_rows(60))
    asked = recipe(tiny_base, folder / "colours.jsonl", engine__max_steps=4)
    return train(asked, folder / "run")


def _write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_new_rows_are_judged_and_nothing_is_written(run: Run, tmp_path: Path) -> None:
    new = _write(tmp_path / "new.jsonl", colour_rows(90)[60:])
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    verdict = evaluate(run, new)
    assert verdict["learned"]["n"] == 12  # evaluate.rows
    assert verdict["decision"] in ("ship", "hold")
    assert before == {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}


def test_on_the_rows_that_judged_it_says_what_the_run_s_own_verdict_says(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the same measurements: every number of four questions, but for seconds."""
    train_file = _write(tmp_path / "train.jsonl", colour_rows(90)[:60])
    held = _write(tmp_path / "held.jsonl", colour_rows(90)[60:76])
    fields = {"engine__max_steps": 4, "engine__keep_best": False, "evaluate__examples": 2}
    asked = recipe(tiny_base, train_file, data__validation=str(held), **fields)
    own = train(asked, tmp_path / "run")
    described: list[str] = []
    real = evaluating.described_base
    monkeypatch.setattr(
        evaluating,
        "described_base",
        lambda name, **asked: described.append(name) or real(name, **asked),
    )
    again = evaluate(own, held)
    for question in ("learned", "kept", "memorised", "worth"):
        ours, theirs = (_numbers(found[question]) for found in (again, own.verdict))
        assert ours == theirs, question
    assert again["worth"]["n"] > 0
    assert again["memorised"]["n"] > 0
    assert described == [], "the setup described it"
    less = evaluate(own, held, only_rows=True)
    assert _numbers(less["learned"]) == _numbers(own.verdict["learned"])
    assert (less["worth"]["value"], less["memorised"]["value"]) == (None, None)
    assert described == [str(tiny_base)], "once"


def _numbers(answer: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(answer[key] for key in ("pass", "value", "low", "high", "n"))


def test_training_rows_that_changed_are_named_with_what_to_do(
    tiny_base: Path, tmp_path: Path
) -> None:
    data = _write(tmp_path / "train.jsonl", colour_rows(60))
    run = train(recipe(tiny_base, data, engine__max_steps=1), tmp_path / "run")
    new = _write(tmp_path / "new.jsonl", colour_rows(90)[60:])
    _write(data, colour_rows(61))
    with pytest.raises(RunFolderError, match=r"train\.jsonl changed since .*--only-rows"):
        evaluate(run, new)
    assert evaluate(run, new, only_rows=True)["learned"]["n"] == 12


def test_a_run_ends_with_its_hashes_and_its_card(run: Run, tmp_path: Path) -> None:
    assert read_json(run.folder.hashes) == hashes(run.artefact)
    card = run.folder.card.read_text(encoding="utf-8")
    assert run.verdict["sentence"] in card
    for digest in (*run.folder.input_hashes().values(), *hashes(run.artefact).values()):
        assert digest in card
    promote(run.path, "colours", tmp_path, "a test")
    assert promoted_run("colours", tmp_path) == run.path


def test_rows_the_run_was_trained_on_are_refused(run: Run, tmp_path: Path) -> None:
    lines = read_jsonl(run.folder.ledger_rows)
    trained = next(n for n, line in enumerate(lines) if line["outcome"] == "trained")
    rows = [*colour_rows(90)[60:], colour_rows(60)[trained]]
    file = _write(tmp_path / "mixed.jsonl", rows)
    with pytest.raises(
        DataError, match=rf"mixed\.jsonl:31 .*trained.*jsonl:{trained + 1}; 1 of 31"
    ):
        evaluate(run, file)


def test_rows_the_run_held_out_are_welcome(run: Run, tmp_path: Path) -> None:
    lines = read_jsonl(run.folder.ledger_rows)
    held = [
        row
        for row, line in zip(colour_rows(60), lines, strict=True)
        if line["outcome"] == "held_out"
    ]
    verdict = evaluate(run, _write(tmp_path / "held.jsonl", held))
    assert verdict["learned"]["n"] == 12


def test_a_conversation_goes_on_until_the_context_is_full(run: Run) -> None:
    talk = [Message("user", "Box 1 is red."), Message("assistant", "Thank you.")]
    assert isinstance(run.chat([*talk, Message("user", "Which colour?")], max_new_tokens=4), str)
    with pytest.raises(DataError, match=r"has \d+ tokens, and .* reads at most 128: .*no room"):
        run.chat("Which colour is the box? " * 40)


def test_a_run_trained_on_cuda_opens_on_the_processor(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = open_run(run.path)
    model = again.recipe.model.model_copy(update={"device": "cuda"})
    again.recipe = again.recipe.model_copy(update={"model": model})
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert again.chat("Which colour?", max_new_tokens=4) == run.chat(
        "Which colour?", max_new_tokens=4
    )


def test_an_adapter_without_its_base_says_where_that_is_named(run: Run, tmp_path: Path) -> None:
    moved = run.recipe.model.model_copy(update={"base": str(tmp_path / "gone")})
    asked = run.recipe.model_copy(update={"model": moved})
    with pytest.raises(ModelError, match=r"needs its base: put it back, .*recipe\.yaml"):
        open_artefact(run.folder.artefact("adapter"), asked)


def test_what_is_not_a_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"is not a run folder: it has no recipe\.yaml"):
        open_run(tmp_path)


def test_an_unfinished_run_says_how_to_go_on(
    tiny_base: Path, colours: Path, tmp_path: Path
) -> None:
    with pytest.raises(Left):
        train(recipe(tiny_base, colours), tmp_path / "run", watcher=LeaveAt(1))
    run = open_run(tmp_path / "run")
    with pytest.raises(RunFolderError, match=r"no tuned model yet.*--resume"):
        run.chat("Which colour?")
    with pytest.raises(RunFolderError, match=r"no verdict yet.*--resume"):
        _ = run.verdict


def test_exactly_the_answer_and_its_end_are_shown_as_learned(
    tiny_base: Path, colours: Path
) -> None:
    shown = show_data(recipe(tiny_base, colours), limit=5).rows
    assert [row.origin.line for row in shown] == [1, 2, 3, 4, 5]
    for row, source in zip(shown, colour_rows(5), strict=True):
        question, answer = (message["content"] for message in source["messages"])
        learned = [text for text, is_learned in row.stretches if is_learned]
        assert learned == [answer + "<|end|>"]
        assert question in row.stretches[0][0]
        assert 0 < row.learned < row.tokens


def test_rows_have_the_outcomes_of_the_ledger(tiny_base: Path, colours: Path) -> None:
    asked = recipe(tiny_base, colours)
    shown = show_data(asked, limit=60).rows
    lines = [*set_up(asked).prepared.ledger.lines()]
    assert [(str(row.origin), row.outcome) for row in shown] == [
        (line["origin"], line["outcome"]) for line in lines
    ]
    assert {row.outcome for row in shown} == {"trained", "held_out"}


def test_a_row_that_cannot_be_trained_is_shown_with_its_complaint(
    tiny_base: Path, tmp_path: Path
) -> None:
    long = {"prompt": "Where?", "completion": "far " * 99}
    rows = [{"messages": [{"role": "user", "content": "Nobody answers."}]}, long, *colour_rows(1)]
    shown = show_data(recipe(tiny_base, _write(tmp_path / "rows.jsonl", rows)))
    bad, cut, good = shown.rows
    assert bad.complaint
    assert (bad.origin.line, bad.outcome, bad.stretches) == (1, "dropped", ())
    assert "the context is 128" in str(cut.complaint)
    assert [part["is"] for part in cut.marked()] == ["dropped"]
    assert (good.complaint, good.outcome) == (None, "trained")
    assert shown.figures is not None
    assert shown.figures.rows["dropped"] == {"nothing_to_learn": 1, "too_long": 1}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "data.bad_rows=drop"),
        ({"data__bad_rows": "drop"}, "more than 1.0% of the rows"),
        ({"data__bad_rows": "drop", "data__most_dropped": 0.5}, None),
    ],
)
def test_the_figures_say_whether_a_run_would_begin(
    tiny_base: Path, tmp_path: Path, settings: dict[str, Any], says: str | None
) -> None:
    rows = [*colour_rows(20), {"prompt": "Where?", "completion": " "}]
    asked = recipe(tiny_base, _write(tmp_path / "rows.jsonl", rows), **settings)
    figures = show_data(asked).figures
    assert figures is not None
    assert figures.rows["dropped"] == {"empty_answer": 1}
    if says is None:
        assert figures.stops is None
        assert set_up(asked).prepared.ledger.totals() == figures.rows
        return
    assert says in str(figures.stops)
    with pytest.raises(DataError):
        set_up(asked)


def test_a_key_in_the_data_is_what_would_stop_a_run(tiny_base: Path, tmp_path: Path) -> None:
    rows = colour_rows(20)
    rows[3]["messages"][1]["content"] = "AKIA" + "ABCDEFGHIJKLMNOP"
    asked = recipe(tiny_base, _write(tmp_path / "rows.jsonl", rows))
    figures = show_data(asked).figures
    assert figures is not None
    assert "stops at what the checks found: " in str(figures.stops)


def test_what_stops_a_run_stands_where_its_figures_would(tiny_base: Path, tmp_path: Path) -> None:
    rows = [{"prompt": "Where?", "completion": "far " * 99}]
    shown = show_data(recipe(tiny_base, _write(tmp_path / "rows.jsonl", rows)))
    assert shown.figures is None
    assert "No row is left to train on" in str(shown.refusal)
    assert [row.outcome for row in shown.rows] == ["dropped"]
    assert "A run would stop" in render_page(shown.to_json())


def test_long_rows_are_shown_in_part_and_counted_whole(tiny_base: Path, tmp_path: Path) -> None:
    book = [{"text": "Box 1 is red. " * 300}]
    asked = recipe(tiny_base, _write(tmp_path / "book.jsonl", book), objective__kind="text")
    shown = show_data(asked)
    trained = set_up(asked).prepared.train
    assert len(shown.rows) == PARTS < len(trained)
    assert [row.more for row in shown.rows] == [0] * (PARTS - 1) + [len(trained) - PARTS]
    assert shown.figures is not None
    assert shown.figures.in_pieces == 1
    assert shown.figures.tokens == sum(len(tokens) for tokens in trained)


def test_a_price_is_paid_for_each_token_of_each_epoch(tiny_base: Path, colours: Path) -> None:
    found = show_data(recipe(tiny_base, colours, engine__epochs=3), price=2.5).to_json()
    tokens = 3 * found["figures"]["tokens_per_epoch"]
    cost = {"price_per_million": 2.5, "tokens": tokens, "cost": tokens * 2.5 / 1e6}
    assert found["cost"] == cost
    assert show_data(recipe(tiny_base, colours)).to_json()["cost"] is None


def test_a_shared_beginning_is_found_and_what_sharing_leaves_is_what_is_computed(
    tiny_base: Path, tmp_path: Path
) -> None:
    system = {"role": "system", "content": "Name the colour of the box that you are asked for."}
    rows = [{"messages": [system, *row["messages"]]} for row in colour_rows(40)]
    asked = recipe(tiny_base, _write(tmp_path / "rows.jsonl", rows), engine__epochs=1)
    asked = asked.model_copy(update={"engine": asked.engine.model_copy(update={"max_steps": None})})
    figures = show_data(asked).figures
    assert figures is not None
    assert figures.prefix is not None
    assert figures.prefix.text.startswith("<|turn|>system\nName the colour of the box")
    assert (figures.prefix.sequences, figures.prefix.looked_at) == (figures.sequences,) * 2
    batches = batches_of(set_up(asked), share=True)
    steps = (batches.step(0, index) for index in range(batches.steps_per_epoch))
    computed = sum(batch.tokens for step in steps for batch in step)
    assert figures.computed == computed < figures.tokens


def test_the_page_of_a_run_shows_what_was_trained(run: Run) -> None:
    page = run.report.read_text(encoding="utf-8")
    assert "What was trained" in page
    assert page.count("<mark>Box ") == 4
    totals = read_json(run.folder.ledger)
    assert f"{totals['supervised_tokens']:,} of them trained" in page


@pytest.mark.parametrize("completion_as", ["chat", "plain"])
def test_served_ids_are_trained_ids(tiny_base: Path, tmp_path: Path, completion_as: str) -> None:
    """Of rows trained, the ids before the answer are those with which the opened artefact asks."""
    pairs = [
        {"prompt": f"Box {n} is red. Its colour:", "completion": f" red, box {n}."}
        for n in range(40)
    ]
    data = _write(tmp_path / "pairs.jsonl", pairs)
    asked = recipe(
        tiny_base,
        data,
        data__completion_as=completion_as,
        engine__max_steps=1,
        evaluate__level="none",
    )
    run = train(asked, tmp_path / "run")
    trained = set_up(asked).prepared.train
    for tokens in trained[:5]:
        said = pairs[tokens.origin.line - 1]["prompt"]
        opening = tokens.ids_N[: int(tokens.weights_N.argmax())]
        served = run.model.renderer.ask((Message("user", said),))
        assert served.tolist() == opening.tolist()
        assert ("<|turn|>" in run.model.base.described.tokenizer.decode(served)) == (
            completion_as == "chat"
        )
