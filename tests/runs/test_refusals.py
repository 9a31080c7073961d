"""What a user can get wrong ends a run with a sentence before anything is written."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import colour_rows
from tests.support import LeaveAt, Left, recipe
from tunesmith.core import libraries
from tunesmith.core.errors import (
    CheckpointError,
    DataError,
    InputError,
    ModelError,
    RecipeError,
    RunFolderError,
    StorageError,
    Unsupported,
)
from tunesmith.engine.checkpoints import Checkpoints
from tunesmith.recipe import load
from tunesmith.runs.train import train

Usage = namedtuple("Usage", "total used free")


def _refused(asked: Any, out: Path, kind: type[InputError], sentence: str) -> None:
    """The error, its sentence, its exit code; and that nothing new lies where the run would."""
    before = sorted(out.parent.iterdir()) if out.parent.is_dir() else None
    with pytest.raises(kind, match=sentence) as caught:
        train(asked, out)
    assert caught.value.exit_code == 2
    assert str(caught.value).endswith(".")
    assert before == (sorted(out.parent.iterdir()) if out.parent.is_dir() else None)


def test_no_such_data(tiny_base: Path, tmp_path: Path) -> None:
    asked = recipe(tiny_base, tmp_path / "gone.jsonl")
    _refused(asked, tmp_path / "run", DataError, r"gone\.jsonl")


def test_an_optimizer_whose_library_is_missing(
    tiny_base: Path, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libraries, "find_spec", lambda name: None)
    asked = recipe(tiny_base, colours, model__method="full", engine__optimizer="lion")
    sentence = r"needs the library pytorch-optimizer.*pip install 'tunesmith\[optimizers\]'"
    _refused(asked, tmp_path / "run", Unsupported, sentence)


def test_a_bad_row_by_file_and_line(tiny_base: Path, colours: Path, tmp_path: Path) -> None:
    with open(colours, "a") as handle:
        handle.write('{"messages": [{"role": "user", "content": "Nobody answers."}]}\n')
    sentence = r"colours\.jsonl:61: (?s:.*)bad_rows=drop"
    _refused(recipe(tiny_base, colours), tmp_path / "run", DataError, sentence)


def test_an_answer_longer_than_the_context(tiny_base: Path, colours: Path, tmp_path: Path) -> None:
    row = colour_rows(1)[0]
    row["messages"][1]["content"] *= 40
    with open(colours, "a") as handle:
        handle.write(json.dumps(row) + "\n")
    _refused(recipe(tiny_base, colours), tmp_path / "run", DataError, r"colours\.jsonl:61: ")


def test_no_data_named(tiny_base: Path, tmp_path: Path) -> None:
    asked = load(None, (), {"model.base": str(tiny_base)})
    _refused(asked, tmp_path / "run", RecipeError, "--data FILE")


def test_a_base_that_is_not_there(colours: Path, tmp_path: Path) -> None:
    asked = recipe(tmp_path / "no-base", colours)
    _refused(asked, tmp_path / "run", ModelError, r"no base model .*no-base")


@pytest.mark.parametrize("method", ["lora", "full"])
def test_weights_that_are_cut_short(
    tiny_base: Path, colours: Path, tmp_path: Path, method: str
) -> None:
    base = Path(shutil.copytree(tiny_base, tmp_path / "cut"))
    file = base / "model.safetensors"
    file.write_bytes(file.read_bytes()[:5000])
    asked = recipe(base, colours, model__method=method)
    _refused(asked, tmp_path / "run", ModelError, r"weights in .*cut could not be read")


def test_more_layers_than_there_are(tiny_base: Path, colours: Path, tmp_path: Path) -> None:
    asked = recipe(tiny_base, colours, model__method="last_layers", model__layers=9)
    _refused(asked, tmp_path / "run", Unsupported, r"model\.layers is 9.*Ask for fewer")


def test_a_context_the_model_cannot_read(tiny_base: Path, colours: Path, tmp_path: Path) -> None:
    asked = recipe(tiny_base, colours, data__context=129)
    sentence = r"data\.context is 129 tokens, but .* at most 128"
    _refused(asked, tmp_path / "run", Unsupported, sentence)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one here")
def test_cuda_where_there_is_none(tiny_base: Path, colours: Path, tmp_path: Path) -> None:
    asked = recipe(tiny_base, colours, model__device="cuda")
    _refused(asked, tmp_path / "run", Unsupported, r"no CUDA device.*auto.*cpu")


@pytest.mark.parametrize("content", ["a run", "no run"])
def test_a_folder_that_exists(tiny_base: Path, colours: Path, tmp_path: Path, content: str) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / ("recipe.yaml" if content == "a run" else "notes.txt")).touch()
    advice = r"begun.*--resume" if content == "a run" else r"not a run\. Choose another with --out"
    _refused(recipe(tiny_base, colours), out, RunFolderError, advice)


def test_a_folder_that_cannot_be_made(tiny_base: Path, colours: Path, tmp_path: Path) -> None:
    sentence = r"run cannot be written \(Not a directory\)\. Choose a folder"
    out = colours / "deeper" / "run"
    _refused(recipe(tiny_base, colours), out, RunFolderError, sentence)


def test_too_little_disk(
    tiny_base: Path, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage(1, 1, 50_000_000))
    sentence = r"has 50 MB free, and this run may need \d\d MB.*--out"
    _refused(recipe(tiny_base, colours), tmp_path / "new" / "run", RunFolderError, sentence)


def test_the_room_asked_for_grows_with_the_checkpoints_kept(
    tiny_base: Path, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """11 checkpoints of 16 bytes a trained weight, the model, and the margin."""
    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage(1, 1, 70_000_000))
    asked = recipe(tiny_base, colours, model__method="full", engine__keep_checkpoints=10)
    _refused(asked, tmp_path / "run", RunFolderError, r"may need 7\d MB")


def test_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"no run to resume in .*run: it has no recipe\.yaml"):
        train(None, tmp_path / "run", resume=True)


def test_a_step_to_go_on_from_must_exist(tiny_base: Path, colours: Path, tmp_path: Path) -> None:
    """Also where no checkpoint was made yet: the run does not begin anew in silence."""
    out = tmp_path / "run"
    with pytest.raises(Left):
        train(recipe(tiny_base, colours), out, watcher=LeaveAt(1))
    with pytest.raises(CheckpointError, match=r"no checkpoint of step 3\. It has: none"):
        train(None, out, resume=True, from_step=3)


def test_going_on_from_an_earlier_step_forgets_the_later(
    tiny_base: Path, colours: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    with pytest.raises(Left):
        train(recipe(tiny_base, colours), out, watcher=LeaveAt(7))
    with pytest.raises(Left):
        train(None, out, resume=True, from_step=4, watcher=LeaveAt(5))
    assert Checkpoints(out / "checkpoints", 2).steps() == [4]
    train(None, out, resume=True)


@pytest.mark.parametrize("refuses", ["tensors", "state"])
def test_a_full_disk_while_training_loses_nothing_saved(
    tiny_base: Path,
    colours: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refuses: str,
) -> None:
    """The third checkpoint cannot be written: the two before it are whole, and a resume ends."""
    out = tmp_path / "run"
    name = "save_file" if refuses == "tensors" else "write_json"
    module = "tunesmith.engine.checkpoints"
    write = getattr(__import__(module, fromlist=[name]), name)

    def full(*arguments: Any) -> None:
        places = [str(each) for each in arguments if isinstance(each, str | Path)]
        if any("step-00000006" in place for place in places):
            raise OSError(28, "No space left on device")
        write(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(f"{module}.{name}", full)
        with pytest.raises(StorageError, match=r"disk is full: .*step-00000006.*resume"):
            train(recipe(tiny_base, colours, engine__keep_best=False), out)
    checkpoints = Checkpoints(out / "checkpoints", 2)
    assert checkpoints.steps() == [2, 4]
    assert checkpoints.load().state["step"] == 4
    assert not list(out.rglob(".partial-*"))
    assert train(None, out, resume=True).verdict["decision"] in ("ship", "hold")
