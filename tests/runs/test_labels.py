"""Labelling runs: from rows to a verdict, resumed bitwise, and asked afterwards."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.labelling import (
    QUICK,
    WORDS,
    outputs_by_card,
    resumed_in_the_same_bits,
    rows,
    save_base,
    write,
)
from tunesmith.cli.app import run as command
from tunesmith.core.errors import DataError, Unsupported
from tunesmith.core.files import read_json, read_jsonl
from tunesmith.core.records import Origin
from tunesmith.recipe import Recipe, load
from tunesmith.runs.labels.ask import Labeller, label_file
from tunesmith.runs.labels.setup import set_up_labels
from tunesmith.runs.labels.tuned import opened_labels
from tunesmith.runs.open import Run, open_run
from tunesmith.runs.train import train

ASKED = ("objective.kind=classify", *QUICK)


TEXT = "my parcel is still missing"


def _recipe(base: Path, data: str, *more: str) -> Recipe:
    return load(None, [f"model.base={base}", f"data.train={data}", *ASKED, *more])


@pytest.fixture(scope="module")
def finished(bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A whole run."""
    folder = tmp_path_factory.mktemp("runs")
    data = write(folder / "rows.jsonl", rows(180))
    return train(_recipe(bert, data, "evaluate.abstain=0.1"), folder / "run")


def test_a_run_learns_and_says_so(finished: Run) -> None:
    verdict = finished.verdict
    assert verdict["learned"]["pass"] is True
    assert verdict["learned"]["detail"]["figures"]["accuracy"] > 0.9
    assert verdict["parity"]["pass"] is True
    assert verdict["parity"]["value"] == 0.0
    totals = read_json(finished.folder.ledger)
    assert totals["rows_in"] == totals["trained"] + totals["held_out"] == 180
    assert totals["supervised_tokens"] == totals["trained"], "a label a row"
    assert {"predicted", "measured"} <= read_json(finished.folder.plan).keys()
    assert "Said instead" in finished.report.read_text() or verdict["learned"]["value"] > 0.6


def test_it_can_be_asked(finished: Run, tmp_path: Path, capsys: Any) -> None:
    labeller = Labeller(finished)
    (answer,) = labeller.label([(Origin("--once", 1), TEXT)])
    assert answer.labels == ("lost",)
    assert 0.5 < (answer.sure or 0) <= 1
    data = write(tmp_path / "new.jsonl", [{"id": 7, "text": "my order is torn again"}])
    (row,) = label_file(labeller, Path(data))
    assert row["id"] == 7
    assert row["predicted"]["labels"] == ["broken"]
    assert command(["label", str(finished.path), "--data", data, "--field", "words"]) == 2
    assert '"words"' in capsys.readouterr().err
    assert command(["label", str(finished.path), "--once", "the order is delayed"]) == 0
    assert json.loads(capsys.readouterr().out)["labels"] == ["late"]
    with pytest.raises(DataError, match="the text is empty"):
        labeller.label([(Origin("--once", 1), "  ")])


def test_the_card_says_what_it_is_and_opens_it(finished: Run) -> None:
    text = finished.folder.card.read_text(encoding="utf-8")
    for said in (
        f"> {finished.verdict['sentence']}",
        "pipeline_tag: text-classification",
        "`broken`, `late`, `lost`",
        "| logistic regression on the frozen base |",
        "nats a row",
    ):
        assert said in text
    assert "None" not in text.partition("```python")[0]
    (answer,) = Labeller(finished).label([(Origin("--once", 1), TEXT)])
    warmth = read_json(finished.artefact / "labels.json")["temperature"]
    chances = (outputs_by_card(finished)([TEXT, "late"]) / warmth).softmax(1)[0]
    assert float(chances.max()) == pytest.approx(answer.sure, abs=1e-5)
    assert answer.labels == (("broken", "late", "lost")[int(chances.argmax())],)


def test_what_it_is_least_sure_of_is_left_to_a_person(finished: Run) -> None:
    threshold = read_json(finished.artefact / "labels.json")["threshold"]
    assert threshold > 0.3
    pairs = product(WORDS["late"], WORDS["lost"], WORDS["broken"])
    plain = [f"my parcel is {word}" for words in WORDS.values() for word in words]
    texts = [*(" ".join(words) for words in pairs), *plain]
    answers = Labeller(finished).label([(Origin("--once", 1), text) for text in texts])
    assert {answer.named for answer in answers} == {True, False}
    for answer in answers:
        assert answer.named is ((answer.sure or 0) >= threshold)


def test_a_model_that_labels_is_not_talked_with(finished: Run) -> None:
    with pytest.raises(Unsupported, match="tunesmith label"):
        finished.chat("Hello")


@pytest.mark.parametrize(("family", "method"), [("bert", "dora"), ("llama", "lora")])
def test_a_resumed_run_is_an_unbroken_one(tmp_path: Path, family: str, method: str) -> None:
    base = save_base(tmp_path / "base", family)
    data = write(tmp_path / "rows.jsonl", rows(90))
    recipe = _recipe(
        base, data, "engine.epochs=2", "engine.checkpoint_every=2", f"model.method={method}"
    )
    _, broken = resumed_in_the_same_bits(recipe, tmp_path)
    (answer,) = Labeller(broken).label([(Origin("--once", 1), TEXT)])
    warmth = read_json(broken.artefact / "labels.json")["temperature"]
    chances = (outputs_by_card(broken)([TEXT, "late"]) / warmth).softmax(1)
    assert float(chances[0].max()) == pytest.approx(answer.sure, abs=1e-5)


