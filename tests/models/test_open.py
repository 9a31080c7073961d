"""Opening a base: what cannot be opened is a finished sentence, and nothing is made up."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from tunesmith.core.errors import ModelError, Unsupported
from tunesmith.models.open import decoder_layers, describe, load_weights, locate, open_base


@pytest.fixture
def copy(tiny_base: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_base, tmp_path / "copy"))


def test_a_folder_is_described_and_opened(tiny_base: Path) -> None:
    described = describe(str(tiny_base))
    assert described.context == 128
    assert described.location == str(tiny_base)
    base = open_base(described, "bfloat16", "cpu")
    assert base.forward.name == "packed"
    assert base.model.dtype == torch.bfloat16
    assert not base.model.training


def test_random_weights_follow_the_seed_and_not_the_file(tiny_base: Path) -> None:
    described = describe(str(tiny_base))
    drawn = [
        open_base(described, "float32", "cpu", from_scratch_seed=seed).model.lm_head.weight
        for seed in (1, 1, 2)
    ]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    stored = open_base(described, "float32", "cpu").model.lm_head.weight
    assert not torch.equal(drawn[0], stored)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("tinny", r"no base model .*tinny\. Did you mean .*tiny\?"),
        ("tiny/deeper/still", r"no base model .*still\. Name a model folder, a hub model"),
        ("tiny/config.json", r"no base model .*config\.json\."),
        ("~nobody-by-that-name/model", r"no base model ~nobody-by-that-name/model"),
        ("anvl", r"Did you mean anvil\?"),
    ],
)
def test_a_name_that_is_nowhere(tiny_base: Path, name: str, sentence: str) -> None:
    place = name if name.startswith(("~", "anv")) else str(tiny_base.parent / name)
    with pytest.raises(ModelError, match=sentence):
        locate(place)


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"is not a model folder: it has no config\.json"):
        locate(str(tmp_path))


def test_a_hub_name_without_a_network_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        ModelError, match=r"^The base some-owner/some-model could not be fetched from"
    ):
        describe("some-owner/some-model")


def _cut(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:5000])


def _lose_a_weight(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def _to_pickle(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")


def _other_width(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 48}))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_cut, r"weights in .*copy could not be read: .*incomplete"),
        (_lose_a_weight, r"incomplete: 1 are missing, the first is model\.layers\.1\.mlp\.up_proj"),
        (_to_pickle, r"pickle files.*refused.*safetensors"),
        (_other_width, r"weights in .*copy could not be read"),
        (lambda folder: (folder / "model.safetensors").unlink(), r"model\.safetensors"),
    ],
)
def test_weights_that_cannot_be_used(
    copy: Path, spoil: Callable[[Path], None], sentence: str
) -> None:
    spoil(copy)
    with pytest.raises(ModelError, match=sentence):
        load_weights(str(copy), "float32")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.json", "{}"),
        ("config.json", "{nonsense"),
        ("config.json", '{"model_type": "nothing-known"}'),
        ("tokenizer.json", "{nonsense"),
        ("tokenizer.json", None),
    ],
)
def test_a_folder_that_cannot_be_described(copy: Path, file: str, content: str | None) -> None:
    if content is None:
        for path in copy.glob("tokenizer*"):
            path.unlink()
    else:
        (copy / file).write_text(content)
    with pytest.raises(ModelError, match=rf"^The base {copy} .*\.$"):
        describe(str(copy))


def test_code_beside_a_model_is_never_run(copy: Path, tmp_path: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Config"}}
    (copy / "config.json").write_text(json.dumps(config))
    (copy / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Config: ...\n")
    with pytest.raises(ModelError):
        describe(str(copy))
    assert not (tmp_path / "ran").exists()


def test_layers_are_found_or_refused(tiny_base: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_base)
    assert decoder_layers(model) is model.model.layers
    model.config.num_hidden_layers = 5
    with pytest.raises(Unsupported, match=r"LlamaForCausalLM keeps its layers.*lora or full"):
        decoder_layers(model)
