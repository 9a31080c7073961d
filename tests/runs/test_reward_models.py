"""Reward models: from judged answers to a verdict, resumed bitwise, opened by others, and asked."""

from __future__ import annotations

import io
import json
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import torch

from tests.labelling import outputs_by_card, resumed_in_the_same_bits
from tests.rewarding import (
    KIND,
    QUICK,
    RUDE,
    asked,
    pairs,
    rendered,
    reward_model,
    reward_renderer,
    turn,
    write,
)
from tunesmith.cli.app import run as command
from tunesmith.core.errors import DataError, RecipeError, RunFolderError, Unsupported
from tunesmith.core.files import read_json
from tunesmith.core.records import Answered, Message, Origin
from tunesmith.data.classes import Targets
from tunesmith.data.lay import Layer
from tunesmith.engine.loop import on_device
from tunesmith.evaluate.graders import run as run_grader
from tunesmith.objectives.rewards import BradleyTerry
from tunesmith.recipe import Recipe, RewardSection, load
from tunesmith.runs.kinds import set_up_any
from tunesmith.runs.labels.reward_grader import RewardGrader
from tunesmith.runs.labels.setup import set_up_labels
from tunesmith.runs.open import Run
from tunesmith.runs.rewards import open_reward
from tunesmith.runs.train import train
from tunesmith.runs.workload import first_segments

PROMPT = "Where would I find box number 3, please?"


def _recipe(base: Path, data: str, *more: str) -> Recipe:
    return load(None, [f"model.base={base}", f"data.train={data}", *QUICK, *more])


