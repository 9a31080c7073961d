"""A tuned model as a plain folder: the model of the run, or nothing."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from tests.conftest import colour_rows
from tests.support import Recorder, nothing_measured, recipe
from tunesmith.cli.app import run as command
from tunesmith.core.errors import DataError, RunFolderError, StorageError, Unsupported
from tunesmith.core.files import read_json
from tunesmith.runs import export as exporting
from tunesmith.runs import plan as planning
from tunesmith.runs.export import export
from tunesmith.runs.open import Run, open_run
from tunesmith.runs.train import train

IDS = torch.arange(3, 60)[None]
QUICK = {"engine__learning_rate": 0.05, "engine__max_steps": 3, "evaluate__level": "none"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "colours.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in colour_rows(60)), encoding="utf-8")
    return path


def _trained(base: Path, data: Path, out: Path, **fields: Any) -> Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "_measure", nothing_measured)
        return train(recipe(base, data, **QUICK | fields), out)


@pytest.fixture(scope="module")
def tuned(tiny_base: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished LoRA run."""
    return _trained(tiny_base, data, tmp_path_factory.mktemp("runs") / "lora").path


@torch.no_grad()
def _logits(model: PreTrainedModel | PeftModel) -> torch.Tensor:
    return model.eval()(input_ids=IDS).logits


@pytest.mark.parametrize("method", ["lora", "dora", "full"])
def test_what_is_exported_is_the_model_of_the_run_in_plain_transformers(
    tiny_base: Path, data: Path, tuned: Path, tmp_path: Path, method: str
) -> None:
    run = open_run(tuned)
    if method != "lora":
        run = _trained(tiny_base, data, tmp_path / "run", model__method=method)
    done = export(run, tmp_path / "plain")
    assert done.dtype == "float32"
    assert done.difference.mean < 1e-5
    assert done.difference.tokens > 1000

    if method in ("lora", "dora"):
        base = AutoModelForCausalLM.from_pretrained(tiny_base)
        wanted = _logits(PeftModel.from_pretrained(base, run.artefact))
    else:
        wanted = _logits(AutoModelForCausalLM.from_pretrained(run.artefact))
    found = _logits(AutoModelForCausalLM.from_pretrained(tmp_path / "plain"))
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
    untrained = _logits(AutoModelForCausalLM.from_pretrained(tiny_base))
    assert not torch.allclose(found, untrained, atol=1e-2)
    chat = [{"role": "user", "content": "Box 3 is red. Which colour is box 3?"}]
    templates = [
        AutoTokenizer.from_pretrained(folder).apply_chat_template(chat, tokenize=False)
        for folder in (run.artefact, tmp_path / "plain")
    ]
    assert templates[0] == templates[1]
    assert read_json(tmp_path / "plain" / "export.json")["method"] == method


def test_it_is_the_base_of_another_run(tuned: Path, data: Path, tmp_path: Path) -> None:
    export(open_run(tuned), tmp_path / "plain")
    settings = {"engine__max_steps": 1, "engine__learning_rate": 1e-9}
    again = _trained(tmp_path / "plain", data, tmp_path / "again", **settings)
    asked = "Box 3 is red. Which colour is box 3?"
    assert again.chat(asked, max_new_tokens=12) == open_run(tuned).chat(asked, max_new_tokens=12)


def test_bfloat16_says_how_much_it_rounds_and_is_refused_where_that_is_too_much(
    tuned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = export(open_run(tuned), tmp_path / "plain", dtype="bfloat16")
    assert 1e-5 < done.difference.mean < 0.02
    opened = AutoModelForCausalLM.from_pretrained(tmp_path / "plain", dtype="auto")
    assert opened.dtype == torch.bfloat16
    monkeypatch.setitem(exporting.TOLERANCES, "bfloat16", 1e-6)
    with pytest.raises(Unsupported, match=r"are allowed\. Write it with --dtype float32\."):
        export(open_run(tuned), tmp_path / "other", dtype="bfloat16")
    assert not list(tmp_path.glob("*other*"))


def test_a_merge_that_loses_the_adapter_is_noticed_and_leaves_nothing(
    tuned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forgotten(model: Any) -> None:
        for name, weight in model.named_parameters():
            if ".lora_B." in name:
                weight.data.zero_()
        merge(model)

    merge = exporting.merge_adapters
    monkeypatch.setattr(exporting, "merge_adapters", forgotten)
    with pytest.raises(Unsupported, match=r"in float32 it is not the same model: over"):
        export(open_run(tuned), tmp_path / "plain")
    assert not list(tmp_path.iterdir())


def test_without_its_data_the_general_probes_compare(tiny_base: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in colour_rows(60)), encoding="utf-8")
    run, told = _trained(tiny_base, rows, tmp_path / "run", engine__max_steps=1), Recorder()
    rows.unlink()
    done = export(run, tmp_path / "plain", watcher=told)
    assert done.difference.tokens > 1000
    assert told.notes == [
        "The data of the run is not what it was: only general probes are compared."
    ]


@pytest.mark.parametrize(
    ("section", "changed", "sentence"),
    [
        ("model", {"method": "prompt_tuning"}, r"no weight of the base can hold that.*lora\.$"),
        ("model", {"quantize": "nf4"}, r"a base held in 4 bits.*model\.quantize=none\.$"),
        ("objective", {"kind": "classify"}, r"is for models that write.*`tunesmith label`"),
    ],
)
def test_what_cannot_be_merged_is_refused(
    tuned: Path, tmp_path: Path, section: str, changed: dict[str, Any], sentence: str
) -> None:
    run = open_run(tuned)
    part = getattr(run.recipe, section).model_copy(update=changed)
    run.recipe = run.recipe.model_copy(update={section: part})
    with pytest.raises(Unsupported, match=sentence):
        export(run, tmp_path / "plain")


def test_a_run_that_is_not_whole_is_refused(tuned: Path, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    begun.mkdir()
    (begun / "recipe.yaml").write_text((tuned / "recipe.yaml").read_text())
    with pytest.raises(RunFolderError, match=r"not finished\. Go on with it"):
        export(open_run(begun), tmp_path / "plain")
    for file in ("verdict.json", "artefact.json"):
        (begun / file).write_text((tuned / file).read_text())
    (begun / "adapter").mkdir()
    (begun / "adapter" / "adapter_model.safetensors").write_bytes(b"other")
    with pytest.raises(RunFolderError, match="cannot be exported: its adapter lacks"):
        export(open_run(begun), tmp_path / "plain")


def test_what_is_there_already_stays(tuned: Path, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    with pytest.raises(DataError, match=r"plain exists already\."):
        export(open_run(tuned), tmp_path / "plain")


def test_a_full_disk_is_a_sentence_and_leaves_nothing(
    tuned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(PreTrainedModel, "save_pretrained", full)
    assert (
        command(["export", str(tuned), "--out", str(tmp_path / "plain")]) == StorageError.exit_code
    )
    assert "The disk is full" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_command_says_where_and_how_near(tuned: Path, tmp_path: Path, capsys: Any) -> None:
    assert command(["export", str(tuned), "--out", str(tmp_path / "plain"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["folder"] == str(tmp_path / "plain")
    assert told["mean"] < 1e-5
