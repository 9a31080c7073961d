"""Tagging runs: from rows to a verdict, resumed bitwise, and asked afterwards."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.labelling import (
    QUICK,
    outputs_by_card,
    resumed_in_the_same_bits,
    save_base,
    tagged,
    write,
)
from tunesmith.cli.app import run as command
from tunesmith.core.errors import DataError, RecipeError
from tunesmith.core.files import read_json
from tunesmith.core.records import Origin
from tunesmith.recipe import Recipe, load
from tunesmith.runs.labels.ask import Labeller
from tunesmith.runs.labels.batches import objective_of
from tunesmith.runs.labels.setup import set_up_labels
from tunesmith.runs.labels.words import PUNCTUATION, SPACE, break_of, words_of
from tunesmith.runs.open import Run
from tunesmith.runs.train import train

ASKED = ("objective.kind=tag", *QUICK)


def _recipe(base: Path, data: str, *more: str) -> Recipe:
    return load(None, [f"model.base={base}", f"data.train={data}", *ASKED, *more])


@pytest.fixture(scope="module")
def finished(bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A whole run."""
    folder = tmp_path_factory.mktemp("runs")
    data = write(folder / "rows.jsonl", tagged(180))
    return train(_recipe(bert, data), folder / "run")


def test_a_run_learns_and_says_so(finished: Run) -> None:
    verdict = finished.verdict
    assert verdict["learned"]["pass"] is True
    assert verdict["learned"]["detail"]["figures"]["span F1"] > 0.9
    assert {each["name"] for each in verdict["worth"]["detail"]["rivals"]} == {"memory", "linear"}
    assert verdict["parity"]["pass"] is True
    assert verdict["parity"]["value"] == 0.0


def test_words_are_counted_alike_everywhere(finished: Run) -> None:
    totals, lines = read_json(finished.folder.ledger), tagged(180)
    assert totals["rows_in"] == totals["trained"] + totals["held_out"] == 180
    words = sum(len(row["tags"]) for row in lines)
    held = sum(len(row["wanted"]) for row in read_json(finished.folder.measured)["held_out"])
    assert totals["supervised_tokens"] < words
    assert totals["supervised_tokens"] + held <= words
    plan = read_json(finished.folder.plan)
    assert plan["supervised_tokens_per_epoch"] == totals["supervised_tokens"]
    steps = [json.loads(line) for line in finished.folder.metrics.read_text().splitlines()]
    first = sum(step.get("supervised_tokens", 0) for step in steps if step.get("epoch", 9) <= 1)
    assert first == totals["supervised_tokens"]


def test_it_can_be_asked(finished: Run, capsys: Any) -> None:
    labeller = Labeller(finished)
    text = "my parcel   is missing abroad please"
    (answer,) = labeller.label([(Origin("--once", 1), text)])
    assert answer.fields is not None
    (field,) = answer.fields
    assert (field.kind, field.text) == ("lost", "missing abroad")
    assert text[field.start : field.end] == field.text
    assert 0.5 < field.sure <= 1
    assert command(["label", str(finished.path), "--once", text]) == 0
    (told,) = json.loads(capsys.readouterr().out)["fields"]
    assert told["type"] == "lost"
    with pytest.raises(DataError, match="the text is empty"):
        labeller.label([(Origin("--once", 1), "  ")])
    with pytest.raises(DataError, match=r"at most 64\. Divide it"):
        labeller.label([(Origin("--once", 1), "order " * 80)])


def test_a_text_falls_into_words_as_the_rows_did() -> None:
    apart, joined = ["on", "May", "3rd", ".", "it"], ["on", "May", "3rd.", "it"]
    assert (break_of(apart), break_of(joined)) == (PUNCTUATION, SPACE)
    text = "At 3.50, o'clock (maybe)."
    words = words_of(text, PUNCTUATION)
    assert [word.text for word in words] == ["At", "3.50", ",", "o'clock", "(", "maybe", ")", "."]
    assert all(text[word.start : word.end] == word.text for word in words)
    assert [word.text for word in words_of(text, SPACE)] == text.split()


