"""What a run is made from, named so that it can be made again."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from tunesmith.core.files import sha256
from tunesmith.data.sources import expand
from tunesmith.recipe import load
from tunesmith.runs.asked import free_folder, recipe_from
from tunesmith.runs.setup import _hashes, pinned, set_up

COMMIT = "0123456789" * 4


def test_data_sets_of_the_hub_are_written_down_with_their_commit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "tunesmith.data.sources.hub.pinned", lambda name: f"{name.split('#')[0]}@{COMMIT}#train"
    )
    recipe = load(
        None,
        [
            "data.train=[hub:ann/one, /rows.jsonl, {path: hub:ann/two, weight: 2}]",
            "data.validation=hub:ann/two#train",
        ],
        {"evaluate.probes": "hub:ann/probes"},
    )
    found = pinned(recipe)
    first, second, third = found.data.train or ()
    assert (first, second) == (f"hub:ann/one@{COMMIT}#train", "/rows.jsonl")
    assert (third.path, third.weight) == (f"hub:ann/two@{COMMIT}#train", 2)
    assert found.data.validation == f"hub:ann/two@{COMMIT}#train"
    assert found.evaluate.probes == (f"hub:ann/probes@{COMMIT}#train",)
    plain = load(None, ["data.train=/rows.jsonl"])
    assert pinned(plain) == plain


def test_a_run_is_set_up_from_that_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(
        "".join(f'{{"prompt": "{n} + 1", "completion": "{n + 1}"}}\n' for n in range(9))
    )
    name = f"hub:ann/one@{COMMIT}#train"
    monkeypatch.setattr("tunesmith.data.sources.hub.pinned", lambda _: name)
    asked: list[str] = []
    monkeypatch.setattr(
        "tunesmith.data.sources.hub.fetched", lambda each: asked.append(each) or ([str(rows)], [])
    )
    setup = set_up(load(None, ["data.train=hub:ann/one", "data.checks=off"]))
    assert setup.recipe.data.train == (name,)
    assert {*asked} == {name}
    assert setup.inputs[str(rows)] == sha256(rows)


def test_probes_in_a_folder_are_hashed_file_by_file(tmp_path: Path) -> None:
    for name in ("a.md", "b.txt"):
        (tmp_path / "probes" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "probes" / name).write_text(name)
    recipe = load(None, [f"evaluate.probes={tmp_path / 'probes'}"])
    files = expand(recipe.evaluate.probes or ()).files
    found = _hashes(recipe, [SimpleNamespace(location=str(tmp_path))], files)  # type: ignore[list-item]
    assert found == {str(file): sha256(file) for file in sorted((tmp_path / "probes").iterdir())}


def test_a_data_set_may_have_a_weight() -> None:
    recipe = recipe_from(None, data="hub:ann/one#train", weights=["hub:ann/one#train=2"])
    (source,) = recipe.data.train or ()
    assert (source.path, source.weight) == ("hub:ann/one#train", 2)


def test_a_run_is_called_after_its_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("hub:ann/tickets", "hub:ann/tickets:en@v1.0#train"):
        assert free_folder(load(None, [f"data.train={name}"])) == Path("runs/tickets-1")
