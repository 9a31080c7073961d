"""Checkpoints: whole, verified, and only the newest kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tunesmith.core.errors import CheckpointError, StorageError
from tunesmith.engine.checkpoints import Checkpoints

GROUPS = {
    "weights": {"a": torch.arange(6.0).reshape(2, 3)},
    "optimizer": {"0.0.step": torch.ones(())},
}


@pytest.fixture
def saved(tmp_path: Path) -> Checkpoints:
    """Steps 2, 4 and 6 saved, two kept."""
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (2, 4, 6):
        checkpoints.save(step, {"step": step}, GROUPS)
    return checkpoints


def _file(folder: Path, name: str) -> Path:
    return folder / "step-00000006" / name


def test_what_was_saved_is_loaded_bitwise(saved: Checkpoints) -> None:
    newest = saved.load()
    assert (newest.step, newest.state) == (6, {"step": 6})
    assert newest.groups.keys() == GROUPS.keys()
    assert torch.equal(newest.groups["weights"]["a"], GROUPS["weights"]["a"])
    assert saved.load(4).state == {"step": 4}


def test_only_the_newest_are_kept_and_nothing_else_lies_there(
    saved: Checkpoints, tmp_path: Path
) -> None:
    assert saved.steps() == [4, 6]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000004", "step-00000006"]
    names = {path.name for path in (tmp_path / "step-00000006").iterdir()}
    assert names == {"manifest.json", "state.json", "weights.safetensors", "optimizer.safetensors"}


def test_a_step_that_is_not_there_is_named_with_those_that_are(saved: Checkpoints) -> None:
    with pytest.raises(CheckpointError, match=r"no checkpoint of step 2\. It has: 4, 6\."):
        saved.load(2)


def test_going_on_from_an_earlier_step_removes_the_later_ones(saved: Checkpoints) -> None:
    saved.forget_after(4)
    assert saved.steps() == [4]


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(bytes(data))


def _forget_a_file(path: Path) -> None:
    manifest = json.loads(path.read_text())
    del manifest["weights.safetensors"]
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("name", "damage", "reason"),
    [
        ("weights.safetensors", _flip, r"weights.safetensors does not match its hash"),
        ("state.json", _flip, r"state.json does not match its hash"),
        ("optimizer.safetensors", Path.unlink, r"optimizer.safetensors is missing"),
        ("manifest.json", Path.unlink, r"manifest.json cannot be read"),
        ("manifest.json", lambda path: path.write_text("{"), r"manifest.json cannot be read"),
        ("manifest.json", lambda path: path.write_text("{}"), r"is not in manifest.json"),
        ("manifest.json", _forget_a_file, r"weights.safetensors is not in manifest.json"),
    ],
)
def test_damage_is_refused_and_the_one_before_offered(
    saved: Checkpoints, tmp_path: Path, name: str, damage: Callable[[Path], object], reason: str
) -> None:
    damage(_file(tmp_path, name))
    with pytest.raises(CheckpointError, match=rf"00000006.*{reason}.*of step 4.*--from-step 4"):
        saved.load()
    assert saved.load(4).step == 4


def test_the_first_one_damaged_says_that_none_is_before_it(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    checkpoints.save(6, {}, GROUPS)
    _flip(_file(tmp_path, "state.json"))
    with pytest.raises(CheckpointError, match="none before it: start again in a new folder"):
        checkpoints.load()


def test_a_full_disk_leaves_the_earlier_ones_whole(
    saved: Checkpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tunesmith.engine.checkpoints.save_file", full)
    with pytest.raises(StorageError, match="disk is full"):
        saved.save(8, {}, GROUPS)
    assert saved.steps() == [4, 6]
    assert not list(tmp_path.glob(".partial-*"))
    assert saved.load().step == 6
