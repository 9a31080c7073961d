"""Runs that learn from a teacher on their own answers: nearer to it, resumed bit by bit."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.bases import save_llama
from tests.conftest import make_tokenizer
from tests.support import SignalAt, nothing_measured, recipe, saved_weights
from tunesmith.core.errors import Interrupted, Unsupported
from tunesmith.core.files import read_json, read_jsonl
from tunesmith.recipe import Recipe
from tunesmith.runs import plan as planning
from tunesmith.runs.train import train

SIZES = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2}


@pytest.fixture
def asked(tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """Grades are not learned from: they are all the same, and the teacher has all the weight."""
    monkeypatch.setattr(planning, "_measure", nothing_measured)
    teacher = save_llama(
        tmp_path / "teacher", make_tokenizer(), seed=5, num_attention_heads=4, **SIZES
    )
    weights = load_file(teacher / "model.safetensors")
    weights["lm_head.weight"] *= 20  # it is sure of itself
    save_file(weights, teacher / "model.safetensors", metadata={"format": "pt"})
    prompts = tmp_path / "prompts.jsonl"
    rows = [{"prompt": f"Which colour is box {n}?"} for n in range(40)]
    prompts.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    settings: dict[str, Any] = {
        "model__method": "full",
        "objective__kind": "grpo",
        "objective__teacher": str(teacher),
        "objective__teacher_weight": 1.0,
        "objective__teacher_temperature": 1.0,
        "objective__teacher_divergence": "reverse",
        "reward__graders": {"type": "length", "at_most": 1000},
        "rollouts__answers": 4,
        "rollouts__max_new_tokens": 12,
        "engine__max_steps": 16,
        "engine__learning_rate": 1e-2,
        "engine__keep_best": False,
        "evaluate__level": "none",
    }
    return recipe(tiny_base, prompts, **settings)


def test_a_student_comes_nearer_to_its_teacher_and_resumes_to_the_bit(
    asked: Recipe, tmp_path: Path
) -> None:
    train(asked, tmp_path / "unbroken")
    lines = [each for each in read_jsonl(tmp_path / "unbroken/metrics.jsonl") if "loss" in each]
    apart = [line["kl_to_teacher"] for line in lines]
    assert sum(apart[-3:]) < 0.85 * sum(apart[:3])
    with pytest.raises(Interrupted):
        train(asked, tmp_path / "stopped", watcher=SignalAt(signal.SIGTERM, 5))
    train(None, tmp_path / "stopped", resume=True)
    ours, theirs = (saved_weights(tmp_path / name) for name in ("stopped", "unbroken"))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    inputs = read_json(tmp_path / "unbroken/environment.json")["inputs"]
    assert str(tmp_path / "teacher" / "model.safetensors") in inputs


def test_ppo_has_no_teacher(asked: Recipe, tmp_path: Path) -> None:
    kind = asked.objective.model_copy(update={"kind": "ppo"})
    with pytest.raises(Unsupported, match=r"objective.teacher .* objective.kind=ppo"):
        train(asked.model_copy(update={"objective": kind}), tmp_path / "run")
