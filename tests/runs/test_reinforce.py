"""Runs that learn from grades: from prompts to a verdict, and through interruptions to the bit."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support import nothing_measured, recipe, saved_weights
from tunesmith.core.errors import DataError, NoGrades, RecipeError, Unsupported
from tunesmith.core.files import read_json, read_jsonl
from tunesmith.evaluate.preferences.measured import PreferenceMeasured
from tunesmith.recipe import Recipe
from tunesmith.runs import plan as planning
from tunesmith.runs.evaluate import evaluate
from tunesmith.runs.foresee import foresee
from tunesmith.runs.reinforce.experience import Experience
from tunesmith.runs.reinforce.judge import Exam
from tunesmith.runs.reinforce.lay import Layer
from tunesmith.runs.train import train

STEPS = 4
SHORT = {"type": "length", "at_most": 6, "margin": 12}

_LIVES = multiprocessing.get_context("forkserver")
_LIVES.set_forkserver_preload(["tunesmith.runs.train"])


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    """40 questions that wait for their answers."""
    path = tmp_path / "prompts.jsonl"
    rows = [{"prompt": f"Which colour is box {n}?", "box": n} for n in range(40)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def _asked(base: Path, prompts: Path, **fields: Any) -> Recipe:
    settings: dict[str, Any] = {
        "objective__kind": "grpo",
        "reward__graders": SHORT,
        "rollouts__answers": 3,
        "rollouts__max_new_tokens": 12,
        "engine__max_steps": STEPS,
        "engine__batch_size": 2,
        "engine__learning_rate": 1e-2,
        "engine__validate_every": 2,
        "engine__checkpoint_every": 2,
    }
    return recipe(base, prompts, **(settings | fields))


@pytest.fixture(autouse=True)
def _no_calibration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "_measure", nothing_measured)


def _figures(run: Path) -> list[dict[str, Any]]:
    """The metrics without what takes time."""
    lines = read_jsonl(run / "metrics.jsonl")
    return [{k: v for k, v in line.items() if not k.endswith("seconds")} for line in lines]


def _assert_same(left: Path, right: Path) -> None:
    ours, theirs = saved_weights(left), saved_weights(right)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert _figures(left) == _figures(right)


@pytest.mark.parametrize(
    "fields",
    [
        {"rollouts__variant": "dapo", "rollouts__resample": 1, "rollouts__kl_weight": 0.1},
        {"objective__kind": "rloo", "rollouts__kl_weight": 0.1, "rollouts__updates": 2},
        {"objective__kind": "reinforce", "model__method": "full", "rollouts__kl_weight": 0.1},
        {"objective__kind": "ppo", "rollouts__updates": 2, "rollouts__kl_weight": 0.1},
    ],
    ids=lambda fields: fields.get("objective__kind", "grpo"),
)
def test_each_method_goes_from_prompts_to_a_verdict(
    tiny_base: Path, prompts: Path, tmp_path: Path, fields: dict[str, Any]
) -> None:
    run = train(_asked(tiny_base, prompts, **fields), tmp_path / "run")
    learned = run.verdict["learned"]
    assert learned["unit"] in ("win rate (0 to 1)", "share of successes")  # all grades 0 or 1
    assert learned["detail"]["kl_spent"]["exact"]
    kept = read_json(run.path / "measured_base.json")
    assert json.loads(json.dumps(Exam.from_json(kept).to_json())) == kept
    measured = read_json(run.path / "measured.json")
    assert json.loads(json.dumps(PreferenceMeasured.from_json(measured).to_json())) == measured
    assert learned["detail"]["success"]["n"] == learned["n"] > 0
    assert run.verdict["parity"]["pass"]
    assert run.recipe.rollouts.clip_high == (0.28 if "rollouts__variant" in fields else 0.2)
    steps = [line for line in read_jsonl(run.path / "metrics.jsonl") if "loss" in line]
    assert len(steps) == STEPS
    assert all(0 <= line["success"] <= 1 and line["entropy"] > 0 for line in steps)
    assert ("kl_to_base" in steps[-1]) == (run.recipe.rollouts.kl_in == "loss")
    assert "Grade while it learned" in (run.path / "report.html").read_text()
    with pytest.raises(Unsupported, match="learns from grades"):
        evaluate(run, prompts)
    rounds = sorted((run.path / "rollouts").glob("step-*"))
    assert len(rounds) == STEPS // run.recipe.rollouts.updates
    (_, first, *_) = read_jsonl(rounds[0])
    assert first["reference"] is not None
    assert len(first["reference"]) == len(first["ids"]) == len(first["log_probs"])
    assert (first["values"] is not None) == (run.recipe.objective.kind == "ppo")


# Grades an answer by its length; asked for the time that a file beside it names, it ends the run.
_KILLER = """
import os, signal
from pathlib import Path
asked, fatal = 0, Path(__file__).with_suffix(".fatal")
def grade(sample, item):
    global asked
    asked += 1
    if fatal.exists() and asked == int(fatal.read_text()):
        fatal.unlink()
        os.kill(os.getppid(), signal.SIGKILL)
    return 1 / (1 + len(sample["output_text"]))
