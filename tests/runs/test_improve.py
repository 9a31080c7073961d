"""Self-improvement of a small model that names one of four colours, end to end."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support import (
    Recorder,
    SignalAt,
    assert_same_training,
    nothing_measured,
    recipe,
)
from tunesmith.core.errors import DataError, Interrupted, RecipeError, RunFolderError, Unsupported
from tunesmith.core.files import read_json, read_jsonl
from tunesmith.core.records import Grade
from tunesmith.recipe import Recipe, load
from tunesmith.runs import plan as planning
from tunesmith.runs.improve import act, sampling
from tunesmith.runs.improve.act import improve
from tunesmith.runs.improve.choosing import KEPT, REJECTED, Sampled, choose
from tunesmith.runs.improve.setup import _hashes
from tunesmith.runs.improve.wanted import Wanted
from tunesmith.runs.train import train

WANTED = Wanted(answers=6, keep=2, rounds=2, max_new_tokens=8)
COLOURS = ("red", "green", "blue", "black")


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module", autouse=True)
def _few_at_once() -> Iterator[None]:
    """So that a round is drawn in several parts; and no plan is measured, which takes longest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "TOGETHER", 8)
        patch.setattr(planning, "_measure", nothing_measured)
        yield


@pytest.fixture(scope="module")
def talker(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run, whose model names a colour, any of the four."""
    folder = tmp_path_factory.mktemp("talker")
    rows = [
        {"prompt": f"Name a colour for box {n}.", "completion": COLOURS[n * n % 7 % 4]}
        for n in range(80)
    ]
    asked = recipe(
        tiny_base,
        write(folder / "rows.jsonl", rows),
        model__method="full",
        engine__learning_rate=1e-2,
        engine__max_steps=40,
        engine__batch_size=16,
        evaluate__level="none",
        data__validation_share=0.0,
    )
    train(asked, folder / "run")
    return folder / "run"


@pytest.fixture(scope="module")
def asked(talker: Path, tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """60 prompts, 30 of them held out, to which "blue" is the answer."""
    folder = tmp_path_factory.mktemp("prompts")
    rows = [{"prompt": f"Name a colour for box {n}.", "completion": "blue"} for n in range(60)]
    return recipe(
        talker,
        write(folder / "prompts.jsonl", rows),
        data__validation_share=0.5,
        engine__learning_rate=2e-2,
        engine__max_steps=12,
        evaluate__rows="auto",
        reward__graders={"type": "exact"},
    )


@pytest.fixture(scope="module")
def out(asked: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished improvement."""
    folder = tmp_path_factory.mktemp("finished") / "improved"
    improve(asked, WANTED, folder)
    return folder


def test_held_out_success_rises_and_every_round_stands_in_the_table(
    asked: Recipe, out: Path
) -> None:
    found = read_json(out / "improved.json")
    first, *_, last = found["rounds"]
    assert first["success"]["high"] < 0.2
    assert last["success"]["low"] > 0.8
    assert found["best"] == last["round"]
    assert last["change"]["low"] > 0.5
    assert last["seconds"]["training"] > 0
    assert found["sentence"].startswith("Held-out success went from 0 %")
    assert (Path(found["model"]) / "adapter_model.safetensors").exists()
    again = Recorder()  # what is finished is not made again
    assert improve(asked, WANTED, out, again) == found
    assert not again.reports


def test_every_answer_is_accounted_for(out: Path) -> None:
    ledger = read_json(out / "round-1" / "ledger.json")
    samples = read_jsonl(out / "round-1" / "samples.jsonl")
    rejected = sum(ledger["rejected"].values())
    assert ledger["sampled"] == ledger["kept"] + rejected + ledger["not_graded"] == len(samples)
    assert ledger["sampled"] == ledger["prompts"] * WANTED.answers
    outcomes = Counter(line["outcome"] for line in samples)
    assert outcomes == {KEPT: ledger["kept"], **{k: n for k, n in ledger["rejected"].items() if n}}
    assert ledger["tokens"] == sum(line["tokens"] for line in samples)
    with_answer = {line["origin"] for line in samples if line["outcome"] == KEPT}
    without = {line["origin"] for line in samples} - with_answer
    assert sorted(ledger["prompts_without"]) == sorted(without)
    assert without  # else the line above says little


def test_what_is_learned_are_ordinary_rows_with_where_they_are_from(out: Path) -> None:
    rows = read_jsonl(out / "round-1" / "accepted.jsonl")
    samples = read_jsonl(out / "round-1" / "samples.jsonl")
    kept = [line for line in samples if line["outcome"] == KEPT]
    assert [row["completion"] for row in rows] == [line["text"] for line in kept]
    for row, line in zip(rows, kept, strict=True):
        from_ = row["provenance"]
        assert (from_["origin"], from_["answer"]) == (line["origin"], line["answer"])
        assert (from_["round"], from_["reward"]) == (1, 1.0)
    ledger = read_json(out / "round-1" / "run" / "ledger.json")
    assert (ledger["trained"], ledger["held_out"]) == (len(rows), 0)
    for pair in read_jsonl(out / "round-1" / "pairs.jsonl"):
        better, worse = pair["provenance"]["rewards"]
        assert better > worse
        assert pair["chosen"] != pair["rejected"]


class InterruptedGrader:
    """The reward, until it was asked so often."""

    def __init__(self, grader: Any, times: int) -> None:
        self._grader, self._left = grader, times

    def grade(self, answers: Any) -> Any:
        self._left -= 1
        if self._left < 0:
            os.kill(os.getpid(), signal.SIGTERM)
        return self._grader.grade(answers)


def test_interrupted_it_goes_on_to_the_same_answers_and_weights(
    asked: Recipe, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "improved"
    opened = act.open_reward
    with monkeypatch.context() as patch:  # in the third part of the first round's answers
        patch.setattr(act, "open_reward", lambda *each: InterruptedGrader(opened(*each), 3))
        with pytest.raises(Interrupted):
            improve(asked, WANTED, folder)
    assert len(list((folder / "round-1" / "drawn").iterdir())) == 2
    with pytest.raises(Interrupted):
        improve(asked, WANTED, folder, SignalAt(signal.SIGTERM, 5))
    improve(asked, WANTED, folder)
    for name in ("samples.jsonl", "accepted.jsonl", "pairs.jsonl"):
        assert (folder / "round-1" / name).read_bytes() == (out / "round-1" / name).read_bytes()
    assert_same_training(folder / "round-1" / "run", out / "round-1" / "run")


def test_a_finished_run_with_an_adapter_is_where_it_goes_on_from(
    asked: Recipe, out: Path, tmp_path: Path
) -> None:
    """Merged into its base, it answers as the run's own model did."""
    tuned = out / "round-1" / "run"
    model = asked.model.model_copy(update={"base": str(tuned)})
    found = improve(asked.model_copy(update={"model": model}), WANTED, tmp_path / "on")
    texts = [
        [line["text"] for line in read_jsonl(path)[1:]]
        for path in (
            tmp_path / "on" / "round-0" / "held_out.jsonl",
            tuned.parent / "held_out.jsonl",
        )
    ]
    assert texts[0] == texts[1]
    assert found["ended"] == "nothing_left"
    assert found["model"] == str(tmp_path / "on" / "start")


def test_pairs_of_the_same_answers_are_learned_where_the_objective_compares(
    asked: Recipe, out: Path, tmp_path: Path
) -> None:
    kind = asked.objective.model_copy(update={"kind": "dpo"})
    found = improve(
        asked.model_copy(update={"objective": kind}), replace(WANTED, rounds=1), tmp_path / "pairs"
    )
    rows = read_jsonl(tmp_path / "pairs" / "round-1" / "pairs.jsonl")
    assert rows == read_jsonl(out / "round-1" / "pairs.jsonl")
    trained = read_json(tmp_path / "pairs" / "round-1" / "run" / "ledger.json")["trained"]
    assert trained == len(rows) == found["rounds"][1]["samples"]["pairs"]
    assert load(tmp_path / "pairs/round-1/run/recipe.yaml").objective.kind == "dpo"


def test_where_nothing_is_accepted_the_reward_is_told_of(asked: Recipe, tmp_path: Path) -> None:
    wanted = replace(WANTED, at_least=2.0)
    for _ in range(2):  # the second time without drawing again
        with pytest.raises(
            DataError, match=r"none of .* was accepted \(0 % could not be graded; "
        ) as e:
            improve(asked, wanted, tmp_path / "improved")
    assert "the best reward was 1, and --at-least is 2" in str(e.value)
    assert "did not end within --max-new-tokens 8" in str(e.value)


def test_a_reward_that_grades_nothing_is_told_of(asked: Recipe, tmp_path: Path) -> None:
    other = load(
        None, (), {"reward.graders": {"type": "exact", "reference": "{{ item.colour }}"}}
    ).reward
    with pytest.raises(DataError, match=r"None of 20 answers .* could be graded: .*colour"):
        improve(asked.model_copy(update={"reward": other}), WANTED, tmp_path / "improved")


def test_what_cannot_be_done_is_refused_before_anything_is_written(
    asked: Recipe, out: Path, tmp_path: Path
) -> None:
    def refused(error: type[Exception], match: str, recipe: Recipe, **wanted: Any) -> None:
        with pytest.raises(error, match=match):
            improve(recipe, replace(WANTED, **wanted), tmp_path / "improved")
        assert not (tmp_path / "improved").exists()

    def other(section: str, **fields: Any) -> Recipe:
        part = getattr(asked, section).model_copy(update=fields)
        return asked.model_copy(update={section: part})

    refused(RecipeError, "No reward is named", other("reward", graders=None))
    refused(DataError, r"prompts.jsonl:\d+: the prompt has \d+ tokens", asked, max_new_tokens=120)
    refused(Unsupported, "objective.kind is classify", other("objective", kind="classify"))
    refused(DataError, "No prompt is held out", other("data", validation_share=0.0))
    refused(RecipeError, "--keep 9: only 6", asked, keep=9)
    refused(RecipeError, "--temperature 0", asked, temperature=0.0)
    refused(RecipeError, "--at-least nan", asked, at_least=float("nan"))
    weighed = load(None, (), {"data.train": [{"path": asked.data.train[0], "weight": 2.0}]})
    refused(RecipeError, "Leave the weights out", other("data", train=weighed.data.train))
    with pytest.raises(RunFolderError, match="something other than this improvement"):
        improve(asked, replace(WANTED, answers=7), out)


def test_the_weights_of_a_reward_model_are_an_input(tmp_path: Path) -> None:
    weights = tmp_path / "run" / "adapter" / "adapter_model.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    recipe = tmp_path / "run" / "recipe.yaml"
    recipe.write_text("", encoding="utf-8")
    grader = {"type": "model", "run": str(tmp_path / "run")}
    found = _hashes(load(None, (), {"reward.graders": grader}), [])
    assert [*found] == [str(recipe), str(weights)]


def answer(text: str, reward: float | None, *, ended: bool = True) -> Sampled:
    return Sampled(text, 3, ended, Grade(reward, "" if reward is not None else "It failed."))


def test_the_best_few_are_kept_and_the_rest_have_a_reason() -> None:
    answers = [
        answer("low", 0.2),
        answer("good", 0.8),
        answer("best", 1.0),
        answer(" good ", 0.9),
        answer("failed", None),
        answer("cut", 1.0, ended=False),
        answer("  ", 1.0),
        answer("<|end|>", 1.0),
        answer("also", 0.7),
        answer("known", 1.0),
    ]
    said = {"known"}
    found = choose(answers, 2, 0.5, lambda text: "<|" not in text, said)
    assert found.outcomes == (
        *("below", "duplicate", KEPT, KEPT, "not_graded", "cut_off", "empty"),
        *("not_trainable", "enough", "duplicate"),
    )
    assert found.kept == (2, 3)
    assert found.pairs == ((2, 0), (3, 8))
    assert said == {"known", "best", "good"}
    assert set(found.outcomes) == {KEPT, "not_graded", *REJECTED}


def test_any_reward_is_accepted_of_the_best_and_equal_ones_are_no_pair() -> None:
    answers = [answer("a", -3.0), answer("b", -1.0), answer("c", -1.0)]
    found = choose(answers, 2, None, lambda text: True, set())
    assert found.outcomes == ("enough", KEPT, KEPT)
    assert found.pairs == ((1, 0),)
