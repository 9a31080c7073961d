"""A search on a small base, end to end."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import colour_rows
from tests.support import Recorder, SignalAt, nothing_measured, recipe
from tunesmith.core.errors import DataError, Interrupted, NonFiniteLoss, RecipeError, RunFolderError
from tunesmith.core.files import read_json
from tunesmith.evaluate.measure import Side
from tunesmith.recipe import Recipe, load
from tunesmith.runs import plan as planning
from tunesmith.runs import search as searching
from tunesmith.runs import trials
from tunesmith.runs.halving import Candidate
from tunesmith.runs.search import search
from tunesmith.runs.search_found import ranked
from tunesmith.runs.train import train
from tunesmith.runs.trials import Trial, unjudged


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Nothing is measured for plans."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "_measure", nothing_measured)
        yield


@pytest.fixture(scope="module")
def asked(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """100 rows, 30 of them held out; about 10 steps an epoch."""
    file = tmp_path_factory.mktemp("data") / "colours.jsonl"
    rows = (json.dumps(row) + "\n" for row in colour_rows(100))
    file.write_text("".join(rows), encoding="utf-8")
    return recipe(
        tiny_base,
        file,
        engine__learning_rate=1e-3,
        engine__batch_size=8,
        engine__checkpoint_every=100,
        engine__validate_every=6,
        engine__epochs=1,
        engine__max_steps=None,
        data__validation_share=0.3,
    )


@pytest.fixture(scope="module")
def out(asked: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished search of three candidates."""
    folder = tmp_path_factory.mktemp("finished") / "search"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(searching, "as_many_as_fit", lambda first, *_: _three(first))
        search(asked, 30, folder)
    return folder


def _three(first: Candidate) -> list[Candidate]:
    """The values asked for, a rate at which nothing is learned, and more of both."""
    return [
        first,
        replace(first, number=1, learning_rate=1e-7),
        replace(first, number=2, learning_rate=4e-3, epochs=3),
    ]


def test_the_best_goes_on_and_its_recipe_is_one_that_train_takes(
    asked: Recipe, out: Path, tmp_path: Path
) -> None:
    found = read_json(out / "search.json")
    made = [(trial["number"], round(trial["share"], 2)) for trial in found["trials"]]
    assert sorted(made[:3]) == [(0, 0.33), (1, 0.33), (2, 0.33)]
    assert made[3:] == [(2, 1.0), (0, 1.0)]
    assert found["winner"]["number"] == 2
    assert found["loss"] < found["asked_loss"]
    assert (
        0
        < found["fell_by"]["low"]
        < found["fell_by"]["value"]
        == pytest.approx(found["asked_loss"] - found["loss"])
    )
    assert "chose nothing" in found["cautions"][0]
    won = load(out / "recipe.yaml")
    assert won.engine.learning_rate == 4e-3
    assert won.engine.epochs == 3
    assert won == asked.model_copy(update={"model": won.model, "engine": won.engine})
    run = train(
        won.model_copy(
            update={"evaluate": load(None).evaluate.model_copy(update={"level": "none"})}
        ),
        tmp_path / "run",
    )
    course = read_json(run.folder.measured)["course"]
    in_full = read_json(out / "trials" / "02-in-full" / "measured.json")["course"]
    assert course["validations"] == in_full["validations"], "the winner's recipe is what won"


def test_a_finished_search_is_not_made_again(asked: Recipe, out: Path) -> None:
    again = Recorder()
    assert search(asked, 30, out, again) == read_json(out / "search.json")
    assert not again.reports


def test_interrupted_it_goes_on_with_what_is_finished(
    asked: Recipe, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "as_many_as_fit", lambda first, *_: _three(first))
    folder = tmp_path / "search"
    with pytest.raises(Interrupted):
        search(asked, 30, folder, SignalAt(signal.SIGTERM, 6))
    finished = {path.stem for path in (folder / "trials").glob("*.json")}
    assert finished
    watcher = Recorder()
    found = search(asked, 30, folder, watcher)
    unbroken = read_json(out / "search.json")
    assert [trial["loss"] for trial in found["trials"]] == [
        trial["loss"] for trial in unbroken["trials"]
    ]
    steps = {trial["run"].rpartition("/")[2]: trial["steps"] for trial in unbroken["trials"]}
    left = sum(count for name, count in steps.items() if name not in finished)
    assert 0 < len(watcher.reports) <= left, "the interrupted trial goes on from its checkpoint"


def test_a_time_that_holds_no_trial_is_refused_and_nothing_is_left(
    asked: Recipe, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=r"holds no trial.*Give at least --minutes \d") as refused:
        search(asked, 1e-6, tmp_path / "search")
    assert str(refused.value).endswith(".")
    assert not (tmp_path / "search").exists()


def test_a_trial_that_breaks_is_the_worst(
    asked: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: Any, **__: Any) -> None:
        raise NonFiniteLoss("The loss is not a finite number at step 3.")

    monkeypatch.setattr(trials, "train", breaks)
    monkeypatch.setattr(searching, "as_many_as_fit", lambda first, *_: _three(first))
    found = search(asked, 30, tmp_path / "search")
    assert found["loss"] is None
    assert "no longer a number" in found["sentence"]


def test_what_forgets_does_not_win(asked: Recipe, out: Path) -> None:
    base = Side.from_json(read_json(out / "plan.json")["base"])
    files = sorted((out / "trials").glob("*.json"))
    first, second = (Trial.from_json(read_json(file)) for file in files[:2])
    assert first.side is not None
    forgotten = tuple(replace(score, nll=2 * score.nll) for score in base.probes)
    learned = tuple(replace(score, nll=0.0) for score in first.side.held_out)
    better = replace(first, side=Side(held_out=learned, probes=forgotten))
    worse = replace(second, side=Side(held_out=base.held_out, probes=base.probes))
    assert better.loss < worse.loss
    assert ranked([better, worse], base) == [worse, better]


def test_what_belongs_to_something_else_is_refused(asked: Recipe, out: Path) -> None:
    with pytest.raises(RunFolderError, match="something other than this search"):
        search(asked, 31, out)


def test_what_cannot_be_searched_is_refused(asked: Recipe, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="give a time above 0"):
        search(asked, 0, tmp_path / "search")
    none = asked.model_copy(
        update={"data": asked.data.model_copy(update={"validation_share": 0.0})}
    )
    with pytest.raises(DataError, match="No row is held out"):
        search(none, 5, tmp_path / "search")
    assert not (tmp_path / "search").exists()


def test_a_trial_measures_no_strength(asked: Recipe) -> None:
    chosen = asked.evaluate.model_copy(update={"most_forgetting": 0.1})
    trial = unjudged(asked.model_copy(update={"evaluate": chosen}))
    assert Recipe.model_validate(trial.model_dump()) == trial, "not at odds with level none"