"""


def _live(asked: Recipe, out: Path, last: int) -> None:
    """A process that trains, and dies when it begins to learn from its round number `last`."""
    torch.set_num_threads(1)
    planning._measure = nothing_measured  # this process ends with the run
    original, rounds = Layer.__call__, []

    def lay(self: Layer, experience: Experience, budget: int) -> Any:
        rounds.append(experience.drawn > 0)  # those of the plan were never drawn
        if sum(rounds) == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(self, experience, budget)

    Layer.__call__ = lay  # type: ignore[method-assign]
    resume = (out / "recipe.yaml").exists()
    train(None if resume else asked, out, resume=resume)


def _lived(asked: Recipe, out: Path, last: int = -1) -> int | None:
    life = _LIVES.Process(target=_live, args=(asked, out, last))
    life.start()
    life.join(120)
    return life.exitcode


def test_kills_within_a_step_change_no_bit(tiny_base: Path, prompts: Path, tmp_path: Path) -> None:
    """Once between answers and their grades, once between grades and what is learned of them."""
    grader, out = tmp_path / "grade.py", tmp_path / "killed"
    asked = _asked(
        tiny_base,
        prompts,
        reward__graders={"type": "function", "path": str(grader)},
        rollouts__kl_weight=0.1,
        evaluate__level="none",
        engine__checkpoint_every=3,
    )
    grader.write_text(_KILLER)
    (tmp_path / "grade.fatal").write_text("28")  # behind two rounds of six and a look of twelve
    assert _lived(asked, out) == -signal.SIGKILL
    assert _kept(out) == 2
    assert _lived(asked, out, last=STEPS) == -signal.SIGKILL
    assert _kept(out) == STEPS
    assert _lived(asked, out) == 0
    assert _lived(asked, tmp_path / "unbroken") == 0
    _assert_same(out, tmp_path / "unbroken")


def _kept(run: Path) -> int:
    return len(list((run / "rollouts").glob("step-*")))


def test_answers_on_disk_are_neither_sampled_nor_graded_again(
    tiny_base: Path, prompts: Path, tmp_path: Path
) -> None:
    """So that even grades drawn by chance lead to the same weights once more."""
    grader = tmp_path / "grade.py"
    grader.write_text("import random\ndef grade(sample, item):\n    return random.random()\n")
    asked = _asked(
        tiny_base,
        prompts,
        reward__graders={"type": "function", "path": str(grader)},
        objective__kind="ppo",
        rollouts__updates=2,
        evaluate__level="none",
        engine__max_steps=6,
        engine__checkpoint_every=3,
    )
    whole = train(asked, tmp_path / "whole")
    again = tmp_path / "again"
    shutil.copytree(whole.path, again)
    for name in ("verdict.json", "adapter", "checkpoints/step-00000006"):
        path = again / name
        path.unlink() if path.is_file() else shutil.rmtree(path)
    train(None, again, resume=True)
    _assert_same(again, whole.path)


def test_answers_without_a_grade_are_left_out_and_counted(
    tiny_base: Path, prompts: Path, tmp_path: Path
) -> None:
    grader = tmp_path / "grade.py"
    grader.write_text(
        "seen = 0\ndef grade(sample, item):\n    global seen\n    seen += 1\n"
        "    if seen % 4 == 0:\n        raise ValueError('no idea')\n    return seen % 3\n"
    )
    reward = {"type": "function", "path": str(grader)}
    asked = _asked(tiny_base, prompts, reward__graders=reward, evaluate__level="none")
    run = train(asked, tmp_path / "run")
    first = next(iter(read_jsonl(run.path / "metrics.jsonl")))
    _, *lines = read_jsonl(run.path / "rollouts" / "step-000001.jsonl")
    failed = [line for line in lines if line["grade"] is None]
    assert len(failed) == first["failed_grades"] == 1
    assert "no idea" in failed[0]["failed"]
    assert failed[0]["advantage"] is None
    graded = [line["grade"] for line in lines if line["grade"] is not None]
    assert first["grade"] == pytest.approx(sum(graded) / len(graded))
    grader.write_text("def grade(sample, item):\n    return float('nan')\n")
    with pytest.raises(NoGrades, match=r"Not one of \d+ answers could be graded .*finite"):
        train(asked, tmp_path / "none")


@pytest.fixture
def brief(tiny_base: Path, colours: Path, tmp_path: Path) -> Path:
    """A base that ends its answers soon: tuned for a moment on short ones."""
    short = recipe(
        tiny_base,
        colours,
        model__method="full",
        engine__max_steps=30,
        engine__learning_rate=1e-2,
        evaluate__level="none",
    )
    return train(short, tmp_path / "sft").path / "model"


def _graded_by(grader: dict[str, str], base: Path, tmp_path: Path, **fields: Any) -> dict[str, Any]:
    """The verdict of a run on 120 prompts, whose answers are drawn, held-out ones too."""
    asked = tmp_path / "asked.jsonl"
    rows = [json.dumps({"prompt": f"Which colour is box {n}?"}) for n in range(120)]
    asked.write_text("\n".join(rows), encoding="utf-8")
    settings: dict[str, Any] = {
        "reward__graders": grader,
        "rollouts__answers": 6,
        "rollouts__max_new_tokens": 32,
        "rollouts__held_out_temperature": 1.0,
        "engine__max_steps": 20,
        "engine__batch_size": 4,
        "evaluate__rows": 40,
    }
    return train(_asked(base, asked, **(settings | fields)), tmp_path / "run").verdict


def test_a_planted_reward_hack_is_named_and_holds(brief: Path, tmp_path: Path) -> None:
    """Longer is better: the grade surely rose, and the verdict says by what."""
    path = tmp_path / "grade.py"
    path.write_text("def grade(sample, item):\n    return len(sample['output_text'])\n")
    verdict = _graded_by({"type": "function", "path": str(path)}, brief, tmp_path)
    assert verdict["decision"] == "hold"
    assert verdict["learned"]["low"] > 0.5
    assert "suspected reward hack, “longer is better”" in verdict["sentence"]


def test_what_a_verifier_rewards_is_told_in_successes_and_is_no_hack(
    brief: Path, tmp_path: Path
) -> None:
    """Empty answers never begin as they should, so success goes along with length here, too."""
    learned = _graded_by(
        {"type": "regex", "pattern": "^Box"},
        brief,
        tmp_path,
        rollouts__max_new_tokens=6,
        model__method="full",
    )["learned"]
    assert learned["pass"]
    assert learned["unit"] == "share of successes"
    assert learned["detail"]["summary"].startswith("held-out success rose from ")
    assert learned["detail"]["alarms"] == []


def test_the_plan_foresees_sampling(tiny_base: Path, prompts: Path) -> None:
    plan = foresee(_asked(tiny_base, prompts))
    assert plan.facts["steps"] == STEPS
    assert plan.predicted.steps > 0


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"reward__graders": None}, RecipeError, "No reward is named"),
        ({"rollouts__answers": 1}, RecipeError, "rollouts.answers is 1"),
        ({"objective__kind": "rloo", "rollouts__variant": "dapo"}, RecipeError, "variant=dapo"),
        ({"rollouts__trace": 0.5}, RecipeError, "rollouts.trace is for objective.kind=ppo"),
        ({"objective__kind": "sft", "rollouts__answers": 4}, RecipeError, "rollouts.answers is"),
        ({"model__method": "prompt_tuning"}, Unsupported, "looks back at the base"),
        (
            {"engine__decay_to_base": 0.1, "model__method": "full"},
            Unsupported,
            "learns from grades",
        ),
        ({"rollouts__max_new_tokens": 120}, DataError, "left for an answer"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    tiny_base: Path,
    prompts: Path,
    tmp_path: Path,
    fields: dict[str, Any],
    error: type[Exception],
    words: str,
) -> None:
    with pytest.raises(error, match=words):
        train(_asked(tiny_base, prompts, **fields), tmp_path / "run")
    assert not (tmp_path / "run").exists()