@pytest.mark.parametrize(("family", "method"), [("bert", "lora"), ("llama", "full")])
def test_a_resumed_run_is_an_unbroken_one(tmp_path: Path, family: str, method: str) -> None:
    base = save_base(tmp_path / "base", family)
    data = write(tmp_path / "rows.jsonl", tagged(50))
    short = ("engine.epochs=2", "engine.checkpoint_every=2", "evaluate.level=none")
    recipe = _recipe(base, data, *short, f"model.method={method}")
    _, broken = resumed_in_the_same_bits(recipe, tmp_path)
    row = tagged(1)[0]["tokens"]
    names = read_json(broken.artefact / "labels.json")["names"]
    told = outputs_by_card(broken)([row, row[:2]])
    assert told.shape[2] == len(names)


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        ("B-Late", "Did you mean 'B-late'?"),
        ("B-stolen", "No training row has the label 'B-stolen'"),
    ],
)
def test_a_tag_that_training_never_saw_is_named(
    bert: Path, tmp_path: Path, tag: str, said: str
) -> None:
    data = write(tmp_path / "rows.jsonl", tagged(60))
    judged = {"tokens": ["it", "is", "gone"], "tags": ["O", "O", tag]}
    held = write(tmp_path / "held.jsonl", [*tagged(30, seed=5), judged])
    with pytest.raises(DataError, match=r"held\.jsonl:31") as refused:
        set_up_labels(_recipe(bert, data, f"data.validation={held}"))
    assert said in str(refused.value)


def test_without_held_out_rows_it_trains_and_measures_nothing(bert: Path, tmp_path: Path) -> None:
    data = write(tmp_path / "rows.jsonl", tagged(30))
    asked = _recipe(bert, data, "data.validation_share=0", "engine.max_steps=2")
    verdict = train(asked, tmp_path / "run").verdict
    assert [verdict[key]["pass"] for key in ("learned", "worth", "parity")] == [None] * 3


def test_what_is_odd_about_tags_is_told(bert: Path, tmp_path: Path) -> None:
    lines = [*tagged(60), {"tokens": ["it", "is", "gone"], "tags": ["O", "I-late", "I-lost"]}]
    setup = set_up_labels(_recipe(bert, write(tmp_path / "rows.jsonl", lines)))
    assert any("going on with a span" in sentence for sentence in setup.warnings)
    assert setup.recipe.objective.problem == "single_label"


def test_rare_tags_weigh_as_much_as_common_ones(bert: Path, tmp_path: Path) -> None:
    data = write(tmp_path / "rows.jsonl", tagged(60))
    setup = set_up_labels(_recipe(bert, data, "objective.class_weights=balanced"))
    counts = Counter(tag for row in setup.prepared.train for tag in row.labels)
    weights = objective_of(setup)._weights_C
    assert weights is not None
    counted = torch.tensor([float(counts[name]) for name in setup.targets.names])
    shares = (counted * weights).tolist()
    assert shares == pytest.approx([sum(counts.values()) / len(counts)] * len(counts))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("objective.problem=regression", "a word has one tag"),
        ("model.pooling=mean", "a tag is read at its word"),
        ("evaluate.abstain=0.1", "whole texts are left to a person"),
        ("model.method=prompt_tuning", "objective.kind=tag trains one that does not"),
    ],
)
def test_what_does_not_go_with_tags_is_refused(bert: Path, asked: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        _recipe(bert, "rows.jsonl", asked)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"tokens": ["a", "b"], "tags": ["O"]}, 'There are 2 "tokens" and 1 "tags"'),
        ({"tokens": ["a", "b"], "tags": ["O", "NOUN"]}, "the tag 'NOUN' of word 2"),
        ({"text": "a b", "label": "O"}, "is for the objective classify"),
        ({"tokens": [], "tags": []}, "is an empty list"),
    ],
)
def test_bad_rows_end_in_a_sentence(
    bert: Path, tmp_path: Path, capsys: Any, row: dict[str, Any], said: str
) -> None:
    data = write(tmp_path / "rows.jsonl", [*tagged(30), row])
    asked = ["train", "--base", str(bert), "--data", data, "--out", str(tmp_path / "run")]
    assert command([*asked, *(part for key in ASKED for part in ("--set", key))]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert said in told
    assert "rows.jsonl:31" in told
    assert not (tmp_path / "run").exists()
