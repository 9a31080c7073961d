"""Whole runs that learn from a teacher: resumed bit by bit, planned, judged; or refused."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.bases import save_llama
from tests.conftest import make_tokenizer
from tests.support import (
    Recorder,
    SignalAt,
    assert_same_training,
    metrics_of,
    nothing_measured,
    recipe,
)
from tunesmith.core.errors import Interrupted, RecipeError, Unsupported
from tunesmith.core.files import read_json
from tunesmith.evaluate.measure import Measured
from tunesmith.recipe import Recipe
from tunesmith.runs import plan as planning
from tunesmith.runs.setup import set_up
from tunesmith.runs.train import train

SIZES = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bases") / "teacher"
    return save_llama(folder, make_tokenizer(), seed=5, num_attention_heads=4, **SIZES)


def _asked(base: Path, data: Path, **fields: Any) -> Recipe:
    """Four steps an epoch, in micro-batches of a few rows."""
    size = {"engine__batch_size": 10, "engine__tokens_per_micro_batch": 256}
    return recipe(base, data, **{"evaluate__level": "none", **size, **fields})


@pytest.mark.parametrize("fields", [{"model__dropout": 0.1}, {"model__method": "full"}], ids=str)
def test_a_stopped_run_ends_in_the_same_bits(
    tiny_base: Path,
    teacher: Path,
    colours: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fields: dict[str, Any],
) -> None:
    monkeypatch.setattr(planning, "_measure", nothing_measured)
    asked = _asked(tiny_base, colours, objective__teacher=str(teacher), **fields)
    train(asked, tmp_path / "unbroken")
    with pytest.raises(Interrupted):
        train(asked, tmp_path / "stopped", watcher=SignalAt(signal.SIGTERM, 5))
    train(None, tmp_path / "stopped", resume=True)
    assert_same_training(tmp_path / "stopped", tmp_path / "unbroken")


def test_of_no_weight_it_is_plain_training_to_the_bit(
    tiny_base: Path,
    teacher: Path,
    colours: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(planning, "_measure", nothing_measured)
    taught = {"objective__teacher": str(teacher), "objective__teacher_weight": 0.0}
    train(_asked(tiny_base, colours, **taught), tmp_path / "taught")
    train(_asked(tiny_base, colours), tmp_path / "plain")
    assert_same_training(tmp_path / "taught", tmp_path / "plain")


def test_plan_metrics_and_verdict_tell_of_it(
    tiny_base: Path, teacher: Path, colours: Path, tmp_path: Path
) -> None:
    watcher = Recorder()
    fields = {"objective__teacher": str(teacher), "objective__teacher_weight": 1.0}
    asked = _asked(tiny_base, colours, **fields, evaluate__level="quick", model__method="full")
    run = train(asked, tmp_path / "run", watcher=watcher)
    assert "is run beside the model" in read_json(run.folder.plan)["paths"]["teacher"]
    kl = [line["kl_to_teacher"] for line in metrics_of(run.path) if "kl_to_teacher" in line]
    assert len(kl) == 8
    assert kl[-1] < kl[0]
    measured = Measured.from_json(read_json(run.folder.measured))
    assert measured.teacher is not None
    worth = run.verdict["worth"]["detail"]
    assert worth["teacher"]["n"] == len(measured.sides[1].held_out)
    assert worth["teacher"]["cost"]["seconds"] > 0
    assert f"the teacher {teacher} reaches " in worth["summary"]
    page = run.report.read_text(encoding="utf-8")
    assert f"the teacher {teacher}" in page
    weights = teacher / "model.safetensors"
    assert str(weights) in read_json(run.folder.environment)["inputs"]


def test_a_teacher_that_reads_other_tokens_is_refused(
    tiny_base: Path, colours: Path, tmp_path: Path
) -> None:
    other = make_tokenizer()
    other.add_tokens(["<|more|>"])
    more = save_llama(tmp_path / "more", other, num_attention_heads=4, **SIZES)
    with pytest.raises(Unsupported, match=r"1 of 331 differ, '<\|more\|>' for one\."):
        set_up(_asked(tiny_base, colours, objective__teacher=str(more)))


def test_a_teacher_that_reads_less_is_refused(
    tiny_base: Path, colours: Path, tmp_path: Path
) -> None:
    sizes = {**SIZES, "num_attention_heads": 4, "max_position_embeddings": 64}
    short = save_llama(tmp_path / "short", make_tokenizer(), **sizes)
    with pytest.raises(Unsupported, match="reads at most 64 tokens, and rows may have 1"):
        set_up(_asked(tiny_base, colours, objective__teacher=str(short), data__context=128))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"objective__teacher_weight": 0.1}, "none is named"),
        ({"objective__teacher": "x", "objective__kind": "classify"}, "writes none"),
        ({"objective__teacher": "x", "objective__kl_to_base": 0.1}, "two targets"),
        ({"objective__teacher": "x", "objective__teacher_weight": 1.5}, "teacher_weight"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(
    tiny_base: Path, colours: Path, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(RecipeError, match=said):
        _asked(tiny_base, colours, **fields)
