"""A run held against its base with examples in the prompt and with search."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import colour_rows
from tests.support import recipe
from tunesmith.core.errors import DataError, RecipeError
from tunesmith.core.files import read_json
from tunesmith.core.ports import Silent
from tunesmith.evaluate.measure import Baseline
from tunesmith.runs import baselines
from tunesmith.runs.assembly import opened
from tunesmith.runs.baselines import asking_rows, helped
from tunesmith.runs.open import open_run
from tunesmith.runs.setup import set_up
from tunesmith.runs.train import train


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty short conversations."""
    path = tmp_path_factory.mktemp("baselines") / "colours.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in colour_rows(60)))
    return path


def _helped(tiny_base: Path, data: Path, **fields: Any) -> list[Baseline]:
    setup = set_up(recipe(tiny_base, data, **{"evaluate__examples": 2, **fields}))
    rows = asking_rows(setup, setup.held_out.rows)
    return list(helped(opened(setup, Silent()).base, setup, rows))


def test_a_run_is_held_against_both(
    tiny_base: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = recipe(tiny_base, data, evaluate__examples=2)
    folder = train(asked, tmp_path / "run").folder
    answer = read_json(folder.verdict)["worth"]
    assert [line["name"] for line in answer["detail"]["baselines"]] == ["examples", "search"]
    assert answer["n"] == min(line["n"] for line in answer["detail"]["baselines"])
    assert all(line["cost"]["tokens"] > 0 for line in answer["detail"]["baselines"])
    assert answer["detail"]["training_seconds"] > 0
    folder.verdict.unlink()  # as after a kill while judging
    monkeypatch.setattr(baselines, "helped", None)
    train(None, folder.path, resume=True)
    assert (
        read_json(folder.verdict)["worth"]["detail"]["baselines"] == answer["detail"]["baselines"]
    )
    assert open_run(folder.path).verdict["worth"]["n"] == answer["n"]


def test_examples_come_from_the_training_rows_only(
    tiny_base: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = set_up(recipe(tiny_base, data, evaluate__examples=3))
    held = {tokens.origin for tokens in setup.prepared.held_out}
    pools: list[set[Any]] = []
    real = baselines.shown

    def watched(row: Any, examples: Any, *args: Any, **kwargs: Any) -> Any:
        pools.append({each.origin for each in examples})
        return real(row, examples, *args, **kwargs)

    monkeypatch.setattr(baselines, "shown", watched)
    rows = asking_rows(setup, setup.held_out.rows)
    assert len(list(helped(opened(setup, Silent()).base, setup, rows))) == 2
    assert any(pools)
    assert not held & set().union(*pools)


def test_as_many_examples_are_shown_as_fit(tiny_base: Path, data: Path) -> None:
    few, many = (_helped(tiny_base, data, evaluate__examples=count)[0] for count in (1, 5000))
    assert few.side.cost is not None
    assert many.side.cost is not None
    assert few.side.cost.prompt_tokens < many.side.cost.prompt_tokens


def test_your_own_prompt_is_a_baseline(tiny_base: Path, data: Path, tmp_path: Path) -> None:
    prompt = tmp_path / "prompt.txt"
    prompt.write_text("Name the colour.\n")
    found = _helped(tiny_base, data, evaluate__prompt=str(prompt), evaluate__examples=0)
    assert [each.name for each in found] == ["prompt"]
    plain = _helped(tiny_base, data)[0]
    assert found[0].side.held_out[0].bytes == plain.side.held_out[0].bytes


def test_a_prompt_that_cannot_be_used_is_refused(
    tiny_base: Path, data: Path, tmp_path: Path
) -> None:
    prompt = tmp_path / "prompt.txt"
    with pytest.raises(RecipeError, match="cannot be read"):
        _helped(tiny_base, data, evaluate__prompt=str(prompt))
    prompt.write_text("  \n")
    with pytest.raises(RecipeError, match="is empty"):
        _helped(tiny_base, data, evaluate__prompt=str(prompt))
    prompt.write_text("word " * 3000)
    with pytest.raises(DataError, match=r"reads at most \d+\. Shorten the prompt"):
        _helped(tiny_base, data, evaluate__prompt=str(prompt))


def test_documents_ask_nothing(tiny_base: Path, tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    rows = [{"text": f"{n} miles up the river."} for n in range(30)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert _helped(tiny_base, path, objective__kind="text") == []


def test_trained_rows_are_asked_again(tiny_base: Path, data: Path, tmp_path: Path) -> None:
    asked = recipe(tiny_base, data, evaluate__level="standard", evaluate__examples=0)
    setup = set_up(asked)
    trained = {tokens.origin for tokens in setup.prepared.train}
    assert 0 < len(setup.trained_prompts) <= 12
    assert {prompt.origin for prompt in setup.trained_prompts} <= trained
    verdict = read_json(train(asked, tmp_path / "run").folder.verdict)
    assert verdict["memorised"]["detail"]["recall"]["trained"]["rows"] <= 12