@pytest.mark.parametrize("method", ["head", "last_layers", "lora"])
def test_every_method_trains_its_own_part(bert: Path, tmp_path: Path, method: str) -> None:
    data = write(tmp_path / "rows.jsonl", rows(60))
    run = train(_recipe(bert, data, f"model.method={method}", "engine.epochs=1"), tmp_path / "run")
    assert run.verdict["parity"]["pass"] is True
    frozen = load_file(bert / "model.safetensors")
    if method == "head":
        saved = load_file(run.artefact / "model.safetensors")
        assert all(torch.equal(saved[name], frozen[name]) for name in saved)


def test_several_labels_and_numbers(bert: Path, tmp_path: Path) -> None:
    texts = rows(120)
    several = [{**row, "label": [row["label"], "any"][: n % 2 + 1]} for n, row in enumerate(texts)]
    lengths = [{**row, "label": str(len(row["text"].split()))} for row in texts]
    run = train(_recipe(bert, write(tmp_path / "a.jsonl", several)), tmp_path / "several")
    assert open_run(run.path).recipe.objective.problem == "multi_label"
    assert run.verdict["learned"]["value"] is not None
    number = train(
        _recipe(bert, write(tmp_path / "b.jsonl", lengths), "objective.problem=regression"),
        tmp_path / "number",
    )
    assert number.verdict["learned"]["pass"] is True
    (answer,) = Labeller(number).label([(Origin("x", 1), "my order is late today")])
    assert 3 < float(answer.labels[0]) < 7


@pytest.mark.parametrize(
    ("judged", "said"),
    [
        ([{"text": "it is late", "label": "Late"}], "Did you mean 'late'?"),
        ([{"text": "it is late", "label": "stolen"}], "No training row has the label 'stolen'"),
    ],
)
def test_a_label_that_training_never_saw_is_named(
    bert: Path, tmp_path: Path, judged: list[dict[str, Any]], said: str
) -> None:
    data = write(tmp_path / "rows.jsonl", rows(60))
    held = write(tmp_path / "held.jsonl", [*rows(30, seed=5), *judged])
    with pytest.raises(DataError, match=r"held\.jsonl:31") as refused:
        set_up_labels(_recipe(bert, data, f"data.validation={held}"))
    assert said in str(refused.value)
    left = set_up_labels(
        _recipe(
            bert, data, f"data.validation={held}", "data.bad_rows=drop", "data.most_dropped=0.1"
        )
    )
    assert left.prepared.ledger.totals()["dropped"]["unseen_label"] == 1


def test_a_class_of_one_row_is_learned_and_not_judged(bert: Path, tmp_path: Path) -> None:
    for number in range(4):
        lines = [*rows(60, seed=number), {"text": "it burns", "label": "fire"}]
        setup = set_up_labels(_recipe(bert, write(tmp_path / f"{number}.jsonl", lines)))
        assert "fire" in setup.targets.names
        assert not any("fire" in row.labels for row in setup.prepared.held_out)


def test_one_class_is_nothing_to_learn(bert: Path, tmp_path: Path) -> None:
    lines = [{**row, "label": "late"} for row in rows(40)]
    with pytest.raises(DataError, match="nothing to tell apart"):
        set_up_labels(_recipe(bert, write(tmp_path / "rows.jsonl", lines)))


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_a_head_begins_as_the_linear_probe(tmp_path: Path, family: str) -> None:
    base = save_base(tmp_path / "base", family)
    data = write(tmp_path / "rows.jsonl", rows(120))
    first = {}
    for start in ("probe", "random"):
        asked = ("engine.max_steps=1", "evaluate.level=none", f"model.head_start={start}")
        run = train(_recipe(base, data, *asked), tmp_path / start)
        first[start] = read_jsonl(run.folder.metrics)[0]["loss"]
    assert first["random"] > 1.0, "three classes, of which it knows nothing"
    assert first["probe"] < 0.9 * first["random"]


def test_what_could_not_be_saved_is_refused_before_training(bert: Path, tmp_path: Path) -> None:
    data = write(tmp_path / "rows.jsonl", rows(60))
    with pytest.raises(Unsupported, match="no classifier over the last token of Bert"):
        opened_labels(set_up_labels(_recipe(bert, data, "model.pooling=last")))


def test_lora_plus_moves_b_at_a_rate_of_its_own(bert: Path, tmp_path: Path) -> None:
    data = write(tmp_path / "rows.jsonl", rows(60))
    asked = ("model.method=lora_plus", "model.rank=4", "engine.max_steps=1", "engine.epochs=auto")
    quiet = ("engine.warmup=0", "engine.weight_decay=0", "evaluate.level=none")
    run = train(_recipe(bert, data, *asked, *quiet), tmp_path / "run")
    saved = load_file(run.artefact / "adapter_model.safetensors")
    moved = max(float(value.abs().max()) for name, value in saved.items() if "lora_B" in name)
    assert moved == pytest.approx(16 * 0.003, rel=0.01), "from zero, by AdamW's first step"
