"""Advice on a small base, from its rows to its folder."""

from __future__ import annotations

import json
import signal
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import colour_rows
from tests.support import Recorder, SignalAt, nothing_measured, recipe
from tunesmith.core.errors import DataError, Interrupted, RecipeError
from tunesmith.core.files import read_json
from tunesmith.recipe import Recipe
from tunesmith.runs import advise as advising
from tunesmith.runs import plan as planning
from tunesmith.runs.advise import ANSWERS, advise


@pytest.fixture
def asked(tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """100 rows, 30 of them held out; a run of 8 steps. Nothing is measured for plans."""
    monkeypatch.setattr(planning, "_measure", nothing_measured)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    file = tmp_path / "colours.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in colour_rows(100)))
    return recipe(
        tiny_base,
        file,
        data__validation_share=0.3,
        evaluate__examples=1,
        evaluate__max_new_tokens=4,
    )


def test_all_is_measured_and_nothing_is_left(asked: Recipe, tmp_path: Path) -> None:
    watcher = Recorder()
    found = advise(asked, 1, tmp_path / "advice", watcher)
    assert found == read_json(tmp_path / "advice" / "advice.json")
    assert [each["name"] for each in found["options"]] == ["base", "examples", "search", "probe"]
    held_out = 100 - found["rows"]
    assert found["judged_rows"] == held_out, "every held-out row judges: none chose"
    assert {each["answers"] for each in found["options"]} == {min(held_out, ANSWERS)}
    assert found["probe_steps"] == len(watcher.reports) == 8
    assert found["options"][-1]["loss"] < found["options"][0]["loss"]
    assert found["sentence"].endswith(".")
    assert found["seconds"] > 0
    assert not list((tmp_path / "temporary").iterdir())


def test_the_probe_judges_by_rows_that_it_saw(
    asked: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}
    real = advising.advice_of

    def watched(evidence: Any) -> Any:
        seen["evidence"] = evidence
        return real(evidence)

    monkeypatch.setattr(advising, "advice_of", watched)
    advise(asked, 1)
    base, probe = seen["evidence"].base.side, seen["evidence"].probe.side
    assert [score.origin for score in base.train] == [score.origin for score in probe.train]
    assert len(base.train) == min(len(base.held_out), 8 * 4)
    assert not {s.origin for s in base.train} & {s.origin for s in base.held_out}


def test_interrupted_it_leaves_nothing(asked: Recipe, tmp_path: Path) -> None:
    with pytest.raises(Interrupted, match="nothing was kept"):
        advise(asked, 1, tmp_path / "advice", SignalAt(signal.SIGTERM, 3))
    assert not (tmp_path / "advice").exists()
    assert not list((tmp_path / "temporary").iterdir())


def test_what_cannot_be_advised_on_is_refused(
    asked: Recipe, tiny_base: Path, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match="give a time above 0"):
        advise(asked, float("nan"))
    with pytest.raises(DataError, match="exists already"):
        advise(asked, 1, tmp_path)
    none = asked.model_copy(
        update={"data": asked.data.model_copy(update={"validation_share": 0.0})}
    )
    with pytest.raises(DataError, match="No row is held out"):
        advise(none, 1)
    path = tmp_path / "texts.jsonl"
    texts = ({"text": f"{n} miles up the river."} for n in range(40))
    path.write_text("".join(json.dumps(row) + "\n" for row in texts))
    with pytest.raises(DataError, match="which ask nothing"):
        advise(recipe(tiny_base, path, objective__kind="text"), 1)
