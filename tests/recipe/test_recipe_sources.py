"""`data.train` with weights: what is taken, written back, and refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tunesmith.core.errors import RecipeError
from tunesmith.recipe import Facts, Source, dump, load, resolve
from tunesmith.runs.asked import recipe_from


def test_names_and_weights_are_written_and_read_again(
    tmp_path: Path, facts: Callable[..., Facts]
) -> None:
    (tmp_path / "recipe.yaml").write_text(
        "data:\n  train:\n    - tickets.jsonl\n    - {path: ../general.jsonl, weight: 0.5}\n"
    )
    recipe = load(tmp_path / "recipe.yaml")
    names = (str(tmp_path / "tickets.jsonl"), str(tmp_path.parent / "general.jsonl"))
    assert recipe.data.train == (names[0], Source(path=names[1], weight=0.5))
    assert recipe.data.require_train() == names
    resolved = tmp_path / "resolved.yaml"
    resolved.write_text(dump(resolve(recipe, facts())), encoding="utf-8")
    assert load(resolved).data.train == recipe.data.train
    assert hash(load(resolved).data.train) == hash(recipe.data.train)


def test_weight_one_is_a_name_alone() -> None:
    written = load(None, ["data.train=[{path: a, weight: 1}, {path: b}]"])
    assert written == load(None, ["data.train=[a, b]"])
    alone = load(None, ["data.train={path: a, weight: 2}"]).data.train
    assert alone is not None
    assert isinstance(alone[0], Source)


def test_from_python_and_from_the_command_line(tmp_path: Path) -> None:
    half = {"path": tmp_path / "b", "weight": 0.5}
    from_python = recipe_from(None, data=[tmp_path / "a", half])
    words = [tmp_path / "a", tmp_path / "b"]
    assert recipe_from(None, data=words, weights=[f"{tmp_path}/b=0.5"]) == from_python
    assert recipe_from(None, data=half, weights=[f"{tmp_path}/b=2"]).data.train == (
        Source(path=str(tmp_path / "b"), weight=2.0),
    )


def test_names_with_equals_signs_and_patterns_have_weights_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a=2", "*.jsonl", "b*0.5"):
        recipe = recipe_from(None, data=[name], weights=[f"{name}=3"])
        assert recipe.data.train == (Source(path=str(tmp_path / name), weight=3.0),)


@pytest.mark.parametrize(
    ("train", "complaint"),
    [
        ("[a, {path: b, weight: 0}]", r"weight of .*/b must be a number above 0.*received 0 \("),
        ("{path: b, weight: -1}", "received -1"),
        ("{path: b, weight: .nan}", "received nan"),
        ("{path: b, weight: .inf}", "received inf"),
        ("{path: b, weight: 5000}", "up to 1000"),
        ("{path: b, weight: true}", "received true"),
        ("{path: b, weight: '2'}", "received '2'"),
        ("{path: b, wieght: 2}", "has the keys path and weight; received 'wieght'"),
        ("{weight: 2}", "needs the path of its files; received nothing"),
        ("{path: 3}", "received 3"),
    ],
)
def test_what_is_no_source_is_refused(train: str, complaint: str) -> None:
    with pytest.raises(RecipeError, match=complaint) as caught:
        load(None, [f"data.train={train}"])
    assert str(caught.value).startswith(f"--set data.train={train}: data.train: ")
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("weight", "complaint"),
    [
        ("c=2", r"names /.*/c, which is not among the training data \(/.*/a\)"),
        ("a=0", "weight of /.*/a must be a number above 0"),
        ("a=nan", "received nan"),
        ("a=often", "is written FILE=NUMBER"),
        ("a", "is written FILE=NUMBER"),
        ("=2", "is written FILE=NUMBER"),
    ],
)
def test_a_weight_that_is_none_is_refused(weight: str, complaint: str) -> None:
    with pytest.raises(RecipeError, match=complaint):
        recipe_from(None, data=["a"], weights=[weight])
