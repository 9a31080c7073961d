"""Bases from the hub, bases that also see, and adapters whose base has moved."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from transformers import AutoConfig, Gemma3Config, PreTrainedConfig

from tests.support import model_section, opened
from tunesmith.core.errors import ModelError, Unsupported
from tunesmith.models.fused import fused_parts
from tunesmith.models.methods import attach, reopen
from tunesmith.models.open import decoder_layers, describe, open_base
from tunesmith.models.trunk import open_trunk
from tunesmith.models.trunk_store import Budget

HUB_NAME = "some-owner/some-model"
IDS = torch.arange(20)[None]


@pytest.fixture
def hub(tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub of one model, without a network. The folder is the cache it is fetched into."""
    folder = tmp_path / "cache" / "snapshots" / "0"
    shutil.copytree(tiny_base, folder)

    def download(name: str, *, allow_patterns: list[str], ignore_patterns: list[str]) -> str:
        assert name == HUB_NAME
        assert not any(Path("pytorch_model.bin").match(pattern) for pattern in allow_patterns)
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    return folder


def test_a_hub_base_is_opened_from_the_folder_it_was_fetched_into(hub: Path) -> None:
    described = describe(HUB_NAME)
    assert (described.name, described.reference) == (HUB_NAME, HUB_NAME)
    assert described.location == str(hub)
    assert open_base(described, "float32", "cpu").forward.name == "packed"


def test_a_hub_base_of_pickles_is_refused_and_converted_by_nobody(
    hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def convert(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("asked an outside service")

    monkeypatch.setattr("transformers.modeling_utils.auto_conversion", convert)
    (hub / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"no model\.safetensors.*pickle files.*refused"):
        open_base(describe(HUB_NAME), "float32", "cpu")
    open_base(describe(HUB_NAME), "float32", "cpu", from_scratch_seed=1)


def test_a_base_that_cannot_be_fetched_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def download(name: str, **patterns: Any) -> str:
        raise LocalEntryNotFoundError("The hub does not answer.\nTry again.")

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    with pytest.raises(ModelError) as caught:
        describe(HUB_NAME)
    assert str(caught.value) == (
        f"The base {HUB_NAME} could not be fetched from the hub: The hub does not answer. If you "
        "meant a folder, check its path."
    )


def test_an_adapter_of_a_hub_base_names_it_and_is_saved_without_asking_for_it(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(*args: Any) -> bool:
        raise AssertionError("asked the hub")

    monkeypatch.setattr("peft.utils.save_and_load.check_file_exists_on_hf_hub", ask)
    base = open_base(describe(HUB_NAME), "float32", "cpu")
    attach(base, model_section(method="lora"), 0).save(tmp_path / "adapter")
    stored = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert stored["base_model_name_or_path"] == HUB_NAME


def test_an_adapter_is_reopened_wherever_its_base_lies_now(tiny_base: Path, tmp_path: Path) -> None:
    tuned = opened(tiny_base, "lora")
    torch.manual_seed(5)
    with torch.no_grad():
        for weight in tuned.module.parameters():
            if weight.requires_grad:
                weight.add_(0.05 * torch.randn_like(weight))
        wanted = tuned.module.eval()(IDS).logits
    folder = tmp_path / "adapter"
    tuned.save(folder)
    stored = json.loads((folder / "adapter_config.json").read_text())
    stored["base_model_name_or_path"] = "/another/machine/base"
    (folder / "adapter_config.json").write_text(json.dumps(stored))
    moved = shutil.copytree(tiny_base, tmp_path / "moved")
    base = open_base(describe(str(moved)), "float32", "cpu")
    reopen(base, folder)
    with torch.no_grad():
        assert torch.equal(base.model(IDS).logits, wanted)


def test_a_reopened_adapter_computes_as_the_trained_one_did(
    tiny_base: Path, tmp_path: Path
) -> None:
    """In the same bits: PEFT's own layer rounds elsewhere in bfloat16."""
    tuned = opened(tiny_base, "lora", dtype="bfloat16")
    torch.manual_seed(5)
    with torch.no_grad():
        for weight in tuned.module.parameters():
            if weight.requires_grad:
                weight.add_(0.05 * torch.randn_like(weight))
        wanted = tuned.module.eval()(IDS).logits
    tuned.save(tmp_path / "adapter")
    base = open_base(describe(str(tiny_base)), "bfloat16", "cpu")
    reopened = reopen(base, tmp_path / "adapter")
    assert "adapters" in fused_parts(reopened.model)
    with torch.no_grad():
        assert torch.equal(base.model(IDS).logits, wanted)


@pytest.fixture
def seeing(tiny_base: Path, tmp_path: Path) -> Path:
    """A base whose sizes stand one level down, in the part of its configuration about text."""
    text = {
        "vocab_size": 330,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 96,
    }
    vision = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "image_size": 28,
        "patch_size": 14,
    }
    folder = Path(shutil.copytree(tiny_base, tmp_path / "seeing"))
    (folder / "model.safetensors").unlink()
    Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=1).save_pretrained(
        folder
    )
    return folder


def test_sizes_are_those_of_the_language_model(seeing: Path, tiny_base: Path) -> None:
    described = describe(str(seeing))
    assert not hasattr(AutoConfig.from_pretrained(seeing), "num_hidden_layers")
    assert (described.hidden_size, described.layers, described.vocab_size) == (32, 3, 330)
    assert described.context == 96
    plain = describe(str(tiny_base))
    assert (plain.hidden_size, plain.layers, plain.vocab_size) == (32, 3, 330)


def test_a_base_that_also_sees_is_trained_on_text(seeing: Path) -> None:
    """Packed, and its language model's layers are found beside those that see."""
    base = open_base(describe(str(seeing)), "float32", "cpu", from_scratch_seed=1)
    assert base.forward.name == "packed"
    assert decoder_layers(base.model) is base.model.model.language_model.layers
    tuned = attach(base, model_section(method="last_layers"), 0)
    trained = {name for name, weight in tuned.module.named_parameters() if weight.requires_grad}
    assert {name.split("language_model.")[1].split(".")[0] for name in trained} == {
        "layers",
        "norm",
    }


def test_a_configuration_without_sizes_is_a_sentence(tiny_base: Path) -> None:
    described = replace(describe(str(tiny_base)), text=PreTrainedConfig())
    with pytest.raises(Unsupported, match=r"\(PreTrainedConfig\) has no single hidden_size"):
        _ = described.hidden_size


def test_late_adapters_leave_the_part_that_sees_alone(seeing: Path) -> None:
    """Its layers have the same names and numbers as those of the language model."""
    base = open_base(describe(str(seeing)), "float32", "cpu", from_scratch_seed=1)
    tuned = attach(base, model_section(method="lora", layers=1), 0)
    trained = [name for name, weight in tuned.module.named_parameters() if weight.requires_grad]
    assert len(trained) == 2 * 7
    assert all("language_model.layers.2." in name for name in trained)
    trunk = open_trunk(base, tokens=100, sites=50, budget=Budget(1 << 20, 0, seeing))
    assert trunk.bytes == 100 * 32 * 4