@pytest.fixture(scope="module")
def finished(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A whole run on pairs."""
    folder = tmp_path_factory.mktemp("runs")
    data = write(folder / "rows.jsonl", pairs(200))
    more = ["engine.epochs=3", "data.validation_share=0.5"]
    return train(_recipe(tiny_base, data, *more), folder / "run")


def _graded(run: Run, *texts: str) -> list[Any]:
    asked_of = (Message("user", PROMPT),)
    return RewardGrader(run).grade([Answered(Origin("a", 1), asked_of, text) for text in texts])


def test_a_reward_names_it_among_its_graders(finished: Run, tmp_path: Path) -> None:
    graders = ({"type": "model", "run": str(finished.path), "weight": 2},)
    reward = open_reward(RewardSection.model_validate({"graders": graders}))
    answer = Answered(Origin("a", 1), (Message("user", PROMPT),), "It is on the shelf.")
    (grade,), (alone,) = reward.grade([answer]), _graded(finished, answer.text)
    assert grade.value == 2 * alone.value
    missing = ({"type": "model", "run": str(tmp_path / "none")},)
    with pytest.raises(RunFolderError, match="none"):
        open_reward(RewardSection.model_validate({"graders": missing}))
    assert "opens a run of this machine" in str(_refused(graders[0]))


@pytest.mark.parametrize("kind", ["grpo", "dpo"])
def test_a_run_knows_its_reward_model_by_its_weights(
    finished: Run, tiny_base: Path, tmp_path: Path, kind: str
) -> None:
    """What resumes a run refuses inputs that changed: see `changed_inputs`."""
    reward = Path(copytree(finished.path, tmp_path / "reward"))
    graders = f"reward.graders={{type: model, run: {reward}}}"
    data = write(tmp_path / "rows.jsonl", pairs(40))
    asked = _recipe(tiny_base, data, f"objective.kind={kind}", graders)
    before = set_up_any(asked).inputs
    (weights,) = (reward / finished.artefact.name).glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-2] + b"\0\0")
    after = set_up_any(asked).inputs
    assert {path for path in before if before[path] != after[path]} == {str(weights)}


def _refused(grader: dict[str, Any]) -> RecipeError:
    with pytest.raises(RecipeError) as caught:
        run_grader(grader, {}, "It is on the shelf.")
    return caught.value


def test_a_run_learns_and_says_so(finished: Run) -> None:
    verdict = finished.verdict
    assert verdict["learned"]["pass"] is True, verdict["sentence"]
    assert verdict["learned"]["low"] > 0.2
    assert verdict["parity"]["pass"] is True
    assert verdict["parity"]["value"] == 0.0
    told = {each["name"] for each in verdict["worth"]["detail"]["rivals"]}
    assert told == {"longer", "likelier", "linear"}
    totals = read_json(finished.folder.ledger)
    assert totals["rows_in"] == totals["trained"] + totals["held_out"] == 200
    plan = read_json(finished.folder.plan)
    assert "Shared prefixes" in plan["paths"]["prefixes"]
    assert "Right, by which answer is the longer one" in finished.report.read_text()


def test_it_can_be_asked(
    finished: Run, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = str(finished.path)
    kind, rude = f"Box 3: {KIND[0]}.", f"Box 3: {RUDE[0]}."
    better, worse, empty, long, special = _graded(
        finished, kind, rude, " ", "x " * 200, "done<|end|>"
    )
    assert better.value > worse.value
    for ungraded, why in ((empty, "empty"), (long, "tokens"), (special, "<|end|>")):
        assert ungraded.value is None
        assert why in ungraded.failed
    said = []
    for answer in (kind, rude):
        assert command(["score", run, "--prompt", PROMPT, "--once", answer]) == 0
        said.append(json.loads(capsys.readouterr().out)["reward"])
    assert said == pytest.approx([better.value, worse.value], abs=1e-5)
    (row,) = pairs(1, seed=9)
    lines = [{**row, "id": 7}, {"messages": [*asked(1), *turn(kind)]}]
    data = write(tmp_path / "new.jsonl", lines)
    assert command(["score", run, "--data", data]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["id"] == 7
    assert first["judged"]["probability"] > 0.5
    assert isinstance(second["judged"]["reward"], float)
    monkeypatch.setattr("sys.stdin", io.StringIO(Path(data).read_text()))
    assert command(["score", run, "--data", "-"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[0]) == first
    wrong = [
        (["--once", "x"], "--prompt TEXT"),
        (["--data", write(tmp_path / "a.jsonl", [{"text": "x"}])], "no answer to judge"),
        (["--data", write(tmp_path / "b.jsonl", [{"prompt": "x", "completion": ""}])], ":1: "),
    ]
    for given, says in wrong:
        assert command(["score", run, *given]) == 2
        assert says in capsys.readouterr().err
    assert command(["label", run, "--once", "x"]) == 2
    assert "tunesmith score" in capsys.readouterr().err
    with pytest.raises(Unsupported, match="tunesmith score"):
        finished.chat("hello")


def test_plain_libraries_give_the_same_rewards(finished: Run) -> None:
    _same_in_plain_libraries(finished)


def test_a_resumed_run_is_unbroken_and_its_adapter_opens_elsewhere(
    tiny_base: Path, tmp_path: Path
) -> None:
    data = write(tmp_path / "rows.jsonl", pairs(40))
    more = ["model.method=lora", "engine.epochs=1", "engine.checkpoint_every=2"]
    recipe = _recipe(tiny_base, data, *more, "evaluate.level=none", "model.rank=4")
    run, _ = resumed_in_the_same_bits(recipe, tmp_path, step=3)
    _same_in_plain_libraries(run)


def _same_in_plain_libraries(run: Run) -> None:
    texts = [f"Box 3: {KIND[0]}.", f"Box 3: {RUDE[0]}........"]
    said = [[{"role": "user", "content": PROMPT}, *turn(text)] for text in texts]
    plain = outputs_by_card(run)(said)
    assert plain.shape == (2, 1)
    assert plain[:, 0].tolist() == pytest.approx([g.value for g in _graded(run, *texts)], abs=1e-5)


def test_ratings_scores_and_steps_are_learned(tiny_base: Path, tmp_path: Path) -> None:
    made = pairs(60)
    rated = [
        {"prompt": row["prompt"], "completion": row[side], "label": side == "chosen"}
        for row in made
        for side in ("chosen", "rejected")
    ]
    scored = [{**row, "reward": 4.5 if row.pop("label") else 0.5} for row in map(dict, rated)]
    steps = [
        {
            "prompt": PROMPT,
            "completions": [f"Box {n}: {(KIND if right else RUDE)[n % 3]}" for right in marks],
            "labels": marks,
        }
        for n in range(60)
        for marks in [[n % 2 == 0, n % 3 == 0, True]]
    ]
    good, bad = f"Box 3: {KIND[0]}.", f"Box 3: {RUDE[0]}."
    for name, rows, low in (("rated", rated, 0), ("scored", scored, 1.5), ("steps", steps, 0)):
        data = write(tmp_path / f"{name}.jsonl", rows)
        more = ["engine.epochs=3", "data.validation_share=0.3"]
        run = train(_recipe(tiny_base, data, *more), tmp_path / name)
        assert run.verdict["learned"]["pass"] is True, run.verdict["sentence"]
        assert run.verdict["parity"]["value"] == 0.0
        better, worse = _graded(run, good, bad)
        assert better.value > worse.value + low
        if name == "steps":
            plain = outputs_by_card(run)(PROMPT, [good, bad])[:, 0]
            assert float(plain[0]) > float(plain[1])
            assert plain.sigmoid().prod() < better.value


@pytest.mark.parametrize("share", [False, True])
def test_a_smaller_batch_to_measure_has_whole_pairs(tiny_base: Path, share: bool) -> None:
    """The plan computes the beginning of a micro-batch, which may end inside a pair."""
    described, model = reward_model(tiny_base, share=share)
    rows = rendered(reward_renderer(described), pairs(4))
    batch = Layer("last", Targets("preference", ()))(rows, share)
    for count in range(1, len(batch.segments) + 1):
        part = on_device(first_segments(batch, count), torch.device("cpu"))
        assert part.tokens <= batch.tokens
        assert BradleyTerry().loss(model, part).count >= 1


def test_the_data_says_what_is_wrong_with_it(tiny_base: Path, tmp_path: Path, capsys: Any) -> None:
    pair = {"prompt": "Where?", "chosen": "Here.", "rejected": "No."}
    whole = {side: [*asked(n), *turn("Here.")] for n, side in enumerate(("chosen", "rejected"))}
    steps = {"prompt": "1 + 1?", "completions": ["One.", "Two."], "labels": [True]}
    for fields, says in (
        ({**pair, "rejected": "Here."}, "the same"),
        ({**pair, "rejected": " "}, '"rejected" is empty'),
        (whole, "no question in common"),
        ({**pair, "margin": -1}, '"margin" is -1'),
        ({**pair, "margin": "much"}, "must be a finite number"),
        ({**pair, "margin": float("nan")}, "must be a finite number"),
        ({**pair, "score_chosen": 1, "score_rejected": 2}, "exchange"),
        (steps, "2 steps"),
        ({**steps, "labels": [True, "maybe"]}, "Label 2"),
        ({**steps, "completions": ["One.", ""], "labels": [1, 0]}, "Step 2"),
        ({"prompt": "a", "completion": "b", "reward": "good"}, "must be a finite number"),
    ):
        data = write(tmp_path / "rows.jsonl", [*pairs(30), fields])
        told = ["train", "--base", str(tiny_base), "--data", data, "--out", str(tmp_path / "run")]
        assert command([*told, "--set", "objective.kind=reward"]) == 2
        said = capsys.readouterr().err
        assert says.lower() in said.lower(), said
        assert "rows.jsonl:31" in said
        assert not (tmp_path / "run").exists()


def test_what_does_not_go_together_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    rating = {"prompt": asked(1), "completion": turn("Here."), "label": True}
    mixed = write(tmp_path / "mixed.jsonl", [*pairs(30), rating])
    with pytest.raises(DataError, match="a loss of its own"):
        set_up_labels(_recipe(tiny_base, mixed))
    liked = [{**rating, "prompt": asked(n)} for n in range(30)]
    with pytest.raises(DataError, match="nothing to tell apart"):
        set_up_labels(_recipe(tiny_base, write(tmp_path / "liked.jsonl", liked)))
    for key in ("objective.problem=regression", "objective.class_weights=balanced"):
        with pytest.raises(RecipeError, match=r"objective\.kind is reward"):
            _recipe(tiny_base, mixed, key)
    with pytest.raises(RecipeError, match=r"objective\.centre_rewards"):
        load(None, ["objective.kind=sft", "objective.centre_rewards=0.5"])
