"""The gate: only what should ship becomes current, nothing is lost, damage is noticed."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tunesmith.core.errors import GateHeld, InputError, RegistryError, RunFolderError, StorageError
from tunesmith.runs.artefacts import hashes
from tunesmith.runs.promote import promote, promoted_run, rollback, state_of
from tunesmith.runs.registry import Registry

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A finished run of a few bytes."""

    def made(name: str, decision: str = "ship") -> Path:
        run = tmp_path / name
        (run / "adapter").mkdir(parents=True)
        (run / "adapter" / "adapter_model.safetensors").write_bytes(name.encode())
        (run / "adapter" / "adapter_config.json").write_text("{}")
        (run / "recipe.yaml").write_text("model:\n  base: anvil\n")
        verdict = {"decision": decision, "sentence": f"{decision.capitalize()}: {name}."}
        (run / "verdict.json").write_text(json.dumps(verdict))
        (run / "artefact.json").write_text(json.dumps(hashes(run / "adapter")))
        return run

    return made


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def test_what_should_ship_becomes_current_and_the_one_before_is_restored(
    make: Make, home: Path
) -> None:
    runs = [make(name) for name in ("a", "b", "c", "d")]
    for run in runs[:3]:
        promote(run, "support", home)
    assert promoted_run("support", home) == runs[2]
    assert rollback("support", home, "it was rude").current == 2
    promote(runs[3], "support", home, "polite")
    assert promoted_run("support", home) == runs[3]
    assert rollback("support", home).current == 2  # current before d, not the number before
    assert rollback("support", home).current == 1
    with pytest.raises(RegistryError, match="nothing was current before version 1"):
        rollback("support", home)
    history = Registry(home).require("support").history
    assert [(event.act, event.version, event.because) for event in history] == [
        ("promote", 1, None),
        ("promote", 2, None),
        ("promote", 3, None),
        ("rollback", 2, "it was rude"),
        ("promote", 4, "polite"),
        ("rollback", 2, None),
        ("rollback", 1, None),
    ]
    assert all(event.time.endswith("+00:00") for event in history)


def test_what_is_to_hold_needs_a_reason(make: Make, home: Path) -> None:
    held = make("held", "hold")
    with pytest.raises(GateHeld, match=r"verdict says hold\. Hold: held\..*--because TEXT"):
        promote(held, "support", home)
    assert Registry(home).names() == []
    with pytest.raises(InputError, match="--because is empty"):
        promote(held, "support", home, " ")
    named = promote(held, "support", home, "the customer waits")
    assert (named.now.decision, named.now.because) == ("hold", "the customer waits")


def test_the_current_one_promoted_again_changes_nothing(make: Make, home: Path) -> None:
    run = make("a")
    first = promote(run, "support", home)
    assert promote(run, "support", home) == first


def _lose_weights(run: Path) -> None:
    (run / "adapter" / "adapter_model.safetensors").unlink()


def _empty_weights(run: Path) -> None:
    (run / "adapter" / "adapter_model.safetensors").write_bytes(b"")


def _change_weights(run: Path) -> None:
    (run / "adapter" / "adapter_model.safetensors").write_bytes(b"other")


def _lose_config(run: Path) -> None:
    (run / "adapter" / "adapter_config.json").unlink()


def _add_a_file(run: Path) -> None:
    (run / "adapter" / "tokenizer.json").write_text("{}")


def _move_adapter(run: Path) -> None:
    (run / "adapter").rename(run / "elsewhere")


DAMAGES = [
    (_lose_weights, "holds no weights"),
    (_empty_weights, "holds no weights"),
    (_change_weights, r"has another adapter_model\.safetensors"),
    (_lose_config, r"lacks adapter_config\.json"),
    (_add_a_file, r"holds tokenizer\.json, which was not there"),
    (_move_adapter, "no tuned model any more|is gone"),
]


@pytest.mark.parametrize(("harm", "said"), DAMAGES)
def test_a_damaged_run_is_refused(
    harm: Callable[[Path], None], said: str, make: Make, home: Path
) -> None:
    whole, run = make("whole"), make("damaged")
    promote(run, "support", home)
    promote(whole, "support", home)
    harm(run)
    with pytest.raises(RunFolderError, match=said):
        promote(run, "other", home)
    with pytest.raises(RegistryError, match=f"Version 1 of support cannot be used: .*({said})"):
        rollback("support", home)
    named = Registry(home).require("support")
    assert named.current == 2
    assert state_of(named.now) is None
    harm(whole)
    with pytest.raises(RegistryError, match="Version 2 of support"):
        promoted_run("support", home)


def test_a_run_without_a_verdict_is_refused(make: Make, home: Path) -> None:
    run = make("a")
    (run / "verdict.json").unlink()
    with pytest.raises(RunFolderError, match="not finished"):
        promote(run, "support", home)
    with pytest.raises(RunFolderError, match="is not a run folder"):
        promote(home, "support", home)


@pytest.mark.parametrize("name", ["", "../a", ".a", "a/b", "a b", "x" * 65, "ä\n"])
def test_a_name_is_a_file_name(name: str, make: Make, home: Path) -> None:
    with pytest.raises(RegistryError, match="cannot be the name of a model"):
        promote(make("a"), name, home)


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", '{"name": "a", "current": 3, "versions": [], "history": []}']
)
def test_a_broken_file_is_named(content: str, make: Make, home: Path) -> None:
    promote(make("a"), "support", home)
    (home / "models" / "support.json").write_text(content)
    for act in (lambda: rollback("support", home), lambda: promoted_run("support", home)):
        with pytest.raises(RegistryError, match=r"support\.json does not hold a named model"):
            act()
    assert promoted_run("other", home) is None
    with pytest.raises(RegistryError, match=r"No model is called x .* there are: support\."):
        rollback("x", home)


def test_a_home_is_a_folder(make: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RegistryError, match="is a file, and --home needs a folder"):
        promote(make("a"), "support", tmp_path / "file")


def test_a_kill_while_writing_leaves_the_old_state(
    make: Make, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = make("a"), make("b")
    promote(first, "support", home)

    def killed(*_: Any) -> None:
        raise OSError(5, "killed")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(StorageError):
            promote(second, "support", home)
    assert promoted_run("support", home) == first
    assert promote(second, "support", home).current == 2  # and the lock is free again


def _promote_all(runs: list[Path], home: Path) -> None:
    for run in runs:
        promote(run, "support", home)


def test_processes_at_once_lose_nothing(make: Make, home: Path) -> None:
    runs = [make(f"run{number}") for number in range(24)]
    context = multiprocessing.get_context("fork")
    workers = [
        context.Process(target=_promote_all, args=(runs[first::3], home)) for first in range(3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    named = Registry(home).require("support")
    assert {version.run for version in named.versions} == {str(run) for run in runs}
    assert [version.before for version in named.versions] == [None, *range(1, 24)]
