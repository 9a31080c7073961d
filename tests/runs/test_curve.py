"""Learning curves of a small base, end to end."""

from __future__ import annotations

import json
import math
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import colour_rows
from tests.support import Recorder, SignalAt, recipe
from tunesmith.core.errors import DataError, Interrupted, RecipeError, RunFolderError
from tunesmith.core.files import read_json, read_jsonl
from tunesmith.data.subsets import nested_subset
from tunesmith.recipe import Recipe, load
from tunesmith.runs import curve as curves
from tunesmith.runs.curve import learning_curve

SHARES = (10, 30, 100)


@pytest.fixture(scope="module")
def asked(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """160 rows of two sources, of which 29 are held out; 8 steps."""
    folder = tmp_path_factory.mktemp("data")
    rows = [json.dumps(row) + "\n" for row in colour_rows(160)]
    files = [folder / name for name in ("own.jsonl", "general.jsonl")]
    for file, part in zip(files, (rows[:100], rows[100:]), strict=True):
        file.write_text("".join(part), encoding="utf-8")
    own, general = map(str, files)
    settings = {"data.train": [own, {"path": general, "weight": 0.5}]}
    short = recipe(
        tiny_base,
        files[0],
        engine__learning_rate=5e-3,
        evaluate__rows="auto",
        data__validation_share=0.2,
    )
    mixed = load(None, (), {"model.base": str(tiny_base), **settings}).data.train
    return short.model_copy(update={"data": short.data.model_copy(update={"train": mixed})})


@pytest.fixture(scope="module")
def out(asked: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished curve."""
    folder = tmp_path_factory.mktemp("finished") / "curve"
    learning_curve(asked, SHARES, folder, repeats=1)
    return folder


def test_a_curve_from_its_rows_to_its_picture(asked: Recipe, out: Path) -> None:
    found = read_json(out / "curve.json")
    assert (out / "curve.svg").read_text().startswith("<svg")
    points = found["points"]
    assert [point["share"] for point in points] == [10, 30, 100]
    ledgers = [read_json(out / f"run-{share}" / "ledger.json") for share in SHARES]
    assert [ledger["trained"] for ledger in ledgers] == [point["rows"] for point in points]
    assert len({ledger["held_out"] for ledger in ledgers}) == 1
    assert [[file["weight"] for file in ledger["files"]] for ledger in ledgers] == [
        [1.0, 0.5, None]
    ] * 3
    assert {point["planned_steps"] for point in points} == {8}
    assert all(point["low"] <= point["value"] <= point["high"] for point in points)
    assert found["judging_rows"] == math.floor(ledgers[0]["held_out"] * 2 / 3)
    assert found["sentence"].endswith(".")
    again = Recorder()  # a finished curve is not made again
    assert learning_curve(asked, SHARES, out, again, 1) == found
    assert not again.reports


def test_subsets_are_nested_and_are_rows_of_the_data(out: Path) -> None:
    rows = {
        share: [
            json.dumps(row)
            for file in sorted((out / "rows" / str(share)).iterdir())
            for row in read_jsonl(file)
        ]
        for share in SHARES
    }
    held_out = [json.dumps(row) for row in read_jsonl(out / "rows" / "held_out.jsonl")]
    assert set(rows[10]) < set(rows[30]) < set(rows[100])
    assert not set(rows[100]) & set(held_out)
    assert sorted([*rows[100], *held_out]) == sorted(map(json.dumps, colour_rows(160)))


def test_interrupted_it_goes_on_to_the_same_curve(asked: Recipe, out: Path, tmp_path: Path) -> None:
    unbroken = read_json(out / "curve.json")
    with pytest.raises(Interrupted):
        learning_curve(asked, SHARES, tmp_path / "stopped", SignalAt(signal.SIGTERM, 5), 1)
    found = learning_curve(asked, SHARES, tmp_path / "stopped", repeats=1)
    for left, right in zip(found["points"], unbroken["points"], strict=True):
        assert {**left, "run": ""} == {**right, "run": ""}
    assert found["forecast"] == unbroken["forecast"]


def test_what_belongs_to_something_else_is_refused(
    asked: Recipe, out: Path, tmp_path: Path
) -> None:
    other = asked.model_copy(update={"engine": asked.engine.model_copy(update={"seed": 5})})
    with pytest.raises(RunFolderError, match="something other than this curve"):
        learning_curve(other, SHARES, out)
    with pytest.raises(RunFolderError, match="something other than this curve"):
        learning_curve(asked, (20, 50, 100), out)
    (tmp_path / "mine").mkdir()
    with pytest.raises(RunFolderError, match="something other than this curve"):
        learning_curve(asked, SHARES, tmp_path / "mine")
    with pytest.raises(DataError, match="are the same"):
        learning_curve(asked, (10, 10.1, 100), tmp_path / "close")


def test_without_held_out_rows_nothing_is_begun(
    tiny_base: Path, colours: Path, tmp_path: Path
) -> None:
    asked = recipe(tiny_base, colours, data__validation_share=0.0)
    with pytest.raises(DataError, match="No row is held out"):
        learning_curve(asked, SHARES, tmp_path / "curve")
    assert not (tmp_path / "curve").exists()


@pytest.mark.parametrize(
    "shares", [(), (50, 100), (10, 30, 90), (30, 10, 100), (0, 30, 100), (10, 30, 130)]
)
def test_shares_that_are_none_are_refused(asked: Recipe, tmp_path: Path, shares: Any) -> None:
    with pytest.raises(RecipeError, match="ascending, the last one 100"):
        learning_curve(asked, shares, tmp_path / "curve")
    assert not (tmp_path / "curve").exists()


def test_a_row_keeps_its_place_when_the_file_grows_or_is_reordered() -> None:
    draw = np.random.default_rng(0)
    digest_R32 = draw.integers(0, 256, (1000, 32), dtype=np.uint8)
    source_R = np.repeat([0, 1], [600, 400])
    chosen_R = nested_subset(digest_R32, source_R, 0.3)
    assert [chosen_R[source_R == source].sum() for source in (0, 1)] == [180, 120]
    assert (nested_subset(digest_R32, source_R, 0.1) <= chosen_R).all()
    order = draw.permutation(1000)
    np.testing.assert_array_equal(
        nested_subset(digest_R32[order], source_R[order], 0.3), chosen_R[order]
    )
    fewer_R = nested_subset(digest_R32[:950], source_R[:950], 0.3)
    assert (fewer_R != chosen_R[:950]).mean() < 0.05


def test_few_rows_are_trained_with_several_seeds(
    asked: Recipe, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curves, "REPEATS", 2)
    short = asked.model_copy(update={"engine": asked.engine.model_copy(update={"max_steps": 2})})
    found = learning_curve(short, SHARES, tmp_path / "curve")
    assert found["repeats"] == 2
    assert found["seed_noise"] > 0
    seeds = {path.name: load(path / "recipe.yaml").engine.seed for path in tmp_path.glob("*/run-*")}
    assert seeds["run-10"] == seeds["run-100"] == 0
    assert seeds["run-10-again-1"] == seeds["run-100-again-1"] == 1
    assert len(seeds) == 6
    with pytest.raises(RunFolderError, match="other shares or repeats"):
        learning_curve(short, SHARES, tmp_path / "curve", repeats=1)
